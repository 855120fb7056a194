import type { z } from 'zod';
import { judged, listOf, section } from './schema.ts';
import {
  address,
  blackoutWindow,
  choice,
  date,
  duration,
  enableSecret,
  flag,
  host,
  name,
  reference,
  schedule,
  secret,
  text,
  timezone,
  whole,
} from './values.ts';

/** What a value of the inventory may refer to. */
export interface Known {
  /** Ids of the drivers. */
  readonly platforms: readonly string[];
  readonly credentials: readonly string[];
  /** Null: the inventory lists none, and then any name will do. */
  readonly groups: readonly string[] | null;
  /** SSH algorithms that `ssh.allow` may name. */
  readonly algorithms: readonly string[];
  readonly jumpHosts: readonly string[];
}

/** Keys of the document itself; what is below them is read piece by piece. */
export const documentKeys = ['credentials', 'platforms', 'groups', 'devices', 'jump_hosts'] as const;

/** What settings, platforms, groups and devices can say alike about when to back up. */
export function planKeys() {
  return {
    schedule: schedule(),
    timezone: timezone(),
    splay: duration('0s', '1d').nullable(),
    start_within: duration('1s', '7d').nullable(),
    max_runtime: duration('1s', '1d'),
    retry_later: duration('1m', '7d'),
    max_age: duration('1m').nullable(),
    blackout: listOf(blackoutWindow()),
    catch_up_spread: duration('0s', '1d'),
  };
}

/** One entry under `credentials:`. Relative files are relative to `dir`. */
export function credentialsSchema(dir: string) {
  return section({
    username: text('the login name'),
    password: secret(dir).nullable().default(null),
    enable: enableSecret(dir).nullable().default(null),
    private_key: secret(dir).nullable().default(null),
    passphrase: secret(dir).nullable().default(null),
    agent: flag().default(false),
    logins_per_second: whole(1, 100).default(5),
  });
}

/** What platforms, groups and devices can say alike. */
function levelKeys(known: Known) {
  return {
    ...section(planKeys()).partial().shape,
    credentials: reference('credentials', known.credentials, 'listed under credentials:').optional(),
    ssh: sshPolicy(known).optional(),
    jump: way(known).optional(),
    source_address: address().nullable().optional(),
    timeouts: section({
      connect: duration('1s', '1h').optional(),
      login: duration('1s', '1h').optional(),
      idle: duration('1s', '1h').optional(),
    }).optional(),
    // Read by OptionReader: what it may hold depends on the platform.
    options: judged('a mapping', (value) => value).optional(),
  };
}

function sshPolicy(known: Pick<Known, 'algorithms'>) {
  return section({
    profile: choice(['modern', 'legacy']).optional(),
    allow: listOf(reference('an algorithm', known.algorithms, 'an SSH algorithm of this version')).optional(),
  });
}

/** Jump hosts by name, outermost first; none of them twice, because that way has no end. */
function way({ jumpHosts }: Known) {
  return listOf(reference('a jump host', jumpHosts, 'listed under jump_hosts:')).check(
    ({ value, issues }) => {
      for (const [index, hop] of value.entries())
        if (value.indexOf(hop) < index)
          issues.push({ code: 'custom', message: `"${hop}" is named twice`, path: [index], input: value });
    },
  );
}

/** One entry under `jump_hosts:`. */
export function jumpHostSchema(known: Pick<Known, 'credentials' | 'algorithms'>) {
  return section({
    host: host(),
    port: whole(1, 65535).default(22),
    credentials: reference('credentials', known.credentials, 'listed under credentials:'),
    host_key: hostKey().nullable().default(null),
    ssh: sshPolicy(known).optional(),
  });
}

/** One entry under `platforms:` or `groups:`. */
export function sharedSchema(known: Known) {
  return section({ ...levelKeys(known), host_key: choice(['first-use']).nullable().optional() });
}

/** One entry under `groups:`. */
export function groupSchema(known: Known) {
  return section({ ...sharedSchema(known).shape, max_sessions: whole(1, 1000).optional() });
}

/** One entry under `devices:`. */
export function deviceSchema(known: Known) {
  return section({
    ...levelKeys(known),
    name: name(),
    platform: reference('a platform', known.platforms, 'a platform of this version'),
    host: host(),
    port: whole(1, 65535).default(22),
    group: (known.groups === null
      ? name()
      : reference('a group', known.groups, 'listed under groups:')
    ).default('default'),
    enabled: flag().default(true),
    host_key: hostKey().nullable().optional(),
    expect: section({
      hostname: text('a host name as the device reports it').nullable().default(null),
      serials: listOf(text('a serial number')).default([]),
    }).optional(),
    formerly: listOf(name()).default([]),
    retired: date().nullable().default(null),
  });
}

/** `first-use`, or the fingerprints of the keys that are accepted. */
function hostKey() {
  const expected = 'SHA256:… as ssh-keygen -l prints it, a list of these, or first-use';
  return judged(expected, (value, blame): 'first-use' | readonly string[] => {
    if (value === 'first-use') return value;
    const keys = Array.isArray(value) ? value : [value];
    if (keys.length === 0) return blame(`is an empty list; expected ${expected}`);
    return keys.map((key: unknown, index) =>
      typeof key === 'string' && /^SHA256:[A-Za-z0-9+/]{43}$/.test(key)
        ? key
        : blame(`expected ${expected}`, null, Array.isArray(value) ? [index] : []),
    );
  });
}

export type CredentialsEntry = z.output<ReturnType<typeof credentialsSchema>>;
export type GroupEntry = z.output<ReturnType<typeof groupSchema>>;
export type DeviceEntry = z.output<ReturnType<typeof deviceSchema>>;
/** What any of the three levels may say. */
export type LevelEntry = Omit<z.output<ReturnType<typeof sharedSchema>>, 'host_key'>;
