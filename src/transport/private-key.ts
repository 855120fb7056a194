import ssh2 from 'ssh2';
import type { SecretRef } from '../core/device.ts';
import { BackupError, type Details } from '../core/errors.ts';

/** Throws BackupError `inventory.secret-unavailable` where `text` is no private key that ssh2 can use. */
export function parsePrivateKey(
  text: string,
  passphrase: string | undefined,
  ref: SecretRef,
): ssh2.ParsedKey {
  type Unusable = NonNullable<Details['inventory.secret-unavailable']['key']>;
  const unusable = (key: Unusable, problem: string) =>
    new BackupError('inventory.secret-unavailable', { reference: referenceText(ref), problem, key });
  // An array where the file could hold several keys; it never holds more than one.
  const parsed: ssh2.ParsedKey | Error = [ssh2.utils.parseKey(text, passphrase)].flat()[0] as
    | ssh2.ParsedKey
    | Error;
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

function referenceText(ref: SecretRef): string {
  if ('env' in ref) return `environment variable ${ref.env}`;
  if ('file' in ref) return ref.file;
  if ('credential' in ref) return `systemd credential ${ref.credential}`;
  if ('command' in ref) return `command ${ref.command[0] ?? ''}`;
  return 'the inventory itself';
}
