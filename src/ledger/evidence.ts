import { statSync } from 'node:fs';
import type { SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import { BackupError } from '../core/errors.ts';
import { openToRead } from './database.ts';
import type { ChainRecord } from './ledger.ts';
import { numberOrNull, text, textOrNull } from './rows.ts';
import { ledgerError } from './sqlite-errors.ts';
import { type Row, statementsOn } from './statements.ts';

/** A row of a table, found by what a record of the chain names. `n` is its number in its table. */
export interface RunFact {
  readonly n: number;
  readonly runId: string;
  readonly deviceId: string;
  readonly state: string;
  readonly endedAtMs: number | null;
  readonly commit: string | null;
  readonly acceptedAtMs: number | null;
  /** The columns that its record repeats, by the names that they have there. */
  readonly columns: Readonly<Record<string, unknown>>;
  readonly acceptedBy: string | null;
}

export interface VersionFact {
  readonly n: number;
  readonly deviceId: string;
  readonly artefact: string;
  readonly runId: string;
  readonly commit: string;
  readonly path: string;
  readonly atMs: number;
}

/** A sealed copy, or (`kind` `archive`) an archive. */
export interface SealedFact {
  readonly n: number;
  readonly deviceId: string;
  readonly artefact: string;
  readonly runId: string;
  /** Null for an archive that failed. */
  readonly digest: string | null;
  readonly kind: 'commit' | 'newest' | 'held' | 'archive';
  readonly atMs: number;
}

export interface SlotFact {
  readonly deviceId: string;
  readonly slotMs: number;
  readonly detectedAtMs: number | null;
  readonly columns: Readonly<Record<string, unknown>>;
}

/** What is asked of every run that ended. */
export type EndedRun = Omit<RunFact, 'commit' | 'columns'>;

export interface StandingFact {
  readonly deviceId: string;
  readonly name: string;
  readonly goodRun: string | null;
  readonly lastSuccessMs: number | null;
}

/**
 * The ledger as a witness reads it: for reading alone, at one moment, row by row. Throws BackupError `record.*` or
 * `store.*`.
 */
export interface Evidence extends Disposable {
  /** In their order, from the first one after record `after` on; whatever lies in the table, in order or not. */
  chain(after: number): Iterable<ChainRecord>;
  /** Records of one category, in their order; not those of runs and slots, which are too many. */
  records(category: string): readonly ChainRecord[];
  /** By the latest instant before which `retention` forgot sealed files; null where it never did. */
  forgottenBeforeMs(): number | null;
  /** The number of the newest record; 0 before the first. */
  chainLength(): number;

  run(runId: string): RunFact | null;
  version(deviceId: string, artefact: string, runId: string): VersionFact | null;
  sealed(deviceId: string, artefact: string, runId: string): SealedFact | null;
  archive(deviceId: string, name: string, runId: string): SealedFact | null;
  slot(deviceId: string, slotMs: number): SlotFact | null;

  /** Every run that is not in progress. */
  endedRuns(): Iterable<EndedRun>;
  versions(): Iterable<VersionFact>;
  /** Sealed copies, then archives. */
  sealedFiles(): Iterable<SealedFact>;
  /** Every slot that has an end. */
  endedSlots(): Iterable<Pick<SlotFact, 'deviceId' | 'slotMs'>>;
  /** Ended slots that no record of the chain tells of; slow, and needs room for a sort in the directory of temporary files. */
  unrecordedSlots(): Iterable<SlotFact>;
  standings(): readonly StandingFact[];
  /** When the oldest run in progress began; null where none is. */
  oldestRunningMs(): number | null;

  /** Sealed files whose digest begins with these digits, each once. */
  digests(prefix: string): readonly SealedFact[];
  /** Whether a row names this file, or it waits to be removed. */
  names(digest: string): boolean;

  /** What SQLite finds wrong with the file; empty: nothing. */
  damage(): readonly string[];
  /** From here on everything is read as it is now. */
  refresh(): void;
}

/** Values of one row, in the order in which a question names them. */
type Cells = readonly (SQLOutputValue | undefined)[];

/** Records come day by day, and each day leads to the rows of every device: those of a large fleet stay in memory. */
const cacheKib = 96 * 1024;

/** The condition of an index, which a question has to repeat. */
const rare = `category NOT IN ('run', 'slot')`;

/** Opens the ledger in `file`, which has to be there. */
export function openEvidence(file: string): Evidence {
  const database = openToRead(file);
  const sql = { ...statementsOn(database, file), each };
  const isStill = !isLogged(file);
  const before = statSync(file);
  database.exec('BEGIN');
  try {
    database.exec(`PRAGMA cache_size = -${cacheKib}`);
  } catch {
    // It reads the schema. The first question meets the same damage, and says whose it is.
  }

  /** Rows as lists: of millions, making objects costs more than reading them. */
  function listing(query: string): StatementSync {
    const statement = database.prepare(query);
    statement.setReturnArrays(true);
    return statement;
  }

  /** Asks for one row, again and again. */
  function asking(query: string): (...values: SQLInputValue[]) => Cells | null {
    let statement: StatementSync | null = null;
    return (...values) => {
      try {
        statement ??= listing(query);
        return (statement.get(...values) as unknown as Cells | undefined) ?? null;
      } catch (error) {
        throw ledgerError(error, file);
      }
    };
  }
  const askRun = asking(`SELECT ${runCells} FROM run WHERE id = ?`);
  const askSlot = asking(`SELECT ${slotCells} FROM slot WHERE device = ? AND due_at_ms = ?`);

  function* list<Fact>(query: string, make: (cells: Cells) => Fact): Generator<Fact> {
    try {
      for (const cells of listing(query).iterate()) yield make(cells as unknown as Cells);
    } catch (error) {
      throw ledgerError(error, file);
    }
  }

  /** A damaged page is met in the middle of a reading. */
  function* each(query: string): Generator<Row> {
    try {
      yield* database.prepare(query).iterate() as Iterable<Row>;
    } catch (error) {
      throw ledgerError(error, file);
    }
  }

  return {
    chain: (after) =>
      list(`SELECT n, record, hash FROM chain WHERE n > ${Math.trunc(after)} ORDER BY n`, recordOf),
    records: (category) =>
      sql
        .all(`SELECT n, record, hash FROM chain WHERE category = ? AND ${rare} ORDER BY n`, category)
        .map(recordFrom),
    forgottenBeforeMs: () =>
      numberOrNull(
        sql.get(
          `SELECT max(record ->> '$.before_ms') AS ms FROM chain WHERE category = 'retention' AND ${rare}`,
        )?.ms,
      ),
    chainLength: () => Number(sql.get('SELECT max(n) AS n FROM chain')?.n ?? 0),

    run: (runId) => made(askRun(runId), runOf),
    version: (deviceId, artefact, runId) =>
      made(
        sql.get(
          'SELECT * FROM version WHERE device = ? AND artefact = ? AND run_id = ?',
          ...[deviceId, artefact, runId],
        ),
        versionFrom,
      ),
    sealed: (deviceId, artefact, runId) =>
      made(
        sql.get(
          'SELECT * FROM sealed WHERE device = ? AND artefact = ? AND run_id = ?',
          deviceId,
          artefact,
          runId,
        ),
        sealedFrom,
      ),
    archive: (deviceId, name, runId) =>
      made(
        sql.get('SELECT * FROM archive WHERE device = ? AND name = ? AND run_id = ?', deviceId, name, runId),
        archiveFrom,
      ),
    slot: (deviceId, slotMs) => made(askSlot(deviceId, slotMs), slotOf),

    endedRuns: () => list(`SELECT ${endedRunCells} FROM run WHERE state <> 'running' ORDER BY n`, endedRunOf),
    versions: () => mapped(sql.each('SELECT * FROM version ORDER BY n'), versionFrom),
    *sealedFiles() {
      yield* mapped(sql.each('SELECT * FROM sealed ORDER BY n'), sealedFrom);
      yield* mapped(sql.each('SELECT * FROM archive ORDER BY n'), archiveFrom);
    },
    endedSlots: () =>
      list('SELECT device, due_at_ms FROM slot WHERE state IS NOT NULL', ([device, dueAtMs]) => ({
        deviceId: text(device),
        slotMs: Number(dueAtMs),
      })),
    unrecordedSlots: () =>
      list(
        `SELECT ${slotCells} FROM slot JOIN (
           SELECT device, due_at_ms FROM slot WHERE state IS NOT NULL
           EXCEPT SELECT record ->> '$.device', record ->> '$.slot_ms' FROM chain WHERE category = 'slot'
         ) USING (device, due_at_ms)`,
        slotOf,
      ),
    standings: () =>
      sql.all('SELECT id, name, good_run, last_success_ms FROM device ORDER BY id').map((row) => ({
        deviceId: text(row.id),
        name: text(row.name),
        goodRun: textOrNull(row.good_run),
        lastSuccessMs: numberOrNull(row.last_success_ms),
      })),
    oldestRunningMs: () =>
      numberOrNull(sql.get(`SELECT min(started_at_ms) AS ms FROM run WHERE state = 'running'`)?.ms),

    digests: (prefix) => {
      // Every digest that begins so lies between these two: hexadecimal digits are smaller than `g`.
      const range = [prefix, `${prefix}g`];
      const found = new Map<string, SealedFact>();
      const rows = [
        ...sql
          .all('SELECT * FROM sealed WHERE digest >= ? AND digest < ? ORDER BY n', ...range)
          .map(sealedFrom),
        ...sql
          .all('SELECT * FROM archive WHERE digest >= ? AND digest < ? ORDER BY n', ...range)
          .map(archiveFrom),
      ];
      for (const row of rows) if (row.digest !== null) found.set(row.digest, row);
      return [...found.values()];
    },
    names: (digest) =>
      ['sealed', 'archive', 'unreferenced'].some(
        (table) => sql.get(`SELECT 1 FROM ${table} WHERE digest = ? LIMIT 1`, digest) !== null,
      ),

    damage: () => {
      try {
        const said = sql.all('PRAGMA integrity_check(100)').map((row) => text(row.integrity_check));
        return said.length === 1 && said[0] === 'ok' ? [] : said;
      } catch (error) {
        if (!(error instanceof BackupError && error.code === 'record.failed')) throw error;
        return [(error as BackupError<'record.failed'>).detail.problem];
      }
    },
    refresh() {
      if (isStill) refuseChanged(file, before);
      if (database.isTransaction) database.exec('COMMIT');
      database.exec('BEGIN');
    },
    [Symbol.dispose]: () => {
      if (database.isOpen) database.close();
    },
  };
}

/** Whether writers can be at work beside a reader. */
function isLogged(file: string): boolean {
  return statSync(`${file}-shm`, { throwIfNoEntry: false }) !== undefined;
}

/** A file that is read without its companions must not change meanwhile: what was read is then of no moment. */
function refuseChanged(file: string, before: { readonly mtimeMs: number; readonly size: number }): void {
  const now = statSync(file);
  if (now.mtimeMs === before.mtimeMs && now.size === before.size && !isLogged(file)) return;
  throw new BackupError('record.failed', {
    problem: `${file} changed while it was read, because a daemon was started: run the command again`,
  });
}

function made<From, Fact>(row: From | null, make: (row: From) => Fact): Fact | null {
  return row === null ? null : make(row);
}

function* mapped<Fact>(rows: Iterable<Row>, make: (row: Row) => Fact): Generator<Fact> {
  for (const row of rows) yield make(row);
}

function recordFrom(row: Row): ChainRecord {
  const { n, record, hash } = row;
  return { n: Number(n), record: text(record), hash: hash instanceof Uint8Array ? hash : new Uint8Array() };
}

function recordOf([n, record, hash]: Cells): ChainRecord {
  return recordFrom({ n: n ?? null, record: record ?? null, hash: hash ?? null });
}

const endedRunCells = 'n, id, device, state, ended_at_ms, accepted_at_ms, accepted_by';

function endedRunOf([n, id, device, state, endedAtMs, acceptedAtMs, acceptedBy]: Cells): EndedRun {
  return {
    n: Number(n),
    runId: text(id),
    deviceId: text(device),
    state: text(state),
    endedAtMs: numberOrNull(endedAtMs),
    acceptedAtMs: numberOrNull(acceptedAtMs),
    acceptedBy: textOrNull(acceptedBy),
  };
}

const runCells = `${endedRunCells}, commit_id, trigger, slot_ms, started_at_ms, restorable, error_code`;

function runOf(cells: Cells): RunFact {
  const [, , device, state, ended_at_ms, , , commit, trigger, slot_ms, started_at_ms, restorable, error] =
    cells;
  return {
    ...endedRunOf(cells),
    commit: textOrNull(commit),
    columns: { device, trigger, slot_ms, started_at_ms, ended_at_ms, state, restorable, error },
  };
}

function versionFrom(row: Row): VersionFact {
  return {
    n: Number(row.n),
    deviceId: text(row.device),
    artefact: text(row.artefact),
    runId: text(row.run_id),
    commit: text(row.commit_id),
    path: text(row.path),
    atMs: Number(row.at_ms),
  };
}

function sealedFrom(row: Row): SealedFact {
  return {
    n: Number(row.n),
    deviceId: text(row.device),
    artefact: text(row.artefact),
    runId: text(row.run_id),
    digest: text(row.digest),
    kind: text(row.kind) as SealedFact['kind'],
    atMs: Number(row.at_ms),
  };
}

function archiveFrom(row: Row): SealedFact {
  return {
    n: Number(row.n),
    deviceId: text(row.device),
    artefact: text(row.name),
    runId: text(row.run_id),
    digest: textOrNull(row.digest),
    kind: 'archive',
    atMs: Number(row.attempted_at_ms),
  };
}

const slotCells = 'device, due_at_ms, detected_at_ms, last_ms, count, deadline_ms, state, cause, run_id';

function slotOf(cells: Cells): SlotFact {
  const [device, dueAtMs, detectedAtMs, last_ms, count, deadline_ms, state, cause, run] = cells;
  return {
    deviceId: text(device),
    slotMs: Number(dueAtMs),
    detectedAtMs: numberOrNull(detectedAtMs),
    columns: { last_ms, count, deadline_ms, state, cause, run },
  };
}
