import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import type { Encrypter } from 'age-encryption';
import type { BackupError } from '../core/errors.ts';
import type { Sealing } from './artefacts.ts';

/** What the store does for a file that is being sealed. */
interface Surroundings {
  /** Makes an error of the encryption one that an operator can act on. */
  readonly failed: (cause: unknown) => BackupError;
  /** Makes errors of the file system such. */
  readonly guarded: <Answer>(work: () => Promise<Answer>) => Promise<Answer>;
  /** Gives the finished file its place. */
  readonly place: (digest: string) => Promise<void>;
}

/**
 * Encrypts what is written into the new file `draft` while it comes. At most one piece of the caller's is in memory at
 * a time, whatever the size of the whole.
 */
export async function beginSealing(
  draft: string,
  encrypter: Encrypter,
  { failed, guarded, place }: Surroundings,
): Promise<Sealing> {
  const file = await open(draft, 'wx', 0o600);
  const clear = new TransformStream<Uint8Array, Uint8Array>();
  const writer = clear.writable.getWriter();
  // Told of again by every write; nobody waits for this promise itself.
  writer.closed.catch(() => {});
  const hash = createHash('sha256');
  let bytes = 0;

  const pump = async (): Promise<void> => {
    const sealed = await encrypter.encrypt(clear.readable).catch((cause: unknown) => {
      throw failed(cause);
    });
    for await (const piece of sealed) {
      hash.update(piece);
      bytes += piece.length;
      await file.writeFile(piece);
    }
    await file.sync();
  };
  const pumped = guarded(pump).catch(async (error: unknown) => {
    // Whoever writes must not wait for a reader that is gone.
    await writer.abort(error).catch(() => {});
    throw error;
  });
  pumped.catch(() => {});

  let over = false;
  const discard = async (): Promise<void> => {
    if (over) return;
    over = true;
    await writer.abort(new Error('thrown away')).catch(() => {});
    await pumped.catch(() => {});
    await file.close().catch(() => {});
    await rm(draft, { force: true }).catch(() => {});
  };

  return {
    async write(chunk) {
      try {
        await writer.ready;
        // A copy: the caller may use its buffer again before the stream has read it.
        await writer.write(Uint8Array.from(chunk));
      } catch (error) {
        await pumped;
        throw error;
      }
    },
    async finish() {
      try {
        await writer.close().catch(() => {});
        await pumped;
        const digest = hash.digest('hex');
        await guarded(async () => {
          await file.close();
          await place(digest);
        });
        over = true;
        return { digest, bytes };
      } catch (error) {
        await discard();
        throw error;
      }
    },
    discard,
  };
}
