import type { ErrorCode } from '../core/errors.ts';
import type { Outcome, Trigger } from '../core/run.ts';
import type { Plan } from '../inventory/precedence.ts';
import type { MissedCause, SkippedReason, SlotEnd } from '../ledger/slots.ts';

export type { MissedCause, SkippedReason, SlotEnd };

/** When a slot may start and by when it has to be done. UTC epoch milliseconds. */
export interface SlotTimes {
  /** The scheduled instant: the identity of the slot. No blackout window moves it. */
  readonly slotMs: number;
  /** Slot (moved to the end of a blackout window) + splay. */
  readonly notBeforeMs: number;
  /** notBefore + start_within, at the latest when the next slot's turn comes: not started by then is missed. */
  readonly lastStartMs: number;
  /** lastStart + max_runtime. */
  readonly deadlineMs: number;
  /** True where a later slot falls due while a blackout window still holds this one back: that one stands for both. */
  readonly hidden: boolean;
}

/** A slot that has a row in the ledger. */
export interface RecordedSlot {
  readonly slotMs: number;
  /** As it was written when the slot was recorded: no later edit of the plan moves it. */
  readonly deadlineMs: number;
  /** Null while open. */
  readonly end: SlotEnd | null;
  /** When its end was found out; null while open. */
  readonly detectedAtMs: number | null;
  /** 1, or the number of slots that an "and n more" row stands for: from `slotMs` to `lastMs`. */
  readonly count: number;
  /** Equal to `slotMs` unless `count` is over 1. */
  readonly lastMs: number;
}

/** A run that is under way. */
export interface RunInProgress {
  readonly runId: string;
  readonly trigger: Trigger;
  /** The slot that it was started for (schedule, retry, catch-up); null for a run that no slot asked for. */
  readonly slotMs: number | null;
  readonly startedAtMs: number;
}

/** A run that ended. */
export interface EndedRun extends RunInProgress {
  readonly endedAtMs: number;
  readonly outcome: Outcome;
  /** Null unless `failed` or `quarantined`. */
  readonly code: ErrorCode | null;
  /** Of `connect.jump`: what failed at the jump host; absent otherwise. */
  readonly atJumpHost?: string;
  /** The slot whose row names this run; null while it serves none. One run serves at most one slot. */
  readonly servedMs: number | null;
}

/** A stretch (from, to] of wall time in which this process could start nothing; `to` is when it was over. */
export interface Absence {
  readonly fromMs: number;
  readonly toMs: number;
  /** `clock`: the wall clock jumped ahead; `paused`: a pause, added when it ends; `collector_down`: the process was frozen. */
  readonly cause: 'collector_down' | 'clock' | 'paused';
}

/** Everything that `decide` knows of one device: rows of the ledger, its plan, and what this process noticed. */
export interface DeviceView {
  /** Of the ledger: survives a rename, so the splay does too. */
  readonly deviceId: string;
  readonly enabled: boolean;
  readonly plan: Plan;
  readonly maxRuntimeMs: number;
  readonly registeredAtMs: number;
  /**
   * Since when this schedule and time zone (or `enabled`) hold: slots up to here were settled under what
   * held before; null: since registration. Has to survive a restart, or an edit invents slots.
   */
  readonly planSinceMs: number | null;
  /** The newest slot with a row, even where it lies ahead of a clock that went back; null before the first. */
  readonly lastSlotMs: number | null;
  /** The newest row (open, closed or "and n more") whose slot is at or before now; null where there is none. */
  readonly latest: RecordedSlot | null;
  /** Every row without an end, oldest first. */
  readonly open: readonly RecordedSlot[];
  /**
   * Ended runs, in the order in which they were opened: at least those that ended since the oldest open
   * slot or `latest` (whichever is older) less five minutes, and every one made for `latest`.
   */
  readonly runs: readonly EndedRun[];
  readonly running: RunInProgress | null;
  /** True where another session holds this device's host:port or serial number, so that no run can start. */
  readonly locked: boolean;
  /** End of the newest verified reading, whatever asked for it; null before the first. */
  readonly lastSuccessMs: number | null;
  /**
   * When this process began to keep the schedule. After the clock went back behind it: when that was seen,
   * or slots of the time in between would count as a downtime.
   */
  readonly upSinceMs: number;
  /** True while a person has paused all starts. */
  readonly paused: boolean;
  /**
   * Of this process, oldest first; those older than `latest` and every open slot may be forgotten. Where the
   * clock goes back, those that lie ahead of it are.
   */
  readonly absences: readonly Absence[];
}

/** What the loop has to carry out, in this order. Saying it again after a crash does no harm. */
export type Decision =
  /** A slot has fallen due: write its row, open. */
  | { readonly kind: 'record'; readonly slotMs: number; readonly deadlineMs: number }
  /**
   * One row "and n more", closed at once: `count` slots from `slotMs` (its key, the oldest) to `lastMs`.
   * `deadlineMs` is that of the oldest.
   */
  | {
      readonly kind: 'record-more';
      readonly slotMs: number;
      readonly lastMs: number;
      readonly count: number;
      readonly deadlineMs: number;
      readonly end: SlotEnd;
      readonly detectedAtMs: number;
    }
  /** A slot ends. `deadlineMs` is the time of a `missed`, `detectedAtMs` stands beside it. */
  | {
      readonly kind: 'close';
      readonly slotMs: number;
      readonly end: SlotEnd;
      readonly deadlineMs: number;
      readonly detectedAtMs: number;
    }
  /**
   * A run may start now. Said at every call until it is under way or its time is over; a loop that has
   * it queued already only takes over `notAfterMs`. The run's row carries `slotMs` for every trigger;
   * only `schedule` serves it.
   */
  | {
      readonly kind: 'start';
      readonly trigger: 'schedule' | 'retry' | 'catch-up';
      readonly slotMs: number;
      /** What a start delay is measured from. */
      readonly notBeforeMs: number;
      /** A queued start that did not begin by then is dropped. */
      readonly notAfterMs: number;
    };

/** Slots that have fallen due and have no row yet. */
export interface Expected {
  /** Oldest first: at most 100, none older than 31 days but the newest. */
  readonly slots: readonly number[];
  /** The slots before these; null where there are none. */
  readonly more: { readonly count: number; readonly firstMs: number; readonly lastMs: number } | null;
}
