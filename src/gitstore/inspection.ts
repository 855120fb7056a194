import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clip, harmless } from '../core/display.ts';
import { writeDurably } from './durable.ts';
import { mainRef } from './fast-import.ts';
import type { Git } from './git.ts';
import { type Mending, mend } from './mending.ts';
import { objectsNamedIn } from './objects.ts';
import type { Inspected, Inspection } from './repository.ts';

/** What is told of a history in pieces. */
const mostProblems = 1_000;

const fileName = 'roundsman-fsck';

/**
 * Lets git read every object, and repairs what `mend` can: a loose object that is damaged is written again by the next
 * reading that has its text. Throws BackupError `store.*` where git cannot be run at all.
 */
export async function inspect(git: Git, mending: Mending, nowMs: number): Promise<Inspection> {
  const { exitCode, stdout, stderr } = await git.run(['fsck', '--full', '--no-dangling', '--no-progress']);
  if (exitCode === 127) throw await git.failure('fsck', { exitCode, stderr });
  const lines = `${stderr}\n${stdout.toString('utf8')}`.split('\n').filter((line) => isProblem(line));
  if (exitCode !== 0 && lines.length === 0) lines.push(`git fsck ended with status ${exitCode}`);
  const said = lines.join('\n');
  if (lines.length > 0) await mend(git, said, mending).catch(() => {});
  const before = await readInspected(git.dir);
  const lastCleanMs = lines.length === 0 ? nowMs : (before?.lastCleanMs ?? null);
  await writeDurably(join(git.dir, fileName), `${nowMs} ${lines.length} ${lastCleanMs ?? 'never'}\n`);
  return {
    problems: lines.slice(0, mostProblems).map((line) => clip(harmless(line), 200)),
    lostPaths: lines.length === 0 ? [] : await pathsOf(git, new Set(objectsNamedIn(said))),
  };
}

/** Null before the first look, and where the note is damaged: then it is time for one. */
export async function readInspected(dir: string): Promise<Inspected | null> {
  const text = await readFile(join(dir, fileName), 'latin1').catch(() => '');
  const [, atMs, problems, lastCleanMs] = /^(\d{1,15}) (\d{1,9}) (\d{1,15}|never)\n$/.exec(text) ?? [];
  if (atMs === undefined) return null;
  return {
    ...{ atMs: Number(atMs), problems: Number(problems) },
    lastCleanMs: lastCleanMs === 'never' ? null : Number(lastCleanMs),
  };
}

/** A repository without a commit is none to complain of. */
function isProblem(line: string): boolean {
  return line !== '' && !/^(?:notice: |dangling |Checking )/.test(line);
}

/** Where these texts lie on main; none where main cannot be read. */
async function pathsOf(git: Git, objects: ReadonlySet<string>): Promise<readonly string[]> {
  const { stdout } = await git.run(['ls-tree', '-r', '-z', mainRef]);
  return stdout
    .toString('latin1')
    .split('\0')
    .flatMap((line) => {
      const [, blob = '', path = ''] = /^\d+ blob ([0-9a-f]{40})\t(.*)$/s.exec(line) ?? [];
      return objects.has(blob) ? [harmless(path)] : [];
    });
}
