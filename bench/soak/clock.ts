import type { Clock, Timer } from '../../src/core/clock.ts';

interface Planned {
  readonly atMs: number;
  readonly then: () => void;
  timeout: NodeJS.Timeout;
}

/**
 * Both clocks of a simulated day, together: time passes as it does, so that sessions wait for devices as ever, and
 * between two rounds it is skipped. To the daemon it never jumps.
 */
export class SoakClock implements Clock {
  readonly #startMs: number;
  readonly #origin = performance.now();
  readonly #planned = new Set<Planned>();
  #skippedMs = 0;

  /** It is `startMs` (UTC epoch milliseconds) now. */
  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    return Math.floor(this.#startMs + this.monotonicMs());
  }

  monotonicMs(): number {
    return performance.now() - this.#origin + this.#skippedMs;
  }

  /** Calls that are still to come. */
  get planned(): number {
    return this.#planned.size;
  }

  after(delayMs: number, then: () => void): Timer {
    const planned: Planned = {
      atMs: this.monotonicMs() + delayMs,
      then,
      timeout: setTimeout(() => this.#fire(planned), delayMs),
    };
    this.#planned.add(planned);
    return { cancel: () => this.#forget(planned) };
  }

  /** What falls due in between is called now, in its order, once. */
  skip(ms: number): void {
    this.#skippedMs += ms;
    const nowMs = this.monotonicMs();
    const due = [...this.#planned].sort((a, b) => a.atMs - b.atMs);
    for (const planned of due) {
      if (!this.#planned.has(planned)) continue;
      if (planned.atMs <= nowMs) this.#fire(planned);
      else {
        clearTimeout(planned.timeout);
        planned.timeout = setTimeout(() => this.#fire(planned), planned.atMs - nowMs);
      }
    }
  }

  #fire(planned: Planned): void {
    this.#forget(planned);
    planned.then();
  }

  #forget(planned: Planned): void {
    clearTimeout(planned.timeout);
    this.#planned.delete(planned);
  }
}
