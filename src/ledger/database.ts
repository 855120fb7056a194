import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { BackupError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { busyTimeoutMs, isBusy, ledgerError } from './sqlite-errors.ts';

const migrationsDir = fileURLToPath(new URL('./migrations/', import.meta.url));

/**
 * Opens the database of the ledger, creates it where there is none, and brings it up to date. Readable by
 * its owner alone. Throws BackupError `record.*` or `store.*`; a ledger of a newer version is refused.
 */
export function openDatabase(file: string): DatabaseSync {
  try {
    // SQLite would make it readable to everybody the umask lets; its companions take this file's mode.
    closeSync(openSync(file, 'a', 0o600));
  } catch (error) {
    throw storageError(error, file);
  }
  let database: DatabaseSync | null = null;
  try {
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

function migrate(database: DatabaseSync, file: string): void {
  const migrations = readdirSync(migrationsDir)
    .filter((name) => /^\d{4}-.*\.sql$/.test(name))
    .sort();
  if (versionOf(database) === migrations.length) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    // Read again: another process may have been faster.
    const version = versionOf(database);
    if (version > migrations.length) {
      throw new BackupError('record.failed', {
        problem: `${file} was written by a newer version (ledger ${version}, this program knows ${migrations.length}); install that version again`,
      });
    }
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
