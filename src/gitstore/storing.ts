import { statfs } from 'node:fs/promises';
import { BackupError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';

/**
 * Does `work`; a failure of the file system becomes a BackupError `store.*` that names `path`. What is
 * neither that nor a BackupError is a bug of ours and stays what it is.
 */
export async function storing<Answer>(path: string, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    const known = error instanceof BackupError || (error as NodeJS.ErrnoException).syscall !== undefined;
    throw known ? storageError(error, path, await freeBytes(path)) : error;
  }
}

/**
 * Does `work`, which only writing needs. Returns the failure where nothing can be written at `path`, so that
 * reading goes on without it; null where it was done. Throws as `storing` does for any other failure.
 */
export async function forWriting(path: string, work: () => Promise<unknown>): Promise<BackupError | null> {
  try {
    await storing(path, work);
    return null;
  } catch (error) {
    if (error instanceof BackupError && /^store\.(?:read-only|permission)$/.test(error.code)) return error;
    throw error;
  }
}

/** What an ordinary user may still write below `path`; 0 where it cannot be told. */
export async function freeBytes(path: string): Promise<number> {
  return statfs(path).then(
    (found) => found.bavail * found.bsize,
    () => 0,
  );
}
