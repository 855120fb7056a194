/** Where a case is tried: at every commit, by `npm run test:faults`, or by hand as docs/reliability.md tells. */
export type Tier = 'commit' | 'demand' | 'trial';

/** A test that shows a case. */
export interface Shown {
  /** Relative to the repository: `test/e2e/kill.test.ts`. */
  readonly file: string;
  /** Names of tests or groups in that file, as they are written there; each has to be found and to pass. */
  readonly names: readonly [string, ...string[]];
}

/** One of the 67 faults and abuses that lose nothing. */
export interface FaultCase {
  readonly number: number;
  /** What happens, in a few words: `kill -9 between spool and commit`. */
  readonly title: string;
  /** What an operator then finds, in a few words. */
  readonly expected: string;
  readonly tier: Tier;
  /** The tests; empty for a trial alone. */
  readonly shown: readonly Shown[];
  /** What a reader must know besides: the trial with its command and what was seen, or what is not covered and why; null for nothing. */
  readonly note: string | null;
}
