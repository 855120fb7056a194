import type { PlannedDevice } from '../inventory/precedence.ts';
import type { DeviceHistory } from '../ledger/slots.ts';
import type { Calendar } from './calendar.ts';
import {
  type DeviceView,
  dueTimeMs,
  expectedSlots,
  nextStartMs,
  type RunInProgress,
  slotTimes,
} from './due.ts';

/** Where a device stands on its schedule. */
export interface Standing {
  /** Its newest slot was not even attempted, and nothing good followed. */
  readonly missed: boolean;
  /** A slot should have begun and has not; or what began for it takes longer than it may. */
  readonly late: boolean;
  /** UTC epoch milliseconds; null for a device that is disabled, and where starts are paused. */
  readonly nextRunMs: number | null;
  /** What alerts compare with; null for a device that is disabled or comes due no more. */
  readonly dueMs: number | null;
}

/** What the process that keeps the schedule knows besides; a command without a daemon knows nothing of it. */
export interface Present {
  readonly upSinceMs: number;
  readonly paused: boolean;
  readonly absences: DeviceView['absences'];
  readonly running: RunInProgress | null;
}

/**
 * Computed from rows, schedule and now, so that it is right also where nobody was there to write a row: a
 * slot that has passed without one is missed. `history` null: the ledger does not know the device.
 */
export function standingOf(
  calendar: Calendar,
  device: PlannedDevice,
  history: DeviceHistory | null,
  present: Present,
  nowMs: number,
): Standing {
  const nothing = { missed: false, late: false, nextRunMs: null, dueMs: null };
  if (!device.enabled || history === null) return nothing;
  const { plan, maxRuntimeMs, enabled } = device;
  const view: DeviceView = { ...history, plan, maxRuntimeMs, enabled, locked: false, ...present };
  const expected = expectedSlots(calendar, view, nowMs);
  const awaited = [
    ...view.open.map(({ slotMs }) => slotMs).filter((slotMs) => slotMs <= nowMs),
    ...expected.slots,
  ].map((slotMs) => slotTimes(calendar, view, slotMs));

  const since = history.lastSuccessMs ?? Number.NEGATIVE_INFINITY;
  const newest = history.newestEnd;
  const running = present.running !== null;
  const passed = awaited.some((slot) => slot.slotMs > since && nowMs > slot.lastStartMs);
  return {
    missed: (newest?.end?.state === 'missed' && newest.lastMs > since) || (passed && !running),
    late: awaited.some(
      ({ slotMs, notBeforeMs, deadlineMs }) => slotMs > since && nowMs > (running ? deadlineMs : notBeforeMs),
    ),
    nextRunMs: nextStartMs(calendar, view, nowMs),
    dueMs: dueTimeMs(calendar, { ...view, unserved: history.owed === null ? [] : [history.owed] }, nowMs),
  };
}
