import type { Failure, Restorable } from '../core/errors.ts';
import type { ArchiveStanding } from './archives.ts';
import type { DeviceFacts, Summary } from './ledger.ts';

/** In the order of precedence. */
export type DeviceState = 'disabled' | 'never' | 'quarantined' | 'missed' | 'failing' | 'late' | 'ok';

/** Where one device stands on its schedule, as the scheduler computes it. */
export interface OnSchedule {
  readonly missed: boolean;
  readonly late: boolean;
  readonly nextRunMs: number | null;
  readonly dueMs: number | null;
}

/** Where one device stands. */
export interface DeviceStatus {
  readonly device: string;
  readonly platform: string;
  readonly group: string;
  readonly state: DeviceState;
  /** Of the last good reading; null before the first. */
  readonly restorable: Restorable | null;
  readonly restorableBecause: string | null;
  /** Of the last good reading; null before the first. */
  readonly facts: DeviceFacts | null;
  /** Those that the inventory asks for. */
  readonly archives: readonly ArchiveStatus[];
  /** UTC epoch milliseconds. */
  readonly lastSuccessMs: number | null;
  readonly lastAttemptMs: number | null;
  /** Null for a device that is disabled or comes due no more. */
  readonly nextRunMs: number | null;
  readonly dueMs: number | null;
  /** Runs that failed and slots that were missed since the last success. */
  readonly consecutiveFailures: number;
  /** Of the newest run that ended; null where that was good or was accepted. */
  readonly failure: Failure | null;
  /** The newest run that ended; null before the first. */
  readonly runId: string | null;
}

/** Where one archive of a device stands. */
export interface ArchiveStatus {
  readonly name: string;
  /** Null before the first one that was stored. */
  readonly lastSuccessMs: number | null;
  /** Null: it was never asked for. */
  readonly lastAttemptMs: number | null;
  /** Of the newest attempt; null where that was stored, or there was none. */
  readonly failure: Failure | null;
}

/**
 * The status of each device, in the order given: computed from what is recorded, never stored. `known` is
 * the id of the device in the ledger; null where it was never registered.
 */
export function statusOf(
  devices: readonly {
    readonly name: string;
    readonly platform: string;
    readonly group: string;
    readonly enabled: boolean;
    readonly known: string | null;
    readonly schedule: OnSchedule;
    /** What the inventory asks for. */
    readonly archives: readonly { readonly name: string }[];
  }[],
  summaries: ReadonlyMap<string, Summary>,
  standings: ReadonlyMap<string, readonly ArchiveStanding[]>,
): readonly DeviceStatus[] {
  return devices.map((device) => {
    const { name, platform, group, enabled, known, schedule } = device;
    const summary = (known === null ? null : summaries.get(known)) ?? nothingYet;
    return {
      device: name,
      platform,
      group,
      state: enabled ? stateOf(summary, schedule) : 'disabled',
      restorable: summary.restorable,
      restorableBecause: summary.restorableBecause,
      facts: summary.facts,
      archives: device.archives.map((archive) =>
        archiveStatus(archive.name, standings.get(known ?? '') ?? []),
      ),
      lastSuccessMs: summary.lastSuccessMs,
      lastAttemptMs: summary.lastAttemptMs,
      nextRunMs: schedule.nextRunMs,
      dueMs: schedule.dueMs,
      consecutiveFailures: summary.consecutiveFailures,
      failure: summary.consecutiveFailures === 0 ? null : (summary.lastRun?.failure ?? null),
      runId: summary.lastRun?.runId ?? null,
    };
  });
}

const nothingYet: Summary = {
  lastSuccessMs: null,
  lastAttemptMs: null,
  consecutiveFailures: 0,
  lastRun: null,
  heldRun: null,
  restorable: null,
  restorableBecause: null,
  facts: null,
};

function archiveStatus(name: string, standings: readonly ArchiveStanding[]): ArchiveStatus {
  const standing = standings.find((candidate) => candidate.name === name);
  const { lastSuccessMs = null, lastAttemptMs = null, failure = null } = standing ?? {};
  return { name, lastSuccessMs, lastAttemptMs, failure };
}

function stateOf(summary: Summary, { missed, late }: OnSchedule): DeviceState {
  if (summary.lastSuccessMs === null) return 'never';
  if (summary.heldRun !== null) return 'quarantined';
  if (missed) return 'missed';
  if (summary.consecutiveFailures > 0) return 'failing';
  return late ? 'late' : 'ok';
}
