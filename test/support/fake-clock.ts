import type { Clock, Timer } from '../../src/core/clock.ts';

interface Planned {
  readonly atMs: number;
  readonly then: () => void;
}

/** Time that passes only when it is told to. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #planned: Planned[] = [];

  nowMs(): number {
    return Date.UTC(2026, 0, 1) + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, then: () => void): Timer {
    const planned = { atMs: this.#nowMs + Math.max(0, delayMs), then };
    // Behind everything that is due at the same instant: those are called in the order in which they were planned.
    let index = this.#planned.length;
    while (index > 0 && (this.#planned[index - 1]?.atMs ?? 0) > planned.atMs) index--;
    this.#planned.splice(index, 0, planned);
    return {
      cancel: () => {
        this.#planned = this.#planned.filter((other) => other !== planned);
      },
    };
  }

  /** Timers that are still going to be called. */
  get pending(): number {
    return this.#planned.length;
  }

  /**
   * Lets time pass, from one planned call to the next, until `promise` is settled. Throws where nothing
   * is planned any more and the promise still waits: it would wait for ever.
   */
  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    for (;;) {
      await idle();
      if (settled) return promise;
      const next = this.#planned.shift();
      if (next === undefined) throw new Error('nothing is planned any more, and the promise still waits');
      this.#nowMs = next.atMs;
      next.then();
    }
  }
}

/** Everything that is ready to run has run. */
function idle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
