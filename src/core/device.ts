import type { Restorable } from './errors.ts';

/** Where a secret lies. The value is read when it is used, so a rotated secret needs no restart. */
export type SecretRef =
  | { readonly env: string }
  | { readonly file: string }
  /** The name of a systemd credential, below $CREDENTIALS_DIRECTORY. */
  | { readonly credential: string }
  /** A program and its arguments; the secret is the first line that it prints. No shell is involved. */
  | { readonly command: readonly string[] }
  /** Written into the inventory itself: works, with a warning. */
  | { readonly literal: string };

/** One named entry under `credentials:`. */
export interface Credentials {
  readonly name: string;
  readonly username: string;
  /** Null: no password is ever offered. */
  readonly password: SecretRef | null;
  /** `same-as-password` for `enable: true`; null: enable is never asked for. */
  readonly enable: SecretRef | 'same-as-password' | null;
  readonly privateKey: SecretRef | null;
  readonly passphrase: SecretRef | null;
  /** Use the SSH agent at $SSH_AUTH_SOCK for authentication; never forwarded. */
  readonly agent: boolean;
  readonly loginsPerSecond: number;
}

/** How strictly the SSH transport is negotiated. */
export interface SshPolicy {
  readonly profile: 'modern' | 'legacy';
  /** Single algorithms by name, on top of the profile. */
  readonly allow: readonly string[];
}

export interface Timeouts {
  /** From the first packet to a TCP connection. */
  readonly connectMs: number;
  /** From the TCP connection to the prompt at which commands run. */
  readonly loginMs: number;
  /** The longest silence in the middle of an answer. */
  readonly idleMs: number;
}

/** A device as the inventory, its group, its platform and the settings together say it is. */
export interface Device {
  readonly name: string;
  /** A driver's id, such as `cisco_asa`. */
  readonly platform: string;
  /** `default` where the inventory names none. */
  readonly group: string;
  readonly host: string;
  readonly port: number;
  readonly enabled: boolean;
  readonly credentials: Credentials;
  /** Pinned fingerprints (`SHA256:…`); empty: known_hosts decides. */
  readonly hostKeys: readonly string[];
  /** True: the first key that is seen is pinned. Only where the inventory says so. */
  readonly firstUse: boolean;
  readonly ssh: SshPolicy;
  /** The local address to connect from; null: the system's choice. */
  readonly sourceAddress: string | null;
  readonly timeouts: Timeouts;
  /** The longest that one run may take, a backstop. */
  readonly maxRuntimeMs: number;
  readonly expect: {
    /** Null: whatever it said the first time. */
    readonly hostname: string | null;
    readonly serials: readonly string[];
  };
  /** Names that this device had before, newest first: its history goes with it. */
  readonly formerly: readonly string[];
}

/** What a device tells of itself besides its configuration; null where it did not say. */
export interface Facts {
  readonly hostname: string | null;
  readonly version: string | null;
  readonly model: string | null;
  readonly serial: string | null;
  readonly changedBy: string | null;
  /** As the device prints it: its own clock and its own format. */
  readonly changedAt: string | null;
}

/** Worst first, so that several statements about one backup can be joined. */
const order: readonly Restorable[] = ['no', 'partial', 'yes'];

/** The worse of two. */
export function worse(a: Restorable, b: Restorable): Restorable {
  return order.indexOf(a) <= order.indexOf(b) ? a : b;
}
