import { isIP } from 'node:net';
import { z } from 'zod';
import type { SecretRef } from '../core/device.ts';
import { isMapping } from './mapping.ts';
import { judged, type Reader, section } from './schema.ts';
import { isVaultPath, path, referenceElsewhere, text } from './values.ts';
import type { Path } from './yaml.ts';

/** How HashiCorp Vault is reached and logged in to. */
export interface VaultSettings {
  /** `https://host:8200`, without a slash at its end; http only on this machine. */
  readonly address: string;
  /** Null: the root namespace, or an edition without namespaces. */
  readonly namespace: string | null;
  /** PEM file with the CAs that may sign Vault's certificate; null: those that Node trusts. */
  readonly caFile: string | null;
  readonly auth:
    | { readonly token: SecretRef }
    | { readonly approle: { readonly mount: string; readonly roleId: string; readonly secretId: SecretRef } };
}

/** `vault:` of the settings. Relative files are relative to `dir`. */
export function vaultSection(dir: string) {
  return section({
    address: vaultAddress(),
    namespace: vaultName('a namespace such as admin/network').nullable().default(null),
    ca_file: path(dir).nullable().default(null),
    auth: vaultAuth(dir),
  }).transform(
    ({ ca_file: caFile, ...written }): VaultSettings => ({
      address: written.address,
      namespace: written.namespace,
      caFile,
      auth: written.auth,
    }),
  );
}

/** Notes every reference into Vault in a document whose settings do not say how to reach it. */
export function blameVaultReferences(reader: Reader, value: unknown, at: Path = []): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) blameVaultReferences(reader, item, [...at, index]);
    return;
  }
  if (!isMapping(value)) return;
  const keys = Object.keys(value);
  // A group or a credential can be called vault too.
  if (keys.length === 1 && isMapping(value.vault) && 'path' in value.vault && 'key' in value.vault)
    reader.blame(
      [...at, 'vault'],
      'the settings do not say how to reach Vault; they need the section vault:',
    );
  else for (const key of keys) blameVaultReferences(reader, value[key], [...at, key]);
}

function vaultAddress() {
  const expected = 'a URL such as https://vault.example.net:8200';
  return judged(expected, (value, blame): string => {
    const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null;
    // Never shown: people write logins into URLs.
    if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
      return blame(`expected ${expected}`);
    if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
      return blame(`expected ${expected}, with nothing but a host, a port and a path`);
    if (url.protocol === 'http:' && !isLoopback(url.hostname))
      return blame('http would show every secret to the network; expected https, or a loopback address');
    return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  });
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  );
}

/** Parts joined by slashes, which go into a path or a header. */
function vaultName(expected: string) {
  return judged(expected, (value, blame): string =>
    typeof value === 'string' && isVaultPath(value) && /^[\x21-\x7e]+$/.test(value)
      ? value
      : blame(`expected ${expected}`),
  );
}

const authForms = '{token: REFERENCE} or {approle: {role_id: ID, secret_id: REFERENCE}}';

function vaultAuth(dir: string) {
  const token = referenceElsewhere(dir);
  const approle = section({
    mount: vaultName('where the auth method is mounted, such as approle').default('approle'),
    role_id: text('the role id'),
    secret_id: referenceElsewhere(dir),
  });
  return section({ token: token.optional(), approle: approle.optional() }).transform(
    (written, context): VaultSettings['auth'] => {
      if (written.token !== undefined && written.approle === undefined) return { token: written.token };
      if (written.approle !== undefined && written.token === undefined) {
        const { mount, role_id: roleId, secret_id: secretId } = written.approle;
        return { approle: { mount, roleId, secretId } };
      }
      context.addIssue({ code: 'custom', message: `expected ${authForms}` });
      return z.NEVER;
    },
  );
}
