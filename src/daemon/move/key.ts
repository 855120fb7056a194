import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Imported } from '../../cli/services.ts';
import { describe } from '../../core/catalogue.ts';
import { type SecretRef, vaultPath } from '../../core/device.ts';
import { BackupError, failureOf, OperationError } from '../../core/errors.ts';
import { writeDurably } from '../../gitstore/durable.ts';
import { maskKeyId, parseFingerprintKey } from '../../pipeline/mask.ts';
import type { Context } from '../services/context.ts';
import type { Settings } from '../settings.ts';
import { exists } from './files.ts';
import { altered, names } from './manifest.ts';

/**
 * The fingerprint key of an export, as its file has it; null where it has none because nothing is masked.
 * Throws OperationError where it is not the one that the manifest names.
 */
export async function readKeyFile(dir: string, maskKey: string | null): Promise<string | null> {
  if (maskKey === null) return null;
  const text = await readFile(join(dir, names.fingerprintKey), 'latin1').catch((cause: unknown) => {
    throw altered(names.fingerprintKey, 'it cannot be read', cause);
  });
  if (idOf(text) !== maskKey) throw altered(names.fingerprintKey, `it is not the key ${maskKey}`);
  return text.trim();
}

/** What is at the place where the settings have the fingerprint key, and how it gets there. */
interface SettledKey {
  readonly found: NonNullable<Imported['fingerprintKey']>;
  /** Writes the key's file where it has to be written. */
  readonly write: () => Promise<void>;
}

/**
 * Compares the key of an export with the one that the settings name, and writes nothing yet. Throws
 * OperationError where that is another one: with it, every mask in git would change.
 */
export async function settleKey(
  context: Pick<Context, 'readSecret'>,
  { secrets }: Settings,
  dir: string,
  key: string,
): Promise<SettledKey> {
  const ref = secrets.fingerprintKey;
  const place = placeOf(ref);
  const exported = join(dir, names.fingerprintKey);
  if ('file' in ref && !(await exists(ref.file))) {
    const write = () =>
      writeDurably(ref.file, `${key}\n`).catch((cause: NodeJS.ErrnoException) => {
        throw new OperationError(
          `the fingerprint key cannot be written to ${ref.file}: ${cause.code ?? cause.message}`,
          `copy ${exported} there as root, readable for the user of the service alone, then import again`,
          { cause },
        );
      });
    return { found: { state: 'written', place }, write };
  }
  const write = () => Promise.resolve();
  let there: string;
  try {
    there = await context.readSecret(ref);
  } catch (error) {
    // What systemd or the service's environment gives is not to be seen from here.
    if (!(error instanceof BackupError) || 'file' in ref) throw error;
    return { found: { state: 'unread', place, problem: describe(failureOf(error)).message }, write };
  }
  if (idOf(there) !== idOf(key))
    throw new OperationError(
      `${place} holds another fingerprint key than the export: every mask in git would change`,
      `put ${exported} in its place, if nothing was masked with the other one that is still needed, then import again`,
    );
  return { found: { state: 'same', place }, write };
}

/** Null where the text is no key. */
function idOf(text: string): string | null {
  try {
    return maskKeyId(parseFingerprintKey(text));
  } catch {
    return null;
  }
}

function placeOf(ref: SecretRef): string {
  if ('file' in ref) return ref.file;
  if ('env' in ref) return `environment variable ${ref.env}`;
  if ('credential' in ref) return `systemd credential ${ref.credential}`;
  if ('vault' in ref) return `key ${ref.vault.key} of ${vaultPath(ref.vault)} in Vault`;
  return 'command' in ref ? `the command ${ref.command[0] ?? ''}` : 'the settings';
}
