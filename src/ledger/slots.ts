import type { ErrorCode } from '../core/errors.ts';
import type { Outcome, Trigger } from '../core/run.ts';
import { appendRecord } from './chain.ts';
import { asked, endFrom, readHistories, slotColumns, slotFrom } from './histories.ts';
import { text } from './rows.ts';
import type { Statements } from './statements.ts';

/** Why a slot was never started. */
export type MissedCause = 'collector_down' | 'overload' | 'overlap' | 'clock' | 'paused';
/** Why a slot was not meant to be started. */
export type SkippedReason = 'disabled' | 'blackout' | 'superseded';

/** How one slot ended. `runId` is the run that served it, or failed to. */
export type SlotEnd =
  | { readonly state: 'changed' | 'unchanged'; readonly runId: string }
  | { readonly state: 'failed' | 'quarantined'; readonly runId: string; readonly code: ErrorCode }
  | { readonly state: 'missed'; readonly cause: MissedCause }
  | { readonly state: 'skipped'; readonly cause: SkippedReason };

/** One row: a time at which a device was due. Instants are UTC epoch milliseconds. */
export interface SlotRow {
  readonly slotMs: number;
  readonly deadlineMs: number;
  /** Null while open. */
  readonly end: SlotEnd | null;
  /** When its end was found out; null while open. */
  readonly detectedAtMs: number | null;
  /** Over 1: the row "and n more" of a long downtime, from `slotMs` to `lastMs`. */
  readonly count: number;
  readonly lastMs: number;
}

/** A run that ended, as far as the schedule looks at it. */
export interface PastRun {
  readonly runId: string;
  readonly trigger: Trigger;
  readonly slotMs: number | null;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly outcome: Outcome;
  /** Null unless `failed` or `quarantined`. */
  readonly code: ErrorCode | null;
  /** Of `connect.jump`: what failed at the jump host; absent otherwise. */
  readonly atJumpHost?: string;
  /** The slot whose row names this run; null while it serves none. */
  readonly servedMs: number | null;
}

/** What the schedule has to know of one device. */
export interface DeviceHistory {
  readonly deviceId: string;
  readonly registeredAtMs: number;
  /** What `keepPlan` wrote; null for a device that is not in the inventory. */
  readonly plan: string | null;
  /** Null: since registration. */
  readonly planSinceMs: number | null;
  readonly lastSuccessMs: number | null;
  /** The newest slot with a row, also where it lies ahead of now. */
  readonly lastSlotMs: number | null;
  /** The newest row whose slot is at or before now. */
  readonly latest: SlotRow | null;
  /** The newest row at or before now that was not skipped and has an end. */
  readonly newestEnd: SlotRow | null;
  /** Rows without an end, oldest first. */
  readonly open: readonly SlotRow[];
  /** The oldest row after the last success that is still owed; an "and n more" row that the success cut in two is one. */
  readonly owed: SlotRow | null;
  /** In the order of opening: all that ended since the older of `latest` and the oldest open slot, less five minutes. */
  readonly runs: readonly PastRun[];
  /** Every serial number that stands for this device. */
  readonly serials: readonly string[];
}

/** What is written of slots. Written twice, it counts once. */
export type SlotWrite = { readonly deviceId: string } & (
  | { readonly kind: 'record'; readonly slotMs: number; readonly deadlineMs: number }
  | {
      readonly kind: 'record-more';
      readonly slotMs: number;
      readonly lastMs: number;
      readonly count: number;
      readonly deadlineMs: number;
      readonly end: SlotEnd;
      readonly detectedAtMs: number;
    }
  | {
      readonly kind: 'close';
      readonly slotMs: number;
      readonly deadlineMs: number;
      readonly end: SlotEnd;
      readonly detectedAtMs: number;
    }
);

/** A slot that ended without a run. */
export interface AbsentRow extends SlotRow {
  readonly end: Extract<SlotEnd, { state: 'missed' | 'skipped' }>;
  readonly deviceId: string;
  readonly device: string;
  readonly platform: string;
  readonly group: string;
}

/** Which absent slots to list; every null means "no limit of this kind". Times are deadlines. */
export interface AbsentFilter {
  readonly deviceIds: readonly string[] | null;
  readonly states: readonly ('missed' | 'skipped')[];
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly limit: number;
}

/** How often things happened, ever. */
export interface Totals {
  readonly runs: readonly { readonly platform: string; readonly trigger: Trigger; readonly count: number }[];
  readonly failures: readonly {
    readonly platform: string;
    readonly reason: ErrorCode;
    readonly count: number;
  }[];
  readonly missed: readonly { readonly cause: MissedCause; readonly count: number }[];
}

/** The slots of every device. Throws BackupError `record.*` or `store.*`. */
export interface Slots {
  /**
   * Devices that changed since `version` (0: all of them), in a handful of queries whatever their number.
   * `version` of the answer is the next question's.
   */
  histories(
    version: number,
    nowMs: number,
  ): { readonly version: number; readonly histories: readonly DeviceHistory[] };
  /** The same of these devices, changed or not. */
  historiesOf(deviceIds: readonly string[], nowMs: number): readonly DeviceHistory[];
  /**
   * All of it or nothing; each end appends a chain record. Returns the ends that were new: a slot that has
   * one keeps it. Throws where a run would serve two slots.
   */
  write(writes: readonly SlotWrite[]): readonly SlotWrite[];
  /** `plan` null: the device left the inventory. `sinceMs` null: since registration. */
  keepPlan(deviceId: string, plan: string | null, sinceMs: number | null): void;
  /** Newest deadline first. */
  absent(filter: AbsentFilter): readonly AbsentRow[];
  totals(): Totals;
}

export function slots(sql: Statements): Slots {
  return {
    histories: (version, nowMs) =>
      sql.snapshot(() => ({
        version: Number(sql.get('SELECT max(changes) AS newest FROM device')?.newest ?? 0),
        histories: readHistories(sql, version === 0 ? asked.all : asked.changed, version, nowMs),
      })),
    historiesOf: (deviceIds, nowMs) =>
      sql.snapshot(() => readHistories(sql, asked.byId, JSON.stringify(deviceIds), nowMs)),
    write: (writes) => sql.transaction(() => writes.filter((write) => writeSlot(sql, write))),
    keepPlan: (deviceId, plan, sinceMs) => {
      sql.run(
        'UPDATE device SET plan = ?1, plan_since_ms = ?2 WHERE id = ?3 AND (plan IS NOT ?1 OR plan_since_ms IS NOT ?2)',
        ...[plan, sinceMs, deviceId],
      );
    },
    absent: (filter) => absent(sql, filter),
    totals: () => totals(sql),
  };
}

function absent(sql: Statements, filter: AbsentFilter): readonly AbsentRow[] {
  const { deviceIds, states, sinceMs, untilMs, limit } = filter;
  const rows = sql.all(
    `SELECT ${slotColumns}, device.name, device.platform, device.grp
     FROM slot JOIN device ON device.id = slot.device
     WHERE slot.state IN ('missed', 'skipped') AND slot.state IN (SELECT value FROM json_each(?))
       AND slot.deadline_ms >= ? AND slot.deadline_ms <= ?
       ${deviceIds === null ? '' : 'AND slot.device IN (SELECT value FROM json_each(?))'}
     ORDER BY slot.deadline_ms DESC, slot.device LIMIT ?`,
    ...[JSON.stringify(states), sinceMs ?? Number.MIN_SAFE_INTEGER, untilMs ?? Number.MAX_SAFE_INTEGER],
    ...(deviceIds === null ? [] : [JSON.stringify(deviceIds)]),
    limit,
  );
  return rows.map((row) => ({
    ...slotFrom(row),
    end: endFrom(row) as AbsentRow['end'],
    deviceId: text(row.device),
    device: text(row.name),
    platform: text(row.platform),
    group: text(row.grp),
  }));
}

function totals(sql: Statements): Totals {
  const rows = sql.all('SELECT kind, what, how, count FROM total');
  const of = (kind: string) => rows.filter((row) => row.kind === kind);
  return {
    runs: of('run').map(({ what, how, count }) => ({
      platform: text(what),
      trigger: text(how) as Trigger,
      count: Number(count),
    })),
    failures: of('failure').map(({ what, how, count }) => ({
      platform: text(what),
      reason: text(how) as ErrorCode,
      count: Number(count),
    })),
    missed: of('missed').map(({ what, count }) => ({
      cause: text(what) as MissedCause,
      count: Number(count),
    })),
  };
}

/* ── Writing ──────────────────────────────────────────────────────────────────────────────── */

/** Whether this made an end that was not there before. */
function writeSlot(sql: Statements, write: SlotWrite): boolean {
  const { deviceId, slotMs, deadlineMs } = write;
  if (write.kind === 'record') {
    sql.run(
      'INSERT INTO slot (device, due_at_ms, last_ms, deadline_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      ...[deviceId, slotMs, slotMs, deadlineMs],
    );
    return false;
  }
  const { end, detectedAtMs } = write;
  const runId = 'runId' in end ? end.runId : null;
  const cause = 'cause' in end ? end.cause : 'code' in end ? end.code : null;
  const [lastMs, count] = write.kind === 'record-more' ? [write.lastMs, write.count] : [slotMs, 1];
  const written =
    write.kind === 'record-more'
      ? sql.run(
          `INSERT INTO slot (device, due_at_ms, last_ms, count, deadline_ms, state, cause, run_id, detected_at_ms)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device, due_at_ms) DO NOTHING`,
          ...[deviceId, slotMs, lastMs, count, deadlineMs, end.state, cause, runId, detectedAtMs],
        )
      : sql.run(
          `UPDATE slot SET state = ?, cause = ?, run_id = ?, detected_at_ms = ?
           WHERE device = ? AND due_at_ms = ? AND state IS NULL`,
          ...[end.state, cause, runId, detectedAtMs, deviceId, slotMs],
        );
  if (written === 0) return false;
  if (end.state === 'missed') {
    // A success that is newer than the slot has cleared it already.
    sql.run(
      `UPDATE device SET consecutive_failures = consecutive_failures + ?
       WHERE id = ? AND ifnull(last_success_ms, 0) < ?`,
      ...[count, deviceId, lastMs],
    );
  }
  appendRecord(sql, 'slot', detectedAtMs, {
    device: deviceId,
    slot_ms: slotMs,
    last_ms: lastMs,
    count,
    deadline_ms: deadlineMs,
    state: end.state,
    cause,
    run: runId,
  });
  return true;
}
