import type { Plan, PlannedDevice } from '../inventory/precedence.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { DeviceHistory } from '../ledger/slots.ts';
import type { Calendar } from './calendar.ts';
import { type DeviceView, decide, type RunInProgress } from './due.ts';
import { type EndWrite, endsIn, writesOf } from './writes.ts';

/** What the ledger keeps of a device's schedule: enough to settle the slots of a time before an edit. */
export interface Kept {
  readonly plan: Plan;
  readonly maxRuntimeMs: number;
  readonly enabled: boolean;
}

/** An inventory as the ledger has taken it over. */
export interface TakenOver {
  /** Of `Slots.histories`. */
  readonly version: number;
  /** In the order of the inventory; then, with `device` null, those that left it and have something open. */
  readonly devices: readonly { readonly history: DeviceHistory; readonly device: PlannedDevice | null }[];
  /** Ends of slots that were written. */
  readonly ended: readonly EndWrite[];
}

/** What this process is doing while it takes over another inventory. */
export interface Meanwhile {
  readonly upSinceMs: number;
  readonly paused: boolean;
  readonly absences: DeviceView['absences'];
  readonly running: (deviceId: string) => RunInProgress | null;
}

/**
 * Registers every device, and where schedule, time zone or `enabled` changed settles the slots up to now
 * under what held before, also when the edit was made during a downtime. Call it in one transaction.
 * Throws OperationError where the ledger refuses a device.
 */
export function takeOver(
  ledger: Ledger,
  calendar: Calendar,
  inventory: readonly PlannedDevice[],
  meanwhile: Meanwhile,
  nowMs: number,
): TakenOver {
  const devices = register(ledger, inventory, nowMs);
  const ended: EndWrite[] = [];
  const before = ledger.slots.histories(0, nowMs);
  for (const history of before.histories) {
    const device = devices.get(history.deviceId) ?? null;
    const kept = history.plan === null ? null : (JSON.parse(history.plan) as Kept);
    if (kept === null && device === null) continue;
    if (kept !== null && device !== null && sameSlots(kept, device)) {
      ledger.slots.keepPlan(history.deviceId, textOf(device), history.planSinceMs);
      continue;
    }
    if (kept !== null) {
      const view = viewUnder(kept, history, meanwhile);
      const writes = writesOf(history.deviceId, decide(calendar, view, nowMs));
      ended.push(...endsIn(ledger.slots.write(writes)));
    }
    // Expectation starts at registration; for a device that was away, when it came back.
    const neverKept = kept === null && history.planSinceMs === null;
    ledger.slots.keepPlan(history.deviceId, device && textOf(device), neverKept ? null : nowMs);
  }
  const since = ledger.slots.histories(before.version, nowMs);
  const known = new Map([...before.histories, ...since.histories].map((each) => [each.deviceId, each]));
  return {
    version: since.version,
    devices: [
      ...[...devices].flatMap(([id, device]) => {
        const history = known.get(id);
        return history === undefined ? [] : [{ history, device }];
      }),
      ...[...known.values()].flatMap((history) => {
        const left = !devices.has(history.deviceId);
        const busy = history.open.length > 0 || meanwhile.running(history.deviceId) !== null;
        return left && busy ? [{ history, device: null }] : [];
      }),
    ],
    ended,
  };
}

/** By their ids in the ledger, in the order of the inventory. */
function register(
  ledger: Ledger,
  inventory: readonly PlannedDevice[],
  atMs: number,
): ReadonlyMap<string, PlannedDevice> {
  const known = ledger.registerAll(inventory, atMs);
  return new Map(inventory.map((device) => [known.get(device.name)?.id ?? device.name, device]));
}

/** Whether both mean the same slots. The rest of a plan may change at any time: rows keep their deadlines. */
function sameSlots(kept: Kept, { plan, enabled }: PlannedDevice): boolean {
  return (
    kept.plan.schedule === plan.schedule && kept.plan.timezone === plan.timezone && kept.enabled === enabled
  );
}

function textOf({ plan, maxRuntimeMs, enabled }: PlannedDevice): string {
  const kept: Kept = { plan, maxRuntimeMs, enabled };
  return JSON.stringify(kept);
}

function viewUnder(kept: Kept, history: DeviceHistory, meanwhile: Meanwhile): DeviceView {
  const { upSinceMs, paused, absences, running } = meanwhile;
  const { deviceId } = history;
  return { ...history, ...kept, running: running(deviceId), locked: false, upSinceMs, paused, absences };
}
