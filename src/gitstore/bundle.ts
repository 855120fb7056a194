import { isAbsolute } from 'node:path';
import { mainRef } from './fast-import.ts';
import { flushRepository } from './flush-repository.ts';
import { type Git, gitIn } from './git.ts';
import { storing } from './storing.ts';

/**
 * Writes every ref of the repository in `dir`, with all that they lead to, into a new file, after the
 * repository was checked. Returns the commit that main is at; null before the first one: then no file is
 * written, because git makes no empty bundle. Not flushed to the disk. Both paths are absolute.
 * Throws BackupError `store.*`.
 */
export async function bundleRepository(dir: string, file: string): Promise<string | null> {
  const git = gitIn(dir, 'git');
  const tip = await tipOf(git);
  if (tip === null) return null;
  await check(git);
  // Replaced commits are copied as what they are, and what replaces them beside them.
  await quietly(git, ['--no-replace-objects', 'bundle', 'create', '--quiet', absolute(file), '--all']);
  return tip;
}

/**
 * Puts everything that is in a bundle into the repository in `dir`, which is new, checks every object and
 * returns the commit that main is at. A bundle is data: unlike a copied repository it brings no setting and
 * no hook. Throws BackupError `store.*`.
 */
export async function unbundleRepository(file: string, dir: string): Promise<string | null> {
  const git = gitIn(dir, 'git');
  const sinceMs = Date.now();
  await quietly(git, [
    ...['--no-replace-objects', 'fetch', '--quiet', '--no-write-fetch-head', '--no-auto-maintenance'],
    ...[absolute(file), '+refs/*:refs/*'],
  ]);
  await check(git);
  await storing(dir, () => flushRepository(dir, sinceMs));
  return tipOf(git);
}

async function tipOf(git: Git): Promise<string | null> {
  const { exitCode, stdout } = await git.run(['rev-parse', '--verify', '--quiet', mainRef]);
  return exitCode === 0 ? stdout.toString('latin1').trim() : null;
}

/** Every object is read; dangling ones and lines of a log that lead nowhere harm nothing. */
async function check(git: Git): Promise<void> {
  const result = await git.run(['fsck', '--full', '--no-dangling', '--no-reflogs', '--no-progress']);
  if (result.exitCode === 0) return;
  const said = `${result.stdout.toString('utf8')}${result.stderr}`;
  throw await git.failure('fsck', { ...result, stderr: said });
}

/** `args` may begin with an option of git itself, which is not the name of the command. */
async function quietly(git: Git, args: readonly string[]): Promise<void> {
  const result = await git.run(args);
  if (result.exitCode === 0 && result.stderr === '') return;
  throw await git.failure(args[1] ?? 'git', result);
}

function absolute(file: string): string {
  if (isAbsolute(file)) return file;
  throw new Error(`${file} is not an absolute path`);
}
