import { afterEach, beforeEach, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import { device, hour, minute, settled, start, World } from './support.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world[Symbol.dispose]());

const two = start + 2 * hour;

it('a ledger that cannot be written holds up the loop, not the process, and nothing is lost', async () => {
  world.boot([device('fw1')]);
  await world.run(hour);
  const { slots } = world.ledger;
  const write = slots.write;
  let broken = true;
  Object.assign(slots, {
    write: (writes: Parameters<typeof write>[0]) => {
      if (broken) throw new BackupError('store.disk-full', { path: 'ledger.db', freeBytes: 0 });
      return write(writes);
    },
  });
  await world.run(hour + 10 * minute);
  expect(world.began).toEqual([]);
  // Told once a minute at the most, not at every tick.
  expect(world.trouble.length).toBeGreaterThan(0);
  expect(world.trouble.length).toBeLessThanOrEqual(12);
  expect(world.scheduler.state().lastTickMs).toBe(world.clock.nowMs());
  broken = false;
  await world.run(hour);
  expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
});

it('one row that cannot be written keeps no other from being written', async () => {
  world.boot([device('fw1'), device('fw2'), device('fw3')]);
  const { slots } = world.ledger;
  const write = slots.write;
  Object.assign(slots, {
    write: (writes: Parameters<typeof write>[0]) => {
      if (writes.some(({ deviceId }) => deviceId === 'fw2'))
        throw new BackupError('record.failed', { problem: 'constraint' });
      return write(writes);
    },
  });
  await world.run(4 * hour);
  expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  expect(world.slots('fw3')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  expect(world.slots('fw2')).toEqual([]);
});

it('a run whose end the ledger does not take is made again after a rest, not at once', async () => {
  world.behaviour.set('fw1', { unrecorded: true });
  world.boot([device('fw1')]);
  await world.run(2 * hour + 3 * minute, 10_000);
  expect(world.began.length).toBeLessThanOrEqual(3);
  world.behaviour.clear();
  await world.run(hour, 10_000);
  expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
});

it('a runner that throws ends its run and frees its worker', async () => {
  world.boot([device('fw1'), device('fw2')], 1);
  const openRun = world.ledger.openRun;
  let broken = true;
  Object.assign(world.ledger, {
    openRun: (run: Parameters<typeof openRun>[0]) => {
      if (!broken || run.deviceId !== 'fw1') return openRun(run);
      broken = false;
      throw new TypeError('broken');
    },
  });
  await world.run(4 * hour);
  expect(world.slots('fw2')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  expect(world.ended.find(({ device: name }) => name === 'fw1')?.settled).toMatchObject({
    outcome: 'failed',
    failure: { code: 'bug.unexpected' },
  });
  expect(world.scheduler.state().busy).toBe(0);
  // It left no row: its slot is still open, and is served after a rest.
  expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
});

it('a run that outlives its limit is aborted', async () => {
  world.behaviour.set('fw1', { tookMs: 24 * hour });
  world.boot([device('fw1')]);
  await world.run(4 * hour);
  expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'failed run.interrupted' }]);
  expect(world.scheduler.state().busy).toBeLessThanOrEqual(1);
  await settled();
});
