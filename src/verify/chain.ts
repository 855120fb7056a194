import { createHash } from 'node:crypto';
import { instant } from '../core/units.ts';
import { chainHash, genesis } from '../ledger/audit.ts';
import type { ChainRecord } from '../ledger/ledger.ts';
import type { Findings } from './finding.ts';

/** What a record says: an object, whatever is in it. */
export type Said = Readonly<Record<string, unknown>>;

/** A record as it was met. */
export interface Met {
  readonly n: number;
  /** As it is stored (hex): what an `Audit-Head` can be compared with. */
  readonly hash: string;
  readonly said: Said;
  /** UTC epoch milliseconds; null where it does not say. */
  readonly atMs: number | null;
}

/** Where the chain had come to. */
export interface Head {
  readonly n: number;
  readonly hash: Uint8Array;
}

export const beforeTheFirst: Head = { n: 0, hash: genesis };

/**
 * Computes the chain again from `head` on and passes every record on, sound or not. What does not follow is a finding;
 * after it the stored hashes are believed again, so that each place is found and not only the first. Returns the head
 * that it came to. Of the records, one at a time is in memory, and the next one.
 */
export function* checkChain(
  records: Iterable<ChainRecord>,
  head: Head,
  findings: Findings,
): Generator<Met, Head> {
  let { n, hash } = head;
  /** Of two that changed places the first one's hash, which what comes after both follows. */
  let swapped: Uint8Array | null = null;
  for (const [row, next] of withNext(records)) {
    const said = parsed(row.record);
    const atMs = typeof said?.at_ms === 'number' ? said.at_ms : null;
    if (row.n !== n + 1) {
      const gone = row.n > n + 1;
      const span = row.n - n > 2 ? `records ${n + 1} to ${row.n - 1}` : `record ${n + 1}`;
      findings.add(
        gone ? 'chain.gap' : 'chain.order',
        gone ? span : `record ${row.n}`,
        gone
          ? `${row.n - n > 2 ? 'are' : 'is'} gone from the ledger; the next one is of ${moment(atMs)}`
          : 'has a number that no record can have',
        atMs,
        `${row.n} ${textDigest(row)}`,
      );
      // What was taken away is what the next one followed.
      hash = row.hash;
      swapped = null;
    } else if (swapped !== null) {
      // Told of with the one before it.
      hash = swapped;
      swapped = null;
    } else {
      const placed = follow(row, next, hash, atMs, findings);
      hash = placed.hash;
      swapped = placed.swapped ? row.hash : null;
    }
    n = row.n;
    yield { n, hash: Buffer.from(row.hash).toString('hex'), said: said ?? {}, atMs };
  }
  return { n, hash };
}

/** The hash that the next record has to follow, and whether these two changed places. */
function follow(
  row: ChainRecord,
  next: ChainRecord | null,
  previous: Uint8Array,
  atMs: number | null,
  findings: Findings,
): { readonly hash: Uint8Array; readonly swapped: boolean } {
  const computed = chainHash(previous, row.record);
  const on = (hash: Uint8Array, swapped = false) => ({ hash, swapped });
  if (isSame(computed, row.hash)) return on(row.hash);
  const add = (kind: 'chain.changed' | 'chain.order', where: string, what: string): void =>
    findings.add(kind, where, what, atMs, textDigest(row));
  if (next !== null && next.n === row.n + 1) {
    if (
      isSame(chainHash(previous, next.record), next.hash) &&
      isSame(chainHash(next.hash, row.record), row.hash)
    ) {
      add(
        'chain.order',
        `records ${row.n} and ${next.n}`,
        `have changed places; they are of ${moment(atMs)}`,
      );
      return on(previous, true);
    }
    if (isSame(chainHash(previous, next.record), next.hash)) {
      add('chain.changed', `record ${row.n}`, `was put in between; it says that it is of ${moment(atMs)}`);
      return on(previous);
    }
    if (isSame(chainHash(computed, next.record), next.hash)) {
      add(
        'chain.changed',
        `record ${row.n}`,
        `has another hash than it was written with; it is of ${moment(atMs)}`,
      );
      return on(computed);
    }
  }
  add(
    'chain.changed',
    `record ${row.n}`,
    `does not follow from record ${row.n - 1}: it was changed, or one before it was taken away; it is of ${moment(atMs)}`,
  );
  return on(row.hash);
}

function* withNext(records: Iterable<ChainRecord>): Generator<[ChainRecord, ChainRecord | null]> {
  let waiting: ChainRecord | null = null;
  for (const record of records) {
    if (waiting !== null) yield [waiting, record];
    waiting = record;
  }
  if (waiting !== null) yield [waiting, null];
}

/** Null where it is no object of JSON. */
function parsed(text: string): Said | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Said) : null;
  } catch {
    return null;
  }
}

function moment(atMs: number | null): string {
  return atMs === null || Math.abs(atMs) > 8e15 ? 'an unknown time' : instant(atMs);
}

function textDigest({ record, hash }: ChainRecord): string {
  return createHash('sha256').update(record).update(hash).digest('hex');
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
