import type { Restorable } from './errors.ts';

/** Where a secret lies. The value is read when it is used, so a rotated secret needs no restart. */
export type SecretRef =
  | { readonly env: string }
  | { readonly file: string }
  /** The name of a systemd credential, below $CREDENTIALS_DIRECTORY. */
  | { readonly credential: string }
  /** A program and its arguments; the secret is the first line that it prints. No shell is involved. */
  | { readonly command: readonly string[] }
  /** In HashiCorp Vault, which the settings say how to reach. */
  | { readonly vault: VaultSecret }
  /** Written into the inventory itself: works, with a warning. */
  | { readonly literal: string };

/** One value of a secret in a KV engine, version 2, of HashiCorp Vault; always its newest version. */
export interface VaultSecret {
  /** Where the engine is mounted, without slashes at its ends. */
  readonly mount: string;
  /** Below the mount, as `vault kv get` takes it: without `data/`. */
  readonly path: string;
  readonly key: string;
}

/** `secret/data/network/asa`: as the HTTP API and Vault's policies name it. */
export function vaultPath({ mount, path }: Pick<VaultSecret, 'mount' | 'path'>): string {
  return `${mount}/data/${path}`;
}

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

/** One machine on the way to a device: an SSH server that passes connections on. */
export interface JumpHost {
  /** Its name under `jump_hosts:`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials;
  /** Pinned fingerprints (`SHA256:…`); empty: known_hosts decides. */
  readonly hostKeys: readonly string[];
  readonly firstUse: boolean;
  readonly ssh: SshPolicy;
}

/** A file that the device makes for us, on a schedule of its own. */
export interface ArchivePlan {
  /** The name of the driver's command, such as `ucs`. */
  readonly name: string;
  /** Cron expression of five fields. */
  readonly schedule: string;
  /** IANA time zone. */
  readonly timezone: string;
  /** Null: the device does not encrypt it; it is sealed here all the same. */
  readonly passphrase: SecretRef | null;
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
  /** The way to it, outermost first; empty: straight. */
  readonly jump: readonly JumpHost[];
  /** Every option of its platform, as the inventory says or as is standard. */
  readonly options: Readonly<Record<string, string | boolean>>;
  readonly archives: readonly ArchivePlan[];
}

/** What is logged in with on the way to a device and at it: outermost first, each once. */
export function credentialsOf({
  jump,
  credentials,
}: Pick<Device, 'jump' | 'credentials'>): readonly Credentials[] {
  const all = [...jump.map((hop) => hop.credentials), credentials];
  return all.filter(({ name }, index) => all.findIndex((other) => other.name === name) === index);
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

/** What is true of a device at the moment and is no configuration; null where it did not say. */
export interface Condition {
  /** Role and state in an HA group, in the words of the device; null also where it is in none. */
  readonly ha: string | null;
  /** Whether this unit stands by for another one. */
  readonly standby: boolean | null;
  /** How far the units of the group agree, in the words of the device. */
  readonly sync: string | null;
  /** Whether the running configuration differs from the saved one. */
  readonly unsaved: boolean | null;
}

/** Of a device that said nothing of it. */
export const unknownCondition: Condition = { ha: null, standby: null, sync: null, unsaved: null };

/** Every secret that a session with this device may read: of its logins, of the hosts on the way, of its archives. */
export function secretRefsOf(device: Device): readonly SecretRef[] {
  const logins = credentialsOf(device).flatMap(({ password, enable, privateKey, passphrase }) => {
    return [password, enable, privateKey, passphrase];
  });
  return [...logins, ...device.archives.map((archive) => archive.passphrase)].filter(
    (ref): ref is SecretRef => ref !== null && ref !== 'same-as-password',
  );
}

/** Worst first, so that several statements about one backup can be joined. */
const order: readonly Restorable[] = ['no', 'partial', 'yes'];

/** The worse of two. */
export function worse(a: Restorable, b: Restorable): Restorable {
  return order.indexOf(a) <= order.indexOf(b) ? a : b;
}
