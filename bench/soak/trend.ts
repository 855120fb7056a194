import type { Sample } from './sample.ts';

/** What of one figure is compared, and how much more of it there may be at the end. */
interface Rule {
  readonly of: keyof Sample;
  /** Of the mean, over the days that are looked at. */
  readonly share: number;
  /** Besides; what comes and goes by itself. */
  readonly slack: number;
}

/**
 * Memory is what garbage collection makes of it, and the daemon keeps some bytes for every row of the last days. The
 * others are counted: each of them is there or is not. A process of git that stays while questions come has three pipes.
 */
const rules: readonly Rule[] = [
  { of: 'rssMb', share: 0.1, slack: 5 },
  { of: 'heapMb', share: 0.05, slack: 1 },
  { of: 'externalMb', share: 0.05, slack: 1 },
  { of: 'fds', share: 0, slack: 4 },
  { of: 'sockets', share: 0, slack: 4 },
  { of: 'handles', share: 0, slack: 3 },
  { of: 'timers', share: 0, slack: 2 },
  { of: 'spool', share: 0, slack: 2 },
  { of: 'transcripts', share: 0.25, slack: 5 },
  { of: 'ledgerBytesPerSlot', share: 0.05, slack: 0 },
];

export interface Trend {
  readonly of: string;
  readonly perDay: number;
  /** Over the days that were looked at. */
  readonly growth: number;
  readonly allowed: number;
  readonly grows: boolean;
}

/**
 * The straight line through each figure of the second half of the last life: in the first, caches fill and V8 finds its
 * size. Empty where that half is shorter than three days.
 */
export function trendsOf(samples: readonly Sample[]): readonly Trend[] {
  const youngest = Math.max(
    0,
    samples.findLastIndex(({ age }) => age <= 1),
  );
  const whole = samples.slice(youngest);
  const life = whole.slice(Math.floor(whole.length / 2));
  if (life.length < 3) return [];
  return rules.map(({ of, share, slack }) => {
    const values = life.map((sample) => sample[of]);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const perDay = slope(values);
    const growth = perDay * (values.length - 1);
    const allowed = mean * share + slack;
    return { of, perDay, growth, allowed, grows: growth > allowed };
  });
}

/** Of the straight line with the least squares, per value. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  let [above, below] = [0, 0];
  for (const [index, value] of values.entries()) {
    above += (index - middle) * (value - mean);
    below += (index - middle) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
