import type { Condition, Facts } from '../core/device.ts';
import type { Failure, OperationError, Restorable } from '../core/errors.ts';
import type { Outcome, Trigger } from '../core/run.ts';
import type { Archives } from './archives.ts';
import type { Lives } from './lives.ts';
import type { Logins } from './logins.ts';
import type { Rebuilding } from './rebuilding.ts';
import type { Retention } from './retention.ts';
import type { Slots } from './slots.ts';

/** What the ledger knows of a device. */
export interface KnownDevice {
  /** The first name it ever had; survives a rename. Masks are made with it. */
  readonly id: string;
  readonly name: string;
  readonly platform: string;
  readonly group: string;
  /** UTC epoch milliseconds; null: in use. */
  readonly retiredMs: number | null;
  /** As last accepted; null before the first good reading. */
  readonly hostname: string | null;
  /** Serial numbers of the unit and of partners that a trusted unit named. A partner that is named no more stays. */
  readonly serials: readonly string[];
  /** By serial number: what that unit called itself when it was last trusted. */
  readonly hostnames: Readonly<Record<string, string>>;
}

/** One artefact of a good reading. */
export interface Version {
  readonly deviceId: string;
  readonly artefact: string;
  readonly commit: string;
  /** Relative to the repository's root. */
  readonly path: string;
  readonly runId: string;
  readonly atMs: number;
  /** Of the masked text; null where it was not kept. */
  readonly bytes: number | null;
}

/** A version of the newest good reading. */
export interface NewestVersion extends Version {
  /** Where main has it now; null: nowhere, because the device was retired. */
  readonly liesAt: string | null;
}

/** The newest good reading of a device. */
export interface LastGood {
  readonly runId: string;
  /** Of the device that was read then: another one may have taken its place. */
  readonly platform: string;
  readonly commit: string;
  readonly restorable: Restorable;
  readonly rules: string;
  readonly maskKey: string;
  readonly versions: readonly NewestVersion[];
}

export interface RunRow {
  readonly runId: string;
  readonly deviceId: string;
  readonly device: string;
  readonly platform: string;
  readonly group: string;
  /** UTC epoch milliseconds; null for a run that no slot asked for. */
  readonly slotMs: number | null;
  readonly trigger: Trigger;
  readonly state: 'running' | Outcome;
  readonly failure: Failure | null;
  readonly startedAtMs: number;
  /** Null while it is running. */
  readonly endedAtMs: number | null;
  readonly commit: string | null;
  readonly restorable: Restorable | null;
  readonly restorableBecause: string | null;
  /** When a person accepted it; null for a run that was not quarantined or is not accepted. */
  readonly acceptedAtMs: number | null;
}

/** The end of a run, written in one transaction with its chain record. */
export interface RunEnd {
  readonly runId: string;
  readonly endedAtMs: number;
  readonly outcome: Outcome;
  /** Null unless `failed` or `quarantined`. */
  readonly failure: Failure | null;
  /** The good commit that this run made or confirmed; null unless `changed` or `unchanged`. */
  readonly commit: string | null;
  readonly restorable: Restorable | null;
  readonly restorableBecause: string | null;
  /** What the reading carried; null where it never came to one. */
  readonly reading: GoodReading | null;
}

/** What a good (or quarantined) reading leaves in the ledger. */
export interface GoodReading {
  readonly facts: Facts;
  readonly condition: Condition;
  readonly serials: readonly string[];
  readonly rules: string;
  readonly maskKey: string;
  /** `path` null while the reading is quarantined. */
  readonly artefacts: readonly {
    readonly name: string;
    readonly path: string | null;
    readonly sealed: string | null;
    readonly changed: boolean;
    /** Of the masked text; null where it is not known. */
    readonly bytes: number | null;
  }[];
}

/** What a device told of itself in its newest good reading; null where it did not say. */
export interface DeviceFacts extends Condition {
  readonly hostname: string | null;
  readonly version: string | null;
  readonly model: string | null;
  readonly serial: string | null;
  /** Serial numbers of the other members of its group, as the unit named them. */
  readonly partners: readonly string[];
}

/** One sealed copy of an artefact. */
export interface SealedCopy {
  readonly deviceId: string;
  readonly artefact: string;
  readonly runId: string;
  /** SHA-256 (hex) of the sealed file. */
  readonly digest: string;
  readonly atMs: number;
}

/** Where one device stands, from what was recorded. */
export interface Summary {
  /** End of the newest good reading, or the moment at which a quarantined one was accepted. */
  readonly lastSuccessMs: number | null;
  /** Start of the newest run. */
  readonly lastAttemptMs: number | null;
  /** Runs that ended `failed` or `quarantined`, and slots that were missed, since the last success. */
  readonly consecutiveFailures: number;
  /** The newest run that ended. */
  readonly lastRun: RunRow | null;
  /** The newest quarantined run that neither was accepted nor was followed by a good reading. */
  readonly heldRun: RunRow | null;
  /** Of the newest good reading. */
  readonly restorable: Restorable | null;
  readonly restorableBecause: string | null;
  /** Null before the first, and before it was kept. */
  readonly facts: DeviceFacts | null;
}

/** One record of the hash chain. */
export interface ChainRecord {
  /** 1-based. */
  readonly n: number;
  /** Canonical JSON, with `category` and `at_ms` in it. */
  readonly record: string;
  readonly hash: Uint8Array;
}

/** Which runs to list; every null means "no limit of this kind". */
export interface RunFilter {
  readonly deviceIds: readonly string[] | null;
  readonly states: readonly RunRow['state'][] | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly limit: number;
}

/**
 * What was due, what happened and why. SQLite; each end state appends one record to the hash chain in
 * the same transaction. Throws BackupError `record.failed`, `record.busy` or a `store.*` code.
 */
export interface Ledger extends Disposable {
  /**
   * The device behind an inventory name, registered on first sight. `formerly` carries an older device over to its
   * new name, also where another platform takes its place, and where something was read under the new name
   * already: that is then put aside under a name of its own. The name of a retired device begins anew. Throws
   * OperationError where the name is known with another platform, and where `formerly` names a device that was
   * read in the same time as this one.
   * Where a name goes to another device in the same inventory, the one with `formerly` is registered first.
   */
  register(device: {
    name: string;
    platform: string;
    group: string;
    formerly: readonly string[];
    atMs: number;
  }): KnownDevice;
  /**
   * All devices of an inventory, in the order in which they have to be registered, at the cost of those that are new
   * or changed. By name. Each is passed to `refused` that the ledger refuses; absent: the first refusal is thrown.
   */
  registerAll(
    devices: readonly {
      name: string;
      platform: string;
      group: string;
      formerly: readonly string[];
    }[],
    atMs: number,
    refused?: (error: OperationError) => void,
  ): ReadonlyMap<string, KnownDevice>;
  /** Null where no device of this name (now or formerly) is known. */
  device(name: string): KnownDevice | null;
  devices(): readonly KnownDevice[];
  /** The ids of all of them, by their present names. */
  idsByName(): ReadonlyMap<string, string>;
  /** Devices by their ids, at the cost of the devices, not of their runs; null: every one that is known. */
  summaries(deviceIds?: readonly string[] | null): ReadonlyMap<string, Summary>;

  /** A row before the first packet, so that a crash leaves evidence. */
  openRun(run: {
    runId: string;
    deviceId: string;
    trigger: Trigger;
    slotMs: number | null;
    startedAtMs: number;
  }): void;
  /**
   * Ends a run: its row, versions of changed artefacts, sealed copies, the device's facts, one chain
   * record. Returns the digests of sealed copies that nothing refers to any more, for `retention.removed` once they
   * are gone: the newest copy of an unchanged artefact replaces the one before it unless a commit names that one.
   * Throws where the run is not `running`: an end state is never rewritten.
   */
  closeRun(end: RunEnd): readonly string[];
  /** Makes a quarantined run the last good one. Throws OperationError where it is not quarantined or accepted already. */
  acceptRun(accept: {
    runId: string;
    atMs: number;
    by: string;
    commit: string;
    paths: ReadonlyMap<string, string>;
  }): void;

  /** Null before the first good reading. */
  lastGood(deviceId: string): LastGood | null;
  /** By device, what `lastGood` says of its versions: of many devices at the cost of one question. */
  newestVersions(deviceIds: readonly string[]): ReadonlyMap<string, readonly Version[]>;
  run(runId: string): RunRow | null;
  /** Newest first. */
  runs(filter: RunFilter): readonly RunRow[];
  running(): readonly RunRow[];
  /** Newest first. */
  versions(deviceId: string, artefact: string): readonly Version[];
  /** Names of the artefacts that this device has versions of; `running-config` first. */
  artefactNames(deviceId: string): readonly string[];
  /** The sealed copy of exactly this run, or the newest one where `runId` is null; null where there is none. */
  sealed(deviceId: string, artefact: string, runId: string | null): SealedCopy | null;

  /** Times at which devices were due. */
  readonly slots: Slots;
  /** What the hold-back of credentials remembers. */
  readonly logins: Logins;
  /** Moves and retirements. */
  readonly lives: Lives;
  /** What is taken from commits that this ledger does not know. */
  readonly rebuilding: Rebuilding;
  /** Files that devices made for us. */
  readonly archives: Archives;
  /** How long sealed files are kept. */
  readonly retention: Retention;
  /** Everything that `work` writes, or nothing of it, in one transaction. `work` is synchronous. */
  together<Answer>(work: () => Answer): Answer;

  /** Appends a chain record for what is not the end of a run: `trust`, `init`, `reload`. */
  record(category: string, atMs: number, record: Readonly<Record<string, unknown>>): void;
  /** What the newest record of a category other than `run` and `slot` says; null where there is none. */
  lastRecord(category: string): Readonly<Record<string, unknown>> | null;
  /** Hash (hex) of the newest chain record; 64 zeros before the first. */
  chainHead(): string;
  /** Records in the hash chain. */
  chainLength(): number;
  /** When the newest version was written down; null before the first. */
  lastVersionMs(): number | null;
  /** The newest commits that readings came to, newest first; at most a thousand. */
  lastCommits(): readonly string[];
  /** Every record, oldest first; read while the ledger is open. */
  chain(): Iterable<ChainRecord>;

  /**
   * Throws BackupError `record.failed` where the file is damaged: a page that was overwritten is otherwise met when it
   * is needed, perhaps after months. A large ledger is not read in full for that: see `soundness.ts`.
   */
  refuseDamaged(): void;
  /** Digests of every sealed copy and every archive that is named here, each once. */
  sealedDigests(): readonly string[];
  /** Writes the whole ledger, as of one moment, into a new file that only its owner can read. Not flushed to the disk. */
  snapshot(file: string): void;
}
