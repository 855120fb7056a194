import { hash } from 'node:crypto';
import type { ChainRecord } from './ledger.ts';

/** The hash before the first record. */
export const genesis: Uint8Array = new Uint8Array(32);

/** What a check of the chain found. */
export interface ChainCheck {
  /** Records that are in order, counted from the first. */
  readonly length: number;
  /** Hash (hex) of the last record that is in order; what a `Audit-Head` trailer can be compared with. */
  readonly head: string;
  /** The first record that is missing, moved or changed; null where all are in order. */
  readonly brokenAt: number | null;
}

/**
 * JSON in one way only: keys sorted, no white space, so that a hash over it can be computed again by
 * anybody. Throws for what JSON cannot hold exactly (undefined, NaN, functions, bigint).
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
  }
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  throw new TypeError(`${typeof value} cannot be recorded`);
}

/** SHA-256 over the previous hash and the record's UTF-8 bytes. */
export function chainHash(previous: Uint8Array, record: string): Uint8Array {
  return hash('sha256', Buffer.concat([previous, Buffer.from(record, 'utf8')]), 'buffer');
}

/**
 * Computes the chain again, oldest record first. A chain that was cut off at its end is whole in
 * itself: only a head that was kept elsewhere (a commit's `Audit-Head`) shows that.
 */
export function verifyChain(rows: Iterable<ChainRecord>): ChainCheck {
  let length = 0;
  let head = genesis;
  for (const row of rows) {
    const expected = chainHash(head, row.record);
    if (row.n !== length + 1 || Buffer.compare(expected, row.hash) !== 0) {
      return { length, head: Buffer.from(head).toString('hex'), brokenAt: length + 1 };
    }
    length = row.n;
    head = expected;
  }
  return { length, head: Buffer.from(head).toString('hex'), brokenAt: null };
}

/** What a record of the category `pruned` says, besides its time: rows of slots and runs that retention removed. */
export interface PruneRecord {
  /** The records that were looked at. */
  readonly first: number;
  readonly last: number;
  /** Where the next step begins. */
  readonly next: number;
  /** See `rowsGone`. */
  readonly gone: string;
  readonly runs: number;
  readonly slots: number;
  /** What these records tell of ended before this instant. UTC epoch milliseconds. */
  readonly before_ms: number;
}

/**
 * A bit for each record from `first` to `last`, the first one in the highest, in hexadecimal digits. Set: the row that
 * this record tells of was removed.
 */
export const rowsGone = {
  written(first: number, last: number, gone: ReadonlySet<number>): string {
    const digits: string[] = [];
    for (let n = first; n <= last; n += 4)
      digits.push(
        [0, 1, 2, 3].reduce((sum, bit) => sum + (gone.has(n + bit) ? 8 >> bit : 0), 0).toString(16),
      );
    return digits.join('');
  },

  /** Their numbers; none where this is no such record. */
  *read({ first, last, gone }: { readonly [Key in keyof PruneRecord]?: unknown }): Generator<number> {
    if (typeof first !== 'number' || typeof last !== 'number' || typeof gone !== 'string') return;
    for (const [index, digit] of [...gone].entries()) {
      const bits = Number.parseInt(digit, 16);
      for (const bit of [0, 1, 2, 3]) {
        const n = first + index * 4 + bit;
        if ((bits & (8 >> bit)) !== 0 && n <= last) yield n;
      }
    }
  },
};
