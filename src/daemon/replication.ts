import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { SecretRef } from '../core/device.ts';
import { pushRemedies, type RemoteStatus } from '../core/remotes.ts';
import { gitIn } from '../gitstore/git.ts';
import { usualLimits } from '../gitstore/push.ts';
import { type Pusher, startPusher } from '../gitstore/pusher.ts';
import type { Access, Remote } from '../gitstore/remote.ts';
import { openReplica, type Replica } from '../gitstore/replica.ts';
import type { RemoteSettings } from './git-remotes.ts';
import type { Log } from './log.ts';
import type { Context } from './services/context.ts';

/** Keeps every remote up to date while the daemon runs. */
export interface Replication extends AsyncDisposable {
  /** A commit was made. Never waits. */
  committed(): void;
  /** Takes these remotes; those that are as they were go on undisturbed. */
  configure(remotes: readonly RemoteSettings[]): void;
  /** Those that were looked at by now. */
  status(): readonly RemoteStatus[];
}

/** What `backup` may wait for its pushes at the end, where no daemon does them later. */
const atTheEndMs = 60_000;

type Means = Pick<Context, 'readSecret' | 'clock'> & { readonly stateDir: string; readonly log: Log };

export function openReplication(means: Means): Replication {
  const { clock, log } = means;
  const running = new Map<string, { settings: RemoteSettings; pusher: Pusher }>();
  const ending = new Set<Promise<void>>();

  function end(name: string, pusher: Pusher): void {
    running.delete(name);
    const ended = Promise.resolve(pusher[Symbol.asyncDispose]()).then(() => void ending.delete(ended));
    ending.add(ended);
  }

  return {
    committed() {
      for (const { pusher } of running.values()) pusher.committed();
    },
    configure(remotes) {
      for (const [name, { settings, pusher }] of running)
        if (!remotes.some((one) => isDeepStrictEqual(one, settings))) end(name, pusher);
      for (const settings of remotes) {
        if (running.has(settings.name)) continue;
        const replica = replicaOf(means, settings);
        const onPushed = reporter(log);
        const pusher = startPusher({ replica, limits: usualLimits, clock, random: Math.random, onPushed });
        running.set(settings.name, { settings, pusher });
      }
    },
    status: () => [...running.values()].flatMap(({ pusher }) => pusher.status() ?? []),
    async [Symbol.asyncDispose]() {
      for (const [name, { pusher }] of running) end(name, pusher);
      await Promise.all(ending);
    },
  };
}

/** Where each remote stands, from what is remembered. */
export async function remoteStatuses(context: Context): Promise<readonly RemoteStatus[]> {
  const { settings } = await context.configuration();
  const means = await meansOf(context, settings.stateDir);
  return await Promise.all(settings.git.remotes.map((one) => replicaOf(means, one).status()));
}

/** Pushes to every remote once, all together for a minute at most. Never rejects. */
export async function pushOnce(context: Context, signal: AbortSignal): Promise<void> {
  const { settings } = await context.configuration();
  const means = await meansOf(context, settings.stateDir);
  const limits = { ...usualLimits, idleMs: atTheEndMs, totalMs: atTheEndMs };
  const pushes = settings.git.remotes.map(async (one) => {
    const replica = replicaOf(means, one);
    const before = await replica.status();
    // Nothing to do, and a look at the remote is the daemon's.
    if (before.unpushed === 0 && before.failure === null) return;
    const status = await replica.push(limits, signal);
    if (!signal.aborted) reporter(means.log)(status);
  });
  await Promise.all(pushes);
}

async function meansOf(context: Context, stateDir: string): Promise<Means> {
  return { ...context, stateDir, log: await context.log() };
}

function replicaOf({ stateDir, readSecret, clock, log }: Means, settings: RemoteSettings): Replica {
  const { name, url } = settings;
  const remote: Remote = { name, url, access: () => accessTo(settings, readSecret) };
  const onUnwritable = (error: unknown): void =>
    log.warn('what came of a push could not be kept', { remote: name, error: String(error) });
  return openReplica(gitIn(join(stateDir, 'configs.git'), 'git'), remote, clock, onUnwritable);
}

async function accessTo(
  { access }: RemoteSettings,
  readSecret: (ref: SecretRef) => Promise<string>,
): Promise<Access> {
  if (access.way === 'ssh') {
    const { way, privateKey, hostKeys } = access;
    return { way, privateKey: await readSecret(privateKey), hostKeys };
  }
  if (access.way === 'https' && access.login !== null) {
    const { username, password } = access.login;
    return { ...access, login: { username, password: await readSecret(password) } };
  }
  return access.way === 'https' ? { ...access, login: null } : access;
}

/** Says when a remote begins to fail, when it fails in another way, and when it is up to date again. */
function reporter(log: Log): (status: RemoteStatus) => void {
  let told: string | null = null;
  return ({ name, unpushed, failure }) => {
    if (failure === null) {
      if (told !== null) log.info('commits are pushed again', { remote: name });
      told = null;
      return;
    }
    const { reason, problem: error } = failure;
    if (reason === told) return;
    told = reason;
    log.warn('commits are not pushed', { remote: name, reason, error, todo: pushRemedies[reason], unpushed });
  };
}
