import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { alive } from './durable.ts';
import type { Git } from './git.ts';
import { countOneChange, type LineCounts } from './one-change.ts';

/** Two versions of a text. */
export interface Pair {
  readonly before: Buffer;
  readonly after: Buffer;
}

export type { LineCounts };

const prefix = 'roundsman-diff-';

/**
 * Lines added and removed in each pair, by git's histogram diff and in one git process for all of them that take
 * one: a diff in this process would block it for seconds where two long texts have nothing in common.
 * Text with NUL bytes is counted like any other. The texts lie in the repository's own directory while
 * they are compared.
 */
export async function countLines(git: Git, pairs: readonly Pair[]): Promise<readonly LineCounts[]> {
  const known = pairs.map(({ before, after }) => countOneChange(before, after));
  const counts = known.map((one): LineCounts => one ?? { addedLines: 0, removedLines: 0 });
  const differing = [...pairs.entries()].filter(([index]) => known[index] === null);
  if (differing.length === 0) return counts;

  const scratch = await mkdtemp(join(git.dir, `${prefix}${process.pid}-`));
  try {
    await mkdir(join(scratch, 'a'));
    await mkdir(join(scratch, 'b'));
    for (const [index, pair] of differing) {
      await writeFile(join(scratch, 'a', `${index}`), pair.before);
      await writeFile(join(scratch, 'b', `${index}`), pair.after);
    }
    // Where it only counts, git takes a text with a NUL for binary whatever `--text` says.
    await writeFile(join(scratch, 'attributes'), '* diff\n');
    const result = await git.run([
      ...['-c', `core.attributesFile=${join(scratch, 'attributes')}`],
      ...['diff', '--no-index', '--numstat', '--histogram', '--no-renames', '-z'],
      ...['--', join(scratch, 'a'), join(scratch, 'b')],
    ]);
    // 1 says that there are differences.
    if (result.exitCode > 1 || result.stderr !== '') throw await git.failure('diff', result);
    for (const [, added, removed, index] of result.stdout
      .toString('utf8')
      .matchAll(/(\d+)\t(\d+)\t\0[^\0]*\0[^\0]*\/(\d+)\0/g)) {
      counts[Number(index)] = { addedLines: Number(added), removedLines: Number(removed) };
    }
    return counts;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Removes what a process that was killed in the middle of a comparison left. */
export async function removeOldScratch(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (!Number.isNaN(pid) && !alive(pid)) await rm(join(dir, name), { recursive: true, force: true });
  }
}
