import { describe } from '../core/catalogue.ts';
import type { Clock } from '../core/clock.ts';
import { BackupError, failureOf } from '../core/errors.ts';
import type { PushFailure } from '../core/remotes.ts';
import { mainRef } from './fast-import.ts';
import type { Git } from './git.ts';
import { type NetworkLimits, runOnNetwork } from './network.ts';
import { failureOfPush, refsIn } from './push-failure.ts';
import { readTip } from './reading.ts';
import { type Access, arrange, type Remote } from './remote.ts';

/** What came of one push. */
export interface Pushed {
  /** The commit that main of the remote is at now; null where that is not known. */
  readonly tip: string | null;
  /** Null where everything reached the remote, and where there is nothing yet. */
  readonly failure: PushFailure | null;
}

/** A first push of a large history over a slow line takes long, and says so all the time. */
export const usualLimits: NetworkLimits = {
  idleMs: 5 * 60_000,
  totalMs: 60 * 60_000,
  bytes: 4 * 1024 * 1024,
};

/** All that a repository is made of: main, tips that others replaced, commits that a rewrite replaced. */
const otherRefs = ['refs/roundsman/*:refs/roundsman/*', 'refs/replace/*:refs/replace/*'];

/** Pushes once; nothing is ever forced. Never throws. */
export async function push(
  git: Git,
  remote: Remote,
  options: { clock: Clock; limits: NetworkLimits; signal: AbortSignal },
): Promise<Pushed> {
  try {
    const tip = await readTip(git);
    if (tip === null) return { tip, failure: null };
    return await pushTip(git, tip, remote, await remote.access(), options);
  } catch (error) {
    const unreadable = error instanceof BackupError && error.code === 'inventory.secret-unavailable';
    const problem = describe(failureOf(error)).message;
    return { tip: null, failure: { reason: unreadable ? 'credentials' : 'other', problem } };
  }
}

async function pushTip(
  git: Git,
  tip: string,
  { url }: Remote,
  access: Access,
  options: { clock: Clock; limits: NetworkLimits; signal: AbortSignal },
): Promise<Pushed> {
  await using arranged = await arrange(url, access);
  const { options: before, pushOptions, environment, secrets } = arranged;
  const args = [...before, 'push', '--porcelain', '--progress', ...pushOptions, url];
  const result = await runOnNetwork(git, [...args, `${tip}:${mainRef}`, ...otherRefs], environment, options);
  const failure = failureOfPush(result, options.limits, secrets);
  const main = refsIn(result.stdout).find(({ ref }) => ref === mainRef);
  // Without that word the connection broke, and what git says of main is what it had hoped for.
  const done = result.cut === null && /^Done$/m.test(result.stdout);
  const arrived = done && main !== undefined && main.flag !== '!';
  if (!arrived || main.flag === '=') return { tip: failure === null || arrived ? tip : null, failure };

  // It took it, it says. That it has it is known once it shows it.
  const looked = await runOnNetwork(git, [...before, 'ls-remote', url, mainRef], environment, options);
  const problem = failureOfPush(looked, options.limits, secrets);
  if (problem !== null) return { tip: null, failure: failure ?? problem };
  const shown = looked.stdout.split('\t', 1)[0] ?? '';
  if (shown === tip) return { tip, failure };
  const lie = {
    reason: 'other',
    problem: 'the remote said that it took main, and does not show it',
  } as const;
  return { tip: null, failure: failure ?? lie };
}
