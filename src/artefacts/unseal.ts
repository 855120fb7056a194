import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { OperationError } from '../core/errors.ts';
import type { Unseal } from './artefacts.ts';

const decompress = promisify(gunzip);

/** Larger than any configuration: anyone who knows a recipient can write a file that unpacks without end. */
const largestTextBytes = 1024 ** 3;

/**
 * Opens a sealed copy. `identityFile` is the text of an age identity file: comments, blank lines and
 * any number of `AGE-SECRET-KEY-1…` lines.
 */
export const unseal: Unseal = async (sealed, identityFile) => {
  const compressed = await unsealArchive(sealed, identityFile);
  try {
    return await decompress(compressed, { maxOutputLength: largestTextBytes });
  } catch (cause) {
    throw new OperationError(
      'the sealed copy was opened, but what is in it is damaged',
      'choose another version: `roundsman log NAME`',
      { cause },
    );
  }
};

/** Opens a sealed archive: the file that the device gave. `identityFile` as for `unseal`. */
export const unsealArchive: Unseal = async (sealed, identityFile) => {
  const identities = identitiesOf(identityFile);
  const decrypter = new Decrypter();
  for (const identity of identities) addIdentity(decrypter, identity);
  const { buffer, byteOffset, byteLength } = await open(decrypter, sealed, identities);
  return Buffer.from(buffer, byteOffset, byteLength);
};

/** A new key pair: the identity opens what is sealed to the recipient. */
export async function generateIdentity(): Promise<{ readonly identity: string; readonly recipient: string }> {
  const identity = await generateX25519Identity();
  return { identity, recipient: await identityToRecipient(identity) };
}

/** Whether texts can be sealed to this recipient. */
export function validRecipient(text: string): boolean {
  try {
    new Encrypter().addRecipient(text);
    return true;
  } catch {
    return false;
  }
}

function identitiesOf(identityFile: string): string[] {
  if (/^(?:age-encryption\.org\/|-----BEGIN AGE ENCRYPTED FILE-----)/.test(identityFile.trimStart())) {
    throw new OperationError(
      'the identity file is itself encrypted',
      'decrypt it first, to a place in memory: age -d FILE > /dev/shm/identity.txt',
    );
  }
  const lines = identityFile
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) {
    throw new OperationError(
      'the identity file holds no identity',
      'name the file with the AGE-SECRET-KEY-1… line that `roundsman init` or age-keygen made',
    );
  }
  return lines;
}

function addIdentity(decrypter: Decrypter, identity: string): void {
  try {
    decrypter.addIdentity(identity);
  } catch (cause) {
    if (identity.startsWith('AGE-PLUGIN-')) {
      throw new OperationError(
        'the identity file needs an age plugin, which roundsman does not run',
        'open the sealed copy by hand: age -d -i IDENTITY FILE | gunzip',
        { cause },
      );
    }
    // The line is not quoted: it may be a mistyped secret key.
    throw new OperationError(
      'a line of the identity file is no age identity',
      'each line is AGE-SECRET-KEY-1…, a comment that begins with #, or empty',
      { cause },
    );
  }
}

async function open(
  decrypter: Decrypter,
  sealed: Buffer,
  identities: readonly string[],
): Promise<Uint8Array> {
  try {
    return await decrypter.decrypt(sealed);
  } catch (cause) {
    const given = await Promise.all(identities.map((identity) => identityToRecipient(identity)));
    throw new OperationError(
      'the sealed copy cannot be opened with this identity file, or it is damaged',
      `a sealed copy does not tell whom it was sealed for: try the identities of the recipients that stood in secrets.recipients at the time; this file opens what was sealed to ${given.join(', ')}`,
      { cause },
    );
  }
}
