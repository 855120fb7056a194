import { execFile } from 'node:child_process';
import { chmod, chown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OperationError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';

/** What is hidden from a process in a user namespace of its own: every group but its own is `nogroup`. */
const hiddenGroup = 65_534;
/** New files take the group of their directory, so that nothing has to be done for each of them. */
const openDirectory = 0o2750;
/** Whoever knows a name below may go on to it, and nobody may list. */
const passage = 0o711;

/** The number of a group. Throws OperationError where there is none of this name. */
export async function groupNumber(name: string): Promise<number> {
  const line = await new Promise<string>((resolve) => {
    execFile('getent', ['group', '--', name], { timeout: 10_000 }, (_error, stdout) => resolve(stdout));
  });
  const number = /^[^:]*:[^:]*:(\d+):/.exec(line)?.[1];
  if (number !== undefined) return Number(number);
  throw new OperationError(
    `there is no group ${name} on this system`,
    `make it (groupadd ${name}), or name another one`,
  );
}

/**
 * Opens `configs.git` to a group, for reading, and nothing else of `stateDir`; `group` null: to nobody. What git writes
 * from then on is open like what is there. The state lock is held. Throws OperationError where it cannot be done by this
 * user, with the commands for root.
 */
export async function shareRepository(stateDir: string, group: string | null): Promise<void> {
  const repository = join(stateDir, 'configs.git');
  try {
    if (group === null) await close(stateDir, repository);
    else await open(stateDir, repository, group);
  } catch (error) {
    if (error instanceof OperationError) throw error;
    throw storageError(error, stateDir);
  }
}

/** One closed door is enough: what lies behind it may stay as it is. */
async function close(stateDir: string, repository: string): Promise<void> {
  if (((await modeOf(repository)) & 0o077) !== 0) await chmod(repository, 0o700);
  if ((await modeOf(stateDir)) === passage) await chmod(stateDir, 0o700);
}

async function open(stateDir: string, repository: string, group: string): Promise<void> {
  const number = await groupNumber(group);
  // Before anybody may pass: each of these has had the directory above it as its only door.
  for (const name of await readdir(stateDir)) {
    const path = join(stateDir, name);
    const { mode } = await lstat(path);
    if (path !== repository && (mode & 0o077) !== 0) await chmod(path, mode & 0o700);
  }
  const top = await lstat(repository);
  const isOpen = (top.mode & 0o7777) === openDirectory && [number, hiddenGroup].includes(top.gid);
  if (!isOpen) await openTree(repository, number, group);
  if ((await modeOf(stateDir)) !== passage) await chmod(stateDir, passage);
}

/** The top comes last: when it is open, everything below it is. */
async function openTree(dir: string, number: number, group: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await openTree(path, number, group);
    else if (entry.isFile() && !isOwn(entry.name)) await give(path, number, 0o440, group);
  }
  await give(dir, number, openDirectory, group);
}

/** Notes of ours among git's files are nobody's business. */
function isOwn(name: string): boolean {
  return name.startsWith('roundsman-');
}

async function give(path: string, number: number, bits: number, group: string): Promise<void> {
  const before = await lstat(path);
  try {
    if (before.gid !== number) await chown(path, before.uid, number);
    await chmod(path, before.isDirectory() ? bits : (before.mode & 0o600) | (bits & 0o040));
  } catch (cause) {
    const repository = path.replace(/(\/configs\.git)\/.*$/, '$1');
    throw new OperationError(
      `git.readers_group: ${path} cannot be given to the group ${group} by this user`,
      `as root: find ${repository} -type f ! -name 'roundsman-*' -exec chgrp ${group} {} + -exec chmod g+r {} +; find ${repository} -depth -type d -exec chgrp ${group} {} + -exec chmod 2750 {} +`,
      { cause },
    );
  }
}

async function modeOf(path: string): Promise<number> {
  return (await lstat(path)).mode & 0o7777;
}
