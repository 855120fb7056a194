import type { Plan, PlannedDevice } from '../inventory/precedence.ts';
import type { DeviceHistory } from '../ledger/slots.ts';
import type { Decision, DeviceView, RunInProgress } from './due.ts';
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
  /** What may start as soon as there is a worker; null: nothing. */
  start: Start | null = null;
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
    return this.#sessions.locks(this);
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
