import { access, constants } from 'node:fs/promises';
import { describe } from '../../core/catalogue.ts';
import { type Credentials, credentialsOf, type SecretRef } from '../../core/device.ts';
import {
  BackupError,
  failureOf,
  InvalidConfiguration,
  OperationError,
  type Problem,
} from '../../core/errors.ts';
import { Reader } from '../../inventory/schema.ts';
import { type Path, readYaml } from '../../inventory/yaml.ts';
import { parsePrivateKey } from '../../transport/private-key.ts';
import { parseSigningKey } from '../../transport/signing-key.ts';
import { unusableSignKey } from '../commit-signing.ts';
import { needsOf } from '../git-remotes.ts';
import { readFingerprintKey } from '../vault.ts';
import type { Configuration, Context } from './context.ts';

/** What a failed reading of a secret means to somebody who is not the service. */
const perhapsRight = 'which is right where only the service may read it';

/**
 * Reads every secret that a backup of these devices reads, and forgets it. What is wrong with the login of
 * a device is a warning: it may exist for the user of the service alone. Throws InvalidConfiguration where
 * the fingerprint key is no key, or cannot be read although this user should be able to: then every backup
 * would fail; and where the key that signs commits is none that can: then nothing starts.
 */
export async function checkSecrets(
  context: Context,
  configuration: Configuration,
): Promise<readonly Problem[]> {
  const { settings, devices, file } = configuration;
  const logins = new Map(devices.flatMap(credentialsOf).map((login) => [login.name, login]));
  const [key, signKey, ...found] = await Promise.all([
    fingerprintKeyMistake(context, configuration),
    signKeyMistake(context, configuration),
    ...[...logins.values()].map((login) => loginMistakes(context, login)),
  ]);
  const mistakes = [...found.flat(), ...(await archiveMistakes(context, configuration))];
  const ofRemotes = await remoteMistakes(context, configuration);
  const warnings = [
    ...(mistakes.length === 0 ? [] : placed(settings.inventory, mistakes)),
    ...(ofRemotes.length === 0 ? [] : placed(file, ofRemotes)),
  ];
  const ofKeys = [key, signKey].filter((mistake) => mistake !== null);
  if (ofKeys.length === 0) return warnings;
  const fatal = ofKeys.filter((mistake) => mistake.fatal);
  if (fatal.length > 0) throw new InvalidConfiguration(placed(file, fatal));
  return [...placed(file, ofKeys), ...warnings];
}

interface Mistake {
  readonly at: Path;
  readonly message: string;
}

/** A mistake that may keep everything from working. */
type KeyMistake = Mistake & { readonly fatal: boolean };

/** The files were read a moment ago: only a mistake is worth reading them again, for its line. */
function placed(file: string, mistakes: readonly Mistake[]): readonly Problem[] {
  const reader = new Reader(file, readYaml(file, Number.MAX_SAFE_INTEGER));
  return mistakes.map(({ at, message }) => reader.problem(at, message));
}

async function fingerprintKeyMistake(
  context: Context,
  { settings }: Configuration,
): Promise<KeyMistake | null> {
  const { fingerprintKey, inGit } = settings.secrets;
  if (inGit === 'keep') return null;
  const at = ['secrets', 'fingerprint_key'];
  try {
    await readFingerprintKey(settings, context);
    return null;
  } catch (error) {
    if (error instanceof OperationError) return { at, message: error.message, fatal: true };
    // The environment and the credentials of a unit are there for the service alone.
    const fatal = 'file' in fingerprintKey || 'command' in fingerprintKey;
    return { at, message: unreadable(error, !fatal), fatal };
  }
}

async function signKeyMistake(
  { readSecret }: Context,
  { settings }: Configuration,
): Promise<KeyMistake | null> {
  const { signKey } = settings.git;
  if (signKey === null) return null;
  const at = ['git', 'sign_key'];
  try {
    await parseSigningKey(await readSecret(signKey), signKey);
    return null;
  } catch (error) {
    const unusable = unusableSignKey(secretUnavailable(error));
    if (unusable === null) return { at, message: unreadable(error, true), fatal: false };
    return { at, message: `${unusable.problem}; ${unusable.todo}`, fatal: true };
  }
}

async function loginMistakes(
  { readSecret }: Context,
  { name, password, enable, privateKey, passphrase }: Credentials,
): Promise<readonly Mistake[]> {
  const mistakes: Mistake[] = [];
  const read = async (key: string, ref: SecretRef | 'same-as-password' | null): Promise<string | null> => {
    if (ref === null || ref === 'same-as-password') return null;
    try {
      return await readSecret(ref);
    } catch (error) {
      mistakes.push({ at: ['credentials', name, key], message: unreadable(error, true) });
      return null;
    }
  };
  await read('password', password);
  await read('enable', enable);
  const key = await read('private_key', privateKey);
  const phrase = await read('passphrase', passphrase);
  if (privateKey !== null && key !== null && (passphrase === null || phrase !== null)) {
    try {
      await parsePrivateKey(key, phrase ?? undefined, privateKey);
    } catch (error) {
      const { detail } = secretUnavailable(error);
      const { todo } = describe(failureOf(error));
      mistakes.push({ at: ['credentials', name, 'private_key'], message: `${detail.problem}; ${todo}` });
    }
  }
  return mistakes;
}

/** What the pushes log in with. */
async function remoteMistakes(
  { readSecret }: Context,
  { settings }: Configuration,
): Promise<readonly Mistake[]> {
  const found = settings.git.remotes.map(async (remote, index): Promise<readonly Mistake[]> => {
    const { secret, ca } = needsOf(remote);
    const at = ['git', 'remotes', index];
    const mistakes: Mistake[] = [];
    if (ca !== null && !(await readable(ca)))
      mistakes.push({ at: [...at, 'ca'], message: `${ca} cannot be read here, ${perhapsRight}` });
    if (secret === null) return mistakes;
    try {
      const text = await readSecret(secret.ref);
      if (secret.key === 'private_key') await parsePrivateKey(text, undefined, secret.ref);
    } catch (error) {
      const { key, problem } = secretUnavailable(error).detail;
      const message =
        key === undefined
          ? unreadable(error, true)
          : key === 'encrypted'
            ? 'the private key is encrypted; a push needs one without a passphrase, which can do nothing but push'
            : problem;
      mistakes.push({ at: [...at, secret.key], message });
    }
    return mistakes;
  });
  return (await Promise.all(found)).flat();
}

async function readable(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => true,
    () => false,
  );
}

/** One for each secret, whatever the number of devices whose archives it encrypts. */
async function archiveMistakes(
  { readSecret }: Context,
  { devices }: Configuration,
): Promise<readonly Mistake[]> {
  const users = Map.groupBy(
    devices.flatMap(({ name, archives }) =>
      archives.flatMap(({ name: archive, passphrase }) =>
        passphrase === null ? [] : [{ name, archive, passphrase }],
      ),
    ),
    ({ passphrase }) => JSON.stringify(passphrase),
  );
  const mistakes = [...users.values()].map(async ([first, ...others]): Promise<readonly Mistake[]> => {
    if (first === undefined) return [];
    try {
      await readSecret(first.passphrase);
      return [];
    } catch (error) {
      const more = others.length === 0 ? '' : ` and ${others.length} more`;
      const what = `the passphrase of ${first.archive} of ${first.name}${more}`;
      return [{ at: ['devices'], message: `${what}: ${unreadable(error, true)}` }];
    }
  });
  return (await Promise.all(mistakes)).flat();
}

function unreadable(error: unknown, mayBeRight: boolean): string {
  const { reference, problem, vault } = secretUnavailable(error).detail;
  // The service would meet the same.
  if (vault !== undefined) return `${reference}: ${problem}; ${describe(failureOf(error)).todo}`;
  return `${reference} cannot be read here: ${problem}${mayBeRight ? `, ${perhapsRight}` : ''}`;
}

/** Throws anything else on: it is a defect. */
function secretUnavailable(error: unknown): BackupError<'inventory.secret-unavailable'> {
  if (error instanceof BackupError && error.code === 'inventory.secret-unavailable')
    return error as BackupError<'inventory.secret-unavailable'>;
  throw error;
}
