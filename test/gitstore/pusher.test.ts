import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PushFailureReason, RemoteStatus } from '../../src/core/remotes.ts';
import { usualLimits } from '../../src/gitstore/push.ts';
import { startPusher } from '../../src/gitstore/pusher.ts';
import { FakeClock } from '../support/fake-clock.ts';

const minute = 60_000;
const hour = 60 * minute;

/** A remote of numbers: it has `there` of the `here` commits, while nothing is wrong with it. */
class Replica {
  here = 0;
  there = 0;
  wrong: PushFailureReason | null = null;
  lastSuccessMs: number | null = null;
  readonly pushedAtMs: number[] = [];
  readonly clock: FakeClock;
  /** How long a push takes. */
  tookMs = 0;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  async status(): Promise<RemoteStatus> {
    const failure = this.wrong === null ? null : { reason: this.wrong, problem: 'it is so' };
    const { lastSuccessMs } = this;
    return { name: 'mirror', url: 'x', unpushed: this.here - this.there, lastSuccessMs, failure };
  }

  async push(_limits: unknown, signal: AbortSignal): Promise<RemoteStatus> {
    this.pushedAtMs.push(this.clock.monotonicMs());
    const tip = this.here;
    if (this.tookMs > 0)
      await new Promise<void>((resolve) => {
        this.clock.after(this.tookMs, resolve);
        signal.addEventListener('abort', () => resolve());
      });
    if (this.wrong === null && !signal.aborted) {
      this.there = tip;
      this.lastSuccessMs = this.clock.nowMs();
    }
    return this.status();
  }
}

function setUp(random = () => 1) {
  const clock = new FakeClock();
  const replica = new Replica(clock);
  const told: RemoteStatus[] = [];
  const onPushed = (status: RemoteStatus): void => void told.push(status);
  const start = () => startPusher({ replica, limits: usualLimits, clock, random, onPushed });
  const passes = (ms: number) =>
    clock.until(new Promise<void>((resolve) => void clock.after(ms, () => resolve())));
  return { clock, replica, told, start, passes };
}

describe('a remote', () => {
  it('gets what it lacks at the start, and is asked once a day where there is nothing new', async () => {
    const { replica, start, passes } = setUp();
    replica.here = 3;
    await using pusher = start();
    await passes(minute);
    expect(replica.pushedAtMs).toEqual([10_000]);
    expect(pusher.status()).toMatchObject({ unpushed: 0, failure: null });
    await passes(49 * hour);
    expect(replica.pushedAtMs).toEqual([10_000, 10_000 + 24 * hour, 10_000 + 48 * hour]);
  });

  it('gets the commits of some seconds in one push, and none of them waits longer than those', async () => {
    const { replica, start, passes } = setUp();
    await using pusher = start();
    await passes(minute);
    for (let n = 0; n < 30; n++) {
      replica.here += 1;
      pusher.committed();
      await passes(1_000);
    }
    await passes(minute);
    expect(replica.pushedAtMs.length).toBeLessThanOrEqual(4);
    expect(replica.pushedAtMs[0]).toBe(minute + 10_000);
    expect(replica.there).toBe(30);
  });

  it('tells at once of commits that it does not have', async () => {
    const { replica, start, passes } = setUp();
    await using pusher = start();
    await passes(minute);
    replica.here = 2;
    pusher.committed();
    pusher.committed();
    expect(pusher.status()?.unpushed).toBe(2);
    await passes(minute);
    expect(pusher.status()?.unpushed).toBe(0);
  });

  it('gets what was committed during a push with the next one', async () => {
    const { replica, start, passes } = setUp();
    replica.here = 1;
    replica.tookMs = minute;
    await using pusher = start();
    await passes(30_000);
    replica.here = 5;
    pusher.committed();
    await passes(5 * minute);
    expect(replica.there).toBe(5);
    expect(replica.pushedAtMs).toEqual([10_000, 10_000 + minute + 10_000]);
    expect(pusher.status()?.unpushed).toBe(0);
  });

  it('that is down is tried less and less often, whatever is committed, and gets everything once it is back', async () => {
    const { replica, told, start, passes } = setUp();
    replica.here = 1;
    replica.wrong = 'unreachable';
    await using pusher = start();
    for (let n = 0; n < 600; n++) {
      replica.here += 1;
      pusher.committed();
      await passes(minute);
    }
    const gaps = replica.pushedAtMs.slice(1).map((at, index) => at - (replica.pushedAtMs[index] ?? 0));
    expect(gaps.slice(0, 8)).toEqual([
      ...[30_000, minute, 2 * minute, 4 * minute, 8 * minute, 16 * minute],
      ...[32 * minute, hour],
    ]);
    expect(Math.max(...gaps)).toBe(hour);
    expect(pusher.status()).toMatchObject({ failure: { reason: 'unreachable' } });
    expect(pusher.status()?.unpushed).toBe(601);

    replica.wrong = null;
    await passes(hour);
    expect(replica.there).toBe(601);
    expect(told.at(-1)).toMatchObject({ unpushed: 0, failure: null });
    // And then it is as quick as before.
    replica.here += 1;
    pusher.committed();
    await passes(10_000);
    expect(replica.there).toBe(602);
  });

  it('never comes back sooner than half the time, nor later than all of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, noNaN: true }), async (random) => {
        const { replica, start, passes } = setUp(() => random);
        replica.here = 1;
        replica.wrong = 'silent';
        await using _pusher = start();
        await passes(5 * hour);
        for (const [index, at] of replica.pushedAtMs.slice(1).entries()) {
          const gap = at - (replica.pushedAtMs[index] ?? 0);
          const full = Math.min(hour, 30_000 * 2 ** index);
          expect(gap).toBeGreaterThanOrEqual(full / 2);
          expect(gap).toBeLessThanOrEqual(full);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('is left alone from the moment of the stop, and a push under way is ended', async () => {
    const { clock, replica, told, start, passes } = setUp();
    replica.here = 1;
    replica.tookMs = hour;
    const pusher = start();
    await passes(minute);
    await pusher[Symbol.asyncDispose]();
    pusher.committed();
    expect(told).toEqual([]);
    await passes(2 * hour);
    expect(replica.pushedAtMs).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });
});
