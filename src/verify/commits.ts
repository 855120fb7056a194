import type { RecordedCommit } from '../gitstore/history.ts';

/** A commit of main, and what the chain has said of it so far. */
export interface Commit {
  readonly commit: string;
  readonly atMs: number;
  readonly isOurs: boolean;
  /** Of its trailers; empty where it has none. */
  readonly runId: string;
  /** Digests of the sealed files that it names. */
  readonly sealed: string;
  /** Hash (hex) of the newest record when it was made; empty where it says nothing. */
  readonly head: string;
  /** Null: no record names it. */
  named: 'ours' | 'foreign' | null;
}

/** More than are written while commits are on their way. */
const remembered = 20_000;

/** Main as it is, oldest first; some hundred bytes for each commit. */
export class Commits {
  readonly #byId = new Map<string, Commit>();
  /** By hash: the record that has it; null until one is met. */
  readonly #heads = new Map<string, number | null>();
  /** The newest records that were met, by hash: a commit that is made meanwhile vouches for one of these. */
  #recent = new Map<string, number>();
  #lessRecent = new Map<string, number>();

  add({ commit, atMs, isOurs, trailers }: RecordedCommit): void {
    const last = (key: string): string => trailers.findLast(([one]) => one === key)?.[1] ?? '';
    const head = /^[0-9a-f]{64}$/.exec(last('Audit-Head'))?.[0] ?? '';
    const sealed = trailers.flatMap(([key, value]) => (key === 'Sealed' ? [value] : [])).join(' ');
    this.#byId.set(commit, { commit, atMs, isOurs, runId: last('Run-Id'), sealed, head, named: null });
    if (head === '') return;
    const before = this.#heads.get(head) ?? this.#recent.get(head) ?? this.#lessRecent.get(head) ?? null;
    this.#heads.set(head, /^0+$/.test(head) ? 0 : before);
  }

  get(commit: string): Commit | null {
    return this.#byId.get(commit) ?? null;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Oldest first. */
  all(): Iterable<Commit> {
    return this.#byId.values();
  }

  /** A record with this hash was met. */
  met(hash: string, n: number): void {
    if (this.#heads.has(hash)) this.#heads.set(hash, n);
    this.#recent.set(hash, n);
    if (this.#recent.size < remembered) return;
    this.#lessRecent = this.#recent;
    this.#recent = new Map();
  }

  /** The record whose hash a commit names; null: there is none. */
  anchorOf({ head }: Commit): number | null {
    return this.#heads.get(head) ?? null;
  }
}
