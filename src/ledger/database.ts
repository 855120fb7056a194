import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { BackupError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { busyTimeoutMs, isBusy, isRefused, ledgerError } from './sqlite-errors.ts';

const migrationsDir = fileURLToPath(new URL('./migrations/', import.meta.url));

/**
 * Opens the database of the ledger, creates it where there is none, and brings it up to date. Readable by
 * its owner alone. One that lies where nothing can be written (a rescued disk, a snapshot, a directory of
 * somebody else) is opened for reading: writing fails then. Throws BackupError `record.*` or `store.*`; a
 * ledger of a newer version is refused.
 */
export function openDatabase(file: string): DatabaseSync {
  let database: DatabaseSync | null = null;
  try {
    if (!isWritable(file)) {
      database = openForReading(file);
      refuseOtherVersion(database, file);
      return database;
    }
    database = new DatabaseSync(file, { timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
    // Readers do not wait for a writer. SQLite does not wait for this switch by itself, so ask first.
    if (database.prepare('PRAGMA journal_mode').get()?.journal_mode !== 'wal') {
      retryWhileBusy(database, (open) => open.exec('PRAGMA journal_mode = WAL'));
    }
    // The default in WAL mode loses the last transactions in a power cut.
    database.exec('PRAGMA synchronous = FULL');
    migrate(database, file);
    return database;
  } catch (error) {
    database?.close();
    throw ledgerError(error, file);
  }
}

/** Creates the file where there is none. Throws BackupError `store.*` where there is none and none can be made. */
function isWritable(file: string): boolean {
  try {
    // SQLite would make it readable to everybody the umask lets; its companions take this file's mode.
    closeSync(openSync(file, 'a', 0o600));
    // Those companions are made beside it.
    accessSync(dirname(file), constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    const failure = storageError(error, file);
    const refused = failure.code === 'store.read-only' || failure.code === 'store.permission';
    if (refused && existsSync(file)) return false;
    throw failure;
  }
}

/**
 * Opens the database of a ledger that is there, for reading alone, also as a user who may not write. Throws as
 * `openDatabase` does, and BackupError `store.*` where there is none.
 */
export function openToRead(file: string): DatabaseSync {
  let database: DatabaseSync | null = null;
  try {
    statSync(file);
    database = openForReading(file);
    refuseOtherVersion(database, file);
    return database;
  } catch (error) {
    database?.close();
    throw (error as NodeJS.ErrnoException).syscall === undefined
      ? ledgerError(error, file)
      : storageError(error, file);
  }
}

/** Reads the write-ahead log too; where that is not possible and there is something in it, nothing is read. */
function openForReading(file: string): DatabaseSync {
  const options = { readOnly: true, timeout: busyTimeoutMs };
  const database = new DatabaseSync(file, options);
  try {
    // The first statement finds out whether the shared memory of a write-ahead log is there, or can be made.
    versionOf(database);
    return database;
  } catch (error) {
    database.close();
    if (!isRefused(error)) throw error;
  }
  if ((statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) {
    throw new BackupError('record.failed', {
      problem: `${file}-wal holds what is not in the ledger yet, and cannot be read where nothing can be written; copy the directory to a place that can be written`,
    });
  }
  // Everything is in the file and nobody is writing, so SQLite needs no companions.
  const still = pathToFileURL(file);
  still.search = 'immutable=1';
  return new DatabaseSync(still, options);
}

/** A transaction that waits its turn makes the other one end first; then the switch is done or free to do. */
function retryWhileBusy(database: DatabaseSync, work: (database: DatabaseSync) => void): void {
  try {
    work(database);
  } catch (error) {
    if (!isBusy(error)) throw error;
    database.exec('BEGIN IMMEDIATE; COMMIT');
    work(database);
  }
}

function allMigrations(): readonly string[] {
  return readdirSync(migrationsDir)
    .filter((name) => /^\d{4}-.*\.sql$/.test(name))
    .sort();
}

function refuseNewer(version: number, known: number, file: string): void {
  if (version <= known) return;
  throw new BackupError('record.failed', {
    problem: `${file} was written by a newer version (ledger ${version}, this program knows ${known}); install that version again`,
  });
}

function refuseOtherVersion(database: DatabaseSync, file: string): void {
  const version = versionOf(database);
  const known = allMigrations().length;
  refuseNewer(version, known, file);
  if (version === known) return;
  throw new BackupError('record.failed', {
    problem: `${file} was written by an older version (ledger ${version}, this program knows ${known}), and cannot be brought up to date where nothing can be written; copy the directory to a place that can be written`,
  });
}

function migrate(database: DatabaseSync, file: string): void {
  const migrations = allMigrations();
  if (versionOf(database) === migrations.length) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    // Read again: another process may have been faster.
    const version = versionOf(database);
    refuseNewer(version, migrations.length, file);
    for (const name of migrations.slice(version)) {
      database.exec(readFileSync(`${migrationsDir}${name}`, 'utf8'));
    }
    database.exec(`PRAGMA user_version = ${migrations.length}`);
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0);
}
