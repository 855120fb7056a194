import { chmod, copyFile, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MoveStep, Watch } from '../../cli/services.ts';
import { OperationError } from '../../core/errors.ts';
import { storageError } from '../../core/storage-errors.ts';
import { flush } from '../../gitstore/durable.ts';

/** Tells of a step that is one piece of work, and stops here where the caller has had enough. */
export function begin({ onEvent, signal }: Watch<MoveStep>, step: string, done = 0, total = 0): void {
  signal.throwIfAborted();
  onEvent({ step, done, total });
}

/** Copies a file for its owner alone; makes the directory that it goes into. Throws what the file system says. */
export async function copyPrivate(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await copyFile(from, to);
  await chmod(to, 0o600);
}

/** Names of what lies in a directory; empty where there is none. Throws BackupError `store.*`. */
export async function entriesOf(dir: string): Promise<readonly string[]> {
  return readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    if (error.code === 'ENOTDIR')
      throw new OperationError(`${dir} is no directory`, 'name a directory', { cause: error });
    throw storageError(error, dir);
  });
}

/** Flushes everything in and below a directory, and its own name above it. */
export async function flushTree(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await flushTree(path);
    else if (entry.isFile()) await flush(path);
  }
  await flush(dir);
}

/** Whether a file or directory is there. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Does `work`; what the file system says of it becomes a BackupError `store.*` about `path`. */
export async function onDisk<Answer>(path: string, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    throw (error as NodeJS.ErrnoException).syscall === undefined ? error : storageError(error, path);
  }
}
