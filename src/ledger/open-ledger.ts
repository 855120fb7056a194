import { closeSync, openSync } from 'node:fs';
import type { SQLInputValue } from 'node:sqlite';
import type { Restorable } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { archives } from './archives.ts';
import { genesis } from './audit.ts';
import { appendRecord } from './chain.ts';
import { openDatabase } from './database.ts';
import { ends } from './ends.ts';
import type { DeviceFacts, LastGood, Ledger, RunFilter, RunRow, Summary, Version } from './ledger.ts';
import { lives } from './lives.ts';
import { logins } from './logins.ts';
import { rebuilding } from './rebuilding.ts';
import { registration } from './registration.ts';
import { retention } from './retention.ts';
import { numberOrNull, runColumns, runFrom, sealedFrom, text, textOrNull, versionFrom } from './rows.ts';
import { slots } from './slots.ts';
import { refuseDamaged } from './soundness.ts';
import { type Statements, statementsOn } from './statements.ts';

/**
 * Opens the ledger in `file`, creates it where there is none, and brings it up to date. Several processes
 * may have it open; reading never waits for writing. Throws BackupError `record.*` or `store.*`.
 */
export function openLedger(file: string): Ledger {
  const database = openDatabase(file);
  const sql = statementsOn(database, file);
  return {
    ...registration(sql),
    ...ends(sql),
    slots: slots(sql),
    logins: logins(sql),
    lives: lives(sql),
    rebuilding: rebuilding(sql),
    archives: archives(sql),
    retention: retention(sql),
    together: (work) => sql.transaction(work),
    summaries: (deviceIds = null) => summaries(sql, deviceIds),
    newestVersions: (deviceIds) => newestVersions(sql, deviceIds),
    lastGood: (deviceId) => lastGood(sql, deviceId),
    run: (runId) =>
      sql
        .all(`SELECT ${runColumns} FROM run JOIN device ON device.id = run.device WHERE run.id = ?`, runId)
        .map(runFrom)[0] ?? null,
    runs: (filter) => runs(sql, filter),
    running: () =>
      sql
        .all(
          `SELECT ${runColumns} FROM run JOIN device ON device.id = run.device WHERE run.state = 'running' ORDER BY run.n`,
        )
        .map(runFrom),
    versions: (deviceId, artefact) =>
      sql
        .all('SELECT * FROM version WHERE device = ? AND artefact = ? ORDER BY n DESC', deviceId, artefact)
        .map(versionFrom),
    artefactNames: (deviceId) =>
      sql
        .all(
          `SELECT DISTINCT artefact FROM version WHERE device = ? ORDER BY artefact <> 'running-config', artefact`,
          deviceId,
        )
        .map((row) => text(row.artefact)),
    sealed: (deviceId, artefact, runId) => {
      const row =
        runId === null
          ? sql.get(
              `SELECT * FROM sealed WHERE device = ? AND artefact = ? AND kind <> 'held' ORDER BY n DESC LIMIT 1`,
              ...[deviceId, artefact],
            )
          : sql.get(
              'SELECT * FROM sealed WHERE device = ? AND artefact = ? AND run_id = ?',
              ...[deviceId, artefact, runId],
            );
      return row === null ? null : sealedFrom(row);
    },
    record: (category, atMs, record) => sql.transaction(() => appendRecord(sql, category, atMs, record)),
    lastRecord: (category) => {
      const newest = sql.get(
        `SELECT record FROM chain WHERE category = ? AND category NOT IN ('run', 'slot') ORDER BY n DESC LIMIT 1`,
        category,
      );
      return newest === null ? null : JSON.parse(text(newest.record));
    },
    chainHead: () => {
      const newest = sql.get('SELECT hash FROM chain ORDER BY n DESC LIMIT 1');
      return Buffer.from((newest?.hash as Uint8Array | undefined) ?? genesis).toString('hex');
    },
    chainLength: () => Number(sql.get('SELECT max(n) AS n FROM chain')?.n ?? 0),
    lastVersionMs: () => numberOrNull(sql.get('SELECT at_ms FROM version ORDER BY n DESC LIMIT 1')?.at_ms),
    lastCommits: () =>
      sql
        .all('SELECT commit_id FROM version GROUP BY commit_id ORDER BY max(n) DESC LIMIT 1000')
        .map((row) => text(row.commit_id)),
    *chain() {
      for (const row of sql.each('SELECT n, record, hash FROM chain ORDER BY n')) {
        yield { n: Number(row.n), record: text(row.record), hash: row.hash as Uint8Array };
      }
    },
    refuseDamaged: () => refuseDamaged(sql, file),
    sealedDigests: () =>
      sql
        .all('SELECT digest FROM sealed UNION SELECT digest FROM archive WHERE digest IS NOT NULL')
        .map((row) => text(row.digest)),
    snapshot: (copy) => snapshot(sql, copy),
    [Symbol.dispose]: () => {
      if (database.isOpen) database.close();
    },
  };
}

function snapshot(sql: Statements, copy: string): void {
  try {
    // SQLite fills an empty file, and would give one that it makes the mode that the umask lets.
    closeSync(openSync(copy, 'wx', 0o600));
  } catch (error) {
    throw storageError(error, copy);
  }
  sql.run('VACUUM INTO ?', copy);
}

function lastGood(sql: Statements, deviceId: string): LastGood | null {
  const run = sql.get(
    `SELECT run.*, ifnull(good_platform, platform) AS platform
     FROM device JOIN run ON run.id = device.good_run WHERE device.id = ?`,
    deviceId,
  );
  if (run === null) return null;
  const names = JSON.parse(textOrNull(run.artefacts) ?? '[]') as readonly string[];
  return {
    runId: text(run.id),
    platform: text(run.platform),
    commit: text(run.commit_id),
    restorable: text(run.restorable) as Restorable,
    rules: text(run.rules),
    maskKey: text(run.mask_key),
    versions: names.flatMap((name) => {
      const newest = sql.get(
        'SELECT * FROM version WHERE device = ? AND artefact = ? ORDER BY n DESC LIMIT 1',
        ...[deviceId, name],
      );
      if (newest === null) return [];
      const version = versionFrom(newest);
      const liesAt = textOrNull(newest.lies_at) ?? version.path;
      return [{ ...version, liesAt: liesAt === '' ? null : liesAt }];
    }),
  };
}

/**
 * Each state apart, where no device narrows the search: an index then gives the newest of each at once,
 * however many millions of runs ended well.
 */
function runs(sql: Statements, filter: RunFilter): readonly RunRow[] {
  if (filter.states === null || filter.deviceIds !== null) return runsWhere(sql, filter, null);
  return filter.states
    .flatMap((state) => runsWhere(sql, { ...filter, states: null }, state))
    .sort((a, b) => b.startedAtMs - a.startedAtMs)
    .slice(0, filter.limit);
}

function runsWhere(sql: Statements, filter: RunFilter, state: RunRow['state'] | null): readonly RunRow[] {
  const where: string[] = [];
  const values: SQLInputValue[] = [];
  const limitTo = (condition: string, value: SQLInputValue | null) => {
    if (value === null) return;
    where.push(condition);
    values.push(value);
  };
  const list = (items: readonly string[] | null) => (items === null ? null : JSON.stringify(items));
  limitTo('run.device IN (SELECT value FROM json_each(?))', list(filter.deviceIds));
  // The plus keeps SQLite from walking through every run of a state for the sake of a few devices.
  limitTo('+run.state IN (SELECT value FROM json_each(?))', list(filter.states));
  limitTo('run.state = ?', state);
  limitTo('run.started_at_ms >= ?', filter.sinceMs);
  limitTo('run.started_at_ms <= ?', filter.untilMs);
  const condition = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`;
  return sql
    .all(
      `SELECT ${runColumns} FROM run JOIN device ON device.id = run.device ${condition}
       ORDER BY run.started_at_ms DESC, run.n DESC LIMIT ?`,
      ...values,
      filter.limit,
    )
    .map(runFrom);
}

function newestVersions(
  sql: Statements,
  deviceIds: readonly string[],
): ReadonlyMap<string, readonly Version[]> {
  const rows = sql.all(
    `SELECT version.* FROM json_each(?) AS wanted
     JOIN device ON device.id = wanted.value
     JOIN run ON run.id = device.good_run
     JOIN json_each(run.artefacts) AS name
     JOIN version ON version.n =
       (SELECT max(n) FROM version WHERE version.device = device.id AND artefact = name.value)`,
    JSON.stringify(deviceIds),
  );
  return Map.groupBy(rows.map(versionFrom), ({ deviceId }) => deviceId);
}

function summaries(sql: Statements, deviceIds: readonly string[] | null): ReadonlyMap<string, Summary> {
  const which = deviceIds === null ? 'TRUE' : 'device.id IN (SELECT value FROM json_each(?))';
  const values = deviceIds === null ? [] : [JSON.stringify(deviceIds)];
  const runsOf = (column: string) =>
    new Map(
      sql
        .all(
          `SELECT ${runColumns} FROM device JOIN run ON run.id = device.${column} WHERE ${which} ORDER BY device.id`,
          ...values,
        )
        .map((row) => [text(row.device), runFrom(row)]),
    );
  return sql.snapshot(() => {
    const last = runsOf('last_run');
    const held = runsOf('held_run');
    const rows = sql.all(
      `SELECT device.id, last_success_ms, last_attempt_ms, consecutive_failures, facts, restorable, restorable_because
       FROM device LEFT JOIN run ON run.id = device.good_run WHERE ${which} ORDER BY device.id`,
      ...values,
    );
    return new Map(
      rows.map((row) => {
        const id = text(row.id);
        const summary: Summary = {
          lastSuccessMs: numberOrNull(row.last_success_ms),
          lastAttemptMs: numberOrNull(row.last_attempt_ms),
          consecutiveFailures: Number(row.consecutive_failures),
          lastRun: last.get(id) ?? null,
          heldRun: held.get(id) ?? null,
          restorable: textOrNull(row.restorable) as Restorable | null,
          restorableBecause: textOrNull(row.restorable_because),
          facts: JSON.parse(textOrNull(row.facts) ?? 'null') as DeviceFacts | null,
        };
        return [id, summary];
      }),
    );
  });
}
