import { isIP } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import type { SecretRef } from '../core/device.ts';
import { clip, harmless } from '../core/display.ts';
import { nearest } from '../core/nearest.ts';
import { cronProblem } from './cron.ts';
import { isMapping } from './mapping.ts';
import { type Blame, judged, section } from './schema.ts';

/** A value as a message may show it. Never used for what could be a secret. */
function quoted(value: unknown): string {
  if (isMapping(value)) return 'a mapping';
  if (Array.isArray(value)) return 'a list';
  if (value === null) return 'nothing';
  return clip(harmless(typeof value === 'string' ? `"${value}"` : String(value)), 60);
}

/** Text that is not empty. Numbers are refused: YAML would show `007` as 7 and `1e3` as 1000. */
export function text(expected: string) {
  return judged(expected, (value, blame) => asText(value, expected, blame));
}

function asText(value: unknown, expected: string, blame: Blame): string {
  if (typeof value === 'number' || typeof value === 'boolean')
    return blame(`expected ${expected}, not the ${typeof value} ${value}: put it in quotes`);
  if (typeof value !== 'string') return blame(`expected ${expected}, not ${quoted(value)}`);
  if (value === '') return blame(`is empty; expected ${expected}`);
  if (/[\u0000-\u001f\u007f]/.test(value)) return blame(`expected ${expected} without control characters`);
  return value;
}

/** `true` or `false`, nothing else. */
export function flag() {
  return judged('true or false', (value, blame) => {
    if (typeof value === 'boolean') return value;
    const word = typeof value === 'string' ? value.toLowerCase() : '';
    const near = ['yes', 'on', 'y'].includes(word)
      ? 'true'
      : ['no', 'off', 'n'].includes(word)
        ? 'false'
        : null;
    return blame(`expected true or false, not ${quoted(value)}`, near);
  });
}

/** One of these words. */
export function choice<const Word extends string>(words: readonly Word[]) {
  const expected = words.length === 1 ? `${words[0]}` : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return judged(expected, (value, blame): Word => {
    const word = words.find((candidate) => candidate === value);
    if (word !== undefined) return word;
    return blame(
      `expected ${expected}, not ${quoted(value)}`,
      typeof value === 'string' ? nearest(value, words) : null,
    );
  });
}

/** A word that is defined elsewhere: `what` says what it names, `where` where its kind is listed. */
export function reference(what: string, known: readonly string[], where: string) {
  const words = new Set(known);
  return judged(`the name of ${what}`, (value, blame) => {
    const word = asText(value, `the name of ${what}`, blame);
    if (words.has(word)) return word;
    const near = nearest(word, known);
    return blame(`${quoted(word)} is not ${where}${listIfShort(known, near)}`, near);
  });
}

/** Eight names fit a line; more are looked up. */
const shortList = 8;

/** ` (known: a, b)` for the end of a message, where no word is near and the list is short; else nothing. */
export function listIfShort(known: readonly string[], near: string | null): string {
  if (near !== null || known.length === 0 || known.length > shortList) return '';
  return ` (known: ${known.map((name) => clip(harmless(name), 60)).join(', ')})`;
}

/** A whole number between two bounds, both included. */
export function whole(from: number, to: number) {
  const expected = `a whole number from ${from} to ${to}`;
  return judged(expected, (value, blame) =>
    typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to
      ? value
      : blame(`expected ${expected}, not ${quoted(value)}`),
  );
}

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15m`, `1h` or `2d`, as milliseconds, between two bounds that are written in the same way. */
export function duration(from = '1s', to = '36500d') {
  const [least, most] = [milliseconds(from) ?? 0, milliseconds(to) ?? 0];
  return judged('a duration such as 90s, 15m, 1h or 2d', (value, blame) => {
    if (typeof value === 'number')
      return blame(`the number ${value} has no unit; write ${value}s, ${value}m, ${value}h or ${value}d`);
    const ms = typeof value === 'string' ? milliseconds(value) : null;
    if (ms === null) return blame(`expected a duration such as 90s, 15m, 1h or 2d, not ${quoted(value)}`);
    return ms >= least && ms <= most
      ? ms
      : blame(`expected a duration from ${from} to ${to}, not ${quoted(value)}`);
  });
}

function milliseconds(written: string): number | null {
  const match = /^(\d{1,9})([smhd])$/.exec(written);
  return match === null ? null : Number(match[1]) * (units[match[2] ?? ''] ?? Number.NaN);
}

/**
 * What is wrong with a device, group or credentials name, and a valid one that is like it (or null);
 * null where nothing is wrong. Names are parts of paths and of git refs.
 */
export function nameProblem(
  name: string,
): { readonly message: string; readonly nearest: string | null } | null {
  const wrong = (message: string) => {
    const lower = name.toLowerCase();
    return { message, nearest: lower !== name && nameProblem(lower) === null ? lower : null };
  };
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name))
    return wrong(
      `${quoted(name)} is not a valid name; expected 1 to 63 of a-z 0-9 . _ - with a letter or digit in front`,
    );
  const dangerous = ['..', '.git', '.lock'].find((part) => name.includes(part));
  return dangerous === undefined ? null : wrong(`a name must not contain ${dangerous}`);
}

/** The name of a device, a group or credentials. */
export function name() {
  return judged('a name', (value, blame) => {
    const written = asText(value, 'a name', blame);
    const problem = nameProblem(written);
    return problem === null ? written : blame(problem.message, problem.nearest);
  });
}

/** A host name, an IPv4 or an IPv6 address (without brackets). */
export function host() {
  return judged('a host name or an IP address', (value, blame) => {
    const written = asText(value, 'a host name or an IP address', blame);
    if (isIP(written) !== 0) return written;
    if (/^\[.*\]$/.test(written)) return blame('expected an IPv6 address without brackets');
    const labels = written.replace(/\.$/, '').split('.');
    // Names that end in a number are addresses to every resolver: 192.0.2.300, 10.1
    const wellFormed =
      written.length <= 253 &&
      labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label)) &&
      !/^(?:\d+|0x[0-9a-f]*)$/i.test(labels.at(-1) ?? '');
    return wellFormed ? written : blame(`${quoted(written)} is neither a host name nor an IP address`);
  });
}

/** An IPv4 or IPv6 address. */
export function address() {
  return judged('an IP address', (value, blame) =>
    typeof value === 'string' && isIP(value) !== 0
      ? value
      : blame(`expected an IP address, not ${quoted(value)}`),
  );
}

/** A cron expression of five fields. */
export function schedule() {
  return judged('a cron expression such as "0 2 * * *"', (value, blame) => {
    const written = asText(value, 'a cron expression such as "0 2 * * *"', blame);
    const problem = cronProblem(written);
    return problem === null ? written : blame(problem.message, problem.nearest);
  });
}

/** An IANA time zone. Offsets such as `+02:00` are refused: they know no daylight saving. */
export function timezone() {
  return judged('an IANA time zone such as Europe/Berlin', (value, blame) => {
    const written = asText(value, 'an IANA time zone such as Europe/Berlin', blame);
    if (isZone(written)) return written;
    return blame(
      `${quoted(written)} is not an IANA time zone such as Europe/Berlin`,
      nearest(written, ['UTC', ...Intl.supportedValuesOf('timeZone')]),
    );
  });
}

const zones = new Map<string, boolean>();

/** Asking Intl costs 50 µs and an inventory names the same zone ten thousand times. */
function isZone(zone: string): boolean {
  let known = zones.get(zone);
  if (known === undefined) {
    try {
      known = /^[A-Za-z]/.test(zone) && new Intl.DateTimeFormat('en', { timeZone: zone }) !== null;
    } catch {
      known = false;
    }
    zones.set(zone, known);
  }
  return known;
}

/** A calendar date, as the epoch milliseconds of its first instant in UTC. */
export function date() {
  return judged('a date such as 2026-03-31', (value, blame) => {
    const ms = typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) ? Date.parse(value) : Number.NaN;
    // Date.parse takes 2026-02-30 for 2 March.
    const exists = !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(String(value));
    return exists ? ms : blame(`expected a date such as 2026-03-31, not ${quoted(value)}`);
  });
}

/** A path; a relative one is relative to `dir`. */
export function path(dir: string) {
  return judged('a path', (value, blame) => {
    const written = asText(value, 'a path', blame);
    if (written.startsWith('~')) return blame('~ is not expanded here; write the path out');
    return isAbsolute(written) ? written : resolve(dir, written);
  });
}

/** A time of no backups: it begins by `schedule` and lasts `durationMs`. */
export interface BlackoutWindow {
  readonly schedule: string;
  readonly durationMs: number;
}

/** `{ schedule: "0 22 * * fri", duration: 8h }` */
export function blackoutWindow() {
  return section({ schedule: schedule(), duration: duration('1m', '31d') }).transform(
    ({ schedule: begins, duration: durationMs }): BlackoutWindow => ({ schedule: begins, durationMs }),
  );
}

const referenceForms =
  '{env: NAME}, {file: PATH}, {credential: NAME}, {command: [PROGRAM, ARGUMENT…]} or {vault: {path: PATH, key: KEY}}';

const referenceKeys = {
  env: (value: unknown, _dir: string) =>
    typeof value === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value) ? { env: value } : null,
  file: (value: unknown, dir: string) =>
    typeof value === 'string' && value !== '' && !value.includes('\0') && !value.startsWith('~')
      ? { file: resolve(dir, value) }
      : null,
  credential: (value: unknown, _dir: string) =>
    typeof value === 'string' && isCredentialName(value) ? { credential: value } : null,
  command: (value: unknown, _dir: string) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value[0] !== '' &&
    value.every((argument): argument is string => typeof argument === 'string' && !argument.includes('\0'))
      ? { command: value }
      : null,
  vault: (value: unknown, _dir: string) => {
    if (!isMapping(value)) return null;
    const { mount = 'secret', path, key, ...others } = value;
    const known = typeof mount === 'string' && typeof path === 'string' && typeof key === 'string';
    return known &&
      Object.keys(others).length === 0 &&
      isVaultPath(mount) &&
      isVaultPath(path) &&
      /^[^\u0000-\u001f\u007f]{1,255}$/.test(key)
      ? { vault: { mount, path, key } }
      : null;
  },
};

/** Whether this can be a path of Vault: names with a slash between two. */
export function isVaultPath(written: string): boolean {
  return (
    written.length <= 512 &&
    written
      .split('/')
      .every((part) => /^[^\u0000-\u001f\u007f]+$/.test(part) && part !== '.' && part !== '..')
  );
}

/** Whether systemd could have a credential of this name: it is a file name in one directory. */
export function isCredentialName(written: string): boolean {
  return /^[^/\0]{1,255}$/.test(written) && written !== '.' && written !== '..';
}

/**
 * Where a secret lies. Relative files are relative to `dir`. Messages never show what was written: it
 * may be the secret itself.
 */
export function secretReference(dir: string) {
  return judged(`a reference: ${referenceForms}`, (value, blame) => asReference(value, dir, blame));
}

/** A reference that does not lead into Vault: what opens Vault cannot lie in it. */
export function referenceElsewhere(dir: string) {
  return judged(`a reference: ${referenceForms}`, (value, blame) => {
    const ref = asReference(value, dir, blame);
    return 'vault' in ref
      ? blame('opens Vault, and cannot lie in it; use env, file, credential or command')
      : ref;
  });
}

/** A reference, or the secret itself as text. */
export function secret(dir: string) {
  return judged(`a reference: ${referenceForms}`, (value, blame) => asSecret(value, dir, blame));
}

/** `true` for the login password again, or a secret. */
export function enableSecret(dir: string) {
  const expected = 'true (the login password again), null or a reference';
  return judged(expected, (value, blame): SecretRef | 'same-as-password' => {
    if (value === true) return 'same-as-password';
    if (value === false) return blame(`expected ${expected}`, 'null');
    // As a text it would be the password itself, and `enable: yes` is not meant so.
    if (typeof value === 'string' && /^(?:yes|on|no|off)$/i.test(value))
      return blame(`expected ${expected}`, /^(?:yes|on)$/i.test(value) ? 'true' : 'null');
    return asSecret(value, dir, blame);
  });
}

function asSecret(value: unknown, dir: string, blame: Blame): SecretRef {
  if (typeof value === 'string') return value === '' ? blame('is empty') : { literal: value };
  if (typeof value === 'number' || typeof value === 'boolean')
    return blame(
      `is a ${typeof value} to YAML; put it in quotes, or better give a reference: ${referenceForms}`,
    );
  return asReference(value, dir, blame);
}

function asReference(value: unknown, dir: string, blame: Blame): SecretRef {
  if (!isMapping(value)) return blame(`expected a reference: ${referenceForms}`);
  const keys = Object.keys(value);
  const [key] = keys;
  if (keys.length !== 1 || key === undefined)
    return blame('expected exactly one of env, file, credential, command and vault');
  if (!isReferenceKey(key))
    return blame(`expected a reference: ${referenceForms}`, nearest(key, Object.keys(referenceKeys)));
  return referenceKeys[key](value[key], dir) ?? blame(`expected a reference: ${referenceForms}`, null, [key]);
}

function isReferenceKey(key: string): key is keyof typeof referenceKeys {
  return Object.hasOwn(referenceKeys, key);
}
