import type { Device } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';
import { blobType, fingerprint, type HostKeys, type PinnedKey } from './host-keys.ts';

/** The identity of a device as the inventory knows it. */
type Known = Pick<Device, 'host' | 'port' | 'hostKeys' | 'firstUse'>;

export interface HostKeyCheck {
  /** Types of the keys that are pinned, as far as they are known: their algorithms are offered first. */
  readonly pinnedTypes: readonly string[];
  /**
   * True: only fingerprints are pinned, so a key that does not match may have a sibling of another type
   * that does, and the server is asked for the other types before the key counts as changed.
   */
  readonly otherTypesMayMatch: boolean;
  /** True: there is no key to compare with, and the inventory says that the first one is taken. */
  readonly pinsFirst: boolean;
  /** Null: this key is trusted. Else `connect.host-key-changed` or `connect.host-key-unknown`. */
  verify(blob: Buffer): BackupError | null;
}

/**
 * Which key of a device is trusted: one whose fingerprint the inventory names; where it names none, one
 * that is pinned in known_hosts; where none is pinned, any, but only with `host_key: first-use`.
 *
 * A key of a type that was never pinned, on a device that has pinned keys, is unknown and not changed: an
 * upgrade of the device brings new types. It is no more trusted for that, and never pinned by first use.
 */
export function hostKeyCheck(device: Known, hostKeys: HostKeys): HostKeyCheck {
  const inFile = hostKeys.of(device.host, device.port);
  const demanded = device.hostKeys.map((text) => text.replace(/=+$/, ''));
  if (demanded.length > 0) {
    return {
      pinnedTypes: types(inFile.filter((key) => demanded.includes(fingerprint(key.blob)))),
      otherTypesMayMatch: true,
      pinsFirst: false,
      verify(blob) {
        const presented = fingerprint(blob);
        if (demanded.includes(presented)) return null;
        return new BackupError('connect.host-key-changed', { expected: demanded.join(', '), presented });
      },
    };
  }
  if (inFile.length > 0) {
    return {
      pinnedTypes: types(inFile),
      otherTypesMayMatch: false,
      pinsFirst: false,
      verify(blob) {
        if (inFile.some((key) => key.blob.equals(blob))) return null;
        const presented = fingerprint(blob);
        const expected = inFile
          .filter((key) => key.type === blobType(blob))
          .map((key) => fingerprint(key.blob));
        return expected.length === 0
          ? new BackupError('connect.host-key-unknown', { fingerprint: presented })
          : new BackupError('connect.host-key-changed', { expected: expected.join(', '), presented });
      },
    };
  }
  let first: Buffer | null = null;
  return {
    pinnedTypes: [],
    otherTypesMayMatch: false,
    pinsFirst: device.firstUse,
    verify(blob) {
      if (!device.firstUse) {
        return new BackupError('connect.host-key-unknown', { fingerprint: fingerprint(blob) });
      }
      // Asked again at every key exchange of a long session: it has to stay the same key.
      first ??= Buffer.from(blob);
      if (first.equals(blob)) return null;
      return new BackupError('connect.host-key-changed', {
        expected: fingerprint(first),
        presented: fingerprint(blob),
      });
    },
  };
}

function types(keys: readonly PinnedKey[]): readonly string[] {
  return [...new Set(keys.map((key) => key.type))];
}
