import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import { type Standing, standingOf } from '../../src/scheduler/standing.ts';
import { day, device, hour, minute, start, World } from './support.ts';

const hourly = { schedule: '0 * * * *', splayMs: 0 };
const fw = device('fw1', hourly);
const neighbour = device('fw2', hourly);
/** Slot, half an hour to start in, half an hour to run. */
const window = 60 * minute;

let world: World;
beforeEach(() => {
  world = new World();
  world.behaviour.set('fw1', { outcome: 'failed', tookMs: 15_000 });
});
afterEach(() => {
  expect(world.trouble).toEqual([]);
  world[Symbol.dispose]();
});

/** As `/metrics` and `status` show it. */
function standing(of: PlannedDevice): Standing {
  const present = world.scheduler.present(of.name);
  if (present === null) throw new Error(`${of.name} is not there`);
  const [history] = world.ledger.slots.historiesOf([of.name], world.clock.nowMs());
  return standingOf(world.calendar, of, history ?? null, present, world.clock.nowMs());
}

/** Lives on for so long and demands, at each minute, that the due time is this one and has passed. */
async function overdueAllAlong(dueMs: number, forMs: number, of = fw): Promise<void> {
  for (let passed = 0; passed < forMs; passed += minute) {
    await world.run(minute);
    const now = new Date(world.clock.nowMs()).toISOString();
    expect(standing(of).dueMs, now).toBe(dueMs);
    expect(dueMs, now).toBeLessThan(world.clock.nowMs());
  }
}

describe('a device that stays dead for three days of hourly slots', () => {
  it('is overdue without a break, from its first deadline on, and its neighbour never', async () => {
    world.boot([fw, neighbour]);
    const dueMs = start + hour + window;
    expect(standing(fw).dueMs).toBe(dueMs);
    await world.run(2 * hour);
    let latestDueMs = 0;
    for (let n = 0; n < 3 * 24; n++) {
      await overdueAllAlong(dueMs, hour);
      const { dueMs: next } = standing(neighbour);
      expect(next).toBeGreaterThan(Math.max(latestDueMs, world.clock.nowMs()));
      latestDueMs = next ?? 0;
    }
    const ends = world.slots('fw1');
    expect(ends).toHaveLength(3 * 24 + 2);
    // The newest one is being read.
    expect(new Set(ends.slice(0, -1).map(({ end }) => end))).toEqual(new Set(['failed connect.timeout']));
  }, 120_000);

  it('after a good backup, too; neither a downtime nor an edited schedule ends it, only a success does', async () => {
    world.behaviour.clear();
    world.boot([fw, neighbour]);
    await world.run(hour + 10 * minute);
    const dueMs = start + 2 * hour + window;
    expect(standing(fw).dueMs).toBe(dueMs);
    world.behaviour.set('fw1', { outcome: 'failed', tookMs: 15_000 });
    await world.run(2 * hour);
    await overdueAllAlong(dueMs, day);

    world.kill();
    await world.clock.pass(5 * hour + 20 * minute);
    world.boot([fw, neighbour]);
    expect(standing(fw).dueMs).toBe(dueMs);
    await overdueAllAlong(dueMs, day);

    const edited = { ...fw, plan: { ...fw.plan, schedule: '30 * * * *' } };
    world.scheduler.reload([edited, neighbour], 4);
    await overdueAllAlong(dueMs, day, edited);

    world.behaviour.clear();
    await world.run(2 * hour);
    expect(standing(edited).dueMs).toBeGreaterThan(world.clock.nowMs());
  }, 120_000);
});
