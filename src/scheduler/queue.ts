import type { Entry, Start } from './entry.ts';

/** What the schedule wants first: slots before what follows missed or failed ones, then what waited longest. */
function compare(a: Entry, b: Entry): number {
  const rank = ({ start }: Entry) => (start?.trigger === 'schedule' ? 0 : 1);
  const ready = ({ start }: Entry) => start?.notBeforeMs ?? 0;
  return rank(a) - rank(b) || ready(a) - ready(b);
}

/**
 * Runs that wait for a worker. The schedule and people take turns, so that neither an inventory that
 * somebody backs up by hand nor the round of the night keeps the other out.
 */
export class Queue<Asked extends { readonly entry: Entry }> {
  /** What people asked for, in that order. */
  readonly asked: Asked[] = [];
  readonly #wanted = new Set<Entry>();
  /** `#wanted` in order, and some that have left it. */
  #inOrder: Entry[] = [];
  #sorted = true;
  #peopleNext = true;

  /** Says what the schedule wants of a device now; null: nothing. */
  want(entry: Entry, start: Start | null): void {
    const before = entry.start;
    entry.start = start;
    if (start === null) this.#wanted.delete(entry);
    else {
      this.#wanted.add(entry);
      if (start.trigger !== before?.trigger || start.notBeforeMs !== before.notBeforeMs) this.#sorted = false;
    }
  }

  /** What the schedule wants. */
  get wanted(): ReadonlySet<Entry> {
    return this.#wanted;
  }

  get length(): number {
    return this.#wanted.size + this.asked.length;
  }

  /** The next one that `admits` lets in, taken out of the queue; null where none is let in. */
  take(admits: (entry: Entry, asked: Asked | null) => boolean): Asked | Entry | null {
    const taken = this.#peopleNext
      ? (this.#takeAsked(admits) ?? this.#takeWanted(admits))
      : (this.#takeWanted(admits) ?? this.#takeAsked(admits));
    if (taken !== null) this.#peopleNext = !this.#peopleNext;
    return taken;
  }

  #takeAsked(admits: (entry: Entry, asked: Asked | null) => boolean): Asked | null {
    const index = this.asked.findIndex((each) => admits(each.entry, each));
    return index < 0 ? null : (this.asked.splice(index, 1)[0] ?? null);
  }

  #takeWanted(admits: (entry: Entry, asked: Asked | null) => boolean): Entry | null {
    if (!this.#sorted) this.#inOrder = [...this.#wanted].sort(compare);
    this.#sorted = true;
    const entry = this.#inOrder.find((each) => this.#wanted.has(each) && admits(each, null));
    if (entry === undefined) return null;
    // It comes back at a new place, if it does.
    this.#wanted.delete(entry);
    return entry;
  }
}
