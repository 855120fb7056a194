import { createHmac, createSecretKey } from 'node:crypto';
import { OperationError } from '../core/errors.ts';
import type { SecretKind } from '../drivers/driver.ts';

/** Puts fingerprints in the place of secrets. */
export interface Mask {
  /**
   * `<secret:3f9a1c>`: the same for the same value of the same kind on the same device, so that a
   * changed secret is a visible change. `<secret:rotating>` where the device prints a new ciphertext
   * every time. `value` holds one character per byte.
   */
  token(kind: SecretKind, value: string, rotates: boolean): string;
}

/**
 * Six hex digits, 24 bits. A change stays invisible when old and new value share a fingerprint: one
 * in 16.7 million. Longer ones would help only a thief of the key: every bit more tells more surely
 * that a guess is right.
 */
const digits = 6;

/** `deviceId` is the stable id, not the name: a rename changes no fingerprint. */
export function createMask(key: Buffer, deviceId: string): Mask {
  // Given as bytes, the key would be taken in anew for every fingerprint, at many times the cost of the fingerprint.
  const secretKey = createSecretKey(key);
  return {
    token(kind, value, rotates) {
      if (rotates) return '<secret:rotating>';
      const hmac = createHmac('sha256', secretKey);
      // Neither an id nor a kind holds NUL, so no two inputs run together.
      hmac.update(`${deviceId}\0${kind}\0`, 'utf8').update(value, 'latin1');
      return `<secret:${hmac.digest('hex').slice(0, digits)}>`;
    },
  };
}

/** Stands in the place of the name of a key where secrets are not masked. */
export const unmasked = 'none';

/** Names a key (8 hex digits) without revealing it: fingerprints of two keys cannot be compared. */
export function maskKeyId(key: Buffer): string {
  return createHmac('sha256', key).update('roundsman fingerprint key id').digest('hex').slice(0, 8);
}

/** The key in a fingerprint key file: 64 hex digits, blanks around them allowed. Throws OperationError. */
export function parseFingerprintKey(text: string): Buffer {
  const hex = text.trim();
  if (!/^[0-9a-f]{64}$/i.test(hex)) {
    throw new OperationError(
      `the fingerprint key is not 64 hex digits (${hex.length} characters were found)`,
      'check secrets.fingerprint_key in roundsman.yaml; `roundsman init` makes a key, and so does `openssl rand -hex 32`',
    );
  }
  return Buffer.from(hex, 'hex');
}

const masked = /^["'\s]*(?:ENC\s+)?(?:<secret:[0-9a-z]+>|\*+|<removed>)["'\s;]*$/;

/** The same text whatever key masked it: each fingerprint becomes `<secret>`. */
export function withoutFingerprints(text: string): string {
  return text.replaceAll(/<secret:[0-9a-z]+>/g, '<secret>');
}

/** Nothing is left to hide: our own token, or what a device prints in the place of a secret. */
export function isMasked(value: string): boolean {
  return masked.test(value) || value.trim() === '';
}
