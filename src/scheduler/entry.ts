import type { Plan, PlannedDevice } from '../inventory/precedence.ts';
import type { DeviceHistory } from '../ledger/slots.ts';
import type { Calendar } from './calendar.ts';
import { afterBlackout, type Decision, type DeviceView, nextStartMs, type RunInProgress } from './due.ts';
import type { Sessions } from './sessions.ts';
import type { Timekeeper } from './timekeeper.ts';

export type Start = Extract<Decision, { kind: 'start' }>;

/**
 * One device as the loop sees it: a `DeviceView` that is always up to date, without being made anew for
 * ten thousand devices every second.
 */
export class Entry implements DeviceView {
  /** Null for a device that left the inventory before this process began. */
  device: PlannedDevice | null;
  history: DeviceHistory;
  plan: Plan;
  maxRuntimeMs: number;
  /** Not in the inventory any more: what is open ends, nothing begins. */
  departed: boolean;
  running: RunInProgress | null = null;
  /** Whether a session that is no run leads to it. */
  visited = false;
  /** How many keep a run from beginning: its files are being moved. */
  holds = 0;
  /** What may start as soon as there is a worker; null: nothing. */
  start: Start | null = null;
  /** How long the last good run took that this process saw; null before the first. */
  tookMs: number | null = null;
  /** Monotonic: not started before, because the ledger could not take the last run. */
  restMs = Number.NEGATIVE_INFINITY;
  /** Wall time at which `history.latest` has to be read again although nothing changed: only after a clock that went back. */
  readAgainMs: number | null = null;
  /** Wall time before which `decide` has nothing new to say, unless something changes; see `wake`. */
  asleepUntilMs = Number.NEGATIVE_INFINITY;
  readonly #time: Timekeeper;
  readonly #sessions: Sessions;

  constructor(
    history: DeviceHistory,
    terms: { readonly device: PlannedDevice | null; readonly plan: Plan; readonly maxRuntimeMs: number },
    time: Timekeeper,
    sessions: Sessions,
  ) {
    this.history = history;
    this.device = terms.device;
    this.plan = terms.plan;
    this.maxRuntimeMs = terms.maxRuntimeMs;
    this.departed = terms.device === null;
    this.#time = time;
    this.#sessions = sessions;
  }

  /** Something changed that `decide` looks at. */
  wake(): void {
    this.asleepUntilMs = Number.NEGATIVE_INFINITY;
  }

  get deviceId() {
    return this.history.deviceId;
  }
  get enabled() {
    return !this.departed && this.device?.enabled === true;
  }
  get registeredAtMs() {
    return this.history.registeredAtMs;
  }
  get planSinceMs() {
    return this.history.planSinceMs;
  }
  get lastSlotMs() {
    return this.history.lastSlotMs;
  }
  get latest() {
    return this.history.latest;
  }
  get open() {
    return this.history.open;
  }
  get runs() {
    return this.history.runs;
  }
  get lastSuccessMs() {
    return this.history.lastSuccessMs;
  }
  get locked() {
    return this.visited || this.#sessions.locks(this);
  }
  get upSinceMs() {
    return this.#time.upSinceMs;
  }
  get paused() {
    return this.#time.paused;
  }
  get absences() {
    return this.#time.absences;
  }
}

/** Whether what the schedule wants of a device may begin at this instant. */
export function mayStart({ start }: Entry, nowMs: number): boolean {
  return start !== null && start.notBeforeMs <= nowMs && nowMs <= start.notAfterMs;
}

/** Whether a run after a change may: nobody asked for it in person, so it keeps off where the schedule does. */
export function mayFollow(calendar: Calendar, { enabled, paused, plan }: Entry, nowMs: number): boolean {
  return enabled && !paused && afterBlackout(calendar, plan, nowMs) === nowMs;
}

/**
 * Until when `decide` says the same of a device that it has just nothing to write for, if nothing changes: a
 * fleet of ten thousand is not decided about every second. Never later than its next slot.
 */
export function nothingNewBefore(calendar: Calendar, entry: Entry, nowMs: number): number {
  const { start, open, running, departed, plan } = entry;
  if (departed || running !== null) return nowMs;
  const next = calendar.next(plan.schedule, plan.timezone, nowMs) ?? Number.POSITIVE_INFINITY;
  if (start !== null && open.length <= 1) return Math.min(next, start.notAfterMs + 1);
  if (start !== null || open.length > 0) return nowMs;
  // What follows a missed or a failed slot.
  return Math.min(next, nextStartMs(calendar, entry, nowMs) ?? Number.POSITIVE_INFINITY);
}
