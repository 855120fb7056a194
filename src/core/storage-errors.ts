import { BackupError } from './errors.ts';

/**
 * What a failed file operation on `path` means for an operator: `store.disk-full` (no space, or a
 * quota reached), `store.read-only`, `store.permission`, else `store.io` with the error's own code. A
 * BackupError comes back as it is.
 *
 * `freeBytes` is what the file system still has; 0 where the caller does not know.
 */
export function storageError(error: unknown, path: string, freeBytes = 0): BackupError {
  if (error instanceof BackupError) return error;
  const errno = errnoOf(error);
  const options = { cause: error };
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new BackupError('store.disk-full', { path, freeBytes }, options);
    case 'EROFS':
      return new BackupError('store.read-only', { path }, options);
    case 'EACCES':
    case 'EPERM':
      return new BackupError('store.permission', { path }, options);
    default:
      return new BackupError('store.io', { path, errno }, options);
  }
}

/** The system's name of an error, such as `EIO`; the error's own name where it has none. */
function errnoOf(error: unknown): string {
  if (error instanceof Error) {
    return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  }
  return 'unknown';
}
