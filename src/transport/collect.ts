import type { Clock } from '../core/clock.ts';
import type { Device, SecretRef } from '../core/device.ts';
import type { Restorable } from '../core/errors.ts';
import type { Capture, Driver } from '../drivers/driver.ts';
import type { HostKeys } from './host-keys.ts';
import type { Transcript } from './transcript.ts';

/** What is needed to read one device once. */
export interface CollectRequest {
  readonly device: Device;
  readonly driver: Driver;
  /** The value behind a reference. Throws BackupError `inventory.secret-unavailable`. */
  readonly readSecret: (ref: SecretRef) => Promise<string>;
  readonly hostKeys: HostKeys;
  readonly clock: Clock;
  /** Aborting ends the session at once with `run.interrupted{by: signal}`. */
  readonly signal: AbortSignal;
  /** Ask a second time for every artefact whose completeness is proven by structure alone. */
  readonly readTwice: boolean;
  /** Largest artefact, in bytes. */
  readonly maxBytes: number;
  /** Told of every piece that arrives; the number of bytes received so far. */
  readonly onProgress: (receivedBytes: number) => void;
  readonly transcript: Transcript;
}

/** Everything that one session gave. Nothing here is judged yet. */
export interface Collected {
  /** By command name. A facts command that the device may refuse, and refused, is absent. */
  readonly captures: ReadonlyMap<string, Capture>;
  /** The second reading, by command name; empty unless `readTwice`. */
  readonly again: ReadonlyMap<string, Capture>;
  /** By artefact: what the way it was asked for, and the prompt, make of it. */
  readonly restorable: ReadonlyMap<string, { readonly is: Restorable; readonly because: string | null }>;
}
