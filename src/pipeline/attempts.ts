import type { Clock } from '../core/clock.ts';
import { BackupError, type Failure, failureOf } from '../core/errors.ts';
import { pause } from '../core/pause.ts';
import { retryOf } from '../core/retry.ts';

/** How often a device is tried in one run: the first time, and twice more. */
const attemptsAtMost = 3;
/** The longest wait before the second attempt; it doubles with every further one. */
const firstWaitMs = 5_000;

export interface AttemptOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** The time that all attempts together may take. */
  readonly maxRuntimeMs: number;
  /** Aborting ends the wait between two attempts with `run.interrupted`. */
  readonly signal: AbortSignal;
  /** Told of every attempt that failed; `againInMs` null: it was the last one. */
  readonly onFailed: (failure: Failure, againInMs: number | null) => void;
}

/** What one attempt has to keep to. */
export interface Attempt {
  /** 1-based. */
  readonly number: number;
  /** What is left of `maxRuntimeMs` at the moment of reading this. */
  readonly leftMs: number;
  /** Aborted with the run, and when nothing is left. */
  readonly signal: AbortSignal;
}

/**
 * Whether the same run may try again: only where the catalogue says that it can help soon, and never where
 * a credential was sent that the device may have refused. Repeating that locks accounts, and a device that
 * hangs up in the middle of a login does not say whether it did.
 */
export function mayTryAgain(failure: Failure): boolean {
  const atJumpHost = failure.code === 'connect.jump' ? failure.detail.code : null;
  if (retryOf(failure.code, atJumpHost) !== 'soon' || failure.code.startsWith('login.')) return false;
  return !('credentialSent' in failure.detail);
}

/** Full jitter: anything between nothing and a bound that doubles, so that a fleet does not come back in step. */
function waitMs(attempt: number, random: number): number {
  return Math.floor(random * firstWaitMs * 2 ** (attempt - 1));
}

/**
 * The attempts of one run. Throws what the last of them threw; `collect.too-long` always names the limit
 * of the whole run.
 */
export async function withAttempts<T>(
  options: AttemptOptions,
  attempt: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { clock, random, maxRuntimeMs, signal, onFailed } = options;
  const startedMs = clock.monotonicMs();
  const leftMs = () => maxRuntimeMs - (clock.monotonicMs() - startedMs);
  const limit = new AbortController();
  const timer = clock.after(maxRuntimeMs, () => limit.abort());
  const either = AbortSignal.any([signal, limit.signal]);
  try {
    for (let number = 1; ; number++) {
      try {
        return await attempt({
          number,
          signal: either,
          get leftMs() {
            return leftMs();
          },
        });
      } catch (thrown) {
        const { code } = failureOf(thrown);
        const tooLong =
          code === 'collect.too-long' ||
          (code === 'run.interrupted' && limit.signal.aborted && !signal.aborted);
        const last = tooLong
          ? new BackupError('collect.too-long', { limitMs: maxRuntimeMs }, { cause: thrown })
          : thrown;
        const failure = failureOf(last);
        const wait = waitMs(number, random());
        const again =
          number < attemptsAtMost && mayTryAgain(failure) && !signal.aborted && wait < leftMs() ? wait : null;
        onFailed(failure, again);
        if (again === null) throw last;
        await pause(again, clock, signal);
      }
    }
  } finally {
    timer.cancel();
  }
}
