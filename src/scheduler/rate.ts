import type { Clock } from '../core/clock.ts';
import { BackupError } from '../core/errors.ts';
import { pause } from '../core/pause.ts';

/** Starts at even distances: so many in a second, and no burst after a pause. */
export class Rate {
  #nextMs = Number.NEGATIVE_INFINITY;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the next one may start. Throws BackupError `run.interrupted` where the signal is aborted before. */
  async turn(perSecond: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const atMs = Math.max(nowMs, this.#nextMs);
    this.#nextMs = atMs + 1_000 / perSecond;
    if (atMs > nowMs) await pause(atMs - nowMs, this.#clock, signal);
  }
}

/** One at a time, in the order of asking. */
export class OneAtATime {
  #tail: Promise<void> = Promise.resolve();

  /**
   * Resolves with a function that lets the next one in; calling it again does nothing. Throws BackupError
   * `run.interrupted` where the signal is aborted before.
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    const before = this.#tail;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tail = before.then(() => promise);
    const aborted = Promise.withResolvers<'aborted'>();
    const interrupt = () => aborted.resolve('aborted');
    if (signal.aborted) interrupt();
    else signal.addEventListener('abort', interrupt, { once: true });
    const outcome = await Promise.race([before.then(() => 'in' as const), aborted.promise]);
    signal.removeEventListener('abort', interrupt);
    if (outcome === 'in') return resolve;
    resolve();
    throw new BackupError('run.interrupted', { by: 'signal' });
  }
}
