import { randomInt } from 'node:crypto';
import { isIP } from 'node:net';

/** One thing in a recording that tells whose device it is. */
export interface Finding {
  readonly what: 'hostname' | 'account' | 'serial number' | 'secret' | 'address' | 'e-mail';
  readonly value: string;
  /** What to put in its place. */
  readonly suggestion: string;
}

/** What a session told of the device itself. */
export interface Known {
  readonly hostname: string | null;
  readonly username: string;
  readonly serials: readonly string[];
  /** Values that the driver's rules take for secrets; one character per byte. */
  readonly secrets: readonly string[];
}

/** Addresses that documentation uses, and those that belong to nobody: masks, loopback, multicast. */
const harmless =
  /^(?:0\.|127\.|2(?:2[4-9]|[3-5]\d)\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|2001:0?db8:|::1?$|f[ef])/i;
const ranges = ['192.0.2', '198.51.100', '203.0.113'] as const;

/** Everything in `text` (one character per byte) that a person should decide about, each once, what is known first. */
export function findingsIn(text: string, known: Known): readonly Finding[] {
  const found = new Map<string, Finding>();
  const add = (what: Finding['what'], value: string, suggestion: string): void => {
    if (value.length >= 2 && text.includes(value) && !found.has(value))
      found.set(value, { what, value, suggestion });
  };
  if (known.hostname !== null) add('hostname', known.hostname, 'device-1');
  add('account', known.username, 'backup');
  for (const serial of known.serials) add('serial number', serial, alike(serial));
  for (const secret of known.secrets) add('secret', secret, alike(secret));
  let place = 0;
  for (const [address] of text.matchAll(
    /(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:])/gi,
  )) {
    if (isIP(address) === 0 || harmless.test(address) || found.has(address)) continue;
    place += 1;
    const suggestion =
      isIP(address) === 6 ? `2001:db8::${place.toString(16)}` : `${ranges[place % 3]}.${(place % 253) + 1}`;
    add('address', address, suggestion);
  }
  let person = 0;
  for (const [address] of text.matchAll(/[\w.+-]{1,64}@[A-Za-z][\w-]{0,62}(?:\.[A-Za-z][\w-]{0,62})+/g)) {
    person += 1;
    if (!/@example\.(?:com|net|org)$/.test(address)) add('e-mail', address, `person-${person}@example.net`);
  }
  return [...found.values()];
}

/** Another text of the same shape: letters for letters, digits for digits, everything else as it was. */
export function alike(value: string): string {
  const from = (letters: string): string => letters[randomInt(letters.length)] ?? '';
  return value.replace(/[a-z]|[A-Z]|\d/g, (character) => {
    if (/\d/.test(character)) return from('0123456789');
    return from(/[a-z]/.test(character) ? 'abcdefghijkmnpqrstuvwxyz' : 'ABCDEFGHJKLMNPQRSTUVWXYZ');
  });
}

/** `text` with each of `replacements` made, longer values first: a name may be part of another one. */
export function replaceAll(text: string, replacements: ReadonlyMap<string, string>): string {
  const values = [...replacements.keys()].sort((a, b) => b.length - a.length);
  if (values.length === 0) return text;
  const any = new RegExp(values.map((value) => value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g');
  return text.replace(any, (value) => replacements.get(value) ?? value);
}
