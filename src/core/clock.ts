/**
 * Time as a parameter, so that no test sleeps and no production code asks whether it is being tested.
 */
export interface Clock {
  /** Wall clock: UTC epoch milliseconds. It can jump in both directions. */
  nowMs(): number;
  /** Monotonic milliseconds from an arbitrary origin; only differences mean something. */
  monotonicMs(): number;
  /** Calls `then` once after `delayMs`, unless the returned timer is cancelled first. */
  after(delayMs: number, then: () => void): Timer;
}

/** A call that is going to happen. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, then) {
    const timer = setTimeout(then, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
