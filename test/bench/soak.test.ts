import { describe, expect, it } from 'vitest';
import type { Sample } from '../../bench/soak/sample.ts';
import { trendsOf } from '../../bench/soak/trend.ts';

/** The days of one life; what a figure says is by the number of the day. */
function life(days: number, figures: (day: number) => Partial<Sample>): Sample[] {
  const quiet = {
    ...{ rssMb: 200, heapMb: 45, externalMb: 28, fds: 31, sockets: 4, handles: 10, timers: 4 },
    ...{ spool: 0, transcripts: 10, sealed: 80, loose: 0, packs: 3, slots: 1, ledgerBytesPerSlot: 2000 },
  };
  return Array.from({ length: days }, (_, index) => {
    const day = index + 1;
    return { ...quiet, day, age: day, ...figures(day) };
  });
}

const growing = (samples: readonly Sample[]) =>
  trendsOf(samples).flatMap(({ of, grows }) => (grows ? [of] : []));

describe('the verdict of the soak', () => {
  it('finds nothing in days that are alike, or that come and go', () => {
    expect(growing(life(10, () => ({})))).toEqual([]);
    const saw = life(10, (day) => ({ heapMb: 42 + (day % 4), fds: 31 + (day % 2), spool: day % 2 }));
    expect(growing(saw)).toEqual([]);
  });

  it.each<[string, (day: number) => Partial<Sample>]>([
    ['fds', (day) => ({ fds: 31 + 2 * day })],
    ['sockets', (day) => ({ sockets: 4 + 2 * day })],
    ['timers', (day) => ({ timers: 4 + day })],
    ['handles', (day) => ({ handles: 10 + day })],
    ['heapMb', (day) => ({ heapMb: 45 + day })],
    ['rssMb', (day) => ({ rssMb: 200 + 10 * day })],
    ['transcripts', (day) => ({ transcripts: 10 * day })],
    ['spool', (day) => ({ spool: day })],
  ])('finds that %s grow by every day', (of, figures) => {
    expect(growing(life(10, figures))).toEqual([of]);
  });

  it('looks at the second half of the last life alone', () => {
    const before = life(8, (day) => ({ heapMb: 45 + 10 * day }));
    expect(growing([...before, ...life(6, (day) => ({ heapMb: day <= 3 ? 15 * day : 45 }))])).toEqual([]);
  });

  it('says nothing of a life that is too short to tell', () => {
    expect(trendsOf(life(3, (day) => ({ fds: 31 + day })))).toEqual([]);
  });
});
