import type { PlannedDevice } from '../inventory/precedence.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Calendar } from './calendar.ts';
import { type DeviceView, decide } from './due.ts';
import { type Kept, takeOver } from './take-over.ts';
import { type EndWrite, endsIn, writesOf } from './writes.ts';

/** A slot that ended, and the device of the inventory that it was of. */
export interface Ended {
  readonly device: PlannedDevice;
  readonly write: EndWrite;
}

/**
 * Writes down every slot that has fallen due until now, as a daemon that starts now would, and starts
 * nothing. No daemon may be at work. Returns the ends that were new. Throws OperationError where the ledger
 * refuses a device.
 */
export function settleUp(
  ledger: Ledger,
  calendar: Calendar,
  inventory: readonly PlannedDevice[],
  nowMs: number,
): readonly Ended[] {
  const nobody = { upSinceMs: nowMs, paused: false, absences: [], running: () => null };
  return ledger.together(() => {
    const taken = takeOver(ledger, calendar, inventory, nobody, nowMs);
    const ends = [...taken.ended];
    for (const { history, device } of taken.devices) {
      if (device === null) continue;
      const { plan, maxRuntimeMs, enabled } = device;
      const view = { ...history, plan, maxRuntimeMs, enabled, ...nobody, running: null, locked: false };
      const writes = writesOf(history.deviceId, decide(calendar, view, nowMs));
      ends.push(...endsIn(ledger.slots.write(writes)));
    }
    const devices = new Map(taken.devices.map(({ history, device }) => [history.deviceId, device]));
    return ends.flatMap((write) => {
      const device = devices.get(write.deviceId) ?? null;
      return device === null ? [] : [{ device, write }];
    });
  });
}

/**
 * Writes down the slots of one device up to an instant, under the plan that the ledger keeps, as of a time in which
 * nobody kept the schedule; what is open by then stays open. Nothing for a device that is on no schedule. Returns the
 * ends that were new.
 */
export function settleUntil(
  ledger: Ledger,
  calendar: Calendar,
  deviceId: string,
  untilMs: number,
): readonly EndWrite[] {
  const [history] = ledger.slots.historiesOf([deviceId], untilMs);
  if (history === undefined || history.plan === null) return [];
  const kept = JSON.parse(history.plan) as Kept;
  const view: DeviceView = {
    ...{ ...history, ...kept, upSinceMs: untilMs, running: null },
    ...{ locked: false, paused: false, absences: [] },
  };
  return endsIn(ledger.slots.write(writesOf(deviceId, decide(calendar, view, untilMs))));
}
