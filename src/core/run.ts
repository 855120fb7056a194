import type { Condition, Facts } from './device.ts';
import type { Failure, Restorable } from './errors.ts';

/** Why a device was read. */
export type Trigger = 'schedule' | 'retry' | 'catch-up' | 'manual' | 'change' | 'job';

/** How one run ended. There is no fifth way. */
export type Outcome = 'changed' | 'unchanged' | 'quarantined' | 'failed';

/** One artefact of a reading, in the two forms in which it is kept. Text holds one character per byte (latin1). */
export interface ArtefactText {
  /** `running-config`, the principal one of each platform, or a name made from a context or partition. */
  readonly name: string;
  /** Normalised and masked: what goes to git. */
  readonly masked: string;
  /** SHA-256 (hex) of the sealed file; null where nothing is sealed (`secrets.in_git: keep` without recipients). */
  readonly sealed: string | null;
}

/** Who changed a device, as its syslog messages say: harmless to show, bounded, and as true as those who send them. */
export interface ChangeOrigin {
  /** Names, joined by commas; null where none was told. */
  readonly by: string | null;
  /** Addresses, likewise. */
  readonly from: string | null;
}

/** What one run read and may commit. The spool holds it as JSON: never clear text, never a secret. */
export interface SpoolEntry {
  readonly runId: string;
  readonly deviceId: string;
  readonly deviceName: string;
  readonly group: string;
  readonly platform: string;
  readonly trigger: Trigger;
  /** The slot that this run serves: UTC epoch milliseconds; null where no slot asked for it. */
  readonly slotMs: number | null;
  readonly readAtMs: number;
  readonly artefacts: readonly ArtefactText[];
  readonly facts: Facts;
  /** No part of it makes a commit. */
  readonly condition: Condition;
  /** Every serial number that the device named as its own or as a partner's, its own first. */
  readonly serials: readonly string[];
  readonly restorable: Restorable;
  /** Why it is not `yes`, or on what ground it is; one line, null where there is nothing to say. */
  readonly restorableBecause: string | null;
  /** Id of the fingerprint key that masked this text. */
  readonly maskKey: string;
  /** Digest of the driver's volatile and secret rules. */
  readonly rules: string;
  /** Absent: nobody said. */
  readonly change?: ChangeOrigin;
}

/** What became of a reading. */
export type Settled =
  | {
      readonly outcome: 'changed';
      readonly commit: string;
      readonly addedLines: number;
      readonly removedLines: number;
      /** Names of the artefacts whose text differs from the last good one. */
      readonly changed: readonly string[];
      /** They differ because our rules or the fingerprint key do. Absent: the device changed. */
      readonly underNewRules?: true;
    }
  | { readonly outcome: 'unchanged'; readonly commit: string }
  | { readonly outcome: 'quarantined'; readonly failure: Failure }
  | { readonly outcome: 'failed'; readonly failure: Failure };

/** What is told of a run that ended: to the log, the progress display, metrics and `backup --json`. */
export interface RunEnded {
  readonly runId: string;
  readonly device: string;
  readonly group: string;
  readonly platform: string;
  readonly trigger: Trigger;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly settled: Settled;
  /** Null where the run ended before there was anything to judge. */
  readonly restorable: Restorable | null;
  readonly restorableBecause: string | null;
  readonly artefacts: readonly EndedArtefact[];
  /** Whether the device had unsaved changes; null where it did not say or was not read. */
  readonly unsaved: boolean | null;
  /** One for each archive that was due. Its failure is none of the run. */
  readonly archives: readonly EndedArchive[];
  /** The stack of an unexpected exception, for the log alone; null for every expected failure. */
  readonly stack: string | null;
}

/** `path` is relative to the repository's root; `bytes` counts the masked text. */
export interface EndedArtefact {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  readonly changed: boolean;
}

/** What became of an archive that was due: `bytes` of the sealed file, or why there is none. */
export type EndedArchive =
  | { readonly name: string; readonly bytes: number; readonly failure: null }
  | { readonly name: string; readonly bytes: null; readonly failure: Failure };
