import type { Clock, Timer } from '../core/clock.ts';
import type { RemoteStatus } from '../core/remotes.ts';
import type { NetworkLimits } from './network.ts';
import type { Replica } from './replica.ts';

/** Commits of so long go in one push. */
const gatherMs = 10_000;

/** After the first failure in a row, doubled with each further one up to the longest. */
const firstBackOffMs = 30_000;
const longestBackOffMs = 60 * 60_000;

/** Without any commit all the same: a remote that was lost or rewritten is found. */
const lookMs = 24 * 60 * 60_000;

/** Keeps one remote up to date, on its own: nobody ever waits for it. Disposing it ends a push under way. */
export interface Pusher extends AsyncDisposable {
  /** A commit was made. */
  committed(): void;
  /** Null until it was looked at for the first time. */
  status(): RemoteStatus | null;
}

export interface PusherOptions {
  readonly replica: Pick<Replica, 'status' | 'push'>;
  readonly limits: NetworkLimits;
  readonly clock: Clock;
  /** From 0 to 1, as Math.random: many collectors must not come back to one server together. */
  readonly random: () => number;
  /** Told after each push that was not interrupted. */
  readonly onPushed: (status: RemoteStatus) => void;
}

/** Begins at once with what the remote lacks. */
export function startPusher({ replica, limits, clock, random, onPushed }: PusherOptions): Pusher {
  const stop = new AbortController();
  let known: RemoteStatus | null = null;
  /** Commits since `known` was asked for, which it may lack. */
  let since = 0;
  let failures = 0;
  let timer: Timer | null = null;
  let gathering = false;
  let working: Promise<void> = begin();

  function plan(delayMs: number): void {
    timer?.cancel();
    timer = clock.after(delayMs, () => {
      working = once();
    });
  }

  function planNext(): void {
    if (stop.signal.aborted) return;
    const behind = since > 0 || (known?.unpushed ?? 0) > 0;
    gathering = failures === 0 && behind;
    if (failures > 0) plan(backOffMs(failures, random()));
    else plan(behind ? gatherMs : lookMs);
  }

  async function begin(): Promise<void> {
    known = await replica.status();
    planNext();
  }

  async function once(): Promise<void> {
    timer = null;
    gathering = false;
    since = 0;
    const after = await replica.push(limits, stop.signal);
    if (stop.signal.aborted) return;
    known = after;
    failures = after.failure === null ? 0 : failures + 1;
    onPushed(after);
    planNext();
  }

  return {
    committed() {
      since += 1;
      // While a push is under way, or after a failure, its end plans the next one.
      if (timer === null || gathering || failures > 0 || stop.signal.aborted) return;
      gathering = true;
      plan(gatherMs);
    },
    status: () =>
      known === null || known.unpushed === null ? known : { ...known, unpushed: known.unpushed + since },
    async [Symbol.asyncDispose]() {
      stop.abort();
      timer?.cancel();
      await working;
    },
  };
}

function backOffMs(failures: number, random: number): number {
  const full = Math.min(longestBackOffMs, firstBackOffMs * 2 ** Math.min(failures - 1, 20));
  return full * (0.5 + random / 2);
}
