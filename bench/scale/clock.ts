import type { Clock, Timer } from '../../src/core/clock.ts';

/** The machine's own clocks, ahead by what they were moved; what is planned is called by `runDue` alone. */
export class BenchClock implements Clock {
  readonly #startMs: number;
  readonly #origin = performance.now();
  #aheadMs = 0;
  #planned: { readonly atMs: number; readonly then: () => void }[] = [];

  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    return Math.floor(this.#startMs + performance.now() - this.#origin + this.#aheadMs);
  }

  monotonicMs(): number {
    return performance.now() + this.#aheadMs;
  }

  after(delayMs: number, then: () => void): Timer {
    const planned = { atMs: this.monotonicMs() + delayMs, then };
    this.#planned.push(planned);
    return {
      cancel: () => {
        this.#planned = this.#planned.filter((other) => other !== planned);
      },
    };
  }

  advance(byMs: number): void {
    this.#aheadMs += byMs;
  }

  /** Calls everything that is due by now, also what is planned meanwhile; returns how long the longest of it took. */
  runDue(): number {
    let longestMs = 0;
    for (;;) {
      const due = this.#planned.find(({ atMs }) => atMs <= this.monotonicMs());
      if (due === undefined) return longestMs;
      this.#planned = this.#planned.filter((other) => other !== due);
      const began = performance.now();
      due.then();
      longestMs = Math.max(longestMs, performance.now() - began);
    }
  }
}
