import { execFile } from 'node:child_process';
import { clip, harmless } from '../core/display.ts';

/** What systemd is told. Every call returns at once; the messages arrive in the order of the calls. */
export interface Notifier {
  /** How often `watchdog` has to be called at least, in milliseconds; null: nobody watches. */
  readonly watchdogIntervalMs: number | null;
  /** Start-up is over. `status` is one line for people, shown by `systemctl status`. */
  ready(status: string): void;
  /** Replaces the line for people. */
  status(text: string): void;
  /** One sign of life. Only the caller knows whether it is deserved. */
  watchdog(): void;
  /** The drain has begun. */
  stopping(): void;
}

/** systemd's limit of a status is not documented; a line on a terminal is. */
const statusLength = 200;
/** Longer than the five seconds that systemd-notify itself waits for systemd. */
const childLimitMs = 10_000;

/**
 * Speaks to systemd by the protocol of sd_notify(3), through a child, because Node has no datagram socket
 * of the family AF_UNIX. Does nothing where `env` has no NOTIFY_SOCKET.
 *
 * The child waits until systemd has read the message (no `--no-block`): a sender without privileges that
 * is gone by then cannot be attributed to its unit, and its message is lost (systemd-notify(1)).
 *
 * `onFailure` hears of a message that did not go out: a unit of Type=notify is not ready then, and one
 * with a watchdog will be ended.
 */
export function createNotifier(
  env: Readonly<Record<string, string | undefined>>,
  onFailure: (problem: string) => void = () => {},
): Notifier {
  const { NOTIFY_SOCKET: socket } = env;
  if (socket === undefined || socket === '') {
    const nothing = (): void => {};
    return {
      watchdogIntervalMs: null,
      ready: nothing,
      status: nothing,
      watchdog: nothing,
      stopping: nothing,
    };
  }
  // Nothing else of our environment: it can hold secrets.
  const childEnv = { NOTIFY_SOCKET: socket, PATH: env.PATH ?? '/usr/bin:/bin' };
  let last: Promise<void> = Promise.resolve();
  // One after the other: two children at once could overtake each other.
  const send = (...args: string[]): void => {
    last = last.then(() => run(args, childEnv)).catch((error: Error) => onFailure(problemOf(error)));
  };
  return {
    watchdogIntervalMs: intervalOf(env.WATCHDOG_USEC),
    ready: (status) => send('--ready', `--status=${oneLine(status)}`),
    status: (text) => send(`--status=${oneLine(text)}`),
    watchdog: () => send('WATCHDOG=1'),
    stopping: () => send('STOPPING=1', 'STATUS=stopping'),
  };
}

function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('systemd-notify', args, { env, timeout: childLimitMs, killSignal: 'SIGKILL' }, (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

/** A line break would begin another assignment of the protocol. */
function oneLine(text: string): string {
  return clip(harmless(text), statusLength);
}

/**
 * Half of what systemd allows, as sd_watchdog_enabled(3) recommends. WATCHDOG_PID is not compared: where
 * bin/roundsman.js starts a newer Node, the main process is its parent, and NotifyAccess=all takes ours.
 */
function intervalOf(watchdogUsec: string | undefined): number | null {
  const usec = Number(watchdogUsec);
  return Number.isFinite(usec) && usec > 0 ? Math.floor(usec / 2_000) : null;
}

function problemOf(error: Error & { code?: unknown; signal?: unknown }): string {
  if (error.code === 'ENOENT')
    return 'systemd-notify is not installed, so systemd is not told that the daemon is ready; use Type=exec, without WatchdogSec=';
  if (error.signal === 'SIGKILL') return `systemd-notify did not end within ${childLimitMs / 1_000} s`;
  return `systemd-notify failed: ${oneLine(error.message)}`;
}
