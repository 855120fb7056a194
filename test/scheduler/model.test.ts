import fc from 'fast-check';
import { expect, it } from 'vitest';
import { verifyChain } from '../../src/ledger/audit.ts';
import { type Behaviour, day, device, hour, minute, start, World } from './support.ts';

/** What may happen to a process that keeps a schedule, and to its devices. */
type Event =
  | { readonly kind: 'run'; readonly minutes: number }
  | { readonly kind: 'down'; readonly minutes: number }
  | { readonly kind: 'stand-still'; readonly minutes: number }
  | { readonly kind: 'jump'; readonly minutes: number }
  | { readonly kind: 'pause'; readonly minutes: number }
  | { readonly kind: 'behave'; readonly who: number; readonly how: Partial<Behaviour> }
  | { readonly kind: 'ask'; readonly who: number };

const minutes = (max: number) => fc.integer({ min: 1, max });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('run' as const), minutes: minutes(600) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('down' as const), minutes: minutes(5_000) }) },
  fc.record({ kind: fc.constant('stand-still' as const), minutes: minutes(300) }),
  fc.record({ kind: fc.constant('jump' as const), minutes: fc.integer({ min: -2_000, max: 4_000 }) }),
  fc.record({ kind: fc.constant('pause' as const), minutes: minutes(300) }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('behave' as const),
      who: fc.nat(5),
      how: fc.record({
        tookMs: fc.constantFrom(5_000, 30_000, 10 * minute, 29 * minute),
        outcome: fc.constantFrom('unchanged' as const, 'failed' as const, 'quarantined' as const),
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('ask' as const), who: fc.nat(5) }) },
);

const schedules = ['0 2 * * *', '0 * * * *', '*/15 * * * *', '30 */6 * * *', '0 3 * * 0', '*/5 * * * *'];
const fleet = schedules.map((schedule, index) => {
  // Two of them lead to one box, and four share a group that takes one session at a time.
  const over = { group: index < 4 ? 'hq' : 'lab', host: index < 2 ? '192.0.2.1' : `192.0.2.${index + 1}` };
  return device(`fw${index}`, { schedule, maxSessions: index < 4 ? 1 : null }, over);
});

async function happen(world: World, what: Event): Promise<void> {
  switch (what.kind) {
    case 'run':
      return world.run(what.minutes * minute);
    case 'down':
      world.kill();
      await world.clock.pass(what.minutes * minute);
      return world.boot(fleet, 2);
    case 'stand-still':
      return world.clock.pass(what.minutes * minute);
    case 'jump':
      world.clock.wallMs = Math.max(start, world.clock.wallMs + what.minutes * minute);
      return;
    case 'pause':
      world.scheduler.pause();
      await world.run(what.minutes * minute);
      return world.scheduler.resume();
    case 'behave':
      world.behaviour.set(`fw${what.who}`, what.how);
      return;
    case 'ask':
      void world.scheduler.runNow([`fw${what.who}`], {
        trigger: 'manual',
        signal: new AbortController().signal,
      });
  }
}

/** Every slot exactly once, every absence a row, whatever happened. */
function check(world: World, latestMs: number): void {
  const served = new Set<string>();
  let missed = 0;
  for (const { name, plan, maxRuntimeMs } of fleet) {
    const rows = world.rows(name);
    const fell = world.calendar.slotsBetween(plan.schedule, plan.timezone, start, latestMs, 1_000_000).slots;
    const due = new Set(fell);
    let at = 0;
    for (const { slotMs, lastMs, count, state, run, cause, deadlineMs } of rows) {
      // In order, without a gap and without an overlap.
      expect(due.has(slotMs), `${name} was due`).toBe(true);
      expect(fell[at], `${name} has every slot`).toBe(slotMs);
      expect(fell[at + count - 1]).toBe(lastMs);
      at += count;
      if (state === null)
        expect(deadlineMs, `${name} ends in time`).toBeGreaterThan(latestMs - 2 * maxRuntimeMs);
      if (state === 'missed') missed += count;
      if (state === 'missed') expect(cause).toMatch(/^(collector_down|overload|overlap|clock|paused)$/);
      if (run === null) continue;
      expect(served.has(run), `${run} serves one slot`).toBe(false);
      served.add(run);
      expect(world.ledger.run(run)?.state).toBe(state);
    }
    expect(fell.length - at, `${name} has every slot up to now`).toBe(0);
  }
  const totals = world.ledger.slots.totals();
  expect(totals.missed.reduce((sum, { count }) => sum + count, 0)).toBe(missed);
  expect(totals.runs.reduce((sum, { count }) => sum + count, 0)).toBe(
    world.ledger.runs({ deviceIds: null, states: null, sinceMs: null, untilMs: null, limit: 100_000 })
      .length - world.ledger.running().length,
  );
  expect(world.told.reduce((sum, { what, count }) => sum + (what === 'missed' ? count : 0), 0)).toBe(missed);
  expect(verifyChain(world.ledger.chain()).brokenAt).toBeNull();
  expect(world.collisions).toEqual([]);
  expect(world.trouble).toEqual([]);
  expect(world.most).toBeLessThanOrEqual(2);
  expect(world.mostOf.get('hq') ?? 0).toBeLessThanOrEqual(1);
}

it('every slot has exactly one row and every absence is one, whatever happens', {
  timeout: 300_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 3, maxLength: 12 }), async (events) => {
      using world = new World();
      let latestMs = start;
      world.boot(fleet, 2);
      for (const what of events) {
        await happen(world, what);
        world.scheduler.tick();
        latestMs = Math.max(latestMs, world.clock.wallMs);
      }
      await world.run(2 * minute);
      latestMs = Math.max(latestMs, world.clock.wallMs);
      check(world, latestMs);
    }),
    { numRuns: 8, seed: 7 },
  );
});

it('a device that stays dead for three days is overdue without a break', { timeout: 60_000 }, async () => {
  using world = new World();
  const [fw] = [device('fw1', { schedule: '0 */6 * * *' })];
  world.behaviour.set('fw1', { outcome: 'failed' });
  world.boot([fw]);
  const dueOf = async () => {
    const { standingOf } = await import('../../src/scheduler/standing.ts');
    const [history] = world.ledger.slots.historiesOf(['fw1'], world.clock.nowMs());
    const present = world.scheduler.present('fw1');
    if (present === null) throw new Error('fw1 is not there');
    return standingOf(world.calendar, fw, history ?? null, present, world.clock.nowMs());
  };
  const first = (await dueOf()).dueMs;
  await world.run(9 * hour);
  expect(world.clock.nowMs()).toBeGreaterThan(first ?? Number.POSITIVE_INFINITY);
  for (let n = 0; n < 8; n++) {
    await world.run(9 * hour);
    expect((await dueOf()).dueMs).toBe(first);
    if (n === 3) {
      world.kill();
      world.boot([fw]);
      expect((await dueOf()).dueMs).toBe(first);
    }
    if (n === 5) world.scheduler.reload([{ ...fw, plan: { ...fw.plan, schedule: '0 */4 * * *' } }], 4);
  }
  world.behaviour.clear();
  await world.run(7 * hour);
  const { dueMs, missed, late } = await dueOf();
  expect(dueMs).toBeGreaterThan(world.clock.nowMs());
  expect({ missed, late }).toEqual({ missed: false, late: false });
  expect(world.clock.nowMs() - start).toBeGreaterThan(3 * day);
});
