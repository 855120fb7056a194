import type { SshPolicy } from '../core/device.ts';

/** What is negotiated, by the words of `connect.no-common-algorithm`. */
export type AlgorithmKind = 'kex' | 'cipher' | 'mac' | 'host-key';

/** Names by kind, best first. SSH takes the first name of the client that the server has too. */
export type Offer = { readonly [K in AlgorithmKind]: readonly string[] };

/** Offered to every device. No chacha20-poly1305: it is one of the two modes that Terrapin (CVE-2023-48795) breaks. */
const modern: Offer = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    // A hardened FortiGate offers this one alone (Oxidized issue 3123).
    'diffie-hellman-group-exchange-sha256',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group17-sha512',
    'diffie-hellman-group15-sha512',
    'diffie-hellman-group14-sha256',
  ],
  'host-key': [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  cipher: ['aes256-gcm@openssh.com', 'aes128-gcm@openssh.com', 'aes256-ctr', 'aes192-ctr', 'aes128-ctr'],
  mac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
};

/** What `profile: legacy` adds. */
const legacy: Offer = {
  kex: ['diffie-hellman-group-exchange-sha1', 'diffie-hellman-group14-sha1', 'diffie-hellman-group1-sha1'],
  'host-key': ['ssh-rsa'],
  cipher: ['aes256-cbc', 'aes192-cbc', 'aes128-cbc', '3des-cbc'],
  mac: ['hmac-sha1'],
};

/** What `allow` can add besides, one by one: nothing else is left on some devices of before 2010. */
const byNameOnly: Offer = {
  kex: [],
  'host-key': ['ssh-dss'],
  cipher: [],
  mac: ['hmac-sha1-96', 'hmac-md5', 'hmac-md5-96'],
};

const kinds: readonly AlgorithmKind[] = ['kex', 'host-key', 'cipher', 'mac'];

/** Every name that `ssh.allow` accepts, weak ones included, by kind and best first. */
export const knownAlgorithms: readonly string[] = kinds.flatMap((kind) => everything(kind));

/** Those among them that only a device of its own, by name or by profile, is offered. */
export const weakAlgorithms: readonly string[] = knownAlgorithms.filter(
  (name) => !kinds.some((kind) => modern[kind].includes(name)),
);

/**
 * What a device is offered. The host key algorithms of `pinnedTypes` (as in the key: `ssh-rsa`, not
 * `rsa-sha2-512`) come first, so that a server with several keys shows one that can be compared.
 * Names in `policy.allow` that are not in `knownAlgorithms` add nothing.
 */
export function offer(policy: SshPolicy, pinnedTypes: readonly string[]): Offer {
  const names = (kind: AlgorithmKind): readonly string[] =>
    everything(kind).filter(
      (name) =>
        modern[kind].includes(name) ||
        (policy.profile === 'legacy' && legacy[kind].includes(name)) ||
        policy.allow.includes(name),
    );
  const cipher = names('cipher');
  const cbc = cipher.some((name) => name.endsWith('-cbc'));
  const hostKey = names('host-key');
  const pinned = hostKey.filter((name) => pinnedTypes.includes(keyType(name)));
  return {
    kex: names('kex'),
    'host-key': [...pinned, ...hostKey.filter((name) => !pinned.includes(name))],
    cipher,
    // CBC with encrypt-then-MAC is the other mode that Terrapin breaks.
    mac: names('mac').filter((name) => !(cbc && isEtm(name))),
  };
}

/**
 * The members of `offered` that would make this negotiation succeed if `ssh.allow` named them.
 * `ident` is the server's, without `SSH-2.0-`.
 */
export function allowable(
  kind: AlgorithmKind,
  offered: readonly string[],
  policy: SshPolicy,
  ident: string,
): readonly string[] {
  const ours = offer(policy, [])[kind];
  return offered.filter(
    (name) =>
      everything(kind).includes(name) &&
      !ours.includes(name) &&
      !isEtm(name) &&
      !(kind === 'kex' && brokenGroupExchange(ident) && name.includes('group-exchange')),
  );
}

/**
 * Whether ssh2 leaves every group exchange out of its offer to this server: it does so for the classic
 * stack of Cisco, which announces them and fails (ssh2 lib/protocol/constants.js, BAD_DHGEX).
 */
function brokenGroupExchange(ident: string): boolean {
  return /^Cisco-1\.25(?: |$)/.test(ident);
}

/** The type of key that a host key algorithm signs with. */
export function keyType(hostKeyAlgorithm: string): string {
  return hostKeyAlgorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : hostKeyAlgorithm;
}

function everything(kind: AlgorithmKind): readonly string[] {
  return [...modern[kind], ...legacy[kind], ...byNameOnly[kind]];
}

function isEtm(mac: string): boolean {
  return mac.includes('-etm@');
}
