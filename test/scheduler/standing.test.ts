import { afterEach, beforeEach, expect, it } from 'vitest';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import { type Standing, standingOf } from '../../src/scheduler/standing.ts';
import { day, device, hour, minute, start, World } from './support.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world[Symbol.dispose]());

const two = start + 2 * hour;
const fw1 = device('fw1', { catchUpSpreadMs: 0 });

/** As a command sees it that runs beside the process, or without one. */
function standing(of: PlannedDevice = fw1): Standing {
  const nowMs = world.clock.nowMs();
  const [history] = world.ledger.slots.historiesOf([of.name], nowMs);
  const nobody = { upSinceMs: nowMs, paused: false, absences: [], running: null };
  const present = world.scheduler?.present(of.name) ?? nobody;
  return standingOf(world.calendar, of, history ?? null, present, nowMs);
}

it('before its slot a device is neither late nor missed, and due by the end of the window', async () => {
  world.boot([fw1]);
  await world.run(hour);
  expect(standing()).toEqual({
    missed: false,
    late: false,
    nextRunMs: two,
    dueMs: two + hour + 30 * minute,
  });
});

it('a device that waits for a worker is late, then missed, until a success', async () => {
  world.behaviour.set('fw0', { tookMs: 29 * minute });
  const one = device('fw1', { startWithinMs: 10 * minute });
  world.boot([device('fw0'), one], 1);
  await world.run(2 * hour + 5 * minute);
  expect(standing(one)).toMatchObject({ missed: false, late: true, nextRunMs: two });
  await world.run(10 * minute);
  expect(standing(one)).toMatchObject({ missed: true, late: false });
  await world.run(hour);
  expect(world.triggers('fw1')).toEqual(['catch-up']);
  expect(standing(one)).toMatchObject({ missed: false, late: false, nextRunMs: two + day });
});

it('a device that is being read is late only past the end of its window', async () => {
  world.behaviour.set('fw1', { tookMs: 5 * hour });
  const one = device('fw1', { startWithinMs: minute }, { maxRuntimeMs: 5 * minute });
  world.boot([one]);
  await world.run(2 * hour + 4 * minute);
  expect(standing(one)).toMatchObject({ missed: false, late: false });
  await world.run(5 * minute);
  expect(standing(one)).toMatchObject({ missed: false, late: true });
});

it('what passed while nobody kept the schedule is missed before anybody writes it down', async () => {
  world.boot([fw1]);
  await world.run(hour);
  world.kill();
  await world.clock.pass(hour + 10 * minute);
  expect(standing()).toMatchObject({ missed: false, late: true });
  await world.clock.pass(2 * hour);
  expect(standing()).toMatchObject({ missed: true, dueMs: two + hour + 30 * minute });
});

it('of a disabled device, and of one that the ledger does not know, nothing is expected', () => {
  const nothing = { missed: false, late: false, nextRunMs: null, dueMs: null };
  world.boot([device('fw1', {}, { enabled: false })]);
  expect(standing(device('fw1', {}, { enabled: false }))).toEqual(nothing);
  expect(standing(device('fw9'))).toEqual(nothing);
});
