import { createHash } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { flush, makeDirectory } from './durable.ts';

const inflated = promisify(inflate);

/** Where a damaged object is kept for whoever wants to look at it. */
const damagedDir = 'damaged';

/** The id that git gives a text. */
export function blobId(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

/** Every object that a message of git names, in its order. */
export function objectsNamedIn(said: string): readonly string[] {
  const found = said.matchAll(/\bobjects\/([0-9a-f]{2})\/([0-9a-f]{38})\b|\b([0-9a-f]{40})\b/g);
  return [...new Set([...found].map(([, head, tail, id]) => id ?? `${head}${tail}`))];
}

/**
 * Moves the file of a loose object out of git's way where it is not what its name says: empty, cut or changed. As long
 * as it lies there, git takes the object for stored and never writes it again. Returns whether it did; an object that
 * is whole, packed or absent is left alone.
 */
export async function setAside(dir: string, id: string): Promise<boolean> {
  const folder = join(dir, 'objects', id.slice(0, 2));
  const file = join(folder, id.slice(2));
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    // A disk that cannot read it has no other copy to give either; an absent one needs nothing.
    if (error.code === 'EIO') return Buffer.alloc(0);
    return null;
  });
  if (bytes === null || (await isWhole(bytes, id))) return false;
  await makeDirectory(join(dir, damagedDir));
  await rename(file, join(dir, damagedDir, id));
  await flush(join(dir, damagedDir));
  await flush(folder);
  return true;
}

async function isWhole(bytes: Buffer, id: string): Promise<boolean> {
  const content = await inflated(bytes).catch(() => null);
  return content !== null && createHash('sha1').update(content).digest('hex') === id;
}
