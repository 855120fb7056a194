import type { SpoolEntry } from '../core/run.ts';

/**
 * Readings that wait for the repository, and readings that wait for a person. Every write is durable
 * (file and directory fsynced, renamed into place) before it returns. Throws BackupError `store.*`.
 */
export interface Spool {
  put(entry: SpoolEntry): Promise<void>;
  /** Removes an entry that is settled; does nothing where it is gone. */
  remove(runId: string): Promise<void>;
  /** Oldest first. An unreadable file is set aside as `<name>.damaged`, not returned. */
  waiting(): Promise<readonly SpoolEntry[]>;
  /** How many wait, and since when the one whose run began first; by their names, so that a scrape may ask. */
  standing(): Promise<{ readonly entries: number; readonly oldestMs: number | null }>;
  /** The same entries as `waiting`, in its order, without their texts. */
  outline(): Promise<readonly Pick<SpoolEntry, 'runId' | 'deviceId' | 'deviceName' | 'readAtMs'>[]>;
  /** The entry of a run; null where it is gone or unreadable. */
  entry(runId: string): Promise<SpoolEntry | null>;
  /**
   * Moves an entry to quarantine. Of one text of one device the first entry and the newest stay, so that a
   * device that is read every hour does not fill the disk, and the run that a person was shown can still be
   * accepted.
   */
  hold(entry: SpoolEntry): Promise<void>;
  /** Quarantined entries of a device, or (null) of every device, newest first. */
  held(deviceId: string | null): Promise<readonly SpoolEntry[]>;
  /** Removes every quarantined entry of a device: it was accepted, or a good reading came after it. */
  release(deviceId: string): Promise<void>;
}
