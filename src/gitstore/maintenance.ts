import { readdir, rm, stat } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { flush } from './durable.ts';
import type { Git } from './git.ts';

/** A temporary file of git that nobody has written to for so long is one of a process that died. */
const abandonedMs = 60 * 60_000;

/**
 * Puts loose objects and small packs together: each commit alone leaves some files of a block or more, and each batch
 * a pack, and both would grow without end. Packs stay in a geometric progression, so that a night costs what came since,
 * and not the whole history. Commits go on meanwhile; `signal` ends it early, null: nothing does. What was packed is
 * removed only after its pack is there. Throws BackupError `store.*`.
 */
export async function maintain(git: Git, signal: AbortSignal | null): Promise<void> {
  const objects = join(git.dir, 'objects');
  const packs = join(objects, 'pack');
  const isEnded = (): boolean => signal?.aborted ?? false;
  await removeAbandoned(objects);
  if (isEnded()) return;
  const child = git.start([
    // One of two processors stays free for the backups.
    ...['-c', 'pack.threads=1', '-c', 'repack.updateServerInfo=false'],
    ...['repack', '-d', '--geometric=2', '--quiet'],
  ]);
  setLow(child.process.pid);
  child.process.stdout.resume();
  child.process.stdin.end();
  const end = (): void => void child.process.kill('SIGTERM');
  signal?.addEventListener('abort', end, { once: true });
  const result = await child.ended;
  signal?.removeEventListener('abort', end);
  if (isEnded()) return;
  if (result.exitCode !== 0) throw await git.failure('repack', result);
  await flush(packs).catch(ifThere);
}

/** Where that is not possible, it works at the priority that it has. */
function setLow(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // It has ended already.
  }
}

/**
 * What a git that was killed left: of a packing it may be as large as the repository, of a commit it is an object, and
 * nothing else ever looks at either. `git prune` removes the same names, and with them what no ref leads to.
 */
async function removeAbandoned(objects: string): Promise<void> {
  const before = Date.now() - abandonedMs;
  for (const dir of await readdir(objects).catch((): string[] => [])) {
    const temporary = dir === 'pack' ? /^(?:\.tmp-|tmp_)/ : /^tmp_obj_/;
    for (const name of await readdir(join(objects, dir)).catch((): string[] => [])) {
      if (!temporary.test(name)) continue;
      const file = join(objects, dir, name);
      const { mtimeMs } = (await stat(file).catch(() => null)) ?? { mtimeMs: Number.POSITIVE_INFINITY };
      if (mtimeMs < before) await rm(file, { force: true }).catch(() => {});
    }
  }
}

/** A repository without a pack. */
function ifThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
