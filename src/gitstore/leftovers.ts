import { readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { flush } from './durable.ts';
import { lockedBy } from './git.ts';

/** A stretch of the wall clock: UTC epoch milliseconds. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What a git process that moves main locks. */
const locks = ['refs/heads/main.lock', 'HEAD.lock', 'packed-refs.lock'];

/** File systems keep times in ticks of some milliseconds, so a new file can look a little older. */
const tickMs = 20;

/**
 * Removes locks that a dead git process of ours left: those made before this process began (the state
 * lock says that no other Roundsman is at work) and those made while a child of ours ran that failed
 * (`failed`), in both cases only while no git process works in this repository. Any other lock is
 * somebody's: throws BackupError `store.locked`. `onRemoved` is told of each.
 */
export async function clearDeadLocks(
  dir: string,
  failed: readonly Span[],
  onRemoved: () => void,
): Promise<void> {
  const began = Date.now() - process.uptime() * 1000;
  for (const name of locks) {
    const file = join(dir, name);
    const found = await stat(file).catch(() => null);
    if (found === null) continue;
    const at = found.mtimeMs;
    const ours = at < began || failed.some((span) => at >= span.fromMs - tickMs && at <= span.toMs + tickMs);
    if (!ours || (await gitAtWork(dir))) throw await lockedBy(file);
    await rm(file, { force: true });
    onRemoved();
    await flush(join(file, '..'));
  }
}

/** Readers take no lock of a ref, nor does maintenance, and there may always be one. */
const readers = new Set(
  ['blame', 'cat-file', 'diff', 'for-each-ref', 'grep', 'log', 'ls-tree', 'merge-base'].concat([
    'pack-objects',
    'prune-packed',
    'push',
    'remote-https',
    'repack',
    'rev-list',
    'rev-parse',
    'send-pack',
    'shortlog',
    'show',
    'upload-pack',
  ]),
);

/** Whether a git process that may write works in this repository. Where there is no /proc: false. */
async function gitAtWork(dir: string): Promise<boolean> {
  const entries = await readdir('/proc').catch((): string[] => []);
  for (const pid of entries.filter((name) => /^\d+$/.test(name))) {
    const name = await readFile(`/proc/${pid}/comm`, 'latin1').catch(() => '');
    if (!name.startsWith('git')) continue;
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    // A helper of git is a program of its own: /usr/lib/git-core/git-remote-https
    if (command.some((argument) => readers.has(argument.replace(/^.*\/git-/, '')))) continue;
    if (cwd === dir || command.some((argument) => argument.includes(dir))) return true;
  }
  return false;
}

/**
 * Removes what a git child that failed left half-written: packs and objects of that time (on a full
 * disk they hold the space that is missing) and its crash report. Never throws.
 */
export async function removeHalfWritten(dir: string, { fromMs, toMs }: Span): Promise<void> {
  const names = async (path: string) => readdir(path).catch((): string[] => []);
  const objects = join(dir, 'objects');
  const candidates = (await names(dir))
    .filter((name) => name.startsWith('fast_import_crash_'))
    .map((name) => join(dir, name));
  for (const below of await names(objects)) {
    for (const name of await names(join(objects, below))) {
      if (/^tmp_(obj|pack|idx|rev)_/.test(name)) candidates.push(join(objects, below, name));
    }
  }
  for (const file of candidates) {
    const at = (await stat(file).catch(() => null))?.mtimeMs ?? 0;
    if (at >= fromMs - tickMs && at <= toMs + tickMs) await rm(file, { force: true }).catch(() => {});
  }
}
