import { createHmac, randomBytes } from 'node:crypto';
import ssh2 from 'ssh2';
import type { SecretRef } from '../core/device.ts';
import { BackupError, type Details } from '../core/errors.ts';

/**
 * What came of opening keys with their passphrases, by a digest of both, oldest first. Opening one
 * takes most of a second (bcrypt, in JavaScript) in which nothing else of the process runs: a fleet that logs
 * in with one key would stand still for minutes every night.
 */
const opened = new Map<string, ssh2.ParsedKey | Error>();
const openedAtMost = 32;
const digestKey = randomBytes(32);

/**
 * The private key in `text`. One with a passphrase is opened once in the life of the process and kept in
 * memory, for as long as key and passphrase stay the same.
 * Throws BackupError `inventory.secret-unavailable` where `text` is no private key that ssh2 can use.
 */
export function parsePrivateKey(
  text: string,
  passphrase: string | undefined,
  ref: SecretRef,
): ssh2.ParsedKey {
  type Unusable = NonNullable<Details['inventory.secret-unavailable']['key']>;
  const unusable = (key: Unusable, problem: string) =>
    new BackupError('inventory.secret-unavailable', { reference: referenceText(ref), problem, key });
  const parsed = passphrase === undefined ? parse(text) : openOnce(text, passphrase);
  if (parsed instanceof Error) {
    if (/no passphrase/i.test(parsed.message)) {
      throw unusable('encrypted', 'the private key is encrypted and the credential has no `passphrase`');
    }
    if (passphrase !== undefined && !/unsupported key format/i.test(parsed.message))
      throw unusable('wrong-passphrase', 'the private key cannot be read with this `passphrase`');
    throw unusable(
      'other-format',
      'not a private key that can be used (OpenSSH, PEM with an RSA or EC key, or PuTTY format)',
    );
  }
  if (!parsed.isPrivateKey()) throw unusable('public', 'this is a public key; the private key is needed');
  return parsed;
}

function openOnce(text: string, passphrase: string): ssh2.ParsedKey | Error {
  const digest = createHmac('sha256', digestKey)
    .update(JSON.stringify([text, passphrase]))
    .digest('hex');
  const known = opened.get(digest);
  if (known !== undefined) return known;
  const parsed = parse(text, passphrase);
  opened.set(digest, parsed);
  const [oldest] = opened.keys();
  if (opened.size > openedAtMost && oldest !== undefined) opened.delete(oldest);
  return parsed;
}

function parse(text: string, passphrase?: string): ssh2.ParsedKey | Error {
  // An array where the file could hold several keys; it never holds more than one.
  return [ssh2.utils.parseKey(text, passphrase)].flat()[0] as ssh2.ParsedKey | Error;
}

function referenceText(ref: SecretRef): string {
  if ('env' in ref) return `environment variable ${ref.env}`;
  if ('file' in ref) return ref.file;
  if ('credential' in ref) return `systemd credential ${ref.credential}`;
  if ('command' in ref) return `command ${ref.command[0] ?? ''}`;
  return 'the inventory itself';
}
