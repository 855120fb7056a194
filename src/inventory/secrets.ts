import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Clock, systemClock } from '../core/clock.ts';
import { type SecretRef, type VaultSecret, vaultPath } from '../core/device.ts';
import { BackupError, type VaultTrouble } from '../core/errors.ts';
import { isCredentialName } from './values.ts';
import { VaultRefusal } from './vault-http.ts';
import { createVaultReader, type VaultReader } from './vault-kv.ts';
import type { VaultSettings } from './vault-settings.ts';

const commandLimitMs = 10_000;
/** An RSA key of 16384 bits takes 13 kB. */
const maxBytes = 64 * 1024;

type Environment = Readonly<Record<string, string | undefined>>;

/** What the configuration says of secrets, as it is now. */
export interface SecretSettings {
  /** How Vault is reached; null where it is not. */
  readonly vault: VaultSettings | null;
  /** Environment variables that hold secrets: a helper command is not given them. */
  readonly secretVariables: readonly string[];
}

/**
 * The value behind a reference, read anew at each call, so that a rotated secret needs no restart; one of Vault
 * can be a few seconds old. The reader throws BackupError `inventory.secret-unavailable`, which names the place and
 * never the value.
 */
export function createSecretReader(
  env: Environment,
  clock: Clock = systemClock,
  settings: () => Promise<SecretSettings> = async () => ({ vault: null, secretVariables: [] }),
): (ref: SecretRef) => Promise<string> {
  let opened: { readonly settings: VaultSettings; readonly reader: VaultReader } | null = null;

  async function readVault(secret: VaultSecret, unavailable: Unavailable): Promise<string> {
    const { vault } = await settings();
    if (vault === null) return unavailable('the settings do not say how to reach Vault', 'unreachable');
    // A reload can name another one; its login and what was read from it go with it.
    if (opened === null || !isDeepStrictEqual(opened.settings, vault))
      opened = { settings: vault, reader: createVaultReader(vault, readSecret, clock) };
    try {
      return await opened.reader.read(secret);
    } catch (error) {
      if (error instanceof VaultRefusal) return unavailable(error.problem, error.trouble);
      throw error;
    }
  }

  async function readSecret(ref: SecretRef): Promise<string> {
    const unavailable: Unavailable = (problem, trouble) => {
      const detail = { reference: place(ref), problem };
      throw new BackupError(
        'inventory.secret-unavailable',
        trouble === undefined ? detail : { ...detail, vault: trouble },
      );
    };
    const value =
      'vault' in ref
        ? await readVault(ref.vault, unavailable)
        : 'command' in ref
          ? await runCommand(ref.command, await helperEnvironment(), clock, unavailable)
          : await read(ref, env, unavailable);
    if (Buffer.byteLength(value) > maxBytes) return unavailable(`is larger than ${maxBytes} bytes`);
    return value === '' ? unavailable('is empty') : value;
  }

  /** Ours without the secrets of others. */
  async function helperEnvironment(): Promise<NodeJS.ProcessEnv> {
    const { secretVariables } = await settings();
    return Object.fromEntries(Object.entries(env).filter(([name]) => !secretVariables.includes(name)));
  }

  return readSecret;
}

type Unavailable = (problem: string, trouble?: VaultTrouble) => never;

function place(ref: SecretRef): string {
  if ('env' in ref) return `environment variable ${ref.env}`;
  if ('file' in ref) return `file ${ref.file}`;
  if ('credential' in ref) return `systemd credential ${ref.credential}`;
  // Without its arguments: they can be secrets too.
  if ('command' in ref) return `command ${ref.command[0] ?? ''}`;
  if ('vault' in ref) return `key ${ref.vault.key} of ${vaultPath(ref.vault)} in Vault`;
  return 'text in the inventory';
}

async function read(
  ref: Exclude<SecretRef, { vault: VaultSecret } | { command: readonly string[] }>,
  env: Environment,
  unavailable: Unavailable,
): Promise<string> {
  if ('literal' in ref) return ref.literal;
  if ('env' in ref) return env[ref.env] ?? unavailable('is not set');
  if ('file' in ref) return await readSecretFile(ref.file, true, unavailable);
  const directory = env.CREDENTIALS_DIRECTORY;
  if (directory === undefined || directory === '')
    return unavailable('$CREDENTIALS_DIRECTORY is not set: the unit needs LoadCredential=');
  if (!isCredentialName(ref.credential)) return unavailable('is not a file name');
  // systemd grants the service's user access by an ACL, which shows as group rights: the mode proves nothing.
  return await readSecretFile(join(directory, ref.credential), false, unavailable);
}

async function readSecretFile(path: string, checkMode: boolean, unavailable: Unavailable): Promise<string> {
  let bytes: Buffer;
  try {
    // Without O_NONBLOCK a named pipe would hold us for ever.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) unavailable('is not a file');
      if (checkMode && (stat.mode & 0o077) !== 0)
        unavailable(`can be read by others (mode ${(stat.mode & 0o777).toString(8)}): chmod 0400`);
      if (stat.size > maxBytes) unavailable(`is larger than ${maxBytes} bytes`);
      bytes = await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof BackupError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    return unavailable(
      code === 'ENOENT'
        ? 'does not exist'
        : code === 'EACCES'
          ? 'permission denied'
          : `cannot be read: ${code}`,
    );
  }
  return decode(bytes, unavailable).replace(/\r?\n$/, '');
}

function runCommand(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  clock: Clock,
  unavailable: Unavailable,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const settle = (value: () => string): void => {
    try {
      resolve(value());
    } catch (error) {
      reject(error);
    }
  };
  const [program = '', ...rest] = argv;
  let late = false;
  const child = execFile(
    program,
    rest,
    { env, encoding: 'buffer', maxBuffer: maxBytes, shell: false, windowsHide: true },
    // stderr is dropped: helpers print what they were asked for.
    (error, stdout) => {
      timer.cancel();
      settle(() => {
        if (late) return unavailable(`did not answer within ${commandLimitMs / 1_000} s`);
        if (error !== null) return unavailable(failed(error));
        return decode(stdout, unavailable).split(/\r?\n/, 1)[0] ?? '';
      });
    },
  );
  const timer = clock.after(commandLimitMs, () => {
    late = true;
    child.kill('SIGKILL');
    // A grandchild may hold the pipes open: waiting for them to close would be waiting without limit.
    child.stdout?.destroy();
    child.stderr?.destroy();
  });
  child.stdin?.end();
  return promise;
}

function failed(error: { code?: string | number | null; signal?: NodeJS.Signals | null }): string {
  if (error.code === 'ENOENT') return 'the program does not exist';
  if (error.code === 'EACCES') return 'the program cannot be executed';
  if (error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return `printed more than ${maxBytes} bytes`;
  if (typeof error.code === 'number') return `ended with exit status ${error.code}`;
  return error.signal ? `was ended by ${error.signal}` : `could not be run: ${error.code ?? 'unknown error'}`;
}

function decode(bytes: Buffer, unavailable: Unavailable): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return unavailable('is not UTF-8');
  }
}
