/** What one client may do at once, and how much of that comes back in a second. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

interface Bucket {
  left: number;
  atMs: number;
}

/** Clients that are remembered. Who is forgotten begins with a full bucket: more addresses than that are another kind of attack. */
const mostBuckets = 10_000;

/** Token buckets, one for each client, on the monotonic clock. */
export class Buckets {
  readonly #rate: Rate;
  /** Whoever came last is last. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Takes one; 0 where there was one, else how many milliseconds until there is. */
  take(client: string, nowMs: number): number {
    const { burst, perSecond } = this.#rate;
    const before = this.#buckets.get(client) ?? { left: burst, atMs: nowMs };
    const left = Math.min(burst, before.left + ((nowMs - before.atMs) / 1_000) * perSecond);
    const taken = left >= 1;
    this.#buckets.delete(client);
    if (this.#buckets.size >= mostBuckets) this.#forgetOldest();
    this.#buckets.set(client, { left: taken ? left - 1 : left, atMs: nowMs });
    return taken ? 0 : ((1 - left) / perSecond) * 1_000;
  }

  #forgetOldest(): void {
    for (const client of this.#buckets.keys()) {
      this.#buckets.delete(client);
      return;
    }
  }
}
