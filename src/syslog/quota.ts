/** At most so many in any hour, on the monotonic clock. */
export class Quota {
  readonly #perHour: () => number;
  /** When each of the last hour was; oldest first, never more than the limit. */
  #taken: number[] = [];

  constructor(perHour: () => number) {
    this.#perHour = perHour;
  }

  /** How long until one more is allowed; 0: now. */
  waitMs(nowMs: number): number {
    this.#taken = this.#taken.filter((atMs) => atMs > nowMs - hourMs);
    const over = this.#taken.length - this.#perHour();
    return over < 0 ? 0 : Math.max(1, (this.#taken[over] ?? nowMs) + hourMs - nowMs);
  }

  take(nowMs: number): void {
    this.#taken.push(nowMs);
  }
}

const hourMs = 3_600_000;
