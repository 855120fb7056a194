import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Flushes a file or a directory to the disk. A directory must be flushed too: without it a file that
 * was renamed into it can be gone after a power cut. Throws what the file system says.
 */
export async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The temporary name that `path` is written under by this process; `staleTemporary` knows it again. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}

/** True for the temporary file of a process that is no more. `name` is a name without its directory. */
export function staleTemporary(name: string): boolean {
  const pid = /^\..*\.(\d+)\.tmp$/.exec(name)?.[1];
  return pid !== undefined && !alive(Number(pid));
}

/** Whether a process of this number is there, ours or not. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Writes a file so that it is there, whole, after a power cut, or the one before it is. Readable by
 * its owner alone. Throws what the file system says; nothing is left behind then.
 */
export async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(text, 'utf8');
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  await flush(dirname(path));
}

/** Creates a directory (and those above it) for its owner alone; durable when it returns. */
export async function makeDirectory(path: string): Promise<void> {
  let first: string | undefined;
  try {
    first = await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    // Node says so on a read-only file system too. Asked for one step, the system gives its own reason.
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o700 });
    first = path;
  }
  if (first === undefined) return;
  for (let created = path; ; created = dirname(created)) {
    await flush(dirname(created));
    if (created === first || created === dirname(created)) return;
  }
}
