import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { storageError } from '../core/storage-errors.ts';

/** A file among the sealed copies. */
export interface SealedFile {
  /** From its name; null for a name that is none of ours. */
  readonly digest: string | null;
  readonly path: string;
}

/** The sealed copies below a directory, as a witness reads them. Throws BackupError `store.*` where it may not read. */
export interface SealedFiles {
  /** Where the file of this digest lies. */
  path(digest: string): string;
  /** What lies in one of the 256 directories, by the first two digits of its digests; empty where there is none. */
  list(shard: string): Promise<readonly SealedFile[]>;
  /** Whether the file still is what its name says; read in pieces, so that its size does not matter. */
  state(digest: string): Promise<'whole' | 'changed' | 'gone'>;
  /** UTC epoch milliseconds; null where it is gone. */
  changedMs(path: string): Promise<number | null>;
}

export function inspectSealed(dir: string): SealedFiles {
  const path = (digest: string): string => join(dir, digest.slice(0, 2), `${digest}.age`);
  return {
    path,
    async list(shard) {
      const below = join(dir, shard);
      const names = await readdir(below).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return [];
        throw storageError(error, below);
      });
      return names.map((name) => {
        const digest = /^([0-9a-f]{64})\.age$/.exec(name)?.[1] ?? null;
        return { digest: digest?.startsWith(shard) === true ? digest : null, path: join(below, name) };
      });
    },
    async state(digest) {
      const hash = createHash('sha256');
      try {
        for await (const piece of createReadStream(path(digest))) hash.update(piece as Buffer);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'gone';
        throw storageError(error, path(digest));
      }
      return hash.digest('hex') === digest ? 'whole' : 'changed';
    },
    async changedMs(file) {
      return stat(file).then(
        ({ mtimeMs }) => Math.round(mtimeMs),
        () => null,
      );
    },
  };
}
