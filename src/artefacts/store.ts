import { createHash, randomBytes } from 'node:crypto';
import {
  access,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  statfs,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Encrypter } from 'age-encryption';
import { BackupError, OperationError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import type { Artefacts } from './artefacts.ts';
import { beginSealing } from './sealing.ts';

const compress = promisify(gzip);

/** A file that is being written: `.sealing-<process id>-<random>`. It holds ciphertext, like every other here. */
const temporary = /^\.sealing-(\d+)-[0-9a-f]+$/;

/**
 * The sealed copies below `dir` (made when it is missing, 0700), as `<first two digits>/<digest>.age`
 * (0600). `recipients` are age recipients, such as `age1…`; at least one. Nothing is touched until
 * the first copy is sealed, and clear text never reaches the disk. One process may seal at a time:
 * the caller holds the state lock.
 */
export function openArtefacts(options: { dir: string; recipients: readonly string[] }): Artefacts {
  const dir = resolve(options.dir);
  const { recipients } = options;
  let swept = false;
  const path = (digest: string): string => join(dir, digest.slice(0, 2), `${digest}.age`);
  const prepare = async (): Promise<void> => {
    await makeDirectory(dir);
    if (!swept) await sweep(dir);
    swept = true;
  };
  return {
    path,
    async seal(text) {
      const compressed = await compress(Buffer.from(text, 'latin1'));
      const sealed = await encrypt(compressed, recipients);
      const digest = digestOf(sealed);
      await guarded(path(digest), async () => {
        await prepare();
        await writeDurably(dir, path(digest), sealed);
      });
      return digest;
    },
    async sealStream() {
      const encrypter = encrypterFor(recipients);
      const draft = draftIn(dir);
      return guarded(draft, async () => {
        await prepare();
        return beginSealing(draft, encrypter, {
          failed: (cause) =>
            new BackupError('store.seal-failed', { recipient: recipients.join(', ') }, { cause }),
          guarded: (work) => guarded(draft, work),
          place: (digest) => place(draft, path(digest)),
        });
      });
    },
    async read(digest) {
      if (!/^[0-9a-f]{64}$/.test(digest)) {
        throw new OperationError(
          'the record of this sealed copy holds no digest',
          'choose another version: `roundsman log NAME`',
        );
      }
      const sealed = await readSealed(path(digest));
      if (digestOf(sealed) !== digest) {
        throw new OperationError(
          `the sealed copy ${path(digest)} is not what was written: its digest differs`,
          'put the file back from a backup of state_dir, or choose another version: `roundsman log NAME`',
        );
      }
      return sealed;
    },
    has: (digest) =>
      access(path(digest)).then(
        () => true,
        () => false,
      ),
    async remove(digest) {
      await guarded(path(digest), async () => {
        await rm(path(digest), { force: true });
      });
    },
  };
}

async function encrypt(data: Buffer, recipients: readonly string[]): Promise<Buffer> {
  const encrypter = encrypterFor(recipients);
  try {
    return Buffer.from(await encrypter.encrypt(data));
  } catch (cause) {
    throw new BackupError('store.seal-failed', { recipient: recipients.join(', ') }, { cause });
  }
}

/** Throws BackupError `store.seal-failed`. */
function encrypterFor(recipients: readonly string[]): Encrypter {
  // Without a recipient age would seal to nobody.
  if (recipients.length === 0) throw new BackupError('store.seal-failed', { recipient: 'none' });
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch (cause) {
      throw new BackupError('store.seal-failed', { recipient }, { cause });
    }
  }
  return encrypter;
}

function digestOf(sealed: Buffer): string {
  return createHash('sha256').update(sealed).digest('hex');
}

function draftIn(dir: string): string {
  return join(dir, `.sealing-${process.pid}-${randomBytes(8).toString('hex')}`);
}

/** Written beside its place, flushed, renamed. */
async function writeDurably(dir: string, path: string, sealed: Buffer): Promise<void> {
  const draft = draftIn(dir);
  try {
    await using file = await open(draft, 'wx', 0o600);
    await file.writeFile(sealed);
    await file.sync();
    await place(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Gives a flushed file its name, and flushes that too: a power cut could lose it otherwise. */
async function place(draft: string, path: string): Promise<void> {
  const shard = dirname(path);
  await makeDirectory(shard);
  await rename(draft, path);
  await syncDirectory(shard);
}

/** Makes `path` and what is missing above it, each flushed into its parent. */
async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made));
}

async function syncDirectory(path: string): Promise<void> {
  await using directory: FileHandle = await open(path, 'r');
  await directory.sync();
}

/** Removes what a process that was killed left half written. */
async function sweep(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const writer = temporary.exec(name)?.[1];
    if (writer !== undefined && Number(writer) !== process.pid) await rm(join(dir, name), { force: true });
  }
}

async function readSealed(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    if (errno === 'ENOENT') {
      throw new OperationError(
        `the sealed copy ${path} is gone`,
        'put it back from a backup of state_dir, or choose another version: `roundsman log NAME`',
        { cause },
      );
    }
    throw new OperationError(
      `the sealed copy ${path} cannot be read (${errno})`,
      'run this as the user that owns state_dir, and check the disk',
      { cause },
    );
  }
}

/** Turns what the file system says into `store.*`; anything else is a bug and stays one. */
async function guarded<Answer>(path: string, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    throw storageError(error, path, await freeBytes(dirname(dirname(path))));
  }
}

/** 0 where the file system does not say. */
async function freeBytes(dir: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize;
  } catch {
    return 0;
  }
}
