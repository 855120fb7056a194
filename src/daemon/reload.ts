import { isDeepStrictEqual } from 'node:util';
import { InvalidConfiguration, OperationError } from '../core/errors.ts';
import { counted } from '../core/units.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { Syslog } from '../syslog/syslog.ts';
import type { OwnedContext } from './context.ts';
import type { HttpSettings } from './http-settings.ts';
import type { Lives, Turns } from './lives.ts';
import type { Log } from './log.ts';
import type { DaemonMetrics } from './metrics-source.ts';
import type { Replication } from './replication.ts';
import type { Configuration, State } from './services/context.ts';
import type { Settings } from './settings.ts';

/** A reload that loses more of the devices than this is taken for a mistake. */
const mostDevicesDropped = 0.2;

/** What a reload changed. */
export interface Reloaded {
  readonly devices: number;
  readonly added: number;
  readonly removed: number;
}

/**
 * Reads everything anew and takes it over whole, or not at all; `confirmed`: also where it drops more than
 * a fifth of the devices. Throws InvalidConfiguration, or OperationError where the ledger refuses a device,
 * too many would be dropped, or a setting changed that only a restart can change.
 */
export type Reload = (confirmed: boolean) => Promise<Reloaded>;

/** What a reload touches. */
export interface ReloadHands {
  readonly context: OwnedContext;
  readonly state: State;
  readonly scheduler: Scheduler;
  readonly views: DaemonMetrics;
  readonly syslog: Pick<Syslog, 'configure'>;
  readonly replication: Pick<Replication, 'configure'>;
  readonly lives: Pick<Lives, 'settle'>;
  /** Reads the files that `http` names; what it resolves to takes them into use. Throws OperationError. */
  readonly web: (http: HttpSettings) => Promise<() => void>;
  readonly inTurn: Turns;
  readonly log: Log;
}

/**
 * One at a time: two that overlap could end with the older reading in use. Those who ask while one is under
 * way share the next one, which reads what lies there after they asked.
 */
export function createReload(hands: ReloadHands): Reload {
  const waiting = new Map<boolean, Promise<Reloaded>>();
  return (confirmed) => {
    const shared = waiting.get(confirmed);
    if (shared !== undefined) return shared;
    const mine = hands.inTurn(() => {
      waiting.delete(confirmed);
      return reload(hands, confirmed);
    });
    waiting.set(confirmed, mine);
    return mine;
  };
}

async function reload(hands: ReloadHands, confirmed: boolean): Promise<Reloaded> {
  const { context, state, scheduler, views, syslog, replication, lives, log } = hands;
  try {
    const before = await context.configuration();
    const next = await context.reread();
    refuseRestart(before.settings, next.settings);
    const takeWeb = await hands.web(next.settings.http);
    const counts = countsOf(before, next);
    // A device that is retired is not dropped by mistake.
    const dropped = counts.removed - retiredIn(before, next);
    if (!confirmed && dropped > before.devices.length * mostDevicesDropped) {
      throw new OperationError(
        `the new inventory drops ${dropped} of ${counted(before.devices.length, 'device')}`,
        'where that is meant, confirm it: POST /-/reload with {"confirm": true} on the control socket',
      );
    }
    // The record first: a scheduler that has taken over cannot be rolled back.
    state.ledger.together(() => {
      state.ledger.record('reload', context.clock.nowMs(), { ...counts });
      scheduler.reload(next.devices, next.settings.workers);
    });
    context.adopt(next);
    takeWeb();
    syslog.configure(next.devices, next.settings.syslog);
    replication.configure(next.settings.git.remotes);
    views.loaded(true);
    await lives.settle(next);
    log.info('configuration reloaded', { ...counts });
    // Sizes and the state of secrets; nobody waits for them.
    void views.measure();
    return counts;
  } catch (error) {
    views.loaded(false);
    log.warn('configuration refused, the one before stays in use', { problems: problemsOf(error) });
    throw error;
  }
}

function problemsOf(error: unknown): string {
  if (error instanceof InvalidConfiguration) {
    const lines = error.problems.map(({ file, line, path, message }) =>
      [line === null ? file : `${file}:${line}`, ...(path === '' ? [] : [path]), message].join(': '),
    );
    return lines.join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}

/** A device that was renamed is neither added nor removed. */
function countsOf(before: Configuration, next: Configuration): Reloaded {
  const had = new Set(before.devices.map(({ name }) => name));
  const has = new Set(next.devices.flatMap(({ name, formerly }) => [name, ...formerly]));
  return {
    devices: next.devices.length,
    added: next.devices.filter(({ name, formerly }) => ![name, ...formerly].some((one) => had.has(one)))
      .length,
    removed: [...had].filter((name) => !has.has(name)).length,
  };
}

function retiredIn(before: Configuration, { devices, retired }: Configuration): number {
  const has = new Set(devices.map(({ name }) => name));
  const had = new Set(before.devices.map(({ name }) => name));
  return retired.filter(({ name }) => had.has(name) && !has.has(name)).length;
}

/** What is opened once, under the names that people write. */
const fixed: Readonly<Record<string, (settings: Settings) => unknown>> = {
  state_dir: ({ stateDir }) => stateDir,
  socket: ({ socket }) => socket,
  'http.listen': ({ http }) => http.listen,
  'tls_server_config (whether there is one) or client_auth_type': ({ http }) =>
    http.web?.tls?.clients ?? null,
  'syslog.udp': ({ syslog }) => syslog.udp,
  'syslog.tcp': ({ syslog }) => syslog.tcp,
  'syslog.tls': ({ syslog }) => syslog.tls,
  log: ({ log }) => log,
  'git.readers_group': ({ git }) => git.readersGroup,
  'git.sign_key': ({ git }) => git.signKey,
  secrets: ({ secrets }) => secrets,
};

/** What a running daemon holds open cannot be exchanged under it. */
function refuseRestart(before: Settings, next: Settings): void {
  const changed = Object.keys(fixed).filter(
    (name) => !isDeepStrictEqual(fixed[name]?.(before), fixed[name]?.(next)),
  );
  if (changed.length === 0) return;
  throw new OperationError(
    `${changed.join(', ')} cannot change while the daemon runs`,
    'restart it: systemctl restart roundsman',
  );
}
