import { createPrivateKey, type SignKeyObjectInput, sign } from 'node:crypto';
import type { SecretRef } from '../core/device.ts';
import { BackupError } from '../core/errors.ts';
import { sshString } from '../core/ssh-signature.ts';
import { parsePrivateKey, referenceText } from './private-key.ts';

/** A private key that signs as SSH does. */
export interface SigningKey {
  /** As SSH writes it: its type, then its numbers. */
  readonly publicKey: Buffer;
  /** The algorithm, then the signature of exactly these bytes. */
  sign(data: Buffer): Promise<Buffer>;
}

/** What signs with a key of this type; `digest` null: what the type brings itself. */
const algorithms: Readonly<Record<string, { readonly name: string; readonly digest: string | null }>> = {
  'ssh-ed25519': { name: 'ssh-ed25519', digest: null },
  'ecdsa-sha2-nistp256': { name: 'ecdsa-sha2-nistp256', digest: 'sha256' },
  'ecdsa-sha2-nistp384': { name: 'ecdsa-sha2-nistp384', digest: 'sha384' },
  'ecdsa-sha2-nistp521': { name: 'ecdsa-sha2-nistp521', digest: 'sha512' },
  // Its own `ssh-rsa` signs with SHA-1.
  'ssh-rsa': { name: 'rsa-sha2-512', digest: 'sha512' },
};

/**
 * The private key in `text`, which has no passphrase: nobody is there to type one. Throws BackupError
 * `inventory.secret-unavailable` where it is anything else.
 */
export async function parseSigningKey(text: string, ref: SecretRef): Promise<SigningKey> {
  const parsed = await parsePrivateKey(text, undefined, ref);
  const algorithm = algorithms[parsed.type];
  if (algorithm === undefined)
    throw new BackupError('inventory.secret-unavailable', {
      reference: referenceText(ref),
      problem: `${parsed.type} is too weak to sign; an Ed25519, ECDSA or RSA key is needed`,
      key: 'other-format',
    });
  const key = createPrivateKey(parsed.getPrivatePEM());
  const { name, digest } = algorithm;
  return {
    publicKey: parsed.getPublicSSH(),
    async sign(data) {
      const made = await signed(digest, data, { key, dsaEncoding: 'ieee-p1363' });
      const blob = key.asymmetricKeyType === 'ec' ? pairOf(made) : made;
      return Buffer.concat([sshString(Buffer.from(name)), sshString(blob)]);
    },
  };
}

/** Beside the event loop: an RSA key takes milliseconds. */
function signed(digest: string | null, data: Buffer, key: SignKeyObjectInput): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign(digest, data, key, (error, signature) => (error === null ? resolve(signature) : reject(error)));
  });
}

/** Two numbers of the same length, as SSH writes them. */
function pairOf(signature: Buffer): Buffer {
  const half = signature.length / 2;
  return Buffer.concat([signature.subarray(0, half), signature.subarray(half)].map(number));
}

/** Without leading zeros, and with one where it would be negative. */
function number(octets: Buffer): Buffer {
  let from = 0;
  while (from < octets.length - 1 && octets[from] === 0) from += 1;
  const least = octets.subarray(from);
  return sshString((least[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), least]) : least);
}
