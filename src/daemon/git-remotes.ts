import type { SecretRef } from '../core/device.ts';
import { judged, listOf, section } from '../inventory/schema.ts';
import { name, path, secretReference, text } from '../inventory/values.ts';

/** One entry under `git.remotes`. */
export interface RemoteSettings {
  readonly name: string;
  /** Holds no password. */
  readonly url: string;
  readonly access:
    | { readonly way: 'ssh'; readonly privateKey: SecretRef; readonly hostKeys: readonly string[] }
    | {
        readonly way: 'https';
        readonly login: { readonly username: string; readonly password: SecretRef } | null;
        /** PEM file; null: those that the system trusts. */
        readonly ca: string | null;
      }
    | { readonly way: 'file' };
}

/** What one remote needs besides the settings: its secret, by the key that names it, and its file of authorities. */
export function needsOf({ access }: RemoteSettings): {
  readonly secret: { readonly key: 'private_key' | 'password'; readonly ref: SecretRef } | null;
  readonly ca: string | null;
} {
  if (access.way === 'ssh') return { secret: { key: 'private_key', ref: access.privateKey }, ca: null };
  if (access.way === 'file') return { secret: null, ca: null };
  const { login, ca } = access;
  return { secret: login === null ? null : { key: 'password', ref: login.password }, ca };
}

/** The list under `git.remotes`. Relative paths are relative to `dir`. */
export function gitRemotes(dir: string) {
  return listOf(remote(dir)).check(({ value, issues }) => {
    const names = value.map((one) => one?.name);
    for (const [index, one] of names.entries())
      if (one !== undefined && names.indexOf(one) < index)
        issues.push({
          code: 'custom',
          message: `"${one}" is used twice`,
          path: [index, 'name'],
          input: value,
        });
  });
}

/** The keys that belong to each way, and those that it cannot do without. */
const keysOf = {
  ssh: { needed: ['private_key', 'host_key'], allowed: [] },
  https: { needed: [], allowed: ['username', 'password', 'ca'] },
  file: { needed: [], allowed: [] },
} as const;

function remote(dir: string) {
  return section({
    name: name(),
    url: remoteUrl(),
    private_key: secretReference(dir).nullable().default(null),
    host_key: hostKeys().nullable().default(null),
    username: text('a user name').nullable().default(null),
    password: secretReference(dir).nullable().default(null),
    ca: path(dir).nullable().default(null),
  }).transform((written, context): RemoteSettings => {
    const { url } = written;
    const way = wayOf(url);
    const blame = (key: string, message: string): void =>
      context.addIssue({ code: 'custom', message, path: [key], params: { nearest: null } });
    const { needed, allowed } = keysOf[way];
    for (const key of needed) if (written[key] === null) blame(key, whyNeeded[key]);
    for (const key of credentialKeys)
      if (written[key] !== null && ![...needed, ...allowed].some((one) => one === key))
        blame(key, `has no meaning for a remote that is reached by ${way}`);
    if (way === 'https' && (written.username === null) !== (written.password === null))
      blame(written.username === null ? 'username' : 'password', 'is missing; both or neither');
    return { name: written.name, url, access: accessOf(written, way) };
  });
}

const credentialKeys = ['private_key', 'host_key', 'username', 'password', 'ca'] as const;

const whyNeeded = {
  private_key: 'is missing; expected a reference to the SSH key that may push, such as { file: push.key }',
  host_key:
    'is missing; expected the public key of the server, such as ssh-ed25519 AAAA…, as ssh-keyscan prints it',
} as const;

interface Written {
  readonly private_key: SecretRef | null;
  readonly host_key: readonly string[] | null;
  readonly username: string | null;
  readonly password: SecretRef | null;
  readonly ca: string | null;
}

/** What is missing was blamed. */
function accessOf(
  { private_key, host_key, username, password, ca }: Written,
  way: RemoteSettings['access']['way'],
): RemoteSettings['access'] {
  if (way === 'file') return { way };
  if (way === 'ssh') return { way, privateKey: private_key ?? { file: '' }, hostKeys: host_key ?? [] };
  return { way, login: username === null || password === null ? null : { username, password }, ca };
}

function wayOf(url: string): RemoteSettings['access']['way'] {
  return url.startsWith('https:') ? 'https' : url.startsWith('file:') ? 'file' : 'ssh';
}

const urlForms = 'ssh://git@HOST/PATH, git@HOST:PATH, https://HOST/PATH or file:///PATH';

/** Nothing that git or a shell would take for something other than an address. */
function remoteUrl() {
  return judged(urlForms, (value, blame): string => {
    if (typeof value !== 'string') return blame(`expected ${urlForms}`);
    // Not shown: a password in it must not reach a terminal or a log.
    if (/^[a-z+]+:\/\/[^/@]*:[^/@]*@/i.test(value) || /^https:\/\/[^/]*@/i.test(value))
      return blame('holds a user or a password; give `username` and `password: { file: … }` beside it');
    const user = '[A-Za-z0-9_][A-Za-z0-9._-]*';
    const host = '(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\\[[0-9A-Fa-f:.]+\\])';
    const rest = '[A-Za-z0-9._~/+@%,=:-]+';
    const forms = [
      `ssh://(?:${user}@)?${host}(?::\\d{1,5})?/${rest}`,
      `${user}@${host}:(?!/?-)${rest}`,
      `https://${host}(?::\\d{1,5})?/${rest}`,
      'file:///[^\\u0000-\\u001f]+',
    ];
    if (new RegExp(`^(?:${forms.join('|')})$`).test(value)) return value;
    return blame(
      /^http:/i.test(value) ? 'http is not encrypted; expected https://HOST/PATH' : `expected ${urlForms}`,
    );
  });
}

/** Public keys as `ssh-keyscan` and known_hosts have them; the names in front are left away. */
function hostKeys() {
  const expected = 'the public key of the server, such as ssh-ed25519 AAAA…, or a list of these';
  return judged(expected, (value, blame): readonly string[] => {
    const written = Array.isArray(value) ? value : [value];
    if (written.length === 0) return blame(`is an empty list; expected ${expected}`);
    return written.map((one: unknown, index) => {
      const below = Array.isArray(value) ? [index] : [];
      if (typeof one === 'string' && /^(?:SHA256|MD5):/.test(one))
        return blame(
          'is a fingerprint; expected the key itself: ssh-keyscan prints it, and ssh-keygen -lf shows that it has this fingerprint',
          null,
          below,
        );
      const key = typeof one === 'string' ? publicKey.exec(one.trim()) : null;
      return key === null ? blame(`expected ${expected}`, null, below) : `${key[1]} ${key[2]}`;
    });
  });
}

const publicKey =
  /^(?:[^\s@#|][^\s]* |\|1\|[^\s]+ )?(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-[a-z0-9-]+@openssh\.com) (AAAA[A-Za-z0-9+/]+={0,2})(?: .*)?$/;
