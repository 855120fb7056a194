import { BackupError, OperationError } from '../core/errors.ts';
import { appendRecord } from './chain.ts';
import type { DeviceFacts, GoodReading, Ledger, RunEnd } from './ledger.ts';
import { markUnreferenced } from './retention.ts';
import { text, textOrNull } from './rows.ts';
import type { Row, Statements } from './statements.ts';

/** What an acceptance needs of a quarantined run, kept with it as JSON. */
interface Held {
  readonly hostname: string | null;
  readonly serials: readonly string[];
  readonly artefacts: readonly string[];
  readonly facts: DeviceFacts;
}

/** Runs: begun, ended once, accepted. */
export function ends(sql: Statements): Pick<Ledger, 'openRun' | 'closeRun' | 'acceptRun'> {
  return {
    openRun({ runId, deviceId, trigger, slotMs, startedAtMs }) {
      sql.transaction(() => {
        sql.run(
          `INSERT INTO run (id, device, trigger, slot_ms, started_at_ms, state) VALUES (?, ?, ?, ?, ?, 'running')`,
          ...[runId, deviceId, trigger, slotMs, startedAtMs],
        );
        sql.run('UPDATE device SET last_attempt_ms = ? WHERE id = ?', startedAtMs, deviceId);
      });
    },

    closeRun: (end) =>
      sql.transaction(() => {
        const run = sql.get('SELECT * FROM run WHERE id = ?', end.runId);
        if (run?.state !== 'running') {
          throw new BackupError('record.failed', {
            problem: `run ${end.runId} ${run === null ? 'was never opened' : `has ended already (${text(run.state)})`}`,
          });
        }
        const device = text(run.device);
        writeEnd(sql, end);
        const free = end.reading === null ? [] : writeSealed(sql, device, end, end.reading);
        if (end.outcome === 'changed' || end.outcome === 'unchanged') writeGood(sql, device, end);
        else writeBad(sql, device, end);
        appendRecord(sql, 'run', end.endedAtMs, recordOf(run, end));
        return free;
      }),

    acceptRun: ({ runId, atMs, by, commit, paths }) =>
      sql.transaction(() => {
        const run = sql.get('SELECT * FROM run WHERE id = ?', runId);
        if (run?.state !== 'quarantined' || run.accepted_at_ms !== null) {
          const because =
            run === null
              ? 'is not known'
              : run.state === 'quarantined'
                ? 'is accepted already'
                : `is not held: it ended ${text(run.state)}`;
          throw new OperationError(`run ${runId} ${because}`, 'list what is held with `roundsman status`');
        }
        const device = text(run.device);
        const held = JSON.parse(textOrNull(run.held) ?? '{}') as Partial<Held>;
        sql.run(
          'UPDATE run SET accepted_at_ms = ?, accepted_by = ?, commit_id = ? WHERE id = ?',
          ...[atMs, by, commit, runId],
        );
        for (const artefact of held.artefacts ?? []) {
          const path = paths.get(artefact);
          if (path !== undefined)
            writeVersion(sql, { device, artefact, commit, path, runId, atMs, bytes: null });
        }
        // Inserted again, so that they are the newest ones.
        for (const copy of sql.all(
          `SELECT * FROM sealed WHERE device = ? AND artefact IN (SELECT value FROM json_each(?)) AND run_id = ?
           ORDER BY n`,
          ...[device, JSON.stringify(held.artefacts ?? []), runId],
        )) {
          sql.run('DELETE FROM sealed WHERE n = ?', Number(copy.n));
          insertSealed(sql, { ...copy, kind: 'commit' });
        }
        // Another unit was accepted: its numbers take the place of the old ones. Else they join them.
        const anotherUnit = run.error_code === 'verify.identity';
        trustFacts(sql, device, identityOf(held), anotherUnit);
        if (held.facts !== undefined) keepFacts(sql, device, held.facts);
        markSuccess(sql, device, runId, atMs);
        const accepted = Object.fromEntries(paths);
        appendRecord(sql, 'accept', atMs, { run: runId, device, by, commit, paths: accepted });
      }),
  };
}

function writeEnd(sql: Statements, { reading, failure, ...end }: RunEnd): void {
  const held: Held | null =
    end.outcome !== 'quarantined' || reading === null
      ? null
      : {
          hostname: reading.facts.hostname,
          serials: serialsOf(reading),
          artefacts: reading.artefacts.map(({ name }) => name),
          facts: factsOf(reading),
        };
  sql.run(
    `UPDATE run SET state = ?, ended_at_ms = ?, commit_id = ?, restorable = ?, restorable_because = ?,
       error_code = ?, error_detail = ?, rules = ?, mask_key = ?, artefacts = ?, held = ? WHERE id = ?`,
    ...[end.outcome, end.endedAtMs, end.commit, end.restorable, end.restorableBecause],
    ...[failure?.code ?? null, failure === null ? null : JSON.stringify(failure.detail)],
    ...[reading?.rules ?? null, reading?.maskKey ?? null],
    reading === null ? null : JSON.stringify(reading.artefacts.map(({ name }) => name)),
    held === null ? null : JSON.stringify(held),
    end.runId,
  );
}

function writeGood(sql: Statements, device: string, end: RunEnd): void {
  const { reading, commit, runId, endedAtMs } = end;
  for (const { name, path, changed, bytes } of reading?.artefacts ?? []) {
    if (path === null || commit === null) continue;
    const newest = sql.get(
      'SELECT ifnull(lies_at, path) AS path FROM version WHERE device = ? AND artefact = ? ORDER BY n DESC LIMIT 1',
      ...[device, name],
    );
    // A group move gives the same text a new path; history has to know it.
    if (!changed && newest?.path === path) continue;
    writeVersion(sql, { device, artefact: name, commit, path, runId, atMs: endedAtMs, bytes });
  }
  if (reading !== null) {
    const { hostname, serial } = reading.facts;
    trustFacts(sql, device, { hostname, serial, serials: serialsOf(reading) }, false);
    keepFacts(sql, device, factsOf(reading));
  }
  markSuccess(sql, device, runId, endedAtMs);
  sql.run('UPDATE device SET last_run = ? WHERE id = ?', runId, device);
}

function writeBad(sql: Statements, device: string, { runId, outcome }: RunEnd): void {
  sql.run(
    'UPDATE device SET last_run = ?, consecutive_failures = consecutive_failures + 1 WHERE id = ?',
    ...[runId, device],
  );
  if (outcome === 'quarantined') sql.run('UPDATE device SET held_run = ? WHERE id = ?', runId, device);
}

function markSuccess(sql: Statements, device: string, runId: string, atMs: number): void {
  sql.run(
    `UPDATE device SET good_run = ?, good_platform = NULL, last_success_ms = ?, held_run = NULL,
       consecutive_failures = 0 WHERE id = ?`,
    ...[runId, atMs, device],
  );
}

/** Who a reading says that it is of. */
interface Identity {
  readonly hostname: string | null;
  readonly serial: string | null;
  /** Its own and its partners'. */
  readonly serials: readonly string[];
}

/** More than any group has had members in its life: what a device may make us remember is bounded. */
const mostSerials = 256;

/**
 * Adds what a trusted unit named to what is known. A partner that is named no more stays known: a unit that is cut off
 * from its group names none, and a failover to one that is known must not look like another device. `replace`: a person
 * accepted another device, and what was known of the one before is forgotten.
 */
function trustFacts(sql: Statements, device: string, unit: Identity, replace: boolean): void {
  const row = sql.get('SELECT hostname, serials, hostnames FROM device WHERE id = ?', device);
  const before = replace ? [] : (JSON.parse(text(row?.serials)) as readonly string[]);
  const names = replace ? {} : (JSON.parse(text(row?.hostnames)) as Record<string, string>);
  const serials = [...new Set([...before, ...unit.serials])].slice(0, mostSerials);
  const named = unit.serial === null || unit.hostname === null ? {} : { [unit.serial]: unit.hostname };
  const hostnames = Object.entries({ ...names, ...named }).filter(([serial]) => serials.includes(serial));
  sql.run(
    'UPDATE device SET hostname = ?, serials = ?, hostnames = ? WHERE id = ?',
    ...[unit.hostname ?? textOrNull(row?.hostname), JSON.stringify(serials)],
    ...[JSON.stringify(Object.fromEntries(hostnames)), device],
  );
}

/** Of a run that an older version held, the first serial number is the unit's own. */
function identityOf({ hostname = null, serials = [], facts }: Partial<Held>): Identity {
  return { hostname, serials, serial: facts === undefined ? (serials[0] ?? null) : facts.serial };
}

function keepFacts(sql: Statements, device: string, facts: DeviceFacts): void {
  sql.run('UPDATE device SET facts = ? WHERE id = ?', JSON.stringify(facts), device);
}

function factsOf({ facts, serials, condition }: GoodReading): DeviceFacts {
  const { hostname, version, model, serial } = facts;
  const partners = serials.filter((one) => one !== serial);
  return { hostname, version, model, serial, partners, ...condition };
}

function serialsOf({ facts, serials }: GoodReading): readonly string[] {
  return [...new Set(facts.serial === null ? serials : [facts.serial, ...serials])];
}

function writeVersion(
  sql: Statements,
  version: {
    device: string;
    artefact: string;
    commit: string;
    path: string;
    runId: string;
    atMs: number;
    bytes: number | null;
  },
): void {
  const { device, artefact, commit, path, runId, atMs, bytes } = version;
  sql.run(
    'INSERT INTO version (device, artefact, commit_id, path, run_id, at_ms, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ...[device, artefact, commit, path, runId, atMs, bytes],
  );
}

/** Records the sealed copies of a reading; returns the digests that nothing refers to any more. */
function writeSealed(sql: Statements, device: string, end: RunEnd, reading: GoodReading): readonly string[] {
  const kind = end.outcome === 'changed' ? 'commit' : end.outcome === 'unchanged' ? 'newest' : 'held';
  const replaced: string[] = [];
  for (const { name, sealed, changed } of reading.artefacts) {
    if (sealed === null) continue;
    const before = sql.get(
      `SELECT n, digest, kind FROM sealed WHERE device = ? AND artefact = ? AND kind <> 'held' ORDER BY n DESC LIMIT 1`,
      ...[device, name],
    );
    // The last copy of a text that changed stays: it may hold a secret that its mask does not tell apart.
    if (kind !== 'held' && !changed && before?.kind === 'newest') {
      sql.run('DELETE FROM sealed WHERE n = ?', Number(before.n));
      replaced.push(text(before.digest));
    }
    const row = { device, artefact: name, run_id: end.runId, digest: sealed, at_ms: end.endedAtMs, kind };
    insertSealed(sql, row);
  }
  return [...new Set(replaced)].filter((digest) => markUnreferenced(sql, digest));
}

function insertSealed(sql: Statements, row: Row): void {
  sql.run(
    'INSERT INTO sealed (device, artefact, run_id, digest, at_ms, kind) VALUES (?, ?, ?, ?, ?, ?)',
    ...['device', 'artefact', 'run_id', 'digest', 'at_ms', 'kind'].map((column) => row[column] ?? null),
  );
}

/** Everything that the tables hold of this run, so that they can be computed again from the chain. */
function recordOf(run: Row, end: RunEnd): Readonly<Record<string, unknown>> {
  const { reading } = end;
  return {
    run: end.runId,
    device: text(run.device),
    trigger: text(run.trigger),
    slot_ms: run.slot_ms,
    started_at_ms: run.started_at_ms,
    ended_at_ms: end.endedAtMs,
    state: end.outcome,
    error: end.failure,
    commit: end.commit,
    restorable: end.restorable,
    restorable_because: end.restorableBecause,
    reading:
      reading === null
        ? null
        : {
            hostname: reading.facts.hostname,
            serials: serialsOf(reading),
            facts: factsOf(reading),
            rules: reading.rules,
            mask_key: reading.maskKey,
            artefacts: reading.artefacts.map(({ name, path, sealed, changed }) => ({
              ...{ name, path, sealed, changed },
            })),
          },
  };
}
