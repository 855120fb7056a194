import type { Artefacts } from '../artefacts/artefacts.ts';
import { openArtefacts } from '../artefacts/store.ts';
import { BackupError, UsageError } from '../core/errors.ts';
import { parseFingerprintKey } from '../pipeline/mask.ts';
import type { Context } from './services/context.ts';
import type { Settings } from './settings.ts';

/** What secrets are masked and sealed with. */
export interface Vault {
  /** Null only with `secrets.in_git: keep` and no recipients: then nothing is sealed. */
  readonly artefacts: Artefacts | null;
  /** Empty with `secrets.in_git: keep`. */
  readonly fingerprintKey: Buffer;
}

/** Sealed copies, for writing and removing; null where there is nobody to seal for. */
export function openSealed(settings: Settings): Artefacts | null {
  const { recipients } = settings.secrets;
  return recipients.length === 0 ? null : openArtefacts({ dir: sealedDir(settings), recipients });
}

/** Sealed copies, for reading: whoever reads them elsewhere after a disaster may have nobody to seal for. */
export function openSealedToRead(settings: Settings): Pick<Artefacts, 'read'> {
  return openArtefacts({ dir: sealedDir(settings), recipients: [] });
}

/** Where sealed files lie. */
export function sealedDir({ stateDir }: Settings): string {
  return `${stateDir}/artefacts`;
}

/** Throws UsageError where secrets could be neither masked nor sealed, BackupError where the key cannot be read. */
export async function openVault(settings: Settings, context: Context): Promise<Vault> {
  const artefacts = openSealed(settings);
  if (settings.secrets.inGit === 'keep') {
    const log = await context.log();
    log.warn('secrets go to git unmasked', { setting: 'secrets.in_git: keep' });
    if (artefacts === null)
      log.warn('nothing is sealed: there is nobody to seal for', { setting: 'secrets.recipients' });
    return { artefacts, fingerprintKey: Buffer.alloc(0) };
  }
  if (artefacts === null) {
    throw new UsageError(
      'there is nobody to seal for: secrets.recipients is empty',
      'make an age identity and a first configuration with `roundsman init`, or add an age recipient to secrets.recipients',
    );
  }
  return { artefacts, fingerprintKey: await readFingerprintKey(settings, context) };
}

/** Throws BackupError `inventory.secret-unavailable`, which names the setting, and OperationError where it is no key. */
export async function readFingerprintKey(
  settings: Settings,
  { readSecret }: Pick<Context, 'readSecret'>,
): Promise<Buffer> {
  const text = await readSecret(settings.secrets.fingerprintKey).catch((cause: unknown) => {
    if (!(cause instanceof BackupError) || cause.code !== 'inventory.secret-unavailable') throw cause;
    const { detail } = cause as BackupError<'inventory.secret-unavailable'>;
    const named = { ...detail, setting: 'secrets.fingerprint_key' };
    throw new BackupError('inventory.secret-unavailable', named, { cause });
  });
  return parseFingerprintKey(text);
}
