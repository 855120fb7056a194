import type { ErrorCode } from '../core/errors.ts';
import type { Outcome, Trigger } from '../core/run.ts';
import { numberOrNull, text, textOrNull } from './rows.ts';
import type { DeviceHistory, MissedCause, PastRun, SkippedReason, SlotEnd, SlotRow } from './slots.ts';
import type { Row, Statements } from './statements.ts';

/** A history has the runs that ended so long before the slot that it begins with. */
export const earlyMs = 5 * 60_000;

export const slotColumns = `slot.device, slot.due_at_ms, slot.last_ms, slot.count, slot.deadline_ms, slot.state,
  slot.cause, slot.run_id, slot.detected_at_ms`;

/** Which devices are asked about: `table` is `device`, with the index where one has to be used; `where` asks for one value. */
export interface Asked {
  readonly table: string;
  readonly where: string;
}

/**
 * Every device; where something of it was written after a version; and by ids. Left to itself, SQLite reads all devices
 * in the order of their ids to find the one that changed: after each run, at ten thousand devices a fifth of a backup.
 */
export const asked = {
  all: { table: 'device', where: 'changes >= ?' },
  changed: { table: 'device INDEXED BY device_by_changes', where: 'changes > ?' },
  byId: { table: 'device', where: 'id IN (SELECT value FROM json_each(?))' },
} as const satisfies Record<string, Asked>;

/**
 * What the schedule has to know of the devices that are asked about, with the value for it. The rows of a device lie
 * together, and those of a fleet that is a year old on as many pages as there are devices, which no cache holds: so each
 * of them is looked for once, and what follows from it is not asked again.
 */
export function readHistories(
  sql: Statements,
  { table, where }: Asked,
  value: number | string,
  nowMs: number,
): DeviceHistory[] {
  const devices = sql.all(
    `SELECT id, registered_at_ms, plan, plan_since_ms, last_success_ms, serials,
       (SELECT max(due_at_ms) FROM slot WHERE device = id) AS last_slot_ms, ${slotColumns}
     FROM ${table} LEFT JOIN slot ON slot.device = id AND slot.due_at_ms =
       (SELECT max(due_at_ms) FROM slot WHERE device = id AND due_at_ms <= ?)
     WHERE ${where} ORDER BY id`,
    ...[nowMs, value],
  );
  // By far the most frequent answer: the loop asks every second, and each of the others costs a walk.
  if (devices.length === 0) return [];
  const known = devices.map((row) => ({
    id: text(row.id),
    row,
    latest: row.due_at_ms === null ? null : slotFrom(row),
  }));
  const open = byDevice(
    sql.all(
      `SELECT ${slotColumns} FROM ${table} CROSS JOIN slot INDEXED BY slot_open ON slot.device = id AND slot.state IS NULL
       WHERE ${where} ORDER BY id, slot.due_at_ms`,
      value,
    ),
    slotFrom,
  );
  // Among all that was ever owed, the row of each would be read to find those of many slots.
  const owed = byDevice(
    sql.all(
      `SELECT ${slotColumns} FROM ${table} CROSS JOIN slot ON slot.device = id AND slot.due_at_ms = ifnull(
         (SELECT due_at_ms FROM slot INDEXED BY slot_many WHERE device = id AND count > 1 AND owed
            AND last_ms > ifnull(last_success_ms, 0) ORDER BY due_at_ms LIMIT 1),
         (SELECT due_at_ms FROM slot INDEXED BY slot_owed WHERE device = id AND owed
            AND due_at_ms > ifnull(last_success_ms, 0) ORDER BY due_at_ms LIMIT 1))
       WHERE ${where}`,
      value,
    ),
    slotFrom,
  );
  const unsettled = known.filter(({ latest }) => latest !== null && !isSettled(latest)).map(({ id }) => id);
  const ends = newestEnds(sql, unsettled, nowMs);
  const runs = runsSince(
    sql,
    known.map(({ id, latest }) => {
      const latestMs = latest?.slotMs ?? 0;
      return [id, Math.min(latestMs, open.get(id)?.[0]?.slotMs ?? latestMs) - earlyMs];
    }),
  );
  return known.map(
    ({ id, row, latest }): DeviceHistory => ({
      deviceId: id,
      registeredAtMs: Number(row.registered_at_ms),
      plan: textOrNull(row.plan),
      planSinceMs: numberOrNull(row.plan_since_ms),
      lastSuccessMs: numberOrNull(row.last_success_ms),
      lastSlotMs: numberOrNull(row.last_slot_ms),
      latest,
      newestEnd: latest === null || isSettled(latest) ? latest : (ends.get(id)?.[0] ?? null),
      open: open.get(id) ?? none,
      owed: owed.get(id)?.[0] ?? null,
      runs: (runs.get(id) ?? none).sort((a, b) => a.n - b.n),
      serials: JSON.parse(text(row.serials)) as readonly string[],
    }),
  );
}

const none: never[] = [];

/** Whether it was not skipped and has an end. */
function isSettled({ end }: SlotRow): boolean {
  return end !== null && end.state !== 'skipped';
}

/** The newest settled rows of these devices. */
function newestEnds(sql: Statements, deviceIds: readonly string[], nowMs: number): Map<string, SlotRow[]> {
  if (deviceIds.length === 0) return new Map();
  const rows = sql.all(
    `SELECT ${slotColumns} FROM json_each(?) AS asked JOIN slot ON slot.device = asked.value AND slot.due_at_ms =
       (SELECT due_at_ms FROM slot WHERE device = asked.value AND due_at_ms <= ?
          AND state IS NOT NULL AND state <> 'skipped' ORDER BY due_at_ms DESC LIMIT 1)`,
    ...[JSON.stringify(deviceIds), nowMs],
  );
  return byDevice(rows, slotFrom);
}

/** What ended of each device since an instant of its own. */
function runsSince(
  sql: Statements,
  since: readonly (readonly [deviceId: string, endedAtMs: number])[],
): Map<string, (PastRun & { readonly n: number })[]> {
  const rows = sql.all(
    `SELECT run.n, run.device, run.id, run.trigger, run.slot_ms, run.started_at_ms, run.ended_at_ms, run.state,
       run.error_code, slot.due_at_ms AS served_ms,
       iif(run.error_code = 'connect.jump', run.error_detail ->> '$.code', NULL) AS at_jump_host
     FROM json_each(?) AS asked
     JOIN run ON run.device = asked.value ->> 0 AND run.ended_at_ms >= asked.value ->> 1
     LEFT JOIN slot ON slot.run_id = run.id`,
    JSON.stringify(since),
  );
  return byDevice(rows, runFrom);
}

function byDevice<Item>(rows: readonly Row[], make: (row: Row) => Item): Map<string, Item[]> {
  const found = new Map<string, Item[]>();
  for (const row of rows) {
    const device = text(row.device);
    const items = found.get(device);
    if (items === undefined) found.set(device, [make(row)]);
    else items.push(make(row));
  }
  return found;
}

export function slotFrom(row: Row): SlotRow {
  return {
    slotMs: Number(row.due_at_ms),
    lastMs: Number(row.last_ms),
    count: Number(row.count),
    deadlineMs: Number(row.deadline_ms),
    end: endFrom(row),
    detectedAtMs: numberOrNull(row.detected_at_ms),
  };
}

export function endFrom(row: Row): SlotEnd | null {
  const state = textOrNull(row.state) as SlotEnd['state'] | null;
  const cause = text(row.cause);
  const runId = text(row.run_id);
  switch (state) {
    case null:
      return null;
    case 'changed':
    case 'unchanged':
      return { state, runId };
    case 'failed':
    case 'quarantined':
      return { state, runId, code: cause as ErrorCode };
    case 'missed':
      return { state, cause: cause as MissedCause };
    case 'skipped':
      return { state, cause: cause as SkippedReason };
  }
}

function runFrom(row: Row): PastRun & { readonly n: number } {
  return {
    n: Number(row.n),
    runId: text(row.id),
    trigger: text(row.trigger) as Trigger,
    slotMs: numberOrNull(row.slot_ms),
    startedAtMs: Number(row.started_at_ms),
    endedAtMs: Number(row.ended_at_ms),
    outcome: text(row.state) as Outcome,
    code: textOrNull(row.error_code) as ErrorCode | null,
    ...(typeof row.at_jump_host === 'string' ? { atJumpHost: row.at_jump_host } : {}),
    servedMs: numberOrNull(row.served_ms),
  };
}
