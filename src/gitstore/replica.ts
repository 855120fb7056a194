import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { PushFailure, RemoteStatus } from '../core/remotes.ts';
import { makeDirectory, writeDurably } from './durable.ts';
import { mainRef } from './fast-import.ts';
import type { Git } from './git.ts';
import type { NetworkLimits } from './network.ts';
import { push } from './push.ts';
import { readTip } from './reading.ts';
import type { Remote } from './remote.ts';

/** What is remembered of one remote, in a file of its own in the repository. */
interface Memory {
  /** A memory of another URL is of another remote. */
  readonly url: string;
  /** The commit that main of the remote was at after the last push that moved it; null before the first. */
  readonly tip: string | null;
  readonly lastSuccessMs: number | null;
  readonly failure: PushFailure | null;
}

/** The copy of the repository at one remote, as far as it is known here. */
export interface Replica {
  readonly remote: Remote;
  /** Asks git how many commits the remote lacks. Never rejects. */
  status(): Promise<RemoteStatus>;
  /** Pushes once and remembers what came of it. Never rejects; an abort leaves what was remembered. */
  push(limits: NetworkLimits, signal: AbortSignal): Promise<RemoteStatus>;
}

const directory = 'roundsman-remotes';

/** `onUnwritable` is told where what came of a push could not be kept: then a restart forgets it. */
export function openReplica(
  git: Git,
  remote: Remote,
  clock: Clock,
  onUnwritable: (error: unknown) => void,
): Replica {
  const { name, url } = remote;
  const file = join(git.dir, directory, `${name}.json`);
  const nothing: Memory = { url, tip: null, lastSuccessMs: null, failure: null };
  let known: Memory | null = null;

  async function memory(): Promise<Memory> {
    known ??= (await readMemory(file, url)) ?? nothing;
    return known;
  }

  async function remember(next: Memory): Promise<void> {
    known = next;
    try {
      await makeDirectory(join(git.dir, directory));
      await writeDurably(file, `${JSON.stringify(next)}\n`);
    } catch (error) {
      onUnwritable(error);
    }
  }

  async function status(): Promise<RemoteStatus> {
    const { tip, lastSuccessMs, failure } = await memory();
    const unpushed = await countUnpushed(git, tip).catch(() => null);
    return { name, url, unpushed, lastSuccessMs, failure };
  }

  return {
    remote,
    status,
    async push(limits, signal) {
      const before = await memory();
      const { tip, failure } = await push(git, remote, { clock, limits, signal });
      if (!signal.aborted) {
        const succeeded = failure === null && tip !== null;
        await remember({
          url,
          tip: tip ?? before.tip,
          lastSuccessMs: succeeded ? clock.nowMs() : before.lastSuccessMs,
          failure,
        });
      }
      return status();
    },
  };
}

/** Null where there is none, where it is damaged, and where it is of another URL. */
async function readMemory(file: string, url: string): Promise<Memory | null> {
  try {
    const found = JSON.parse(await readFile(file, 'utf8')) as Memory;
    const wellFormed =
      found.url === url &&
      (found.tip === null || /^[0-9a-f]{40}$/.test(found.tip)) &&
      (found.lastSuccessMs === null || typeof found.lastSuccessMs === 'number') &&
      (found.failure === null || typeof found.failure.problem === 'string');
    return wellFormed ? found : null;
  } catch {
    return null;
  }
}

/** Commits of main that `pushed` does not lead to; all of them where that is not here (any more). */
async function countUnpushed(git: Git, pushed: string | null): Promise<number> {
  const tip = await readTip(git);
  if (tip === null || tip === pushed) return 0;
  const has = pushed !== null && (await git.run(['cat-file', '-e', `${pushed}^{commit}`])).exitCode === 0;
  const without = has ? ['--not', pushed] : [];
  const answer = await git.must(['rev-list', '--count', mainRef, ...without]);
  return Number(answer.toString('latin1').trim());
}
