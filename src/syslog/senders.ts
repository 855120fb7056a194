import type { Clock } from '../core/clock.ts';

/** How often strangers are told of, and how many of them by their address. */
const tellMs = 10 * 60_000;
const most = 5;

/** Counts messages of senders that are no device, and tells of them once in a while, not once a message. */
export class Strangers {
  readonly #clock: Clock;
  readonly #tell: (messages: number, senders: readonly string[]) => void;
  readonly #senders = new Set<string>();
  #messages = 0;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, tell: (messages: number, senders: readonly string[]) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  heard(address: string): void {
    this.#messages += 1;
    if (this.#senders.size < most) this.#senders.add(address);
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#toldMs < tellMs) return;
    this.#toldMs = nowMs;
    this.#tell(this.#messages, [...this.#senders]);
    this.#messages = 0;
    this.#senders.clear();
  }
}
