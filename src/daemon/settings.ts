import { isIP } from 'node:net';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { z } from 'zod';
import { validRecipient } from '../artefacts/unseal.ts';
import type { SecretRef } from '../core/device.ts';
import { InvalidConfiguration, type Problem, UsageError } from '../core/errors.ts';
import { planKeys } from '../inventory/inventory-schema.ts';
import type { Defaults } from '../inventory/precedence.ts';
import { judged, listOf, notBuilt, Reader, section } from '../inventory/schema.ts';
import { choice, duration, path, secretReference, whole } from '../inventory/values.ts';
import { inOrder, readYaml } from '../inventory/yaml.ts';

/** Everything that `roundsman.yaml` says, defaults filled in; paths are absolute. */
export interface Settings extends Defaults {
  /** Holds configs.git, ledger.db, spool/, artefacts/ and known_hosts. */
  readonly stateDir: string;
  /** The control socket; null: in $RUNTIME_DIRECTORY, else in `stateDir`. */
  readonly socket: string | null;
  /** The file `devices.yaml`. */
  readonly inventory: string;
  /** Device sessions at once. */
  readonly workers: number;
  readonly http: { readonly listen: { readonly host: string; readonly port: number } };
  readonly log: {
    readonly level: 'error' | 'warn' | 'info' | 'debug';
    readonly format: 'json' | 'plain';
  };
  readonly secrets: {
    /** age recipients (`age1…`); empty: nothing can be sealed. */
    readonly recipients: readonly string[];
    readonly fingerprintKey: SecretRef;
    /** `keep`: secrets go to git as the device shows them. */
    readonly inGit: 'masked' | 'keep';
  };
  /** How long each is kept. */
  readonly retention: { readonly sealedMs: number; readonly runsMs: number; readonly transcriptsMs: number };
  /** `failed`: a redacted transcript of each failed run is kept. */
  readonly transcripts: 'off' | 'failed';
  /** Things that work and deserve a look. */
  readonly warnings: readonly Problem[];
}

const maxBytes = 1024 * 1024;
/** The address of a unix socket has room for this many bytes on Linux; a longer one cannot be bound. */
const socketPathBytes = 107;
const usualPlaces = ['/etc/roundsman/roundsman.yaml', './config/roundsman.yaml'] as const;

/**
 * The settings file to read: `explicit` (--config), else $ROUNDSMAN_CONFIG, else the first of the usual
 * places that exists. Throws UsageError where there is none.
 */
export function findSettings(
  explicit: string | null,
  env: Readonly<Record<string, string | undefined>>,
  exists: (file: string) => boolean,
): string {
  const told = explicit ?? env.ROUNDSMAN_CONFIG ?? '';
  if (explicit !== null || told !== '') {
    if (told !== '' && exists(told)) return told;
    throw new UsageError(
      `${explicit === null ? '$ROUNDSMAN_CONFIG' : '--config'} names a file that does not exist: ${told}`,
      'name an existing file, or make a first configuration: roundsman init DIR',
    );
  }
  const found = usualPlaces.find(exists);
  if (found !== undefined) return found;
  throw new UsageError(
    `no configuration found: there is neither ${usualPlaces.join(' nor ')}`,
    'make one with `roundsman init DIR`, or name yours with --config FILE or $ROUNDSMAN_CONFIG',
  );
}

/** Reads a settings file. Throws InvalidConfiguration with every mistake in it, in the order of its lines. */
export function loadSettings(file: string): Settings {
  const document = readYaml(file, maxBytes);
  const reader = new Reader(file, document);
  const read = reader.readEach(settingsShape(dirname(resolve(file))), document.value);
  const { secrets, state_dir } = read;
  if (secrets !== undefined && state_dir !== undefined && 'file' in secrets.fingerprint_key)
    if (isInside(secrets.fingerprint_key.file, state_dir))
      reader.blame(
        ['secrets', 'fingerprint_key'],
        'lies inside state_dir: whoever takes that directory could guess the masked secrets; keep it elsewhere',
      );
  if (reader.problems.length > 0) throw new InvalidConfiguration(inOrder(reader.problems));
  // Every key was read: each has a default, and there are no problems.
  return toSettings(read as Required<typeof read>, warningsOf(reader, read as Required<typeof read>));
}

type Shape = ReturnType<typeof settingsShape>;
type Written = { readonly [Key in keyof Shape]: z.output<Shape[Key]> };

/** Relative paths are relative to `dir`. */
function settingsShape(dir: string) {
  const minute = 60_000;
  const day = 24 * 60 * minute;
  const plan = planKeys();
  return {
    state_dir: path(dir).default('/var/lib/roundsman'),
    socket: socketPath(dir).nullable().default(null),
    inventory: path(dir).default(resolve(dir, 'devices.yaml')),
    workers: whole(1, 1000).default(32),
    schedule: plan.schedule.default('0 2 * * *'),
    timezone: plan.timezone.default('UTC'),
    splay: plan.splay.default(null),
    start_within: plan.start_within.default(null),
    max_runtime: plan.max_runtime.default(30 * minute),
    retry_later: plan.retry_later.default(60 * minute),
    max_age: plan.max_age.default(null),
    blackout: plan.blackout.default([]),
    catch_up_spread: plan.catch_up_spread.default(15 * minute),
    http: withDefaults({ listen: listenAddress().default({ host: '127.0.0.1', port: 9724 }) }),
    log: withDefaults({
      level: choice(['error', 'warn', 'info', 'debug']).default('info'),
      format: choice(['json', 'plain']).default('json'),
    }),
    git: withDefaults({ readers_group: notBuilt(), remotes: notBuilt(), sign_key: notBuilt() }),
    secrets: withDefaults({
      recipients: listOf(recipient()).default([]),
      fingerprint_key: secretReference(dir).default({ file: resolve(dir, 'fingerprint.key') }),
      in_git: choice(['masked', 'keep']).default('masked'),
    }),
    retention: withDefaults({
      sealed: duration('1d').default(400 * day),
      runs: duration('1d').default(400 * day),
      transcripts: duration('1h').default(14 * day),
    }),
    transcripts: choice(['off', 'failed']).default('off'),
  };
}

/** A section that may be absent or empty: every key in it has a default. */
function withDefaults<Keys extends z.ZodRawShape>(keys: Keys) {
  return z.preprocess((value) => value ?? {}, section(keys));
}

function toSettings(written: Written, warnings: readonly Problem[]): Settings {
  return {
    stateDir: written.state_dir,
    socket: written.socket,
    inventory: written.inventory,
    workers: written.workers,
    schedule: written.schedule,
    timezone: written.timezone,
    splayMs: written.splay,
    startWithinMs: written.start_within,
    maxRuntimeMs: written.max_runtime,
    retryLaterMs: written.retry_later,
    maxAgeMs: written.max_age,
    blackout: written.blackout,
    catchUpSpreadMs: written.catch_up_spread,
    http: written.http,
    log: written.log,
    secrets: {
      recipients: written.secrets.recipients,
      fingerprintKey: written.secrets.fingerprint_key,
      inGit: written.secrets.in_git,
    },
    retention: {
      sealedMs: written.retention.sealed,
      runsMs: written.retention.runs,
      transcriptsMs: written.retention.transcripts,
    },
    transcripts: written.transcripts,
    warnings,
  };
}

function warningsOf(reader: Reader, { secrets }: Written): readonly Problem[] {
  const warnings: Problem[] = [];
  if (secrets.recipients.length === 1)
    warnings.push(
      reader.problem(
        ['secrets', 'recipients'],
        'names a single recipient: if its identity is lost, no sealed copy can be opened; add a second one',
      ),
    );
  if (secrets.in_git === 'keep')
    warnings.push(reader.problem(['secrets', 'in_git'], 'keep: secrets of the devices go to git in clear'));
  if ('env' in secrets.fingerprint_key)
    warnings.push(
      reader.problem(
        ['secrets', 'fingerprint_key'],
        'is read from the environment, which child processes and crash dumps show; a file or a systemd credential is safer',
      ),
    );
  return warnings;
}

/** Compares names, not inodes: neither of the two has to exist yet. */
function isInside(file: string, dir: string): boolean {
  const way = relative(dir, file);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function socketPath(dir: string) {
  const place = path(dir);
  return judged('a path', (value, blame) => {
    const result = place.safeParse(value);
    if (!result.success) return blame(result.error.issues[0]?.message ?? 'expected a path');
    const bytes = Buffer.byteLength(result.data);
    return bytes <= socketPathBytes
      ? result.data
      : blame(`is ${bytes} bytes long; a socket's path may have ${socketPathBytes}`);
  });
}

/** `HOST:PORT` on this machine: there is no authentication that would make another address safe. */
function listenAddress() {
  return judged('HOST:PORT such as 127.0.0.1:9724', (value, blame) => {
    const match = typeof value === 'string' ? /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(value) : null;
    const host = match?.[1] ?? match?.[2] ?? '';
    const port = Number(match?.[3]);
    if (match === null || port < 1 || port > 65535 || (match[1] !== undefined && isIP(host) !== 6))
      return blame('expected HOST:PORT such as 127.0.0.1:9724 or "[::1]:9724"');
    const loopback = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
    return loopback
      ? { host, port }
      : blame('expected a loopback address; others are not available in this version');
  });
}

/** The public half of an age key pair: bech32 after `age1`. */
function recipient() {
  return judged('an age recipient (age1…)', (value, blame) => {
    // Not shown: a private key that was pasted here must not reach a terminal or a log.
    if (typeof value === 'string' && /^\s*AGE-SECRET-KEY-/i.test(value))
      return blame(
        'is a private age identity; put its public half (age1…) here and keep the identity off this machine',
      );
    if (typeof value !== 'string' || !/^age1(?:[a-z0-9]+1)?[02-9ac-hj-np-z]{58,}$/.test(value))
      return blame('expected an age recipient (age1… with 62 characters), as age-keygen prints it');
    return validRecipient(value)
      ? value
      : blame(
          'nothing can be sealed to it: it is mistyped (its checksum is wrong), or made by an age plugin, which roundsman does not run',
        );
  });
}
