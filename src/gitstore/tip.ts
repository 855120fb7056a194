import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurably } from './durable.ts';

/**
 * Where main may be if nobody but us moved it. `pending` is written before main moves and cleared after
 * the batch became durable, so a crash at any point leaves main at one of the two.
 */
export interface OwnTips {
  /** The last commit that was acknowledged; null before the first. */
  readonly acknowledged: string | null;
  /** The last commit of a batch that was being written; null where none was. */
  readonly pending: string | null;
}

export const tipFileName = 'roundsman-tip';

/** Null where nothing was ever committed, or where the file was damaged. */
export async function readOwnTips(dir: string): Promise<OwnTips | null> {
  const text = await readFile(join(dir, tipFileName), 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const [, acknowledged, pending] = /^(none|[0-9a-f]{40})\n(none|[0-9a-f]{40})\n$/.exec(text) ?? [];
  if (acknowledged === undefined || pending === undefined) return null;
  const id = (word: string) => (word === 'none' ? null : word);
  return { acknowledged: id(acknowledged), pending: id(pending) };
}

/** Durable when it returns. */
export async function writeOwnTips(dir: string, { acknowledged, pending }: OwnTips): Promise<void> {
  await writeDurably(join(dir, tipFileName), `${acknowledged ?? 'none'}\n${pending ?? 'none'}\n`);
}
