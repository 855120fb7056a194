import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ChangeOrigin } from '../../src/core/run.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import { Changes, type ChangeTiming } from '../../src/syslog/changes.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { pass, planned } from './support.ts';

const minute = 60_000;
const timing: ChangeTiming = { quietMs: 2 * minute, atMostMs: 10 * minute, perDevice: 3, inTotal: 5 };
const fw1 = planned('fw1');
const fw2 = planned('fw2');

/** A scheduler of which the test decides when runs begin and end. */
class World {
  readonly clock = new FakeClock();
  readonly asked: {
    device: string;
    origin: ChangeOrigin | null;
    atMs: number;
    signal: AbortSignal;
    end: () => void;
  }[] = [];
  readonly limited: string[] = [];
  begun = 0;
  readonly changes: Changes;
  #origin: ChangeOrigin | null = null;

  constructor(said: Partial<ChangeTiming> = {}, devices: readonly PlannedDevice[] = [fw1, fw2]) {
    this.changes = new Changes(
      { ...timing, ...said },
      {
        clock: this.clock,
        isOurs: (from) => from === '192.0.2.5',
        start: (device, signal) =>
          new Promise<void>((end) => {
            this.asked.push({ device, origin: this.#origin, atMs: this.clock.monotonicMs(), signal, end });
            signal.addEventListener('abort', () => end());
          }),
        onStart: (_device, origin) => {
          this.#origin = origin;
        },
        onLimited: (device, limit) => this.limited.push(`${device} ${limit}`),
      },
    );
    this.changes.configure(devices, { ...timing, ...said });
  }

  tell(device = fw1, user: string | null = 'alice', from: string | null = '192.0.2.7'): string {
    return this.changes.told(device, { means: 'changed', user, from });
  }

  /** One run from its begin to its end, as long as `ms`. */
  async run(
    trigger: 'change' | 'schedule' = 'change',
    good = true,
    ms = 1_000,
    device = 'fw1',
  ): Promise<void> {
    this.changes.runStarted(device, trigger);
    await pass(this.clock, ms);
    this.changes.runEnded(device, good);
    if (trigger === 'change') this.asked.findLast((one) => one.device === device)?.end();
    await pass(this.clock, 0);
  }

  get times(): number[] {
    return this.asked.map(({ atMs }) => atMs / minute);
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});

describe('a change starts a backup', () => {
  it('when the device has been quiet for two minutes after the last message', async () => {
    expect(world.tell()).toBe('began');
    await pass(world.clock, minute);
    expect(world.tell()).toBe('joined');
    await pass(world.clock, 2 * minute - 1);
    expect(world.asked).toEqual([]);
    await pass(world.clock, 1);
    expect(world.times).toEqual([3]);
  });

  it('ten minutes after the first message at the latest', async () => {
    for (let n = 0; n < 20; n++) {
      world.tell();
      await pass(world.clock, minute / 2);
    }
    expect(world.times).toEqual([10]);
  });

  it('who changed what, and from where, goes with it: several are joined, each once', async () => {
    world.tell(fw1, 'alice', '192.0.2.7');
    world.tell(fw1, 'alice', null);
    world.tell(fw1, 'bob', '192.0.2.8');
    world.tell(fw1, null, '192.0.2.7');
    await pass(world.clock, 2 * minute);
    expect(world.asked[0]?.origin).toEqual({ by: 'alice, bob', from: '192.0.2.7, 192.0.2.8' });
  });

  it('names are clipped, harmless and few, whatever is sent', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 300 }), fc.string())), (names) => {
        const other = new World();
        for (const [user, from] of names) other.tell(fw1, user, from);
        const origin = other.changes.originOf('fw1');
        for (const text of [origin?.by ?? '', origin?.from ?? '']) {
          expect(text.length).toBeLessThanOrEqual(200);
          expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
        }
        other.changes[Symbol.dispose]();
      }),
    );
  });

  it('what is said after the backup began starts another one, once', async () => {
    world.tell();
    await pass(world.clock, 2 * minute);
    world.changes.runStarted('fw1', 'change');
    for (let n = 0; n < 5; n++) world.tell(fw1, 'bob');
    world.changes.runEnded('fw1', true);
    await pass(world.clock, 30 * minute);
    expect(world.times).toEqual([2, 4]);
    expect(world.asked[1]?.origin?.by).toBe('bob');
  });

  it('what is said before it began is in it: the queue may be long', async () => {
    world.tell();
    await pass(world.clock, 20 * minute);
    expect(world.tell(fw1, 'bob')).toBe('joined');
    expect(world.changes.originOf('fw1')?.by).toBe('alice, bob');
    await world.run();
    await pass(world.clock, 30 * minute);
    expect(world.times).toEqual([2]);
  });

  it('none where another run reads the device after the last message, and the name goes with that one', async () => {
    world.tell();
    await pass(world.clock, minute);
    world.changes.runStarted('fw1', 'schedule');
    expect(world.changes.originOf('fw1')?.by).toBe('alice');
    await pass(world.clock, 5 * minute);
    expect(world.asked).toEqual([]);
    world.changes.runEnded('fw1', true);
    await pass(world.clock, 30 * minute);
    expect(world.asked).toEqual([]);
    expect(world.changes.originOf('fw1')).toBeNull();
  });

  it('that other run fails: the backup follows at once, and nobody is forgotten', async () => {
    world.tell();
    await pass(world.clock, minute);
    await world.run('schedule', false, 5 * minute);
    expect(world.times).toEqual([6]);
    expect(world.asked[0]?.origin?.by).toBe('alice');
  });

  it('one that was asked for and has not begun is given up where another run served it', async () => {
    world.tell();
    await pass(world.clock, 2 * minute);
    await world.run('schedule');
    expect(world.asked[0]?.signal.aborted).toBe(true);
  });
});

describe('a backup starts no backup', () => {
  it.each([
    ['backup', '192.0.2.5', 'own'],
    ['backup', null, 'own'],
    ['enable_15', '192.0.2.5', 'own'],
    ['backup', '192.0.2.7', 'began'],
    ['alice', '192.0.2.5', 'began'],
    ['alice', null, 'began'],
    [null, null, 'began'],
  ])('during our session, by %s from %s: %s', (user, from, result) => {
    world.changes.runStarted('fw1', 'schedule');
    expect(world.tell(planned('fw1'), user, from)).toBe(result);
  });

  it('also just after its end, and no longer', async () => {
    await world.run('schedule');
    await pass(world.clock, 29_000);
    expect(world.tell(fw1, 'backup', '192.0.2.5')).toBe('own');
    await pass(world.clock, 2_000);
    expect(world.tell(fw1, 'backup', '192.0.2.5')).toBe('began');
  });

  it('the session of one device excuses no other one', () => {
    world.changes.runStarted('fw1', 'schedule');
    expect(world.tell(fw2, 'backup', null)).toBe('began');
  });
});

describe('limits', () => {
  it('after three an hour one device waits until the hour is over, is told of once, and then has one', async () => {
    for (let n = 0; n < 10; n++) {
      world.tell();
      await pass(world.clock, 2 * minute);
      if (world.asked.length > n) await world.run('change', true, 1);
      await pass(world.clock, 3 * minute);
    }
    expect(world.asked).toHaveLength(3);
    expect(world.limited).toEqual(['fw1 per_device']);
    expect(world.changes.limited).toBe(1);
    await pass(world.clock, 12 * minute);
    expect(world.asked).toHaveLength(4);
    expect(world.changes.limited).toBe(0);
  });

  it('all devices together have a limit too', async () => {
    const devices = Array.from({ length: 20 }, (_, n) => planned(`fw${n}`));
    const many = new World({}, devices);
    for (const device of devices) many.tell(device);
    await pass(many.clock, 59 * minute);
    expect(many.asked).toHaveLength(5);
    expect(many.changes.limited).toBe(15);
    expect(many.limited).toHaveLength(15);
    await pass(many.clock, 10 * minute);
    expect(many.asked).toHaveLength(10);
    expect(many.limited).toHaveLength(15);
  });

  it('whatever is told and whenever, no hour has more backups than the limits', async () => {
    const steps = fc.array(fc.tuple(fc.nat(3), fc.nat(8 * minute)), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (told) => {
        const devices = Array.from({ length: 4 }, (_, n) => planned(`fw${n}`));
        const any = new World({}, devices);
        for (const [n, waitMs] of told) {
          any.tell(devices[n] as PlannedDevice);
          await pass(any.clock, waitMs);
          for (const { device, end } of any.asked.slice(any.begun)) {
            any.changes.runStarted(device, 'change');
            any.changes.runEnded(device, true);
            end();
            any.begun++;
          }
        }
        for (const { atMs } of any.asked) {
          const hour = any.asked.filter((one) => one.atMs >= atMs && one.atMs < atMs + 60 * minute);
          expect(hour.length).toBeLessThanOrEqual(timing.inTotal);
          for (const { name } of devices)
            expect(hour.filter(({ device }) => device === name).length).toBeLessThanOrEqual(timing.perDevice);
        }
        any.changes[Symbol.dispose]();
      }),
      { numRuns: 50 },
    );
  });
});

describe('the inventory changes', () => {
  it('a disabled device starts nothing, and what it waited for is forgotten', async () => {
    world.tell();
    const disabled = planned('fw1', { enabled: false });
    world.changes.configure([disabled, fw2], timing);
    expect(world.tell(disabled)).toBe('disabled');
    await pass(world.clock, 30 * minute);
    expect(world.asked).toEqual([]);
  });

  it('a device that leaves takes its request out of the queue', async () => {
    world.tell();
    await pass(world.clock, 2 * minute);
    world.changes.configure([fw2], timing);
    expect(world.asked[0]?.signal.aborted).toBe(true);
    world.changes.runStarted('fw1', 'schedule');
    world.changes.runEnded('fw1', true);
  });

  it('another timing holds at once', async () => {
    world.tell();
    world.changes.configure([fw1, fw2], { ...timing, quietMs: 10_000 });
    await pass(world.clock, 10_000);
    expect(world.asked).toHaveLength(1);
  });

  it('disposed of, nothing is planned any more', () => {
    world.tell();
    world.tell(fw2);
    world.changes[Symbol.dispose]();
    expect(world.clock.pending).toBe(0);
  });
});
