import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storageError } from '../core/storage-errors.ts';

/** A file that has no name any more: `path` leads to it for as long as it is open, for this user alone. */
export interface NamelessFile extends AsyncDisposable {
  readonly path: string;
}

/**
 * Hands `text` to a child that wants a file: neither its command line nor its environment holds it, and
 * nothing of it has a name when this process is killed. Needs /proc. Throws BackupError `store.*`.
 */
export async function namelessFile(text: string): Promise<NamelessFile> {
  const name = join(tmpdir(), `roundsman-${randomBytes(12).toString('hex')}`);
  let handle: FileHandle | null = null;
  try {
    handle = await open(name, 'wx+', 0o600);
    await rm(name);
    // Only now: what has a name never holds anything.
    await handle.writeFile(text, 'utf8');
    const opened = handle;
    return {
      path: `/proc/${process.pid}/fd/${handle.fd}`,
      [Symbol.asyncDispose]: () => opened.close(),
    };
  } catch (error) {
    await handle?.close();
    await rm(name, { force: true });
    throw storageError(error, tmpdir());
  }
}
