import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { day, device, hour, minute, second, settled, start, World } from './support.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => {
  expect(world.collisions).toEqual([]);
  expect(world.trouble).toEqual([]);
  world[Symbol.dispose]();
});

const two = start + 2 * hour;

describe('a slot', () => {
  it('is recorded when it falls due, run once, and ends with its run', async () => {
    world.boot([device('fw1')]);
    await world.run(3 * day);
    expect(world.slots('fw1')).toEqual([0, 1, 2].map((n) => ({ slotMs: two + n * day, end: 'unchanged' })));
    expect(world.triggers('fw1')).toEqual(['schedule', 'schedule', 'schedule']);
    expect(world.began.map(({ delayMs }) => delayMs)).toEqual([0, 0, 0]);
  });

  it('that fails is followed up every retry_later until one succeeds, and keeps its end', async () => {
    world.boot([device('fw1')]);
    world.behaviour.set('fw1', { outcome: 'failed' });
    await world.run(5 * hour);
    expect(world.triggers('fw1')).toEqual(['schedule', 'retry', 'retry']);
    world.behaviour.clear();
    await world.run(10 * hour);
    expect(world.triggers('fw1')).toEqual(['schedule', 'retry', 'retry', 'retry']);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'failed connect.timeout' }]);
  });

  it('that failed for a reason only a person can change is not followed up', async () => {
    const failure = { code: 'login.rejected', detail: { username: 'x', methods: [] } } as const;
    world.boot([device('fw1')]);
    world.behaviour.set('fw1', { outcome: 'failed', failure });
    await world.run(20 * hour);
    expect(world.triggers('fw1')).toEqual(['schedule']);
  });

  it('of a disabled device is skipped, and nothing runs', async () => {
    world.boot([device('fw1', {}, { enabled: false })]);
    await world.run(2 * day);
    expect(world.slots('fw1').map(({ end }) => end)).toEqual(['skipped disabled', 'skipped disabled']);
    expect(world.began).toEqual([]);
  });

  it('in a blackout window moves to its end', async () => {
    const blackout = [{ schedule: '0 1 * * *', durationMs: 3 * hour }];
    world.boot([device('fw1', { blackout })]);
    await world.run(day);
    expect(world.began.map(({ atMs }) => atMs)).toEqual([start + 4 * hour]);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  });

  it('that passes during a pause is missed, and is caught up after it', async () => {
    world.boot([device('fw1')]);
    await world.run(hour);
    world.scheduler.pause();
    await world.run(5 * hour);
    expect(world.began).toEqual([]);
    world.scheduler.resume();
    await world.run(hour);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'missed paused' }]);
    expect(world.triggers('fw1')).toEqual(['catch-up']);
  });
});

describe('workers', () => {
  const fleet = (count: number, plan = {}, over = {}) =>
    Array.from({ length: count }, (_, index) => device(`fw${index}`, plan, over));

  it('are never more than there are, and what finds none in time is missed', async () => {
    const devices = fleet(12, { startWithinMs: 4 * minute });
    for (const { name } of devices) world.behaviour.set(name, { tookMs: 3 * minute });
    world.boot(devices, 2);
    await world.run(6 * hour);
    expect(world.most).toBe(2);
    const ends = devices.map(({ name }) => world.slots(name)[0]?.end);
    expect(ends.filter((end) => end === 'unchanged')).toHaveLength(4);
    expect(ends.filter((end) => end === 'missed overload')).toHaveLength(8);
  });

  it('are shared out within the limit of each group, and a full group holds up no other', async () => {
    const hq = Array.from({ length: 6 }, (_, n) => device(`hq${n}`, { maxSessions: 1 }, { group: 'hq' }));
    const lab = Array.from({ length: 6 }, (_, n) => device(`lab${n}`, {}, { group: 'lab' }));
    world.boot([...hq, ...lab], 4);
    await world.run(4 * hour, 10 * second);
    expect(world.mostOf.get('hq')).toBe(1);
    expect(world.mostOf.get('lab')).toBeGreaterThan(1);
    expect(
      world.began.filter(({ device: name }) => name.startsWith('lab')).map(({ delayMs }) => delayMs),
    ).toEqual(expect.not.arrayContaining([expect.toSatisfy((delay) => (delay as number) > 2 * minute)]));
    for (const { name } of [...hq, ...lab]) expect(world.slots(name)[0]?.end).toBe('unchanged');
  });

  it('a device that hangs costs the others nothing', async () => {
    const delays = async (hangs: boolean) => {
      using other = new World();
      const devices = fleet(20);
      if (hangs) other.behaviour.set('fw7', { tookMs: 30 * minute, outcome: 'failed' });
      other.boot(devices, 5);
      await other.run(4 * hour, 5 * second);
      return other.began
        .filter(({ device: name, trigger }) => name !== 'fw7' && trigger === 'schedule')
        .map(({ delayMs }) => delayMs ?? Number.POSITIVE_INFINITY)
        .sort((a, b) => a - b);
    };
    const [without, withOne] = [await delays(false), await delays(true)];
    expect(withOne).toHaveLength(19);
    // Four workers instead of five for the other nineteen: one more round of 30 s at the most.
    for (const [index, delay] of withOne.entries())
      expect(delay).toBeLessThanOrEqual((without[index] ?? 0) + 30 * second);
  });

  it('two names of one address never have a session each', async () => {
    const over = { host: '192.0.2.1' };
    world.boot([device('a', {}, over), device('b', {}, over)]);
    await world.run(4 * hour, 10 * second);
    expect(world.began.map(({ delayMs }) => delayMs)).toEqual([0, 30 * second]);
  });

  it('two addresses of one serial number never have a session each, once it is known', async () => {
    world.boot([device('a'), device('b')]);
    for (const name of ['a', 'b']) world.behaviour.set(name, { serial: 'JAB1' });
    await world.run(day + 4 * hour, 10 * second);
    // The first night nobody could know.
    expect(world.began.map(({ delayMs }) => delayMs)).toEqual([0, 0, 0, 30 * second]);
  });

  it('what cannot start because its address is in use is missed for overlap', async () => {
    const over = { host: '192.0.2.1' };
    world.behaviour.set('a', { tookMs: 29 * minute });
    world.boot([device('a', {}, over), device('b', { startWithinMs: 10 * minute }, over)]);
    await world.run(4 * hour);
    expect(world.slots('b')).toEqual([{ slotMs: two, end: 'missed overlap' }]);
  });
});

describe('runs that people ask for', () => {
  const request = () => ({ trigger: 'manual' as const, signal: new AbortController().signal });

  it('go through the same queue: never a second session to a device', async () => {
    world.behaviour.set('fw1', { tookMs: 10 * minute });
    world.boot([device('fw1')]);
    await world.run(2 * hour);
    const asked = world.scheduler.runNow(['fw1'], request());
    await world.run(30 * minute);
    expect((await asked).map(({ trigger }) => trigger)).toEqual(['manual']);
    expect(world.triggers('fw1')).toEqual(['schedule', 'manual']);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  });

  it('that are in progress when a slot falls due serve it', async () => {
    world.behaviour.set('fw1', { tookMs: 20 * minute });
    world.boot([device('fw1')]);
    await world.run(2 * hour - 10 * minute);
    const asked = world.scheduler.runNow(['fw1'], request());
    await world.run(2 * hour);
    await asked;
    expect(world.triggers('fw1')).toEqual(['manual']);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  });

  it('that succeed shortly before a slot serve it', async () => {
    world.boot([device('fw1')]);
    await world.run(2 * hour - 4 * minute);
    void world.scheduler.runNow(['fw1'], request());
    await world.run(hour);
    expect(world.triggers('fw1')).toEqual(['manual']);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  });

  it('take turns with the schedule', async () => {
    const devices = Array.from({ length: 10 }, (_, n) => device(`fw${n}`));
    world.boot(devices, 1);
    await world.run(2 * hour - minute);
    const names = devices.map(({ name }) => name).reverse();
    const asked = world.scheduler.runNow(names, request());
    await world.run(20 * minute, 10 * second);
    await asked;
    const night = world.began.slice(3, 11).map(({ trigger }) => trigger);
    expect(night.filter((trigger) => trigger === 'schedule').length).toBeGreaterThanOrEqual(3);
    expect(night.filter((trigger) => trigger === 'manual').length).toBeGreaterThanOrEqual(3);
  });

  it('begin with what took longest the last time, and are told in the order in which they were asked for', async () => {
    const names = ['fw1', 'fw2', 'fw3', 'fw4'];
    const tookMs = [minute, 10 * minute, 5 * minute, 20 * minute];
    for (const [n, name] of names.entries()) world.behaviour.set(name, { tookMs: tookMs[n] ?? 0 });
    world.boot(
      names.map((name) => device(name)),
      1,
    );
    await world.run(12 * hour);
    const before = world.began.length;
    const asked = world.scheduler.runNow(names, request());
    await world.run(hour);
    expect((await asked).map((ended) => ended.device)).toEqual(names);
    expect(world.began.slice(before).map((began) => began.device)).toEqual(['fw4', 'fw2', 'fw3', 'fw1']);
  });

  it('end as interrupted once they are aborted, begun or not', async () => {
    world.behaviour.set('fw1', { tookMs: hour });
    world.boot([device('fw1'), device('fw2')], 1);
    const stop = new AbortController();
    const asked = world.scheduler.runNow(['fw1', 'fw2'], { trigger: 'manual', signal: stop.signal });
    await world.run(5 * minute);
    stop.abort();
    const ended = await asked;
    expect(ended.map(({ device: name, settled: { outcome } }) => [name, outcome])).toEqual([
      ['fw1', 'failed'],
      ['fw2', 'failed'],
    ]);
    expect(world.began).toHaveLength(1);
    expect(world.clock.pending).toBe(0);
  });

  it('after a change wait for the end of a pause and of a blackout window, which hold up no person', async () => {
    const change = () => ({ ...request(), trigger: 'change' as const });
    const evening = [{ schedule: '0 22 * * *', durationMs: 2 * hour }];
    world.boot([device('fw1', { blackout: evening }), device('fw2')]);
    await world.run(2 * hour);
    world.scheduler.pause();
    void world.scheduler.runNow(['fw2'], change());
    void world.scheduler.runNow(['fw2'], request());
    await world.run(hour);
    expect(world.triggers('fw2').slice(-1)).toEqual(['manual']);
    world.scheduler.resume();
    await world.run(minute);
    expect(world.triggers('fw2').slice(-2)).toEqual(['manual', 'change']);

    await world.run(20 * hour - minute);
    const before = world.triggers('fw1').length;
    void world.scheduler.runNow(['fw1'], change());
    await world.run(50 * minute);
    expect(world.triggers('fw1')).toHaveLength(before);
    await world.run(20 * minute);
    expect(world.triggers('fw1').at(-1)).toBe('change');
  });

  it('of a name that the inventory does not have are refused', () => {
    world.boot([device('fw1')]);
    expect(() => world.scheduler.runNow(['fw2'], request())).toThrow(RangeError);
  });
});

describe('the end of a process', () => {
  it('waits for the runs in progress and starts nothing more', async () => {
    world.behaviour.set('fw1', { tookMs: 10 * minute });
    world.boot([device('fw1'), device('fw2')], 1);
    await world.run(2 * hour);
    let drained = false;
    const drain = world.scheduler.drain().then(() => {
      drained = true;
    });
    await world.run(5 * minute);
    expect(drained).toBe(false);
    await world.run(10 * minute);
    await drain;
    expect(world.began).toHaveLength(1);
    expect(world.scheduler.state()).toMatchObject({ busy: 0, draining: true });
  });

  it('an abort ends them at once', async () => {
    world.behaviour.set('fw1', { tookMs: 10 * minute });
    world.boot([device('fw1')]);
    await world.run(2 * hour);
    const drain = world.scheduler.drain();
    world.scheduler.abort();
    await settled();
    await drain;
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'failed run.interrupted' }]);
    expect(world.clock.pending).toBe(0);
  });

  it('a kill in the middle of a run leaves its slot failed, once, and the run is made again', async () => {
    world.behaviour.set('fw1', { tookMs: 10 * minute });
    world.boot([device('fw1')]);
    await world.run(2 * hour + 5 * minute);
    world.kill();
    await world.clock.pass(2 * minute);
    world.boot([device('fw1')]);
    await world.run(4 * hour);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'failed run.interrupted' }]);
    expect(world.triggers('fw1')).toEqual(['schedule', 'retry']);
  });

  it.each([
    ['three minutes', 3 * minute, 1],
    ['three days', 3 * day, 3],
    ['three months', 90 * day, 90],
  ])('a downtime of %s misses every slot in it, once, and is caught up once', async (_, downMs, slots) => {
    world.boot([device('fw1')]);
    await world.run(day + 2 * hour - minute);
    world.kill();
    await world.clock.pass(downMs);
    world.boot([device('fw1')]);
    await world.run(2 * hour);
    const rows = world.rows('fw1');
    const missed = rows.filter(({ cause }) => cause === 'collector_down');
    expect(missed.reduce((sum, { count }) => sum + count, 0)).toBe(slots);
    expect(missed.length).toBeLessThanOrEqual(32);
    expect(rows.every(({ detectedAtMs, deadlineMs }) => detectedAtMs === null || deadlineMs > 0)).toBe(true);
    expect(world.triggers('fw1')).toEqual(['schedule', 'catch-up']);
    expect(world.ledger.slots.totals().missed).toEqual([{ cause: 'collector_down', count: slots }]);
  });

  it('a process that stood still for five minutes missed what fell due in them', async () => {
    world.boot([device('fw1', { startWithinMs: minute })]);
    await world.run(2 * hour - 2 * minute);
    await world.clock.pass(5 * minute);
    await world.run(hour);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'missed collector_down' }]);
    expect(world.jumps).toEqual([]);
  });
});

describe('the clock', () => {
  it('that jumps ahead over a slot says so, and the slot is missed for it', async () => {
    world.boot([device('fw1')]);
    await world.run(hour);
    world.clock.wallMs += 5 * hour;
    await world.run(2 * hour);
    expect(world.jumps).toEqual([5 * hour]);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'missed clock' }]);
    expect(world.triggers('fw1')).toEqual(['catch-up']);
  });

  it('that goes back runs no slot twice', async () => {
    world.boot([device('fw1', { schedule: '0 * * * *' })]);
    await world.run(5 * hour + 10 * minute);
    const before = world.slots('fw1');
    world.clock.wallMs -= 3 * hour;
    await world.run(3 * hour - 11 * minute);
    expect(world.slots('fw1')).toEqual(before);
    expect(world.jumps).toEqual([-3 * hour]);
    await world.run(2 * hour);
    expect(world.slots('fw1').length).toBeGreaterThan(before.length);
  });

  it('that is set wrong by a day and right again invents nothing', async () => {
    world.boot([device('fw1', { schedule: '0 * * * *' })]);
    await world.run(3 * hour + 10 * minute);
    world.clock.wallMs += day;
    await world.run(10 * minute);
    world.clock.wallMs -= day;
    await world.run(day + 3 * hour);
    const slots = world.slots('fw1');
    expect(new Set(slots.map(({ slotMs }) => slotMs)).size).toBe(slots.length);
    // The newest of the 24 could still be started, and was.
    expect(slots.filter(({ end }) => end === 'missed clock')).toHaveLength(23);
    expect(slots.filter(({ end }) => end === 'unchanged').length).toBeGreaterThanOrEqual(5);
  });

  it('that goes back behind the start of the process makes no downtime of the time before it', async () => {
    world.clock.wallMs = start + 12 * hour;
    world.boot([device('fw1', { schedule: '0 * * * *' })]);
    await world.run(10 * minute);
    world.clock.wallMs -= 3 * hour;
    await world.run(2 * hour);
    expect(world.slots('fw1').map(({ end }) => end)).toEqual(['unchanged', 'unchanged']);
  });

  it('that goes back makes the slots that it comes by again the latest ones, one after the other', async () => {
    world.behaviour.set('fw1', { outcome: 'failed' });
    world.boot([device('fw1', { schedule: '0 * * * *', retryLaterMs: 30 * minute })]);
    await world.run(5 * hour + 10 * minute);
    world.began.length = 0;
    world.clock.wallMs -= 3 * hour;
    await world.run(2 * hour);
    const retried = world.began.map(({ trigger, slotMs }) => [trigger, ((slotMs ?? 0) - start) / hour]);
    expect(retried).toEqual([
      ['retry', 2],
      ['retry', 3],
    ]);
  });

  it('that drifts by less than a minute is no jump', async () => {
    world.boot([device('fw1')]);
    await world.run(hour);
    world.clock.wallMs += 50 * second;
    await world.run(2 * hour);
    world.clock.wallMs -= 50 * second;
    await world.run(hour);
    expect(world.jumps).toEqual([]);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  });
});

describe('another inventory', () => {
  it('with an edited schedule invents no slot of the past, also after an edit during a downtime', async () => {
    world.boot([device('fw1')]);
    await world.run(day);
    world.scheduler.reload([device('fw1', { schedule: '0 * * * *' })], 4);
    await world.run(2 * hour + 30 * minute);
    const at = (slot: number) => ({ slotMs: slot, end: 'unchanged' });
    const first = [at(two), at(start + 25 * hour), at(start + 26 * hour)];
    expect(world.slots('fw1')).toEqual(first);
    world.kill();
    await world.clock.pass(day);
    world.boot([device('fw1', { schedule: '*/5 * * * *' })]);
    await world.run(10 * minute);
    const missed = world.slots('fw1').filter(({ end }) => end === 'missed collector_down');
    expect(missed).toHaveLength(24);
    expect(missed.every(({ slotMs }) => slotMs % hour === 0)).toBe(true);
  });

  it('without a device ends what it had open, and its return brings no slot of its absence', async () => {
    const [fw1, fw2] = [device('fw1'), device('fw2')];
    world.behaviour.set('fw1', { tookMs: 20 * minute });
    world.boot([fw1, fw2], 1);
    await world.run(2 * hour + minute);
    world.scheduler.reload([fw1], 1);
    await world.run(2 * day);
    expect(world.slots('fw2')).toEqual([{ slotMs: two, end: 'skipped disabled' }]);
    world.scheduler.reload([fw1, fw2], 1);
    await world.run(day + hour);
    expect(world.slots('fw2').map(({ end }) => end)).toEqual(['skipped disabled', 'unchanged']);
  });

  it('without a device that is being read lets that run end and serve its slot', async () => {
    world.behaviour.set('fw1', { tookMs: 20 * minute });
    world.boot([device('fw1'), device('fw2')]);
    await world.run(2 * hour + minute);
    world.scheduler.reload([device('fw2')], 4);
    await world.run(hour);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
    expect(world.scheduler.state().busy).toBe(0);
  });

  it('in which a device is called another name goes on with its slots', async () => {
    world.boot([device('fw1')]);
    await world.run(day);
    world.scheduler.reload([device('edge1', {}, { formerly: ['fw1'] })], 4);
    await world.run(day);
    expect(world.slots('edge1').map(({ end }) => end)).toEqual(['unchanged', 'unchanged']);
  });

  it('that the ledger refuses changes nothing', async () => {
    world.boot([device('fw1')]);
    const wrong = [device('fw2'), device('fw1', {}, { platform: 'f5_bigip' })];
    expect(() => world.scheduler.reload(wrong, 4)).toThrow(/known as cisco_asa/);
    expect(world.ledger.device('fw2')).toBeNull();
    await world.run(day);
    expect(world.slots('fw1')).toEqual([{ slotMs: two, end: 'unchanged' }]);
  });

  it('with a disabled device skips what is open; enabled again, it expects nothing of the time between', async () => {
    world.boot([device('fw1', {}, { enabled: false })]);
    await world.run(day);
    world.scheduler.reload([device('fw1')], 4);
    await world.run(day);
    expect(world.slots('fw1').map(({ end }) => end)).toEqual(['skipped disabled', 'unchanged']);
  });
});

describe('expectation', () => {
  it('starts at registration, not at the first success', async () => {
    world.ledger.register({
      ...{ name: 'fw1', platform: 'cisco_asa', group: 'default', formerly: [], atMs: start - 2 * day },
    });
    world.boot([device('fw1')]);
    await world.run(10 * minute);
    expect(world.slots('fw1').map(({ end }) => end)).toEqual([
      'missed collector_down',
      'missed collector_down',
    ]);
  });

  it('back-dates what was missed: the deadline is its time, and beside it stands when it was found out', async () => {
    world.boot([device('fw1')]);
    await world.run(hour);
    world.kill();
    await world.clock.pass(5 * hour);
    world.boot([device('fw1')]);
    await world.run(minute);
    expect(world.told).toMatchObject([
      {
        what: 'missed',
        ...{ device: 'fw1', slotMs: two, cause: 'collector_down', count: 1 },
        ...{ deadlineMs: two + 90 * minute, detectedAtMs: start + 6 * hour },
      },
    ]);
  });
});
