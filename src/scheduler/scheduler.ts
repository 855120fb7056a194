import type { Clock } from '../core/clock.ts';
import type { RunEnded, Trigger } from '../core/run.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { DeviceHistory } from '../ledger/slots.ts';
import type { Calendar } from './calendar.ts';
import type { MissedCause, SkippedReason } from './due.ts';
import type { Present } from './standing.ts';

/** One run that has its turn: there is a worker for it, and no other session to this device. */
export interface RunJob {
  /** As the inventory said when the run began; a reload does not change it. */
  readonly device: PlannedDevice;
  readonly trigger: Trigger;
  /** The slot that the run's row carries; null for a run that no slot asked for. UTC epoch milliseconds. */
  readonly slotMs: number | null;
  readonly runId: string;
  /** Aborted by `abort`, by whoever asked for the run, and long after `max_runtime` as a backstop. */
  readonly signal: AbortSignal;
  /** Tells whoever asked for the run how many bytes have been received. */
  readonly onProgress: (receivedBytes: number) => void;
}

/** Reads one device once: opens the run's row, ends it, and resolves when both are written. Must not reject. */
export type Runner = (job: RunJob) => Promise<RunEnded>;

/** A slot that ended without a run. `count` is over 1 for "and n more", from `slotMs` to `lastMs`. */
export interface AbsentSlot {
  readonly device: PlannedDevice;
  readonly slotMs: number;
  readonly lastMs: number;
  readonly count: number;
  /** The time that the absence carries: when it should have been over. */
  readonly deadlineMs: number;
  /** When it was found out. */
  readonly detectedAtMs: number;
}

/** Told of what happens, after it is in the ledger. No call may throw or do I/O. */
export interface SchedulerSink {
  /** A run for `job` begins; `delayMs` after its slot plus splay, null for one that people asked for. */
  runStarted(job: RunJob, delayMs: number | null): void;
  /** Any run is over, whoever asked for it. */
  runEnded(ended: RunEnded): void;
  slotMissed(slot: AbsentSlot, cause: MissedCause): void;
  slotSkipped(slot: AbsentSlot, reason: SkippedReason): void;
  /** The wall clock jumped against the monotonic one; positive: ahead. */
  clockJumped(byMs: number): void;
  /** The loop could not write what it found out, or a runner rejected; it tries again at the next tick. */
  failed(thrown: unknown): void;
}

export interface SchedulerOptions {
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly calendar: Calendar;
  readonly runner: Runner;
  readonly sink: SchedulerSink;
  readonly newRunId: () => string;
  /** Device sessions at once. */
  readonly workers: number;
  /** The whole inventory, disabled devices included. */
  readonly devices: readonly PlannedDevice[];
}

/**
 * What is asked for by people (or by a change, or a job) with `runNow`. A run after a change waits while starts are
 * paused, in a blackout window, and as long as its device is disabled; nothing else does.
 */
export interface RunRequest {
  readonly trigger: Extract<Trigger, 'manual' | 'change' | 'job'>;
  /** Aborting ends the runs in progress; those that wait end `run.interrupted` without a row. */
  readonly signal: AbortSignal;
  readonly onStarted?: (device: string) => void;
  readonly onProgress?: (device: string, receivedBytes: number) => void;
  readonly onEnded?: (ended: RunEnded) => void;
}

/** Where the loop stands, for metrics and readiness. */
export interface SchedulerState {
  /** Null before the first tick. */
  readonly lastTickMs: number | null;
  /** The same on the monotonic clock: what readiness and the watchdog compare. */
  readonly lastTickMonotonicMs: number | null;
  /** Runs that are due and wait for a worker. */
  readonly queueLength: number;
  /** The slot that has waited longest; null where none waits. */
  readonly oldestQueuedMs: number | null;
  readonly workers: number;
  readonly busy: number;
  readonly paused: boolean;
  readonly draining: boolean;
  readonly running: readonly {
    readonly device: string;
    readonly runId: string;
    readonly startedAtMs: number;
  }[];
}

/** The loop. The state lock is held by whoever makes one, and recovery is over. */
export interface Scheduler {
  /** Finds out what there is to do, writes it down, starts what may start. Call it every second or so. Never throws. */
  tick(): void;
  /**
   * Takes over another inventory: whole, or not at all. Slots up to now are settled under what held
   * before. Throws OperationError where the ledger refuses a device; then nothing has changed.
   */
  reload(devices: readonly PlannedDevice[], workers: number): void;
  /**
   * Runs devices of the inventory now, through the same queue: never a second session to a device, never
   * more sessions than workers; what took longest the last time begins first. Resolves when all have ended, in the order of `names`; does not reject for
   * what a device does. Throws RangeError for a name that the inventory does not have.
   */
  runNow(names: readonly string[], request: RunRequest): Promise<readonly RunEnded[]>;
  /**
   * A session that is no run: `work` begins when it has its turn in the same queue, so that there is never a second
   * session to a device. Rejects with whatever `work` rejects with, with BackupError `run.interrupted` where `signal`
   * was aborted or the scheduler drains before its turn, and with RangeError for a name that the inventory does not have.
   */
  visit<Answer>(
    name: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer>;
  /** Keeps runs of these devices (ids of the ledger) from beginning until `release`, and says which are not being read now. */
  hold(deviceIds: readonly string[]): { readonly held: ReadonlySet<string>; release(): void };
  /** No scheduled run starts until `resume`; slots that pass meanwhile are `missed{paused}`. */
  pause(): void;
  resume(): void;
  /** No new run starts; requests that wait end `run.interrupted`. Resolves when every run in progress has ended. */
  drain(): Promise<void>;
  /** Aborts every run in progress; `drain` then resolves soon. */
  abort(): void;
  state(): SchedulerState;
  /** What this process knows of a device of the inventory, without asking the ledger; null where it has none of this name. */
  present(device: string): (Present & { readonly history: DeviceHistory }) | null;
}
