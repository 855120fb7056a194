import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { quotable } from '../core/display.ts';
import { BackupError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';

/** How long a statement waits for another process before it gives up. */
export const busyTimeoutMs = 5_000;

/** SQLite's primary result codes that an operator can act on. */
const sqlite = {
  perm: 3,
  busy: 5,
  locked: 6,
  readOnly: 8,
  io: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  auth: 23,
  notADb: 26,
};

/** SQLite's primary result code of an error; null for any other error. */
function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null;
  return error.errcode & 0xff;
}

export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === sqlite.busy || code === sqlite.locked;
}

/** SQLite may not open a file, or may not write to one. */
export function isRefused(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === sqlite.cantOpen || code === sqlite.readOnly;
}

/** What an error of SQLite on `file` means; any error that is not SQLite's comes back as it is. */
export function ledgerError(error: unknown, file: string): unknown {
  const options = { cause: error };
  switch (sqliteCode(error)) {
    case null:
      return error;
    case sqlite.busy:
    case sqlite.locked:
      return new BackupError('record.busy', { waitedMs: busyTimeoutMs }, options);
    case sqlite.full:
      return new BackupError(
        'store.disk-full',
        { path: file, freeBytes: space(file)?.freeBytes ?? 0 },
        options,
      );
    case sqlite.readOnly:
    case sqlite.cantOpen:
    case sqlite.perm:
    case sqlite.auth:
      return refused(file, options);
    case sqlite.io: {
      // On a full disk its shared memory cannot grow, which SQLite calls an I/O error.
      const left = space(file);
      if (left !== null && left.freeBytes < left.pageBytes)
        return new BackupError('store.disk-full', { path: file, freeBytes: left.freeBytes }, options);
      return new BackupError('store.io', { path: file, errno: 'EIO' }, options);
    }
    case sqlite.corrupt:
    case sqlite.notADb:
      return damaged(file, error instanceof Error ? error.message : String(error), options);
    default:
      return failed(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }

  function failed(problem: string): BackupError {
    return new BackupError('record.failed', { problem: quotable(problem, 400) }, options);
  }
}

/** A ledger that SQLite cannot trust any more; `said` is what it says. */
export function damaged(file: string, said: string, options: { cause?: unknown } = {}): BackupError {
  // What to do comes first: long problems are cut where they are shown.
  const problem = `${file} is damaged, or is no ledger; see "A ledger that is damaged" in docs/operations.md (${said})`;
  return new BackupError('record.failed', { problem: quotable(problem, 400) }, options);
}

/** SQLite says only that it may not; the file system says why. */
function refused(file: string, options: { cause: unknown }): BackupError {
  try {
    accessSync(existsSync(file) ? file : dirname(file), constants.R_OK | constants.W_OK);
    accessSync(dirname(file), constants.W_OK | constants.X_OK);
  } catch (error) {
    return storageError(error, file);
  }
  return new BackupError('store.permission', { path: file }, options);
}

/** What the file system still has for an ordinary user; null where it does not say. */
function space(file: string): { readonly freeBytes: number; readonly pageBytes: number } | null {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return { freeBytes: bavail * bsize, pageBytes: bsize };
  } catch {
    return null;
  }
}
