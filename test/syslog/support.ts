import { type Driver, defineDriver } from '../../src/drivers/driver.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import { plainDevice } from '../support/device.ts';
import type { FakeClock } from '../support/fake-clock.ts';

/** A platform that says `CHANGED by U from A` and `SAVED`, and nothing else that matters. */
export const tiny: Driver = defineDriver({
  id: 'tiny',
  title: 'Tiny',
  sources: [],
  dialogues: [{ channel: 'exec', name: 'exec', line: '{commands}', otherShellWhen: /never/ }],
  commands: [],
  refusals: [],
  volatile: [],
  secrets: [],
  restorable: [],
  facts: [],
  changes: {
    messages: [
      {
        line: /CHANGED(?: by (?<user>\S+))?(?: from (?<from>\S+))?/g,
        butNot: /pager/,
        means: 'changed',
        example: 'fw1: CHANGED by alice from 192.0.2.7',
      },
      { line: /SAVED/, means: 'saved', example: 'fw1: SAVED' },
    ],
    device: [/ id=(?<name>[\w.-]{1,63})/g, / sn=(?<serial>\w{1,32})/],
  },
  outline: () => [],
});

/** A device of an inventory with the usual plan. */
export function planned(
  name: string,
  change: Partial<Omit<PlannedDevice, 'credentials'>> = {},
): PlannedDevice {
  return {
    ...plainDevice({ name, platform: 'tiny' }),
    plan: {
      schedule: '0 2 * * *',
      timezone: 'UTC',
      splayMs: 0,
      startWithinMs: null,
      retryLaterMs: 3_600_000,
      maxAgeMs: null,
      blackout: [],
      catchUpSpreadMs: 0,
      maxSessions: null,
    },
    ...change,
  };
}

/** Lets time pass, with everything that is planned in it. */
export async function pass(clock: FakeClock, ms: number): Promise<void> {
  await clock.until(new Promise<void>((resolve) => void clock.after(ms, resolve)));
}
