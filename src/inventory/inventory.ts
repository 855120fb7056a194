import { dirname, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Credentials, JumpHost, SecretRef } from '../core/device.ts';
import { InvalidConfiguration, type Problem } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import {
  type CredentialsEntry,
  credentialsSchema,
  type DeviceEntry,
  deviceSchema,
  documentKeys,
  type GroupEntry,
  groupSchema,
  jumpHostSchema,
  type Known,
  sharedSchema,
} from './inventory-schema.ts';
import { isMapping } from './mapping.ts';
import { type Choices, type Chosen, OptionReader, type Stated } from './options.ts';
import { type Defaults, jumpOf, type PlannedDevice, resolveDevice } from './precedence.ts';
import { Reader } from './schema.ts';
import { secretVariables } from './secret-variables.ts';
import { listIfShort, nameProblem } from './values.ts';
import { blameVaultReferences } from './vault-settings.ts';
import { inOrder, type Path, readYaml } from './yaml.ts';

/** Ten thousand devices, each with every key and a comment, stay below. */
const maxBytes = 16 * 1024 * 1024;

/** What the inventory file does not say itself. */
export interface InventoryOptions {
  /** What holds where no device, group or platform says otherwise. */
  readonly defaults: Defaults;
  /** Ids of the drivers. */
  readonly platforms: readonly string[];
  /** What the inventory may choose, by platform. */
  readonly choices: ReadonlyMap<string, Choices>;
  /** SSH algorithms that `ssh.allow` may name. */
  readonly algorithms: readonly string[];
  /** UTC epoch milliseconds: a device whose `retired` date lies in the future is still backed up. */
  readonly nowMs: number;
  /** Whether the settings say how to reach HashiCorp Vault. */
  readonly vault: boolean;
}

/** A device with a `retired` date, past or still to come. */
export interface Retirement {
  readonly name: string;
  readonly formerly: readonly string[];
  /** The beginning of that day in UTC. */
  readonly sinceMs: number;
}

export interface Inventory {
  /** In the order of the file; disabled ones included, retired ones not. */
  readonly devices: readonly PlannedDevice[];
  readonly retired: readonly Retirement[];
  /** Every group that is declared or used, `default` included where a device is in it; sorted. */
  readonly groups: readonly string[];
  /** Environment variables that hold secrets. */
  readonly secretVariables: readonly string[];
  /** Things that work and deserve a look. */
  readonly warnings: readonly Problem[];
}

/** Reads `devices.yaml`. Throws InvalidConfiguration with every mistake in it, in the order of its lines. */
export function loadInventory(file: string, options: InventoryOptions): Inventory {
  const document = readYaml(file, maxBytes);
  const reader = new Reader(file, document);
  const top = topLevel(reader, document.value);
  const declared = Object.keys(top.groups);
  const known: Known = {
    platforms: options.platforms,
    algorithms: options.algorithms,
    credentials: Object.keys(top.credentials),
    groups: declared.length === 0 ? null : [...new Set([...declared, 'default'])],
    jumpHosts: Object.keys(top.jumpHosts),
  };

  const credentials = readCredentials(reader, top.credentials, dirname(resolve(file)));
  const jumpHosts = readJumpHosts(reader, top.jumpHosts, known, credentials);
  const platforms = readPlatforms(reader, top.platforms, known);
  const groups = readGroups(reader, top.groups, known);
  const stated = readLevelOptions(reader, top, options.choices, dirname(resolve(file)));
  const schema = deviceSchema(known);
  const devices: PlannedDevice[] = [];
  const retired: Retirement[] = [];
  const places = new Map<PlannedDevice, number>();
  for (const [index, raw] of top.devices.entries()) {
    const at = ['devices', index];
    const entry = reader.read(schema, raw, at);
    const here = stated.ofDevice(raw, at);
    if (entry === null) continue;
    const { name: called, formerly, retired: sinceMs } = entry;
    if (sinceMs !== null) retired.push({ name: called, formerly, sinceMs });
    if (sinceMs !== null && sinceMs <= options.nowMs) continue;
    // A level with mistakes is null: what the device inherits is then unknown, and not blamed on it.
    const platform = platforms.get(entry.platform) ?? {};
    const group = groups.get(entry.group) ?? {};
    if (platforms.get(entry.platform) === null || groups.get(entry.group) === null) continue;
    const name = entry.credentials ?? group.credentials ?? platform.credentials;
    if (name === undefined) {
      reader.blame(at, `${entry.name} has no credentials: name them here, for its group or for its platform`);
      continue;
    }
    const login = credentials.get(name);
    const jump = jumpOf(entry, group, platform).map((hop) => jumpHosts.get(hop) ?? null);
    if (login === null || login === undefined || !jump.every((hop) => hop !== null)) continue;
    const device = resolveDevice(
      entry,
      group,
      platform,
      options.defaults,
      login,
      jump,
      stated.choose(entry, here),
    );
    devices.push(device);
    places.set(device, index);
  }
  checkNames(reader, top.devices);
  if (!options.vault) blameVaultReferences(reader, document.value);
  if (reader.problems.length > 0) throw new InvalidConfiguration(inOrder(reader.problems));
  return {
    devices,
    retired,
    groups: [...new Set([...Object.keys(top.groups), ...devices.map((device) => device.group)])].sort(),
    secretVariables: secretVariables(document.value),
    warnings: [
      ...secretWarnings(reader, credentials, devices),
      ...stated.warnings,
      ...addressWarnings(reader, devices, places),
    ],
  };
}

interface TopLevel {
  readonly credentials: Readonly<Record<string, unknown>>;
  readonly platforms: Readonly<Record<string, unknown>>;
  readonly groups: Readonly<Record<string, unknown>>;
  readonly jumpHosts: Readonly<Record<string, unknown>>;
  readonly devices: readonly unknown[];
}

/** An empty section (`groups:` and nothing below) is the same as none. */
function topLevel(reader: Reader, value: unknown): TopLevel {
  const found = isMapping(value) ? value : {};
  if (!isMapping(value)) reader.blame([], 'expected a mapping with the keys credentials and devices');
  for (const key of Object.keys(found))
    if (!(documentKeys as readonly string[]).includes(key))
      reader.blame([key], 'unknown key', nearest(key, documentKeys));
  const mapping = (key: string): Record<string, unknown> => {
    const section = found[key] ?? {};
    if (isMapping(section)) return section;
    reader.blame([key], 'expected a mapping of names');
    return {};
  };
  if (isMapping(value) && !('devices' in value))
    reader.blame([], 'devices: is missing; expected a list of devices');
  const devices = found.devices ?? [];
  if (!Array.isArray(devices))
    reader.blame(['devices'], 'expected a list of devices, each beginning with "- name: …"');
  return {
    credentials: mapping('credentials'),
    platforms: mapping('platforms'),
    groups: mapping('groups'),
    jumpHosts: mapping('jump_hosts'),
    devices: Array.isArray(devices) ? devices : [],
  };
}

/** By name; null where an entry has mistakes. */
function readCredentials(
  reader: Reader,
  entries: Readonly<Record<string, unknown>>,
  dir: string,
): Map<string, Credentials | null> {
  const schema = credentialsSchema(dir);
  const result = new Map<string, Credentials | null>();
  for (const [name, raw] of Object.entries(entries)) {
    const at = ['credentials', name];
    checkName(reader, name, at);
    const entry = reader.read(schema, raw, at);
    const sound = entry !== null && checkCredentials(reader, entry, at);
    result.set(
      name,
      sound
        ? {
            name,
            username: entry.username,
            password: entry.password,
            enable: entry.enable,
            privateKey: entry.private_key,
            passphrase: entry.passphrase,
            agent: entry.agent,
            loginsPerSecond: entry.logins_per_second,
          }
        : null,
    );
  }
  return result;
}

/** By name; null where an entry, or its credentials, have mistakes. */
function readJumpHosts(
  reader: Reader,
  entries: Readonly<Record<string, unknown>>,
  known: Known,
  credentials: ReadonlyMap<string, Credentials | null>,
): Map<string, JumpHost | null> {
  const schema = jumpHostSchema(known);
  const result = new Map<string, JumpHost | null>();
  for (const [name, raw] of Object.entries(entries)) {
    const at = ['jump_hosts', name];
    checkName(reader, name, at);
    const entry = reader.read(schema, raw ?? {}, at);
    const login = entry === null ? null : (credentials.get(entry.credentials) ?? null);
    result.set(
      name,
      entry === null || login === null
        ? null
        : {
            name,
            host: entry.host,
            port: entry.port,
            credentials: login,
            hostKeys: entry.host_key === null || entry.host_key === 'first-use' ? [] : entry.host_key,
            firstUse: entry.host_key === 'first-use',
            ssh: { profile: entry.ssh?.profile ?? 'modern', allow: entry.ssh?.allow ?? [] },
          },
    );
  }
  return result;
}

/** Combinations that can never log in. */
function checkCredentials(reader: Reader, entry: CredentialsEntry, at: readonly string[]): boolean {
  const before = reader.problems.length;
  if (entry.password === null && entry.private_key === null && !entry.agent)
    reader.blame(at, 'no way to log in: give a password, a private_key or agent: true');
  if (entry.passphrase !== null && entry.private_key === null)
    reader.blame([...at, 'passphrase'], 'a passphrase without a private_key');
  if (entry.enable === 'same-as-password' && entry.password === null)
    reader.blame([...at, 'enable'], 'true means the login password again, and there is none');
  return reader.problems.length === before;
}

function readPlatforms(
  reader: Reader,
  entries: Readonly<Record<string, unknown>>,
  known: Known,
): Map<string, GroupEntry | null> {
  const schema = sharedSchema(known);
  const result = new Map<string, GroupEntry | null>();
  for (const [name, raw] of Object.entries(entries)) {
    const at = ['platforms', name];
    if (!known.platforms.includes(name)) {
      const near = nearest(name, known.platforms);
      reader.blame(at, `is not a platform of this version${listIfShort(known.platforms, near)}`, near);
    } else result.set(name, reader.read(schema, raw ?? {}, at));
  }
  return result;
}

/** What is said under `options:` of platforms and groups, and a way to read it of devices. */
function readLevelOptions(reader: Reader, top: TopLevel, known: ReadonlyMap<string, Choices>, dir: string) {
  const optionReader = new OptionReader(reader, dir);
  const none: Choices = { options: [], archives: [] };
  const of = (raw: unknown, at: Path, platforms: readonly Choices[]): Stated =>
    optionReader.state(isMapping(raw) ? raw.options : undefined, [...at, 'options'], platforms);
  const platforms = new Map(
    Object.entries(top.platforms).flatMap(([name, raw]) => {
      const choices = known.get(name);
      return choices === undefined ? [] : [[name, of(raw, ['platforms', name], [choices])] as const];
    }),
  );
  const groups = new Map(
    Object.entries(top.groups).map(([name, raw]) => [name, of(raw, ['groups', name], [...known.values()])]),
  );
  return {
    warnings: optionReader.warnings,
    /** Nothing is said of a platform that is none. */
    ofDevice(raw: unknown, at: Path): Stated | null {
      const choices =
        isMapping(raw) && typeof raw.platform === 'string' ? known.get(raw.platform) : undefined;
      return choices === undefined ? null : of(raw, at, [choices]);
    },
    choose({ platform, group }: DeviceEntry, device: Stated | null): Chosen {
      const levels = [device, groups.get(group), platforms.get(platform)].filter((level) => level != null);
      return optionReader.choose(levels, known.get(platform) ?? none, platform);
    },
  };
}

function readGroups(
  reader: Reader,
  entries: Readonly<Record<string, unknown>>,
  known: Known,
): Map<string, GroupEntry | null> {
  const schema = groupSchema(known);
  const result = new Map<string, GroupEntry | null>();
  for (const [name, raw] of Object.entries(entries)) {
    const at = ['groups', name];
    checkName(reader, name, at);
    result.set(name, reader.read(schema, raw ?? {}, at));
  }
  return result;
}

function checkName(reader: Reader, name: string, at: readonly string[]): void {
  const problem = nameProblem(name);
  if (problem !== null) reader.blame(at, problem.message, problem.nearest);
}

/**
 * No name twice, present or former, whatever its case: on a file system that ignores case two such
 * devices would overwrite each other. Looks at the file itself, so that other mistakes hide nothing.
 */
function checkNames(reader: Reader, devices: readonly unknown[]): void {
  const seen = new Map<string, readonly (string | number)[]>();
  const claim = (name: unknown, at: readonly (string | number)[]): void => {
    if (typeof name !== 'string') return;
    const first = seen.get(name.toLowerCase());
    if (first === undefined) seen.set(name.toLowerCase(), at);
    else {
      const { path, line } = reader.problem(first, '');
      reader.blame(at, `the name ${JSON.stringify(name)} is taken by ${path} in line ${line}`);
    }
  };
  for (const [index, device] of devices.entries())
    if (isMapping(device)) claim(device.name, ['devices', index, 'name']);
  for (const [index, device] of devices.entries())
    if (isMapping(device) && Array.isArray(device.formerly))
      for (const [place, name] of device.formerly.entries())
        claim(name, ['devices', index, 'formerly', place]);
}

function secretWarnings(
  reader: Reader,
  credentials: ReadonlyMap<string, Credentials | null>,
  devices: readonly PlannedDevice[],
): Problem[] {
  const users = new Map<string, PlannedDevice[]>();
  for (const device of devices)
    for (const name of new Set([device, ...device.jump].map((server) => server.credentials.name)))
      (users.get(name) ?? users.set(name, []).get(name))?.push(device);
  const warnings: Problem[] = [];
  for (const [name, login] of credentials) {
    if (login === null) continue;
    const secrets: readonly (readonly [string, SecretRef | 'same-as-password' | null])[] = [
      ['password', login.password],
      ['enable', login.enable],
      ['private_key', login.privateKey],
      ['passphrase', login.passphrase],
    ];
    for (const [key, ref] of secrets) {
      if (ref === null || ref === 'same-as-password') continue;
      const at = ['credentials', name, key];
      if ('literal' in ref)
        warnings.push(
          reader.problem(
            at,
            `the secret itself is written here, used by ${some(users.get(name) ?? [])}; a file, a systemd credential or a command keeps it out of this file`,
          ),
        );
      else if ('env' in ref)
        warnings.push(
          reader.problem(
            at,
            'is read from the environment, which child processes and crash dumps show; a file or a systemd credential is safer',
          ),
        );
    }
  }
  return warnings;
}

function addressWarnings(
  reader: Reader,
  devices: readonly PlannedDevice[],
  places: ReadonlyMap<PlannedDevice, number>,
): Problem[] {
  const first = new Map<string, PlannedDevice>();
  const warnings: Problem[] = [];
  for (const device of devices) {
    const key = `${device.host.toLowerCase()} ${device.port}`;
    const other = first.get(key);
    if (other === undefined) first.set(key, device);
    else {
      const sameWay = isDeepStrictEqual(namesOf(device.jump), namesOf(other.jump));
      const pinned = device.hostKeys.length > 0 || other.hostKeys.length > 0;
      const keys =
        sameWay || pinned
          ? ''
          : ', and known_hosts cannot tell their keys apart: give one of them a host_key here';
      warnings.push(
        reader.problem(
          ['devices', places.get(device) ?? 0, 'host'],
          `${device.name} has the host and port of ${other.name}; they are never read at the same time${keys}`,
        ),
      );
    }
  }
  return warnings;
}

function namesOf(jump: readonly JumpHost[]): readonly string[] {
  return jump.map(({ name }) => name);
}

/** `fw1, fw2, fw3 and 7 more`, `no device`. */
function some(devices: readonly PlannedDevice[]): string {
  if (devices.length === 0) return 'no device';
  const names = devices.slice(0, 5).map((device) => device.name);
  const more = devices.length - names.length;
  return more === 0 ? names.join(', ') : `${names.join(', ')} and ${more} more`;
}
