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

/** What an ordinary user may still write below `path`; 0 where it cannot be told. */
export async function freeBytes(path: string): Promise<number> {
  return statfs(path).then(
    (found) => found.bavail * found.bsize,
    () => 0,
  );
}
