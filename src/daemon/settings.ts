import { isIP } from 'node:net';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { z } from 'zod';
import { validRecipient } from '../artefacts/unseal.ts';
import type { SecretRef } from '../core/device.ts';
import { InvalidConfiguration, type Problem } from '../core/errors.ts';
import { planKeys } from '../inventory/inventory-schema.ts';
import type { Defaults } from '../inventory/precedence.ts';
import { judged, listOf, Reader, section } from '../inventory/schema.ts';
import { secretVariables } from '../inventory/secret-variables.ts';
import { choice, duration, path, secretReference, whole } from '../inventory/values.ts';
import { blameVaultReferences, type VaultSettings, vaultSection } from '../inventory/vault-settings.ts';
import { inOrder, readYaml } from '../inventory/yaml.ts';
import type { ChangeTiming } from '../syslog/changes.ts';
import type { Address } from '../syslog/listener.ts';
import { gitRemotes, type RemoteSettings } from './git-remotes.ts';
import { type HttpSettings, httpKeys, toHttpSettings } from './http-settings.ts';
import { settingsBytes, usualStateDir } from './settings-file.ts';

/** What `syslog:` says; null: not listened on. */
export interface SyslogSettings extends ChangeTiming {
  readonly udp: Address | null;
  readonly tcp: Address | null;
  readonly tls: {
    readonly at: Address;
    /** PEM files. */
    readonly certificate: string;
    readonly key: SecretRef;
    /** Who may sign a client's certificate; null: none is asked for. */
    readonly clientCa: string | null;
  } | null;
}

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
  readonly http: HttpSettings;
  /** Where devices tell of changes, and how soon and how often that starts a backup. */
  readonly syslog: SyslogSettings;
  readonly log: {
    readonly level: 'error' | 'warn' | 'info' | 'debug';
    readonly format: 'json' | 'plain';
  };
  readonly git: {
    /** Where every commit is pushed to. */
    readonly remotes: readonly RemoteSettings[];
    /** May read configs.git, and nothing else of `stateDir`; null: nobody. */
    readonly readersGroup: string | null;
    /** An SSH private key without a passphrase, which signs every commit; null: they are not signed. */
    readonly signKey: SecretRef | null;
  };
  readonly secrets: {
    /** age recipients (`age1…`); empty: nothing can be sealed. */
    readonly recipients: readonly string[];
    readonly fingerprintKey: SecretRef;
    /** `keep`: secrets go to git as the device shows them. */
    readonly inGit: 'masked' | 'keep';
  };
  /** How HashiCorp Vault is reached; null: no secret lies there. */
  readonly vault: VaultSettings | null;
  /** Environment variables that hold secrets. */
  readonly secretVariables: readonly string[];
  /** How long each is kept. */
  readonly retention: { readonly sealedMs: number; readonly runsMs: number; readonly transcriptsMs: number };
  /** `failed`: a redacted transcript of each failed run is kept. */
  readonly transcripts: 'off' | 'failed';
  /** Things that work and deserve a look. */
  readonly warnings: readonly Problem[];
}

/** The address of a unix socket has room for this many bytes on Linux; a longer one cannot be bound. */
const socketPathBytes = 107;

/** Reads a settings file. Throws InvalidConfiguration with every mistake in it, in the order of its lines. */
export function loadSettings(file: string): Settings {
  const document = readYaml(file, settingsBytes);
  const reader = new Reader(file, document);
  const read = reader.readEach(settingsShape(dirname(resolve(file))), document.value);
  const { secrets, state_dir } = read;
  if (secrets !== undefined && state_dir !== undefined && 'file' in secrets.fingerprint_key)
    if (isInside(secrets.fingerprint_key.file, state_dir))
      reader.blame(
        ['secrets', 'fingerprint_key'],
        'lies inside state_dir: whoever takes that directory could guess the masked secrets; keep it elsewhere',
      );
  const web = read.http === undefined ? null : toHttpSettings(reader, read.http);
  if (read.vault === null) blameVaultReferences(reader, document.value);
  if (reader.problems.length > 0 || web === null) throw new InvalidConfiguration(inOrder(reader.problems));
  // Every key was read: each has a default, and there are no problems.
  const written = read as Required<typeof read>;
  return {
    ...toSettings(written, web.http, [...warningsOf(reader, written), ...web.warnings]),
    secretVariables: secretVariables(document.value),
  };
}

type Shape = ReturnType<typeof settingsShape>;
type Written = { readonly [Key in keyof Shape]: z.output<Shape[Key]> };

/** Relative paths are relative to `dir`. */
function settingsShape(dir: string) {
  const minute = 60_000;
  const day = 24 * 60 * minute;
  const plan = planKeys();
  return {
    state_dir: path(dir).default(usualStateDir),
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
    http: withDefaults(httpKeys(dir, listenAddress('http'))),
    syslog: withDefaults({
      udp: listenAddress('any').nullable().default(null),
      tcp: listenAddress('any').nullable().default(null),
      tls: section({
        listen: listenAddress('any'),
        certificate: path(dir),
        key: secretReference(dir),
        client_ca: path(dir).nullable().default(null),
      })
        .nullable()
        .default(null),
      quiet: duration('1s', '1h').default(2 * minute),
      at_most: duration('1s', '1d').default(10 * minute),
      per_device: whole(1, 60).default(6),
      in_total: whole(1, 10_000).default(120),
    }),
    log: withDefaults({
      level: choice(['error', 'warn', 'info', 'debug']).default('info'),
      format: choice(['json', 'plain']).default('json'),
    }),
    git: withDefaults({
      readers_group: groupName().nullable().default(null),
      remotes: gitRemotes(dir).default([]),
      sign_key: secretReference(dir).nullable().default(null),
    }),
    secrets: withDefaults({
      recipients: listOf(recipient()).default([]),
      fingerprint_key: secretReference(dir).default({ file: resolve(dir, 'fingerprint.key') }),
      in_git: choice(['masked', 'keep']).default('masked'),
    }),
    vault: vaultSection(dir).nullable().default(null),
    retention: withDefaults({
      sealed: duration('1d').default(400 * day),
      // `verify` believes of nothing younger that retention removed it.
      runs: duration('31d').default(400 * day),
      transcripts: duration('1h').default(14 * day),
    }),
    transcripts: choice(['off', 'failed']).default('off'),
  };
}

/** A section that may be absent or empty: every key in it has a default. */
function withDefaults<Keys extends z.ZodRawShape>(keys: Keys) {
  return z.preprocess((value) => value ?? {}, section(keys));
}

function toSettings(
  written: Written,
  http: HttpSettings,
  warnings: readonly Problem[],
): Omit<Settings, 'secretVariables'> {
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
    http,
    syslog: toSyslog(written.syslog),
    log: written.log,
    git: {
      remotes: written.git.remotes,
      readersGroup: written.git.readers_group,
      signKey: written.git.sign_key,
    },
    secrets: {
      recipients: written.secrets.recipients,
      fingerprintKey: written.secrets.fingerprint_key,
      inGit: written.secrets.in_git,
    },
    vault: written.vault,
    retention: {
      sealedMs: written.retention.sealed,
      runsMs: written.retention.runs,
      transcriptsMs: written.retention.transcripts,
    },
    transcripts: written.transcripts,
    warnings,
  };
}

function toSyslog({ udp, tcp, tls, ...written }: Written['syslog']): SyslogSettings {
  return {
    udp,
    tcp,
    tls:
      tls === null
        ? null
        : { at: tls.listen, certificate: tls.certificate, key: tls.key, clientCa: tls.client_ca },
    quietMs: written.quiet,
    atMostMs: written.at_most,
    perDevice: written.per_device,
    inTotal: written.in_total,
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

/** `HOST:PORT`. `http`: `localhost` too. */
function listenAddress(where: 'http' | 'any') {
  const example = where === 'http' ? '127.0.0.1:9724' : '0.0.0.0:5514';
  return judged(`HOST:PORT such as ${example}`, (value, blame): Address => {
    const match = typeof value === 'string' ? /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(value) : null;
    const host = match?.[1] ?? match?.[2] ?? '';
    const port = Number(match?.[3]);
    if (match === null || port < 1 || port > 65535 || (match[1] !== undefined && isIP(host) !== 6))
      return blame(`expected HOST:PORT such as ${example} or "[::1]${example.slice(example.indexOf(':'))}"`);
    // A name would be another address tomorrow.
    return isIP(host) !== 0 || (where === 'http' && host === 'localhost')
      ? { host, port }
      : blame(`expected an IP address and a port such as ${example}`);
  });
}

/** As `groupadd` takes it. */
function groupName() {
  return judged('the name of a group of this system', (value, blame) =>
    typeof value === 'string' && /^[A-Za-z_][A-Za-z0-9._@-]{0,63}$/.test(value)
      ? value
      : blame('expected the name of a group of this system'),
  );
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
