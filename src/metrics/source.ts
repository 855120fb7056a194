import type { ErrorCode, Restorable } from '../core/errors.ts';
import type { PushFailureReason } from '../core/remotes.ts';
import type { StateLabel, StatePart } from './labels.ts';

/** One device of the inventory, as it stands now; from the ledger, so that a restart changes none of it. */
export interface DeviceGauges {
  readonly name: string;
  readonly platform: string;
  readonly group: string;
  readonly enabled: boolean;
  /** When the newest attempt ended; null before the first. Instants are UTC epoch milliseconds. */
  readonly lastAttemptMs: number | null;
  readonly lastAttemptOk: boolean;
  readonly lastSuccessMs: number | null;
  readonly lastChangeMs: number | null;
  /** Null while the device is disabled. */
  readonly nextRunMs: number | null;
  /** Null while the device is disabled: nothing is expected of it. */
  readonly dueMs: number | null;
  /** Null while the device is disabled. */
  readonly expectedIntervalMs: number | null;
  readonly consecutiveFailures: number;
  /** Of the principal artefact as stored; null where there is none. */
  readonly configBytes: number | null;
  /** Null before the first attempt ended. */
  readonly lastDurationMs: number | null;
  readonly state: StateLabel;
  /** Of the last good copy; null before the first. */
  readonly restorable: Restorable | null;
  /** At the last good reading; null where the device did not say. */
  readonly unsaved: boolean | null;
  /** Null unless the newest attempt is a failure. */
  readonly failureCode: ErrorCode | null;
  /** Those that the inventory asks for. */
  readonly archives: readonly ArchiveGauges[];
}

/** One archive of one device. */
export interface ArchiveGauges {
  readonly name: string;
  /** Null: never. */
  readonly lastSuccessMs: number | null;
  /** Null before the first attempt. */
  readonly lastAttemptOk: boolean | null;
  /** Null before the first good one, and while the device is disabled. */
  readonly dueMs: number | null;
}

/** One remote of the repository. */
export interface RemoteGauges {
  readonly name: string;
  /** Null where that cannot be told. */
  readonly unpushed: number | null;
  /** Null: never. */
  readonly lastSuccessMs: number | null;
  /** Null unless the newest push is a failure. */
  readonly failure: PushFailureReason | null;
}

/** The collector itself. */
export interface CollectorGauges {
  readonly inventory: {
    /** False: the file on disk was refused and the one before is in use. */
    readonly lastLoadOk: boolean;
    readonly lastAcceptedMs: number;
    /** Enabled devices without a pinned host key. */
    readonly unpinnedHostKeys: number;
    /** Devices that allow it, by the name of each weak algorithm; 0 is worth saying. */
    readonly weakAlgorithms: ReadonlyMap<string, number>;
  };
  readonly credentials: {
    /** False: a referenced secret could not be read. */
    readonly lastLoadOk: boolean;
    /** Every credential by its name; true while its logins are held back. */
    readonly heldBack: ReadonlyMap<string, boolean>;
  };
  readonly scheduler: {
    /** The last pass; before the first one the start of the process, so that a loop that never turns is seen. */
    readonly lastTickMs: number;
    readonly queueLength: number;
    /** The slot that has waited longest; null where none waits. */
    readonly oldestQueuedMs: number | null;
  };
  /** Devices whose change backup waits for a limit. */
  readonly changesLimited: number;
  readonly workers: { readonly configured: number; readonly busy: number };
  /** Null before the first commit. */
  readonly lastCommitMs: number | null;
  /** The looks at every object of the repository; null before the first. `lastCleanMs` null: never clean. */
  readonly fsck: { readonly problems: number; readonly lastCleanMs: number | null } | null;
  /** Other repositories that get every commit. */
  readonly remotes: readonly RemoteGauges[];
  readonly spool: { readonly entries: number; readonly oldestMs: number | null };
  readonly stateDir: {
    /** Null where the system does not say. */
    readonly freeBytes: number | null;
    readonly sizeBytes: Readonly<Record<StatePart, number>>;
  };
  readonly chainLength: number;
}

/** Asked at every scrape. Neither call may block the event loop for long, whatever the number of devices. */
export interface MetricsSource {
  collector(): Promise<CollectorGauges>;
  /** Every device of the inventory; one that left it is no longer told of. */
  devices(): Promise<readonly DeviceGauges[]>;
}
