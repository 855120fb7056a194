import type { Entry } from './entry.ts';

/** Who has a session now, and what that keeps others from. */
export class Sessions {
  workers: number;
  /** The entry that holds each address and each serial number. */
  readonly #holders = new Map<string, Entry>();
  readonly #keys = new Map<Entry, readonly string[]>();
  readonly #groups = new Map<string, number>();
  readonly #groupOf = new Map<Entry, string>();

  constructor(workers: number) {
    this.workers = workers;
  }

  get busy(): number {
    return this.#keys.size;
  }

  get full(): boolean {
    return this.busy >= this.workers;
  }

  get entries(): Iterable<Entry> {
    return this.#keys.keys();
  }

  /** Whether the session of another entry leads to this device: its address or one of its serial numbers. */
  locks(entry: Entry): boolean {
    if (this.#holders.size === 0) return false;
    return keysOf(entry).some((key) => {
      const holder = this.#holders.get(key);
      return holder !== undefined && holder !== entry;
    });
  }

  /** Whether a session to this device may begin now. */
  admits(entry: Entry): boolean {
    if (this.full || this.#keys.has(entry)) return false;
    const limit = entry.plan.maxSessions;
    const group = entry.device?.group ?? '';
    if (limit !== null && (this.#groups.get(group) ?? 0) >= limit) return false;
    return !this.locks(entry);
  }

  begin(entry: Entry): void {
    const keys = keysOf(entry);
    const group = entry.device?.group ?? '';
    for (const key of keys) this.#holders.set(key, entry);
    this.#keys.set(entry, keys);
    this.#groups.set(group, (this.#groups.get(group) ?? 0) + 1);
    this.#groupOf.set(entry, group);
  }

  /** As it began: a reload may have changed address and group meanwhile. */
  end(entry: Entry): void {
    for (const key of this.#keys.get(entry) ?? []) this.#holders.delete(key);
    this.#keys.delete(entry);
    const group = this.#groupOf.get(entry) ?? '';
    const left = (this.#groups.get(group) ?? 1) - 1;
    if (left > 0) this.#groups.set(group, left);
    else this.#groups.delete(group);
    this.#groupOf.delete(entry);
  }
}

function keysOf({ device, history }: Entry): readonly string[] {
  const address = device === null ? [] : [`${device.host.toLowerCase()}:${device.port}`];
  return [...address, ...history.serials.map((serial) => `serial ${serial}`)];
}
