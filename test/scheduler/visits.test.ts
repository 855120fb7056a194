import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settleUntil } from '../../src/scheduler/settle-up.ts';
import { endOf } from '../ledger/support.ts';
import { day, device, hour, minute, settled, start, World } from './support.ts';

const two = start + 2 * hour;
const never = new AbortController().signal;

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  expect(world.collisions).toEqual([]);
  expect(world.trouble).toEqual([]);
  world[Symbol.dispose]();
});

/** A session that lasts until it is let go, or ended. */
function session() {
  const { promise, resolve } = Promise.withResolvers<string>();
  const began: number[] = [];
  return {
    began,
    end: () => resolve('done'),
    work: (signal: AbortSignal): Promise<string> => {
      began.push(world.clock.nowMs());
      signal.addEventListener('abort', () => resolve('ended'));
      return promise;
    },
  };
}

describe('a visit', () => {
  it('waits for the run in progress on its device, and for one on the same address', async () => {
    world.behaviour.set('fw1', { tookMs: 20 * minute });
    const twin = device('twin', {}, { host: 'fw1.example', enabled: false });
    world.boot([device('fw1'), twin]);
    await world.run(2 * hour + minute);
    const [own, other] = [session(), session()];
    const visits = [
      world.scheduler.visit('fw1', never, own.work),
      world.scheduler.visit('twin', never, other.work),
    ];
    await world.run(5 * minute);
    expect([own.began, other.began]).toEqual([[], []]);
    await world.run(20 * minute);
    expect(own.began).toHaveLength(1);
    expect(other.began).toEqual([]);
    own.end();
    await settled();
    expect(other.began).toHaveLength(1);
    other.end();
    expect(await Promise.all(visits)).toEqual(['done', 'done']);
    expect(world.scheduler.state().busy).toBe(0);
  });

  it('lets no run begin on its device, and a slot that could not start for it is an overlap', async () => {
    world.boot([device('fw1')]);
    const visited = session();
    const visit = world.scheduler.visit('fw1', never, visited.work);
    await world.run(4 * hour);
    expect(world.began).toEqual([]);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'missed overlap' }]);
    visited.end();
    await visit;
    await world.run(minute);
    expect(world.triggers('fw1')).toEqual(['catch-up']);
  });

  it('takes a worker, and hands on what its work throws', async () => {
    world.boot([device('fw1'), device('fw2')], 1);
    const first = session();
    const visit = world.scheduler.visit('fw1', never, first.work);
    const refused = world.scheduler.visit('fw2', never, () => {
      throw new TypeError('nobody expected this');
    });
    const outcome = refused.catch((thrown: unknown) => thrown);
    expect(world.scheduler.state().busy).toBe(1);
    first.end();
    await visit;
    expect(await outcome).toBeInstanceOf(TypeError);
    expect(world.scheduler.state().busy).toBe(0);
  });

  it('that waits is over when its caller goes, and one under way when the daemon ends', async () => {
    world.boot([device('fw1')]);
    const under = session();
    const visit = world.scheduler.visit('fw1', never, under.work);
    const gone = new AbortController();
    const waiting = world.scheduler.visit('fw1', gone.signal, session().work);
    gone.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'run.interrupted' });
    let drained = false;
    const drain = world.scheduler.drain().then(() => {
      drained = true;
    });
    await settled();
    expect(drained).toBe(false);
    world.scheduler.abort();
    expect(await visit).toBe('ended');
    await drain;
    await expect(world.scheduler.visit('fw1', never, session().work)).rejects.toMatchObject({
      code: 'run.interrupted',
    });
    await expect(world.scheduler.visit('fw9', never, session().work)).rejects.toThrow(RangeError);
  });
});

describe('a device that is held', () => {
  it('is not read until it is let go; one that is being read is not held', async () => {
    world.behaviour.set('fw2', { tookMs: 3 * hour });
    world.boot([device('fw1'), device('fw2', { schedule: '0 1 * * *' })]);
    await world.run(hour + minute);
    const hold = world.scheduler.hold(['fw1', 'fw2', 'unknown']);
    expect([...hold.held]).toEqual(['fw1', 'unknown']);
    await world.run(hour + 10 * minute);
    expect(world.triggers('fw1')).toEqual([]);
    hold.release();
    hold.release();
    await settled();
    expect(world.triggers('fw1')).toEqual(['schedule']);
    await world.run(4 * hour);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  });
});

describe('slots that a commit proves', () => {
  /** As it is after a ledger was put back and rebuilt: a run of which no slot says anything. */
  function proven(runId: string, slotMs: number): void {
    const { ledger } = world;
    ledger.openRun({ runId, deviceId: 'fw1', trigger: 'schedule', slotMs, startedAtMs: slotMs + 1_000 });
    ledger.closeRun(endOf(runId, 'changed', slotMs + 30_000));
  }

  it('are changed, not missed, and every other one of the downtime is', async () => {
    world.boot([device('fw1')]);
    await world.run(day);
    world.kill();
    await world.clock.pass(4 * day);
    proven('c1', two + 2 * day);
    // One that is no slot of this device, and one that is still to come.
    proven('c2', two + 3 * day + hour);
    world.boot([device('fw1')]);
    await world.run(minute);
    expect(world.slots('fw1').map(({ end }) => end)).toEqual([
      ...['unchanged', 'missed collector_down', 'changed', 'missed collector_down', 'missed collector_down'],
    ]);
  });

  it('cut "and n more" of a long downtime in two', async () => {
    world.boot([device('fw1')]);
    await world.run(hour);
    world.kill();
    await world.clock.pass(100 * day);
    for (const n of [0, 10, 11]) proven(`c${n}`, two + n * day);
    world.boot([device('fw1')]);
    await world.run(minute);
    const rows = world.rows('fw1');
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(100);
    const shown = rows
      .filter(({ slotMs }) => slotMs < two + 20 * day)
      .map(({ slotMs, count, state }) => [(slotMs - two) / day, count, state]);
    expect(shown).toEqual([
      [0, 1, 'changed'],
      [1, 9, 'missed'],
      [10, 1, 'changed'],
      [11, 1, 'changed'],
      [12, expect.any(Number), 'missed'],
    ]);
  });
});

it('settled up to the day of its retirement, a device owes nothing of the time after it', async () => {
  world.boot([device('fw1')]);
  await world.run(day);
  world.kill();
  await world.clock.pass(5 * day);
  const ends = settleUntil(world.ledger, world.calendar, 'fw1', start + 3 * day);
  expect(ends).toHaveLength(2);
  world.ledger.lives.retire({
    deviceId: 'fw1',
    sinceMs: start + 3 * day,
    atMs: world.clock.nowMs(),
    commit: null,
  });
  world.boot([]);
  await world.run(minute);
  expect(world.slots('fw1').map(({ end }) => end)).toEqual([
    ...['unchanged', 'missed collector_down', 'missed collector_down'],
  ]);
});
