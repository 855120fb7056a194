/** How far a part goes: `smoke` is a small run for every commit, `full` is what claims are made with. */
export type Scale = 'smoke' | 'full';

/** A target that a figure has to keep; null where the figure is only told. */
export type Limit = { readonly atMost: number } | { readonly atLeast: number } | null;

/** One figure of one run. */
export interface Measured {
  /** What was measured, as a reader of docs/performance.md needs it: `CPU per backup, nothing changed`. */
  readonly what: string;
  readonly value: number;
  /** `x` for a ratio of two figures of the same run; else `ms`, `s`, `MB`, `bytes`, `/s`. */
  readonly unit: 'x' | 'ms' | 's' | 'MB' | 'bytes' | '/s';
  readonly limit: Limit;
  /** What the figure hangs on, or why a limit is missed; null where nothing need be said. */
  readonly note: string | null;
}

/** One file of `bench/parts/`, found by listing; its default export. */
export interface BenchPart {
  /** As it is called on the command line: the name of its file. */
  readonly name: string;
  /** One sentence: what it measures. */
  readonly about: string;
  /**
   * Measures and cleans up behind itself.
   * @param say a line about progress, for who watches
   * @throws where nothing could be measured; a missed target is not an error
   */
  run(scale: Scale, say: (line: string) => void): Promise<readonly Measured[]>;
}
