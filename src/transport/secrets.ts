import type { Device, SecretRef } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';
import type { Credential } from '../drivers/driver.ts';
import type { MaskingTranscript } from './transcript.ts';

/** The secrets of one session: each reference is read once, and what was read is masked from then on. */
export interface SessionSecrets {
  /** For whoever logs in over SSH. Throws BackupError `inventory.secret-unavailable`. */
  readonly read: (ref: SecretRef) => Promise<string>;
  /** What to type for `credential`, one character per byte. Throws BackupError `inventory.secret-unavailable`. */
  readonly toType: (credential: Credential) => Promise<string>;
  /** Reads what lies on this machine and was not needed so far: a device may show it all the same. Never throws. */
  readonly readAhead: () => Promise<void>;
  /** What was read so far and fits on one line, one character per byte. */
  readonly known: () => readonly string[];
}

export function createSessionSecrets(
  device: Device,
  readSecret: (ref: SecretRef) => Promise<string>,
  transcript: MaskingTranscript,
): SessionSecrets {
  const { credentials } = device;
  /** By reference: a program that prints a one-time secret must not be run twice. */
  const values = new Map<string, Promise<string>>();
  const known = new Set<string>();

  const readOnce = async (ref: SecretRef): Promise<string> => {
    const value = await readSecret(ref);
    // Keys of several lines are never shown by a device; one masked line of them would help nobody.
    if (value.includes('\n')) return value;
    known.add(typed(value));
    transcript.hide(typed(value));
    return value;
  };
  const read = (ref: SecretRef): Promise<string> => {
    const key = JSON.stringify(ref);
    const value = values.get(key) ?? readOnce(ref);
    values.set(key, value);
    return value;
  };
  const unavailableAs = (credential: Credential) => (problem: string) =>
    new BackupError('inventory.secret-unavailable', {
      reference: `credentials.${credentials.name}.${credential}`,
      problem,
    });
  const secret = (credential: 'password' | 'enable'): Promise<string> => {
    const named = credentials[credential];
    const ref = named === 'same-as-password' ? credentials.password : named;
    if (ref !== null) return read(ref);
    throw unavailableAs(credential)('the device asks for it, and the inventory names none');
  };
  return {
    read,
    known: () => [...known],
    async readAhead() {
      for (const name of ['password', 'enable'] as const) {
        const ref = credentials[name];
        // Whatever has to be asked may give a secret once only, or not at once.
        if (ref === null || ref === 'same-as-password' || 'command' in ref || 'vault' in ref) continue;
        await read(ref).catch(() => {});
      }
    },
    async toType(credential) {
      const unavailable = unavailableAs(credential);
      const value = credential === 'username' ? credentials.username : await secret(credential);
      // Typed, a line end would send the rest of the secret as a command.
      if (/[\x00-\x1f\x7f]/.test(value))
        throw unavailable('it holds a control character and cannot be typed');
      return typed(value);
    },
  };
}

/** UTF-8, as terminals send it, with one character per byte. */
function typed(value: string): string {
  return Buffer.from(value, 'utf8').toString('latin1');
}
