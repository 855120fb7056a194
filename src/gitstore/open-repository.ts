import { readFile } from 'node:fs/promises';
import { isAbsolute, join, resolve as resolvePath } from 'node:path';
import { BackupError } from '../core/errors.ts';
import { blobReader } from './blob-reader.ts';
import { flush, makeDirectory } from './durable.ts';
import { mainRef } from './fast-import.ts';
import { flushRepository } from './flush-repository.ts';
import { type Git, gitIn, settings } from './git.ts';
import { inspect, readInspected } from './inspection.ts';
import { lineage } from './lineage.ts';
import { maintain } from './maintenance.ts';
import { type Mending, mend } from './mending.ts';
import { isArtefactPath } from './paths.ts';
import { readBlobIds, readBlobs, reading } from './reading.ts';
import type { Repository } from './repository.ts';
import { nobodySigns, type Signing } from './signing.ts';
import { forWriting, storing } from './storing.ts';
import { writer } from './writing.ts';

/** The oldest git that has `core.fsync` and `safe.directory` on the command line. */
const oldestGit = [2, 36] as const;

/**
 * Opens the bare repository in `dir`, and creates it where there is none; where there is none and none can
 * be made, nothing is in it, and a commit fails. `gitProgram` is looked up in
 * PATH; default `git`. `onStaleLock` is told of each lock of a dead git process that a commit removed. What `mending` allows
 * is repaired where it is met, and what was asked for done again. Throws BackupError `store.*`.
 */
export async function openRepository({
  dir: givenDir,
  gitProgram = 'git',
  onStaleLock = () => {},
  mending = nobodyMends,
  readable = false,
  signing = nobodySigns,
}: {
  dir: string;
  gitProgram?: string;
  onStaleLock?: () => void;
  mending?: Mending;
  /** The group of the directory may read what is written there. */
  readable?: boolean;
  signing?: Signing;
}): Promise<Repository> {
  const dir = isAbsolute(givenDir) ? givenDir : resolvePath(givenDir);
  const unwritable = await forWriting(dir, () => makeDirectory(dir));
  if (unwritable !== null) return nothingIn(unwritable);
  const git = gitIn(dir, gitProgram, readable);
  await refuseOldGit(git);
  if (!(await complete(dir))) await create(git);

  const { findRun, messages } = reading(git);
  const quickly = blobReader(git);
  const { commitsSince } = lineage(git);
  // A look at every object must not find that a pack goes away.
  const inTurn = turns();
  // Repairs of the same thing at the same time would get into each other's way.
  const mendInTurn = turns();
  const mendOnce = (said: string) => mendInTurn(() => storing(dir, () => mend(git, said, mending)));
  /** Does `work`, and once more where what stood in its way could be repaired. */
  async function mended<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BackupError) || error.code !== 'store.git-failed' || !mending.allowed())
        throw error;
      const { stderr } = (error as BackupError<'store.git-failed'>).detail;
      if (!(await mendOnce(stderr).catch(() => false))) throw error;
      return await work();
    }
  }
  const { commit, attempt } = writer(git, onStaleLock, mended, signing);
  return {
    commit,
    messages,
    commitsSince,
    findRun: (runId) => mended(() => findRun(runId)),
    blobs: (files) => mended(() => readBlobIds(git, files)),
    async read(commit, path) {
      if ((commit !== null && !/^[0-9a-f]{40}$/.test(commit)) || !isArtefactPath(path)) return null;
      const name = `${commit ?? mainRef}:${path}`;
      // What main is at changes; what a commit holds does not.
      const kept = commit === null ? null : await quickly(name);
      const [blob] = kept === null ? await mended(() => readBlobs(git, [name])) : [kept];
      return blob?.toString('latin1') ?? null;
    },
    async ready() {
      if (mending.allowed()) await mendOnce('');
      await attempt();
    },
    inspect: (nowMs) => inTurn(() => storing(dir, () => inspect(git, mending, nowMs))),
    maintain: (signal) => inTurn(() => storing(dir, () => maintain(git, signal))),
    inspected: () => readInspected(dir),
  };
}

const nobodyMends: Mending = { allowed: () => false, remembered: () => [], onMended: () => {} };

/** Does one thing after the other. */
function turns(): <Answer>(work: () => Promise<Answer>) => Promise<Answer> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => {});
    return mine;
  };
}

/** A creation that was cut short lacks the setting that is written last; doing it again harms nothing. */
async function complete(dir: string): Promise<boolean> {
  const config = await readFile(join(dir, 'config'), 'utf8').catch(() => '');
  return /^\s*auto = 0$/m.test(config);
}

/** A repository that is not there and cannot be made, for this reason. */
function nothingIn(unwritable: BackupError): Repository {
  return {
    commit: () => Promise.reject(unwritable),
    findRun: async () => null,
    messages: async () => new Map(),
    commitsSince: async function* () {},
    blobs: async (files) => files.map(() => null),
    read: async () => null,
    ready: () => Promise.reject(unwritable),
    inspect: () => Promise.reject(unwritable),
    maintain: () => Promise.reject(unwritable),
    inspected: async () => null,
  };
}

/** An older git would ignore `core.fsync`, and lose commits in a power cut. */
async function refuseOldGit(git: Git): Promise<void> {
  const version = (await git.must(['version'])).toString('utf8').trim();
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(version) ?? [];
  if (Number(major) < oldestGit[0] || (Number(major) === oldestGit[0] && Number(minor) < oldestGit[1])) {
    throw new BackupError('store.git-failed', {
      command: 'version',
      exitCode: 0,
      stderr: `${version}; ${oldestGit.join('.')} or newer is needed`,
    });
  }
}

async function create(git: Git): Promise<void> {
  const sinceMs = Date.now();
  await git.must(['init', '--quiet', '--bare', '--template=', '--shared=0600', git.dir]);
  await git.must(['symbolic-ref', 'HEAD', mainRef]);
  for (const [key, value] of settings) await git.must(['config', '--file', 'config', key, value]);
  await storing(git.dir, async () => {
    await makeDirectory(join(git.dir, 'refs/heads'));
    await flush(join(git.dir, 'config'));
    await flush(join(git.dir, 'HEAD'));
    await flushRepository(git.dir, sinceMs);
  });
}
