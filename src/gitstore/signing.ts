import { createHash, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { armored, signedData } from '../core/ssh-signature.ts';
import { author, type ImportedCommit, importBare, mainRef } from './fast-import.ts';
import type { Git } from './git.ts';
import { setAside } from './objects.ts';

/** Signs with an SSH key. */
export interface CommitSigner {
  /** As SSH writes it: its type, then its numbers. */
  readonly publicKey: Buffer;
  /** Of exactly these bytes, as SSH writes it: the algorithm, then the signature itself. */
  sign(data: Buffer): Promise<Buffer>;
}

/** Who signs what is committed. */
export interface Signing {
  /** Asked at each batch; null: commits are not signed. */
  readonly signer: () => CommitSigner | null;
  /** Told before each batch what main is at (null: nothing). What it throws, the batch fails with. */
  readonly onBatch: (tip: string | null) => void;
}

export const nobodySigns: Signing = { signer: () => null, onBatch: () => {} };

/**
 * Does what `importCommits` does, with signed commits. fast-import of git 2.39 cannot write them, so it writes the texts
 * alone; the commits follow in a pack of ours, and main moves last, if it is still at `tip`. What is cut short before
 * that leaves objects that no ref leads to.
 */
export async function importSigned(
  git: Git,
  signer: CommitSigner,
  tip: string | null,
  commits: readonly ImportedCommit[],
  beforeMove: (ids: readonly string[]) => Promise<void>,
): Promise<readonly string[]> {
  // The same words twice would be the same object twice, and the removal of one that of both.
  const name = randomUUID();
  const bare = await importBare(
    git,
    tip,
    commits.map((commit, index) => ({ ...commit, message: `${name} ${index}` })),
  );
  try {
    const answer = await git.must(['rev-parse', ...bare.map((id) => `${id}^{tree}`)]);
    const trees = answer.toString('latin1').trimEnd().split('\n');
    const made: Buffer[] = [];
    const ids: string[] = [];
    for (const [index, commit] of commits.entries()) {
      const bytes = await signed(commit, trees[index] ?? '', ids.at(-1) ?? tip, signer);
      made.push(bytes);
      ids.push(createHash('sha1').update(`commit ${bytes.length}\0`).update(bytes).digest('hex'));
    }
    for (const id of ids) await setAside(git.dir, id);
    await git.must(['unpack-objects', '-q'], packOf(made));
    await beforeMove(ids);
    await git.must(['update-ref', '-m', 'signed', mainRef, ids.at(-1) ?? '', tip ?? '0'.repeat(40)]);
    return ids;
  } finally {
    await removeLoose(git.dir, bare);
  }
}

async function signed(
  { message, atMs }: ImportedCommit,
  tree: string,
  parent: string | null,
  { publicKey, sign }: CommitSigner,
): Promise<Buffer> {
  const who = `${author} ${Math.floor(atMs / 1000)} +0000`;
  const head = [
    `tree ${tree}`,
    ...(parent === null ? [] : [`parent ${parent}`]),
    `author ${who}`,
    `committer ${who}`,
  ].join('\n');
  const unsigned = Buffer.from(`${head}\n\n${message}`, 'utf8');
  const hash = 'sha512';
  const signature = await sign(signedData(hash, createHash(hash).update(unsigned).digest()));
  const lines = armored({ publicKey, hash, signature }).replaceAll('\n', '\n ');
  return Buffer.from(`${head}\ngpgsig ${lines}\n\n${message}`, 'utf8');
}

/** A pack of commits, as gitformat-pack(5) has it. */
function packOf(commits: readonly Buffer[]): Buffer {
  const head = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  head.writeUInt32BE(commits.length, 8);
  const pack = Buffer.concat([
    head,
    ...commits.flatMap((bytes) => [entryHead(bytes.length), deflateSync(bytes)]),
  ]);
  return Buffer.concat([pack, createHash('sha1').update(pack).digest()]);
}

const commitType = 1;

/** Type and length: four bits of it, then seven at a time. */
function entryHead(length: number): Buffer {
  const octets = [(commitType << 4) | (length & 15)];
  for (let rest = length >>> 4; rest > 0; rest >>>= 7) {
    octets[octets.length - 1] = (octets.at(-1) ?? 0) | 0x80;
    octets.push(rest & 127);
  }
  return Buffer.from(octets);
}

/** In a large batch they lie in a pack, and stay. */
async function removeLoose(dir: string, ids: readonly string[]): Promise<void> {
  for (const id of ids)
    await rm(join(dir, 'objects', id.slice(0, 2), id.slice(2)), { force: true }).catch(() => {});
}
