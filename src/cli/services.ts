import type { Device } from '../core/device.ts';
import type { Failure, Problem } from '../core/errors.ts';
import type { RemoteStatus } from '../core/remotes.ts';
import type { RunEnded, SpoolEntry, Trigger } from '../core/run.ts';
import type { ArchiveAttempt } from '../ledger/archives.ts';
import type { RunRow, Version } from '../ledger/ledger.ts';
import type { DeviceStatus } from '../ledger/status.ts';
import type { TextDiff } from '../pipeline/diff.ts';
import type { Accepted, Finding, FindingKind } from '../verify/finding.ts';
import type { Anchor } from '../verify/verify.ts';

export type { DeviceStatus };

/** What is known of a call before any command runs. */
export interface ServicesOptions {
  /** As given by `--config`; null: $ROUNDSMAN_CONFIG and the usual places decide. */
  readonly configFile: string | null;
  /** False while a progress display owns the terminal: log lines are then not written to stderr. */
  readonly logLines: boolean;
}

/** What a command has to know of a device in order to choose it; nothing of its login. */
export type FleetDevice = Pick<Device, 'name' | 'group' | 'enabled'>;

/** What the inventory names. */
export interface Fleet {
  readonly devices: readonly FleetDevice[];
  /** Every group that is declared or used, `default` included where a device is in it. */
  readonly groups: readonly string[];
  /** Names that only the ledger knows: their history can be read, they are not backed up. */
  readonly gone: readonly string[];
  /** Of the configuration: things that work and deserve a look, such as a literal password. */
  readonly warnings: readonly Problem[];
}

/** What `init` wrote. */
export interface Initialised {
  readonly configFile: string;
  readonly inventoryFile: string;
  readonly fingerprintKeyFile: string;
  /** The private half: to be taken off this machine. */
  readonly identityFile: string;
  /** The age recipient that was written into the settings. */
  readonly recipient: string;
}

/** What a valid configuration amounts to. */
export interface Checked {
  readonly configFile: string;
  readonly inventoryFile: string;
  /** Things that work and deserve a look, such as a literal password. */
  readonly warnings: readonly Problem[];
  readonly sizing: Sizing;
}

export interface Sizing {
  /** Enabled devices. */
  readonly devices: number;
  /** Device sessions at once. */
  readonly sessions: number;
  /** Mean length of one run. */
  readonly runMs: number;
  /** How long one round over all devices takes with so many sessions. */
  readonly windowMs: number;
  /** False: an assumed figure, because no run has ended yet. */
  readonly measured: boolean;
  readonly disk: DiskUse;
}

/** What a year brings: bytes on the disk at its end. */
export interface DiskUse {
  /** Kept for ever. */
  readonly gitBytes: number;
  /** 0: nothing is sealed. */
  readonly sealedBytes: number;
  /** 0: no device makes archives. */
  readonly archiveBytes: number;
  /** How long sealed copies and archives are kept. */
  readonly sealedForMs: number;
  /** False: assumed figures, because nothing of the kind is stored yet. */
  readonly measured: boolean;
}

/** How far `check --connect` came with one device. */
export interface Reached {
  readonly device: string;
  readonly platform: string;
  readonly durationMs: number;
  /** Null: the prompt was reached. */
  readonly failure: Failure | null;
}

/** What happens while devices are being read. `ended` is the last of each device. */
export type BackupEvent =
  | { readonly type: 'started'; readonly device: string }
  | { readonly type: 'progress'; readonly device: string; readonly receivedBytes: number }
  | { readonly type: 'ended'; readonly ended: RunEnded };

/** A run, or a slot that no run served. A `RunRow` with `cause: null` is one. */
export interface RunEntry extends Omit<RunRow, 'runId' | 'trigger' | 'state' | 'startedAtMs'> {
  /** Null for a slot without a run. */
  readonly runId: string | null;
  readonly trigger: Trigger | null;
  readonly state: RunRow['state'] | 'missed' | 'skipped';
  /** Why a slot was missed or skipped; null for a run. */
  readonly cause: string | null;
  /** How many slots this entry stands for, where it is the rest of a long downtime, from `slotMs` on. */
  readonly slots?: number;
  readonly startedAtMs: number | null;
}

/** Which runs to list; null means "no limit of this kind". */
export interface RunsFilter {
  readonly devices: readonly string[] | null;
  readonly states: readonly RunEntry['state'][] | null;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
}

/** A quarantined reading, with why it is held. */
export interface Held {
  readonly entry: SpoolEntry;
  readonly failure: Failure;
}

/** Two texts compared. */
export interface Comparison {
  readonly diff: TextDiff;
  /** A remark a reader of the diff needs, such as secrets that change at every reading; null for none. */
  readonly note: string | null;
}

/** Subject and trailers of a commit. */
export interface Message {
  readonly subject: string;
  readonly trailers: readonly (readonly [string, string])[];
}

/** A host key as a device (or a known_hosts file) shows it. */
export interface HostKey {
  readonly type: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
  readonly blob: Buffer;
}

/** What a device, or a jump host before one, shows beside what is pinned for it. */
export interface OfferedKeys {
  readonly device: string;
  /** True: `device` is the name of a jump host. */
  readonly jumpHost: boolean;
  readonly host: string;
  readonly port: number;
  readonly offered: readonly HostKey[];
  /** In known_hosts. */
  readonly pinned: readonly HostKey[];
  /** Fingerprints that the inventory demands; empty where it names none. */
  readonly demanded: readonly string[];
  /** Why nothing was offered; null where something was, or where a file has nothing for this host. */
  readonly failure: Failure | null;
}

/** The exact bytes of one artefact. */
export interface Unsealed {
  readonly bytes: Buffer;
  /** The run that read them. */
  readonly runId: string;
}

/** A copy as it lies on the disk: compressed, and encrypted to the recipients. */
export interface SealedBytes {
  readonly bytes: Buffer;
  /** The run that read what is in it. */
  readonly runId: string;
}

export interface Transcribed {
  readonly runId: string;
  /** Masked; one character per byte. */
  readonly text: string;
}

/** A step of `export` or `import`; `done` of `total` files, both 0 where it has only one. */
export interface MoveStep {
  readonly step: string;
  readonly done: number;
  readonly total: number;
}

/** What an export holds, and an import took over. */
export interface Moved {
  /** Name of the host that was exported. */
  readonly host: string;
  readonly exportedAtMs: number;
  /** Of the hash chain at the export; the same on both sides. */
  readonly chainLength: number;
  readonly chainHead: string;
  /** The commit that main was at; null before the first. */
  readonly main: string | null;
  readonly sealedCopies: number;
  readonly sealedBytes: number;
  /** Digests of sealed copies that the ledger names and that were gone or damaged before the export. */
  readonly lostCopies: readonly string[];
  /** Readings that wait for the repository. */
  readonly waiting: number;
  /** Readings in quarantine. */
  readonly held: number;
}

/** What a verification of the state held against each other, and what came of it. */
export interface Verified {
  readonly commits: number;
  /** The commit that main is at; null before the first. */
  readonly main: string | null;
  readonly chain: { readonly length: number; readonly head: string };
  readonly sealedFiles: number;
  /** The first of each kind; `counts` has how many there are. Empty: all is as it was recorded, or was accepted. */
  readonly findings: readonly Finding[];
  readonly counts: ReadonlyMap<FindingKind, number>;
  /** What persons accepted before. */
  readonly accepted: readonly Accepted[];
  /** What is no tampering and deserves a look. */
  readonly notes: readonly string[];
  /** Stands for exactly these findings. */
  readonly fingerprint: string;
}

export interface Exported extends Moved {
  readonly dir: string;
  /** The secret that masks are made with; null with `secrets.in_git: keep`. */
  readonly fingerprintKeyFile: string | null;
  /** Slots that had passed while no daemon ran; they were recorded as missed. */
  readonly missed: number;
  /** Files that are not in it, and that the other host needs too. */
  readonly filesToCopy: readonly string[];
  /** Secrets that lie in no file of ours, such as `environment variable RM_PASSWORD`. */
  readonly secretsToCopy: readonly string[];
}

export interface Imported extends Moved {
  readonly stateDir: string;
  readonly importedAtMs: number;
  /** Of the fingerprint key: a new file was written; the same one was there; it could not be read here (why); none is needed. */
  readonly fingerprintKey:
    | { readonly state: 'written'; readonly place: string }
    | { readonly state: 'same'; readonly place: string }
    | { readonly state: 'unread'; readonly place: string; readonly problem: string }
    | null;
}

/**
 * Everything that commands can ask for. Configuration is read at the first call that needs it, so that
 * `init` works without one. Device names are the inventory's and are checked by the caller. Every call
 * may throw InvalidConfiguration, UsageError, OperationError or BackupError (`store.*`, `record.*`).
 */
export interface Services extends AsyncDisposable {
  /** Keeps the schedule until it is told to stop; resolves when every run has ended. Throws where it cannot start. */
  daemon(signals: DaemonSignals): Promise<void>;
  /** Writes a first configuration into `dir`; overwrites nothing (OperationError). */
  init(dir: string): Promise<Initialised>;
  /**
   * Writes all that another host needs to go on, but settings, inventory and secrets, into a new or empty
   * directory. Takes the state lock: no daemon may run.
   */
  exportState(dir: string, watch: Watch<MoveStep>): Promise<Exported>;
  /** Takes an export over into an empty state directory; everything or nothing. */
  importState(dir: string, watch: Watch<MoveStep>): Promise<Imported>;
  /**
   * Holds history, ledger and sealed copies against each other. Reads files alone: works beside a daemon, and as a
   * user who may only read them. `anchor`: a record that was told outside of this host; null: none.
   */
  verify(anchor: Anchor | null, watch: Watch<MoveStep>): Promise<Verified>;
  /**
   * Records these findings as known, with the reason, in the audit chain; returns how many. `fingerprint` is that of
   * the verification that was looked at. Takes the state lock: no daemon may run.
   */
  acceptBreak(
    accept: { readonly because: string; readonly fingerprint: string },
    watch: Watch<MoveStep>,
  ): Promise<number>;
  fleet(): Promise<Fleet>;
  /** Throws InvalidConfiguration with every mistake. */
  check(): Promise<Checked>;
  /** Logs in to each device and leaves at the prompt. Never rejects for what a device does. */
  reach(devices: readonly string[], watch: Watch<Reached>): Promise<readonly Reached[]>;
  /** Reads each device once. Never rejects for what a device does; after an abort the rest are `run.interrupted`. */
  backup(devices: readonly string[], watch: Watch<BackupEvent>): Promise<readonly RunEnded[]>;

  /** In the order of the inventory; then those that only the ledger knows, as `disabled`. */
  status(devices: readonly string[]): Promise<readonly DeviceStatus[]>;
  /** Where each remote of the repository stands; empty where there is none. */
  remotes(): Promise<readonly RemoteStatus[]>;
  /** Newest first. */
  runs(filter: RunsFilter): Promise<readonly RunEntry[]>;
  /** Null where no run has this id. */
  run(runId: string): Promise<RunRow | null>;
  /** Every version of every artefact of a device, newest first. */
  versions(device: string): Promise<readonly Version[]>;
  /** Quarantined readings that wait for a person, newest first. */
  held(device: string): Promise<readonly Held[]>;
  /** Archives of a device that are kept, newest first. */
  archives(device: string): Promise<readonly ArchiveAttempt[]>;
  /** The masked text of a version; one character per byte. */
  text(version: Version): Promise<string>;
  /** By commit. One call for many: git is asked once. */
  messages(commits: readonly string[]): Promise<ReadonlyMap<string, Message>>;
  /** `device` decides how sections are recognised. */
  compare(device: string, before: string, after: string): Promise<Comparison>;
  /** Of this run, or of the newest one that left a transcript where `runId` is null; null where there is none. */
  transcript(device: string, runId: string | null): Promise<Transcribed | null>;

  /** Makes exactly this quarantined run the last good one; returns its commit. `by`: who asks; absent: who runs this process. */
  accept(device: string, runId: string, by?: string): Promise<string>;
  /** Lets a credential be used again that is held back. Throws UsageError where the inventory has none of this name. */
  release(credential: string, by?: string): Promise<void>;
  /**
   * Asks each device for its host keys, and first the jump hosts before them: these come first. Sends no
   * credential but to jump hosts, for what is behind them.
   */
  offeredKeys(devices: readonly string[], signal: AbortSignal): Promise<readonly OfferedKeys[]>;
  /** The same from a file in known_hosts format. */
  keysFromFile(devices: readonly string[], file: string): Promise<readonly OfferedKeys[]>;
  /** Pins keys of each device or jump host; `replace` forgets those that were pinned before. */
  trust(
    keys: readonly { device: string; jumpHost: boolean; keys: readonly HostKey[] }[],
    replace: boolean,
  ): Promise<void>;
  /** The text that `restore` opens, still sealed; null where nothing is sealed, and for an archive. */
  sealed(device: string, artefact: string, runId: string | null): Promise<SealedBytes | null>;
  /** The bytes that the device gave, of a text or an archive, in this run or (null) the newest; null where nothing is sealed. */
  restore(
    device: string,
    artefact: string,
    runId: string | null,
    identityFile: string,
  ): Promise<Unsealed | null>;
}

/** What a daemon is told from outside. */
export interface DaemonSignals {
  /** No new run; resolve when those in progress have ended. */
  readonly stop: AbortSignal;
  /** End the runs in progress too. */
  readonly onAbort: (then: () => void) => void;
  /** Read the configuration anew. */
  readonly onReload: (then: () => void) => void;
}

/** How a caller follows something long. */
export interface Watch<Event> {
  readonly onEvent: (event: Event) => void;
  readonly signal: AbortSignal;
}
