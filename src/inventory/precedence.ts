import type { Credentials, Device, JumpHost } from '../core/device.ts';
import type { DeviceEntry, GroupEntry, LevelEntry } from './inventory-schema.ts';
import type { Chosen } from './options.ts';
import type { BlackoutWindow } from './values.ts';

/** When a device is backed up, as far as every level can say it. */
interface When {
  /** Cron expression of five fields. */
  readonly schedule: string;
  /** IANA time zone of the schedule and the blackout windows. */
  readonly timezone: string;
  /** Slots are spread over this time; null: 5 min for intervals of an hour or more, else 0. */
  readonly splayMs: number | null;
  /** A slot that has not begun after this time is missed; null: the smaller of 1 h and half the interval. */
  readonly startWithinMs: number | null;
  /** After a failed slot, until the next one. */
  readonly retryLaterMs: number;
  /** A backup older than this is due whatever a blackout window says; null: no such ceiling. */
  readonly maxAgeMs: number | null;
  readonly blackout: readonly BlackoutWindow[];
  /** The catch-up runs after a downtime of ours are spread over this time. */
  readonly catchUpSpreadMs: number;
}

/** What the settings say for every device. */
export interface Defaults extends When {
  /** The longest that one run may take. */
  readonly maxRuntimeMs: number;
}

/** What the scheduler needs to know of a device. */
export interface Plan extends When {
  /** Sessions at once to the devices of this one's group; null: as many as there are workers. */
  readonly maxSessions: number | null;
}

export interface PlannedDevice extends Device {
  readonly plan: Plan;
}

const timeouts = { connect: 15_000, login: 30_000, idle: 60_000 } as const;

/** The names of the jump hosts before a device, outermost first. */
export function jumpOf(...levels: readonly LevelEntry[]): readonly string[] {
  return levels.find((level) => level.jump !== undefined)?.jump ?? [];
}

/**
 * The most specific statement of each key wins: device, then group, then platform, then settings. The
 * keys below `ssh` and `timeouts` are looked at one by one; lists are taken whole. `jump`: see `jumpOf`; `chosen`:
 * see `OptionReader`.
 */
export function resolveDevice(
  entry: DeviceEntry,
  group: GroupEntry,
  platform: GroupEntry,
  defaults: Defaults,
  credentials: Credentials,
  jump: readonly JumpHost[],
  chosen: Chosen,
): Device & { readonly plan: Plan } {
  const levels: readonly LevelEntry[] = [entry, group, platform];
  /** A written null counts as a statement; an absent key does not. */
  const said = <T>(read: (level: LevelEntry) => T | undefined, otherwise: T): T => {
    for (const level of levels) {
      const value = read(level);
      if (value !== undefined) return value;
    }
    return otherwise;
  };
  const timezone = said((level) => level.timezone, defaults.timezone);
  const hostKey =
    [entry.host_key, group.host_key, platform.host_key].find((key) => key !== undefined) ?? null;
  return {
    name: entry.name,
    platform: entry.platform,
    group: entry.group,
    host: entry.host,
    port: entry.port,
    enabled: entry.enabled,
    credentials,
    hostKeys: hostKey === null || hostKey === 'first-use' ? [] : hostKey,
    firstUse: hostKey === 'first-use',
    ssh: {
      profile: said((level) => level.ssh?.profile, 'modern'),
      allow: said<readonly string[]>((level) => level.ssh?.allow, []),
    },
    sourceAddress: said((level) => level.source_address, null),
    timeouts: {
      connectMs: said((level) => level.timeouts?.connect, timeouts.connect),
      loginMs: said((level) => level.timeouts?.login, timeouts.login),
      idleMs: said((level) => level.timeouts?.idle, timeouts.idle),
    },
    maxRuntimeMs: said((level) => level.max_runtime, defaults.maxRuntimeMs),
    expect: { hostname: entry.expect?.hostname ?? null, serials: entry.expect?.serials ?? [] },
    formerly: entry.formerly,
    jump,
    options: chosen.options,
    archives: chosen.archives.map((archive) => ({ ...archive, timezone })),
    plan: {
      schedule: said((level) => level.schedule, defaults.schedule),
      timezone,
      splayMs: said((level) => level.splay, defaults.splayMs),
      startWithinMs: said((level) => level.start_within, defaults.startWithinMs),
      retryLaterMs: said((level) => level.retry_later, defaults.retryLaterMs),
      maxAgeMs: said((level) => level.max_age, defaults.maxAgeMs),
      blackout: said((level) => level.blackout, defaults.blackout),
      catchUpSpreadMs: said((level) => level.catch_up_spread, defaults.catchUpSpreadMs),
      maxSessions: group.max_sessions ?? null,
    },
  };
}
