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
}

export function createSessionSecrets(
  device: Device,
  readSecret: (ref: SecretRef) => Promise<string>,
  transcript: MaskingTranscript,
): SessionSecrets {
  const { credentials } = device;
  /** By reference: a program that prints a one-time secret must not be run twice. */
  const values = new Map<string, Promise<string>>();

  const readOnce = async (ref: SecretRef): Promise<string> => {
    const value = await readSecret(ref);
    // Keys of several lines are never shown by a device; one masked line of them would help nobody.
    if (!value.includes('\n')) transcript.hide(typed(value));
    return value;
  };
  const read = (ref: SecretRef): Promise<string> => {
    const key = JSON.stringify(ref);
    const value = values.get(key) ?? readOnce(ref);
    values.set(key, value);
    return value;
  };
  return {
    read,
    async toType(credential) {
      const unavailable = (problem: string) =>
        new BackupError('inventory.secret-unavailable', {
          reference: `credentials.${credentials.name}.${credential}`,
          problem,
        });
      const named = credentials[credential];
      const ref = named === 'same-as-password' ? credentials.password : named;
      if (ref === null) throw unavailable('the device asks for it, and the inventory names none');
      const value = await read(ref);
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
