import { createHash } from 'node:crypto';

/** One pinned key. */
export interface PinnedKey {
  readonly host: string;
  readonly port: number;
  /** As in the key itself, such as `ssh-ed25519`. */
  readonly type: string;
  /** The public key blob. */
  readonly blob: Buffer;
}

/** The pinned host keys, kept in OpenSSH's known_hosts format; several keys a host. */
export interface HostKeys {
  /** The keys that are pinned for exactly this host and port; empty where none is. */
  of(host: string, port: number): readonly PinnedKey[];
  /** Adds keys, durably (fsync), keeping what is there. A key that is pinned already is not added again. */
  pin(keys: readonly PinnedKey[]): Promise<void>;
  /** Replaces all keys of this host and port. */
  replace(host: string, port: number, keys: readonly PinnedKey[]): Promise<void>;
}

/** `SHA256:…` of a public key blob, as OpenSSH prints it. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** The type that a public key blob names (RFC 4253 section 6.6); empty where it is damaged. */
export function blobType(blob: Buffer): string {
  if (blob.length < 4) return '';
  const length = blob.readUInt32BE(0);
  return length > 64 || 4 + length > blob.length ? '' : blob.toString('latin1', 4, 4 + length);
}
