import { quotable } from './display.ts';
import type { Details } from './errors.ts';
import { size } from './units.ts';

/* Words and pieces of sentences that the entries of the catalogue share. */

/** Text from outside, in quotation marks. */
export const quoted = (text: string, limit?: number): string => `"${quotable(text, limit)}"`;
/** Text from outside, inside a sentence. */
export const plain = (text: string): string => quotable(text);
/** At most eight names; `nothing` where there are none. */
export const listed = (names: readonly string[]): string => {
  if (names.length === 0) return 'nothing';
  const shown = names.slice(0, 8).map((name) => quotable(name, 60));
  return names.length > 8 ? `${shown.join(', ')} and ${names.length - 8} more` : shown.join(', ');
};

/** What is negotiated, in words. */
export const algorithmKinds = {
  kex: 'key exchange',
  cipher: 'cipher',
  mac: 'MAC',
  'host-key': 'host key algorithm',
} as const;

/** What to do about a private key that cannot be used. */
const keyRemedies = {
  encrypted:
    'add `passphrase` to the credential; without one only an unencrypted copy of the key can be used',
  'wrong-passphrase': 'correct `passphrase` of the credential: `ssh-keygen -y -f FILE` asks for it',
  'other-format': 'convert the key: `ssh-keygen -p -f FILE -m PEM`',
  public: 'name the file of the private key: the one whose name does not end in .pub',
} as const;

/** What to do about a secret that HashiCorp Vault does not give. */
const vaultRemedies = {
  unreachable: 'check `vault.address` in the settings, and that this machine may connect to it',
  untrusted:
    "name the CA that signed Vault's certificate as `vault.ca_file`, and Vault by a name of its certificate in `vault.address`",
  sealed: 'unseal Vault (`vault status` shows it); the next run reads the secret again',
  busy: 'see the log of Vault; the next run reads the secret again',
  login:
    'make a new secret_id for the role and put it where `vault.auth.approle.secret_id` says; check role_id, mount and the addresses that the role is bound to',
  token: 'put a valid token where `vault.auth.token` says; no restart is needed',
  forbidden: 'give the policy of this login the capability "read" on that path',
  absent: 'write it with `vault kv put`, or correct `mount`, `path` and `key` of the reference',
  answer: 'check that `vault.address` is the API of Vault itself, and of the active node or a load balancer',
} as const;

/** What to do about a secret that could not be had. */
export function unreadableSecret(detail: Details['inventory.secret-unavailable']): string {
  const { reference, setting, key, vault } = detail;
  if (key !== undefined) return keyRemedies[key];
  if (vault !== undefined) return vaultRemedies[vault];
  const place = setting === undefined ? 'the reference under `credentials`' : `\`${plain(setting)}\``;
  return `make ${plain(reference)} readable for the user that runs roundsman, or correct ${place}`;
}

/** The steps of an archive that can fail. */
export const archiveSteps = {
  make: {
    says: 'the device did not make the file',
    todo: 'run the command by hand as the same account: it needs the right to do so, and free space on the device',
  },
  digest: {
    says: 'the device did not tell the digest of the file that it made',
    todo: 'run the command by hand as the same account',
  },
  fetch: {
    says: 'the file that the device made could not be fetched',
    todo: 'fetch it by hand over SSH as the same account, and look at the reply',
  },
  compare: {
    says: 'what arrived is not the file that the device made',
    todo: 'see whether something else writes that file at the same time; the next run tries again',
  },
  remove: {
    says: 'the file may still lie on the device',
    todo: 'remove it from the device by hand, because it holds keys',
  },
} as const;

/** Where a connection was tried from, at the end of a sentence; nothing where this machine tried. */
export const onJumpHost = (via: string | undefined): string =>
  via === undefined ? '' : `, tried from the jump host ${plain(via)}`;

/** Room on a disk. */
export const free = (bytes: number): string => `${size(bytes)} free`;
