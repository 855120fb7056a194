import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterBlackout,
  earlyWindowMs,
  expectedSlots,
  nextStartMs,
  slotTimes,
  splayMs,
  startWithinMs,
} from '../../src/scheduler/due.ts';
import { at, calendar, day, failing, good, hour, minute, nightly, rejected, start, World } from './world.ts';

const night = start + 2 * hour;
const device = (plan = {}) => ({ deviceId: 'fw1', maxRuntimeMs: 30 * minute, plan: { ...nightly, ...plan } });

describe('the times of a slot', () => {
  it('are start_within after the slot plus splay, and max_runtime after the start', () => {
    const times = slotTimes(calendar, device({ splayMs: 10 * minute }), night);
    const splay = splayMs(calendar, 'fw1', { ...nightly, splayMs: 10 * minute });
    expect(times).toEqual({
      slotMs: night,
      notBeforeMs: night + splay,
      lastStartMs: night + splay + hour,
      deadlineMs: night + splay + hour + 30 * minute,
      hidden: false,
    });
  });

  it.each([
    ['0 2 * * *', hour, 5 * minute],
    ['0 * * * *', 30 * minute, 5 * minute],
    ['*/10 * * * *', 5 * minute, 2.5 * minute],
    ['* * * * *', 30_000, 15_000],
  ])(
    'of %s: start_within is the smaller of 1 h and half the interval, early_window of 5 min and a quarter',
    (schedule, within, early) => {
      expect(startWithinMs(calendar, { ...nightly, schedule })).toBe(within);
      expect(earlyWindowMs(calendar, { ...nightly, schedule })).toBe(early);
    },
  );

  it('a start_within that is longer than the interval ends where the next slot begins', () => {
    const times = slotTimes(calendar, device({ schedule: '0 * * * *', startWithinMs: day }), night);
    expect(times.lastStartMs).toBe(night + hour);
  });
});

describe('splay', () => {
  it('is hash(device) mod splay, stable over restarts', () => {
    const plan = { ...nightly, splayMs: hour };
    expect(['fw1', 'fw2', 'asa-hq'].map((id) => splayMs(calendar, id, plan))).toMatchInlineSnapshot(`
      [
        1759248,
        2692274,
        417712,
      ]
    `);
  });

  it('is 5 min by default for schedules of an hour or more, else 0', () => {
    const spread = (schedule: string) =>
      Array.from({ length: 200 }, (_, n) =>
        splayMs(calendar, `fw${n}`, { ...nightly, schedule, splayMs: null }),
      );
    for (const schedule of ['0 2 * * *', '0 * * * *']) {
      expect(Math.max(...spread(schedule))).toBeLessThan(5 * minute);
      expect(Math.max(...spread(schedule))).toBeGreaterThan(4.5 * minute);
    }
    expect(new Set(spread('*/30 * * * *'))).toEqual(new Set([0]));
  });

  it('spreads a fleet evenly', () => {
    const counts = new Array<number>(10).fill(0);
    for (let n = 0; n < 5000; n++) {
      const tenth = Math.floor(splayMs(calendar, `fw-${n}`, { ...nightly, splayMs: 10_000 }) / 1000);
      counts[tenth] = (counts[tenth] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(400);
    expect(Math.max(...counts)).toBeLessThan(600);
  });
});

describe('a slot', () => {
  it('is served by the run that it starts', () => {
    const world = new World();
    world.live(day);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 changed']);
    expect(world.history()).toEqual(['2026-01-01T02:00 schedule changed']);
  });

  it('is failed with the code of its run', () => {
    const world = new World();
    world.reading = rejected;
    world.live(day);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 failed{login.rejected}']);
    expect(world.history()).toHaveLength(1);
  });

  it.each([
    ['rejected the login', 'login.rejected', 1],
    ['did not answer', 'connect.timeout', 22],
    ['passes nothing on', 'not-forwarded', 22],
  ])('whose jump host %s is retried like a device that did', (_what, atJumpHost, runs) => {
    const world = new World();
    world.reading = { ...failing, code: 'connect.jump', atJumpHost };
    world.live(day);
    expect(world.history()).toHaveLength(runs);
  });

  it('that cannot start within its window is missed{overload}', () => {
    const world = new World();
    world.workers = false;
    world.live(3 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 open']);
    world.wait(minute);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 missed{overload}']);
  });

  it('that cannot start because of another session is missed{overlap}', () => {
    const world = new World();
    world.locked = true;
    world.live(4 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 missed{overlap}']);
  });

  it('that passes in a pause is missed{paused}, and is made up for once when that is over', () => {
    const world = new World();
    world.paused = true;
    world.live(5 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 missed{paused}']);
    world.resume(start);
    world.live(day - 5 * hour);
    expect(world.history()).toEqual(['2026-01-01T05:01 catch-up changed']);
  });

  it('of a disabled device is skipped{disabled}', () => {
    const world = new World();
    world.edit({}, false);
    world.live(2 * day);
    expect(world.ledger()).toEqual([
      '2026-01-01T02:00 skipped{disabled}',
      '2026-01-02T02:00 skipped{disabled}',
    ]);
    expect(world.runs).toEqual([]);
  });

  it('carries its deadline as the time of being missed, and when that was detected beside it', () => {
    const world = new World();
    world.restart(2 * day);
    expect(world.said.filter(({ kind }) => kind === 'close')).toMatchObject([
      { slotMs: night, deadlineMs: night + 1.5 * hour, detectedAtMs: start + 2 * day },
      { slotMs: night + day, deadlineMs: night + day + 1.5 * hour, detectedAtMs: start + 2 * day },
    ]);
  });

  it('keeps the deadline that its row was written with', () => {
    const world = new World();
    world.workers = false;
    world.live(2 * hour + minute);
    world.edit({ startWithinMs: 2 * hour });
    world.live(3 * hour);
    expect(world.said).toContainEqual(
      expect.objectContaining({ kind: 'close', deadlineMs: night + 1.5 * hour }),
    );
    expect(world.due()).toBe(night + 1.5 * hour);
  });

  it('is expected from registration on', () => {
    const from = {
      plan: nightly,
      registeredAtMs: night,
      planSinceMs: null,
      lastSlotMs: null,
      upSinceMs: start,
    };
    expect(expectedSlots(calendar, from, night + day).slots).toEqual([night + day]);
    expect(expectedSlots(calendar, { ...from, registeredAtMs: night - 1 }, night + day).slots).toEqual([
      night,
      night + day,
    ]);
  });
});

describe('which run serves which slot', () => {
  const manual = (world: World, outcome: typeof good, lastsMs: number) => {
    world.reading = { ...outcome, lastsMs };
    world.begin('manual');
    world.reading = good;
  };

  it('a run in progress when a slot falls due serves it, once successful', () => {
    const world = new World();
    world.live(2 * hour - 10 * minute);
    manual(world, good, 3 * hour);
    world.live(2 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 open']);
    world.live(2 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 changed']);
    expect(world.history()).toEqual(['2026-01-01T01:50 manual changed']);
  });

  it('only if it fails is the slot failed with it', () => {
    const world = new World();
    world.live(2 * hour - 10 * minute);
    manual(world, rejected, 20 * minute);
    world.live(4 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 failed{login.rejected}']);
    expect(world.history()).toHaveLength(1);
  });

  it('a success up to early_window before a slot serves it', () => {
    const world = new World();
    world.live(2 * hour - 5 * minute - minute);
    manual(world, good, minute);
    world.live(hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 changed']);
    expect(world.history()).toEqual(['2026-01-01T01:54 manual changed']);
  });

  it('an older success does not, nor does an early failure', () => {
    for (const [reading, before] of [
      [good, 7],
      [failing, 4],
    ] as const) {
      const world = new World();
      world.live(2 * hour - before * minute);
      manual(world, reading, minute);
      world.live(hour);
      expect(world.history().at(-1)).toBe('2026-01-01T02:00 schedule changed');
    }
  });

  it('one run serves at most one slot', () => {
    const world = new World({ schedule: '*/10 * * * *' });
    world.live(5 * minute);
    manual(world, good, 8 * minute);
    world.live(10 * minute);
    expect(world.ledger()).toEqual(['2026-01-01T00:10 changed']);
    world.live(6 * minute);
    expect(world.history()).toEqual(['2026-01-01T00:05 manual changed', '2026-01-01T00:20 schedule changed']);
  });

  it('not even where it ends within early_window of the next', () => {
    const world = new World({ schedule: '*/10 * * * *' });
    world.live(5 * minute);
    manual(world, good, 14 * minute);
    world.live(17 * minute);
    expect(world.history()).toEqual(['2026-01-01T00:05 manual changed', '2026-01-01T00:20 schedule changed']);
  });

  it('a success in a downtime of ours serves the slot that fell due during it, not one before it', () => {
    for (const [begun, state] of [
      [-10, 'changed'],
      [10, 'missed{collector_down}'],
    ] as const) {
      const world = new World();
      world.nowMs = night + begun * minute;
      manual(world, good, 15 * minute);
      world.pass(15 * minute);
      world.restart(5 * minute);
      expect(world.ledger()).toEqual([`2026-01-01T02:00 ${state}`]);
      expect(world.runs).toHaveLength(1);
    }
  });

  it("a failed run that no slot asked for is nobody's to repeat", () => {
    const world = new World();
    world.live(2 * hour - 3 * minute);
    manual(world, good, minute);
    world.live(30 * minute);
    manual(world, failing, minute);
    world.live(5 * hour);
    expect(world.runs).toHaveLength(2);
  });

  it('a slot that waits for a run that serves another is missed{overlap} when its window is over', () => {
    const world = new World({ schedule: '*/10 * * * *' });
    world.live(5 * minute);
    manual(world, good, 26 * minute);
    world.live(30 * minute);
    expect(world.ledger()).toEqual([
      '2026-01-01T00:10 changed',
      '2026-01-01T00:20 missed{overlap}',
      '2026-01-01T00:30 changed',
    ]);
  });

  it('also where that run is still going on', () => {
    const world = new World({ schedule: '*/10 * * * *', splayMs: 2 * minute });
    world.reading = { ...good, lastsMs: 25 * minute };
    world.live(28 * minute);
    expect(world.ledger()).toEqual(['2026-01-01T00:10 open', '2026-01-01T00:20 missed{overlap}']);
  });

  it('a slot waits for a run that began while it could still start', () => {
    const world = new World();
    world.workers = false;
    world.live(2 * hour + 50 * minute);
    manual(world, good, 30 * minute);
    world.live(20 * minute);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 open']);
    world.live(10 * minute);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 changed']);
  });

  it('a success of another run while a slot waits serves it: no second reading', () => {
    const world = new World();
    world.workers = false;
    world.live(2 * hour + 10 * minute);
    manual(world, good, minute);
    world.workers = true;
    world.live(hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 changed']);
    expect(world.history()).toEqual(['2026-01-01T02:10 manual changed']);
  });
});

describe('a failed nightly is not left until tomorrow', () => {
  it('follow-up runs come every retry_later until the next slot', () => {
    const world = new World({ schedule: '0 */6 * * *', retryLaterMs: 2 * hour });
    world.reading = failing;
    world.live(12 * hour);
    expect(world.history()).toEqual([
      '2026-01-01T06:00 schedule failed',
      '2026-01-01T08:01 retry failed',
      '2026-01-01T10:02 retry failed',
      '2026-01-01T12:00 schedule undefined',
    ]);
    expect(world.ledger()[0]).toBe('2026-01-01T06:00 failed{connect.timeout}');
  });

  it('they end with the first success', () => {
    const world = new World();
    world.reading = failing;
    world.live(4 * hour);
    world.reading = good;
    world.live(day - 4 * hour);
    expect(world.history()).toEqual([
      '2026-01-01T02:00 schedule failed',
      '2026-01-01T03:01 retry failed',
      '2026-01-01T04:02 retry changed',
    ]);
  });

  it('there are none where only a person can help', () => {
    const world = new World();
    world.reading = rejected;
    world.live(day);
    expect(world.history()).toHaveLength(1);
  });

  it('a run that was killed is failed{run.interrupted} and followed up', () => {
    const world = new World();
    world.reading = { ...good, lastsMs: 20 * minute };
    world.live(2 * hour + 5 * minute);
    world.restart(minute);
    world.live(3 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 failed{run.interrupted}']);
    expect(world.history()).toEqual(['2026-01-01T02:00 schedule failed', '2026-01-01T03:05 retry changed']);
  });
});

describe('our own downtime counts', () => {
  it.each([
    ['3 minutes', 3 * minute],
    ['3 days', 3 * day],
  ])('%s: every slot of it becomes missed{collector_down}, then comes one catch-up', (_, away) => {
    const world = new World();
    world.live(2 * hour - minute);
    world.restart(away);
    expect(new Set(world.ledger().map((row) => row.slice(17)))).toEqual(new Set(['missed{collector_down}']));
    expect(world.rows.size).toBe(Math.ceil(away / day));
    world.live(hour);
    expect(world.history()).toEqual([`${at(world.upSinceMs)} catch-up changed`]);
  });

  it('3 months: 31 days of rows, then one row "and n more", then one catch-up', () => {
    const world = new World();
    world.restart(90 * day);
    expect(world.ledger()).toHaveLength(1 + 31);
    expect(world.ledger()[0]).toBe('2026-01-01T02:00 missed{collector_down} and 58 more');
    expect(world.runs).toHaveLength(1);
  });

  it('100 rows where the schedule is denser', () => {
    const world = new World({ schedule: '* * * * *' });
    world.restart(90 * day);
    expect(world.ledger()).toHaveLength(101);
    expect(world.ledger()[0]).toBe(`2026-01-01T00:01 missed{collector_down} and ${90 * 1440 - 101} more`);
  });

  it('the newest slot has a row of its own however long ago it was', () => {
    const world = new World({ schedule: '0 2 1 1,4,7,10 *' });
    world.restart(355 * day);
    expect(world.ledger()).toEqual([
      '2026-01-01T02:00 missed{collector_down} and 2 more',
      '2026-10-01T02:00 missed{collector_down}',
    ]);
    world.restart(minute);
    expect(world.rows.size).toBe(2);
  });

  it('the catch-up is spread over catch_up_spread and gives way to the next slot', () => {
    const world = new World({ catchUpSpreadMs: 4 * hour });
    world.live(2 * hour - minute);
    world.restart(10 * minute);
    const planned = nextStartMs(calendar, world.view(), world.nowMs) ?? 0;
    expect(planned).toBeGreaterThan(world.nowMs + 10 * minute);
    world.live(5 * hour);
    expect(world.history()).toEqual([`${at(planned + minute - 1)} catch-up changed`]);

    const late = new World({ catchUpSpreadMs: 4 * hour });
    late.restart(day + hour + 50 * minute);
    late.live(hour);
    expect(late.history()).toEqual(['2026-01-02T02:00 schedule changed']);
  });

  it('a slot that was open already when the daemon stopped still runs within its window', () => {
    const world = new World();
    world.workers = false;
    world.live(2 * hour);
    world.workers = true;
    world.restart(20 * minute);
    world.live(hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 changed']);
  });

  it('and is missed{collector_down} after it', () => {
    const world = new World();
    world.workers = false;
    world.live(2 * hour);
    world.restart(2 * hour);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 missed{collector_down}']);
  });
});

describe('clock', () => {
  it('a clock that goes back runs no slot twice', () => {
    const world = new World({ schedule: '0 * * * *' });
    world.live(day);
    const runs = world.runs.length;
    world.jump(-day + minute);
    world.live(day - 2 * minute);
    expect(world.runs).toHaveLength(runs);
    world.live(2 * hour);
    expect(world.runs).toHaveLength(runs + 1);
  });

  it('forward: missed{clock} is said, and there is no storm', () => {
    const world = new World({ schedule: '0 * * * *' });
    world.live(90 * minute);
    world.jump(day + 10 * minute);
    expect(
      world
        .ledger()
        .slice(1)
        .map((row) => row.slice(17)),
    ).toEqual(new Array(24).fill('missed{clock}'));
    world.live(15 * minute);
    expect(world.history().slice(1)).toEqual(['2026-01-02T01:40 catch-up changed']);
  });

  it('25 years ahead and back again: the slots that were counted as missed are made up for as they come', () => {
    const world = new World();
    world.live(day);
    world.jump(25 * 365 * day);
    world.live(30 * minute);
    expect(world.rows.size).toBe(33);
    world.jump(-25 * 365 * day);
    const runs = world.runs.length;
    world.live(3 * day);
    expect(world.history().slice(runs)).toEqual([
      '2026-01-02T02:00 catch-up changed',
      '2026-01-03T02:00 catch-up changed',
      '2026-01-04T02:00 catch-up changed',
    ]);
    expect(world.due()).toBe(start + 4 * day + 3.5 * hour);
  });

  it('a slot that was made up for ahead of its time is not made up for again', () => {
    for (const [reading, runs] of [
      [good, 1],
      [rejected, 1],
      [failing, 2],
    ] as const) {
      const world = new World();
      world.reading = reading;
      world.jump(8 * hour);
      world.live(2 * minute);
      world.jump(-8 * hour);
      world.live(4 * hour - 2 * minute);
      expect(world.runs).toHaveLength(runs);
      if (runs === 2) expect(world.history()[1]).toBe('2026-01-01T03:00 retry failed');
    }
  });

  it('a device that was registered by a wrong clock is expected once that is right', () => {
    const world = new World();
    world.jump(-30 * day);
    world.live(day);
    expect(world.ledger()).toEqual(['2025-12-02T02:00 changed']);
  });

  it('after such a jump a device without backups is overdue', () => {
    const world = new World();
    world.live(day);
    world.jump(25 * 365 * day);
    world.live(30 * minute);
    world.jump(-25 * 365 * day);
    world.reading = rejected;
    world.live(3 * day);
    expect(world.due()).toBeLessThan(world.nowMs);
  });
});

describe('blackout windows', () => {
  const evening = [{ schedule: '0 1 * * *', durationMs: 3 * hour }];

  it('a slot inside moves to the end of the window; it keeps its identity', () => {
    const world = new World({ blackout: evening });
    world.live(day);
    expect(world.ledger()).toEqual(['2026-01-01T02:00 changed']);
    expect(world.history()).toEqual(['2026-01-01T04:00 schedule changed']);
    expect(slotTimes(calendar, device({ blackout: evening }), night).deadlineMs).toBe(start + 5.5 * hour);
  });

  it('of many slots inside the last one runs, the others are skipped{blackout}', () => {
    const world = new World({ schedule: '*/30 * * * *', blackout: evening });
    world.live(4.5 * hour);
    expect(world.ledger().slice(1)).toEqual([
      '2026-01-01T01:00 skipped{blackout}',
      '2026-01-01T01:30 skipped{blackout}',
      '2026-01-01T02:00 skipped{blackout}',
      '2026-01-01T02:30 skipped{blackout}',
      '2026-01-01T03:00 skipped{blackout}',
      '2026-01-01T03:30 skipped{blackout}',
      '2026-01-01T04:00 changed',
      '2026-01-01T04:30 open',
    ]);
  });

  it('nothing starts in one: neither a retry nor a catch-up', () => {
    const world = new World({ blackout: [{ schedule: '10 2 * * *', durationMs: 5 * hour }] });
    world.reading = failing;
    world.live(12 * hour);
    expect(world.history().slice(0, 2)).toEqual([
      '2026-01-01T02:00 schedule failed',
      '2026-01-01T07:10 retry failed',
    ]);
    const down = new World({ blackout: evening });
    down.live(hour);
    down.restart(90 * minute);
    down.live(4 * hour);
    expect(down.history()).toEqual(['2026-01-01T04:00 catch-up changed']);
  });

  it('a start that waits is over when one begins', () => {
    const world = new World({ blackout: [{ schedule: '20 2 * * *', durationMs: hour }] });
    world.workers = false;
    world.live(2 * hour + minute);
    expect(world.said.at(-1)).toMatchObject({ kind: 'start', notAfterMs: night + 20 * minute - 1 });
  });

  it('a splay that would carry a slot into a window carries it to its end', () => {
    const plan = { splayMs: 2 * hour, blackout: [{ schedule: '1 2 * * *', durationMs: 4 * hour }] };
    const splay = splayMs(calendar, 'fw1', { ...nightly, ...plan });
    expect(slotTimes(calendar, device(plan), night).notBeforeMs).toBe(night + 4 * hour + minute + splay);
    expect(slotTimes(calendar, device(plan), night).slotMs).toBe(night);
  });

  it('windows that touch each other are one; one that never ends is known as such', () => {
    const both = [
      { schedule: '0 1 * * *', durationMs: 5 * hour },
      { schedule: '0 2 * * *', durationMs: hour },
    ];
    expect(afterBlackout(calendar, { ...nightly, blackout: both }, night)).toBe(start + 6 * hour);
    const touching = [
      { schedule: '0 1 * * *', durationMs: 3 * hour },
      { schedule: '0 4 * * *', durationMs: hour },
    ];
    expect(afterBlackout(calendar, { ...nightly, blackout: touching }, night)).toBe(start + 5 * hour);
    expect(afterBlackout(calendar, { ...nightly, blackout: touching }, start + 5 * hour)).toBe(
      start + 5 * hour,
    );
    expect(
      afterBlackout(calendar, { ...nightly, blackout: [{ schedule: '0 * * * *', durationMs: hour }] }, night),
    ).toBeNull();
  });

  it('max_age is a ceiling that no blackout can hide', () => {
    const world = new World({ maxAgeMs: 2 * day });
    world.live(day);
    world.edit({ blackout: [{ schedule: '0 0 * * *', durationMs: day }] });
    world.live(5 * day);
    expect(
      world
        .ledger()
        .slice(1)
        .map((row) => row.slice(17)),
    ).toContain('skipped{blackout}');
    expect(world.due()).toBe(night + minute + 2 * day);
  });
});

describe('due time', () => {
  it('is the deadline of the first slot, then of the next one', () => {
    const world = new World();
    expect(world.due()).toBe(night + 1.5 * hour);
    world.live(3 * hour);
    expect(world.due()).toBe(night + day + 1.5 * hour);
  });

  it('stays at the oldest slot without a success for as long as there is none', () => {
    const world = new World();
    world.reading = rejected;
    world.live(2 * day);
    world.restart(3 * day);
    world.live(2 * day);
    expect(world.due()).toBe(night + 1.5 * hour);
  });

  it('is not moved by a slot that no tick has recorded yet, nor by a start before its first tick', () => {
    const world = new World();
    world.live(3 * hour);
    const due = world.due();
    world.nowMs += 40 * day;
    expect(world.due()).toBe(due);
  });

  it('any success clears all older slots for due; their end states stay what they were', () => {
    const world = new World();
    world.restart(3 * day);
    const before = world.ledger();
    world.live(2 * minute);
    expect(world.due()).toBe(night + 3 * day + 1.5 * hour);
    expect(world.ledger()).toEqual(before);
  });

  it('does not wait for what a disabled device owed nobody', () => {
    const world = new World();
    world.live(day);
    world.edit({}, false);
    world.live(3 * day);
    world.edit({}, true);
    expect(world.due()).toBe(night + 4 * day + 1.5 * hour);
  });
});

/** One thing that happens to a device, its daemon or its clock. */
type Event = (world: World) => void;
const span = fc.oneof(
  fc.integer({ min: 1, max: 90 }).map((n) => n * 1000),
  fc.integer({ min: 1, max: 120 }).map((n) => n * minute),
  fc.integer({ min: 1, max: 72 }).map((n) => n * hour),
  fc.integer({ min: 1, max: 90 }).map((n) => n * day),
);
const plans = fc.record({
  schedule: fc.constantFrom(
    '0 2 * * *',
    '30 2 * * *',
    '0 * * * *',
    '*/10 * * * *',
    '0 2 * * 1-5',
    '0 0,1,23 * * *',
  ),
  timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/St_Johns'),
  splayMs: fc.constantFrom(null, 0, 20 * minute),
  startWithinMs: fc.constantFrom(null, 5 * minute, 3 * hour),
  retryLaterMs: fc.constantFrom(10 * minute, hour),
  catchUpSpreadMs: fc.constantFrom(0, 15 * minute),
  blackout: fc.constantFrom(
    [],
    [{ schedule: '0 1 * * *', durationMs: 3 * hour }],
    [{ schedule: '5 2 * * 1-5', durationMs: day }],
  ),
});
const readings = fc.constantFrom(
  good,
  failing,
  rejected,
  { ...good, lastsMs: 25 * minute },
  { ...failing, lastsMs: 3 * hour },
);
const tick = span.map(
  (ms): Event =>
    (world) =>
      world.wait(ms),
);
const minutes = fc.integer({ min: 1, max: 200 }).map(
  (n): Event =>
    (world) =>
      world.live(n * minute),
);
const restart = span.map(
  (ms): Event =>
    (world) =>
      world.restart(ms),
);
const reading = readings.map(
  (next): Event =>
    (world) => {
      world.reading = next;
    },
);
const manual = fc.constant<Event>((world) => {
  if (world.running === null) world.begin('manual');
});
const workers = fc.boolean().map(
  (any): Event =>
    (world) => {
      world.workers = any;
    },
);
const pause = span.map(
  (ms): Event =>
    (world) => {
      const since = world.nowMs;
      world.paused = true;
      world.wait(ms);
      world.resume(since);
    },
);
const jump = fc.tuple(span, fc.boolean()).map(
  ([ms, back]): Event =>
    (world) =>
      world.jump(back ? -ms : ms),
);
const edit = plans.map(
  (plan): Event =>
    (world) =>
      world.edit(plan),
);
const toggle = fc.boolean().map(
  (enabled): Event =>
    (world) =>
      world.edit({}, enabled),
);

const life = [tick, tick, minutes, minutes, restart, reading, manual, workers, pause];
const lives = fc.array(fc.oneof(...life), { maxLength: 25 });
const counted = (world: World) => [...world.rows.values()].reduce((sum, { count }) => sum + count, 0);

describe('whatever happens', () => {
  it('slots(start..now) = end states + in flight', () => {
    fc.assert(
      fc.property(plans, fc.array(fc.oneof(...life, jump), { maxLength: 25 }), (plan, events) => {
        const world = new World(plan);
        let latest = start;
        for (const event of events) {
          event(world);
          latest = Math.max(latest, world.nowMs);
          // Before its registration nothing was expected of it.
          if (world.nowMs < start) return;
          const { slots, before } = calendar.slotsBetween(
            world.plan.schedule,
            world.plan.timezone,
            start,
            latest,
            0,
          );
          expect(counted(world)).toBe(slots.length + before);
        }
      }),
      { numRuns: 300 },
    );
  }, 120_000);

  it('every slot is recorded once, ends once, runs at most once and never beside another session', () => {
    fc.assert(
      fc.property(
        plans,
        fc.array(fc.oneof(...life, jump, edit, toggle), { maxLength: 30 }),
        (plan, events) => {
          const world = new World(plan);
          // The ledger and the device of this world throw where it does not hold.
          for (const event of events) event(world);
          const catchUps = world.runs
            .filter(({ trigger }) => trigger === 'catch-up')
            .map(({ slotMs }) => slotMs);
          expect(new Set(catchUps).size).toBe(catchUps.length);
        },
      ),
      { numRuns: 400 },
    );
  }, 120_000);

  it('no slot stays open for longer than its window and the run that it waits for', () => {
    fc.assert(
      fc.property(plans, lives, (plan, events) => {
        const world = new World(plan);
        for (const event of events) event(world);
        world.restart(2 * hour);
        world.live(20 * minute);
        for (const row of world.rows.values())
          if (row.end === null && world.running === null)
            expect(slotTimes(calendar, world.view(), row.slotMs).lastStartMs).toBeGreaterThanOrEqual(
              world.nowMs,
            );
      }),
      { numRuns: 200 },
    );
  }, 120_000);

  it('only a verified success moves the due time forward', () => {
    fc.assert(
      fc.property(plans, lives, (plan, events) => {
        const world = new World(plan);
        let [due, success] = [world.due() ?? 0, world.lastSuccessMs];
        for (const event of events) {
          event(world);
          const now = world.due() ?? 0;
          if (world.lastSuccessMs === success) expect(now).toBeLessThanOrEqual(due);
          [due, success] = [now, world.lastSuccessMs];
        }
      }),
      { numRuns: 300 },
    );
  }, 120_000);

  it('no new slot, no restart, no reload, no edit of the inventory clears a device that is overdue', () => {
    fc.assert(
      fc.property(plans, fc.array(fc.oneof(...life, edit, toggle), { maxLength: 30 }), (plan, events) => {
        const world = new World(plan);
        let [overdue, success] = [false, world.lastSuccessMs];
        for (const event of events) {
          event(world);
          const now = (world.due() ?? Number.POSITIVE_INFINITY) < world.nowMs;
          if (world.lastSuccessMs === success && overdue) expect(now).toBe(true);
          [overdue, success] = [now, world.lastSuccessMs];
        }
      }),
      { numRuns: 400 },
    );
  }, 120_000);

  it('a device that is never reached is overdue without a break', () => {
    fc.assert(
      fc.property(
        plans,
        fc.array(fc.oneof(tick, minutes, restart, pause), { maxLength: 20 }),
        (plan, events) => {
          const world = new World(plan);
          world.reading = failing;
          const first = world.due() ?? 0;
          world.live(6 * hour);
          for (const event of events) {
            if (world.nowMs > first) expect(world.due()).toBeLessThanOrEqual(first);
            event(world);
          }
        },
      ),
      { numRuns: 150 },
    );
  }, 120_000);

  it('saying it all again after a crash between two decisions does no harm', () => {
    fc.assert(
      fc.property(plans, lives, (plan, events) => {
        const world = new World(plan);
        for (const event of events) event(world);
        const [rows, runs] = [world.ledger(), world.runs.length];
        world.tick();
        world.tick();
        expect(world.ledger()).toEqual(rows);
        expect(world.runs.length).toBeLessThanOrEqual(runs + 1);
      }),
      { numRuns: 150 },
    );
  }, 120_000);
});
