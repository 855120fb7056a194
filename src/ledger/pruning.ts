import { type PruneRecord, rowsGone } from './audit.ts';
import { appendRecord } from './chain.ts';
import { earlyMs } from './histories.ts';
import { numberOrNull, text, textOrNull } from './rows.ts';
import type { Statements } from './statements.ts';

/** What is to be pruned. Instants are UTC epoch milliseconds. */
export interface Prune {
  /** Ends of slots and runs that are older than this go. */
  readonly beforeMs: number;
  /** Runs that wait for a person or for the repository: these stay. */
  readonly exceptRuns: ReadonlySet<string>;
  readonly nowMs: number;
  /** Where the step before came to; null for the first one: it goes on after the last that removed something. */
  readonly from: number | null;
}

/** What one step did. */
export interface PruneStep {
  readonly runs: number;
  readonly slots: number;
  /** For the next step; null: there is nothing left to do. */
  readonly next: number | null;
}

/** Records that one step looks at: some tens of milliseconds. A record of the chain for each keeps what it did. */
const recordsAStep = 200;

/** Of a failure at the store its commit may be on main nevertheless. */
const storeFailures = 'store.*';

/**
 * Removes rows of slots and runs, oldest first, in the order in which the chain tells of their ends; one record of the
 * chain names each that went, so that one which goes without is missed. The chain itself stays whole. What stays:
 * - of each device the newest slot, the newest that came to an end, and the oldest that is owed;
 * - the newest run, the newest good one, the one that is held, and all that the schedule may still look at;
 * - runs that made a commit, that were accepted, or that a slot, version, sealed copy or archive names.
 */
export function pruneStep(sql: Statements, { beforeMs, exceptRuns, nowMs, from }: Prune): PruneStep {
  return sql.unchecked(() => {
    const first = from ?? resumeAt(sql);
    const records = endsFrom(sql, first, beforeMs, nowMs);
    const last = records.at(-1)?.n;
    if (last === undefined) return { runs: 0, slots: 0, next: null };
    const limits = limitsOf(sql, nowMs);
    const gone = new Set<number>();
    const seenRuns = new Set<string>();
    // A run can go only after its slot, whose record comes after its own.
    for (const { n, device, slotMs, run } of records) {
      if (slotMs === null) continue;
      if (run !== null) seenRuns.add(run);
      if (removeSlot(sql, { device, slotMs }, beforeMs, limits(device))) gone.add(n);
    }
    const slots = gone.size;
    let deferred = last + 1;
    for (const { n, device, slotMs, run } of records) {
      if (slotMs !== null || run === null || exceptRuns.has(run)) continue;
      const removed = removeRun(sql, { device, run }, beforeMs, limits(device));
      if (removed === 'removed') gone.add(n);
      if (removed === 'slot' && !seenRuns.has(run)) deferred = Math.min(deferred, n);
    }
    const next = Math.max(deferred, first + Math.ceil((last + 1 - first) / 2));
    if (gone.size > 0) {
      const record: PruneRecord = {
        ...{ first, last, next, gone: rowsGone.written(first, last, gone), before_ms: beforeMs },
        ...{ runs: gone.size - slots, slots },
      };
      appendRecord(sql, 'pruned', nowMs, { ...record });
    }
    return { runs: gone.size - slots, slots, next };
  });
}

function resumeAt(sql: Statements): number {
  const newest = sql.get(
    `SELECT record ->> '$.next' AS next FROM chain
     WHERE category = 'pruned' AND category NOT IN ('run', 'slot') ORDER BY n DESC LIMIT 1`,
  );
  return numberOrNull(newest?.next) ?? 1;
}

/** A record that tells of an end; of a slot where `slotMs` is not null. */
interface End {
  readonly n: number;
  readonly device: string;
  readonly slotMs: number | null;
  readonly run: string | null;
}

/** Up to the first record that is too young. One from ahead of now was written by a clock that has gone back since. */
function endsFrom(sql: Statements, first: number, beforeMs: number, nowMs: number): readonly End[] {
  const rows = sql.all(
    `SELECT n, at_ms, category, record ->> '$.device' AS device, record ->> '$.run' AS run,
       record ->> '$.slot_ms' AS slot_ms
     FROM chain WHERE n >= ? ORDER BY n LIMIT ?`,
    ...[first, recordsAStep],
  );
  const young = rows.findIndex(({ at_ms }) => Number(at_ms) >= beforeMs && Number(at_ms) <= nowMs);
  return (young === -1 ? rows : rows.slice(0, young)).map(({ n, category, device, run, slot_ms }) => ({
    n: Number(n),
    device: text(device),
    slotMs: category === 'slot' ? numberOrNull(slot_ms) : null,
    run: category === 'slot' || category === 'run' ? textOrNull(run) : null,
  }));
}

/** What of a device has to stay. */
interface Limits {
  /** Slots from here on; null: every one. */
  readonly latestMs: number | null;
  readonly slots: ReadonlySet<number>;
  /** Runs that ended from here on. */
  readonly runsFromMs: number;
}

/** Nothing that is removed moves them, so they are asked for once. */
function limitsOf(sql: Statements, nowMs: number): (device: string) => Limits {
  const known = new Map<string, Limits>();
  return (device) => {
    const found = known.get(device) ?? readLimits(sql, device, nowMs);
    known.set(device, found);
    return found;
  };
}

function readLimits(sql: Statements, device: string, nowMs: number): Limits {
  const row = sql.get(
    `SELECT
       (SELECT max(due_at_ms) FROM slot WHERE device = id AND due_at_ms <= ?1) AS latest_ms,
       (SELECT due_at_ms FROM slot WHERE device = id AND due_at_ms <= ?1
          AND state IS NOT NULL AND state <> 'skipped' ORDER BY due_at_ms DESC LIMIT 1) AS newest_end_ms,
       (SELECT min(due_at_ms) FROM slot WHERE device = id AND state IS NULL) AS open_ms,
       (SELECT due_at_ms FROM slot WHERE device = id AND owed AND due_at_ms > ifnull(last_success_ms, 0)
          ORDER BY due_at_ms LIMIT 1) AS owed_ms,
       (SELECT due_at_ms FROM slot WHERE device = id AND count > 1 AND owed
          AND last_ms > ifnull(last_success_ms, 0) ORDER BY due_at_ms LIMIT 1) AS owed_more_ms
     FROM device WHERE id = ?2`,
    ...[nowMs, device],
  );
  const latestMs = numberOrNull(row?.latest_ms);
  const openMs = numberOrNull(row?.open_ms);
  const windowMs = Math.min(latestMs ?? Number.POSITIVE_INFINITY, openMs ?? Number.POSITIVE_INFINITY);
  const slots = [row?.newest_end_ms, row?.owed_ms, row?.owed_more_ms].map(numberOrNull);
  return {
    latestMs,
    slots: new Set(slots.filter((slotMs) => slotMs !== null)),
    runsFromMs: windowMs - earlyMs,
  };
}

function removeSlot(
  sql: Statements,
  { device, slotMs }: { readonly device: string; readonly slotMs: number },
  beforeMs: number,
  { latestMs, slots, runsFromMs }: Limits,
): boolean {
  if (latestMs === null || slotMs >= latestMs || slots.has(slotMs)) return false;
  const removed = sql.run(
    `DELETE FROM slot WHERE device = ?1 AND due_at_ms = ?2 AND state IS NOT NULL
       AND max(last_ms, deadline_ms, detected_at_ms) < ?3
       AND (run_id IS NULL OR run_id IN (SELECT id FROM run WHERE id = run_id AND ended_at_ms < ?4))`,
    ...[device, slotMs, beforeMs, runsFromMs],
  );
  return removed > 0;
}

/** `slot`: a slot alone keeps it. */
function removeRun(
  sql: Statements,
  { device, run }: { readonly device: string; readonly run: string },
  beforeMs: number,
  { runsFromMs }: Limits,
): 'removed' | 'slot' | 'kept' {
  const old = sql.get(
    `SELECT EXISTS (SELECT 1 FROM slot WHERE run_id = run.id) AS has_slot FROM run
     WHERE id = ?1 AND device = ?2 AND state IN ('unchanged', 'failed', 'quarantined') AND accepted_at_ms IS NULL
       AND max(started_at_ms, ended_at_ms) < ?3 AND ended_at_ms < ?4 AND ifnull(error_code, '') NOT GLOB '${storeFailures}'
       AND NOT EXISTS (SELECT 1 FROM device WHERE id = ?2 AND run.id IN (good_run, held_run, last_run))
       AND NOT EXISTS (SELECT 1 FROM json_each(run.artefacts) JOIN version
         ON version.device = ?2 AND version.artefact = value AND version.run_id = run.id)
       AND NOT EXISTS (SELECT 1 FROM json_each(run.artefacts) JOIN sealed
         ON sealed.device = ?2 AND sealed.artefact = value AND sealed.run_id = run.id)
       AND NOT EXISTS (SELECT 1 FROM archive WHERE archive.run_id = run.id)`,
    ...[run, device, beforeMs, runsFromMs],
  );
  if (old === null) return 'kept';
  if (old.has_slot === 1) return 'slot';
  sql.run('DELETE FROM run WHERE id = ?', run);
  return 'removed';
}
