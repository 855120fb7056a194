import type { Clock, Timer } from '../core/clock.ts';
import type { ChangeOrigin, Trigger } from '../core/run.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';
import { Quota } from './quota.ts';
import type { Recognised } from './recognise.ts';
import { Who } from './who.ts';

/** How soon, and how often, a change starts a backup. */
export interface ChangeTiming {
  /** After the last message. */
  readonly quietMs: number;
  /** After the first one, however many follow. */
  readonly atMostMs: number;
  /** Backups of one device in any hour. */
  readonly perDevice: number;
  /** And of all together. */
  readonly inTotal: number;
}

/**
 * What became of a message that tells of a change: it `began` a wait, it `joined` one, our `own` session caused it,
 * or the device is `disabled`.
 */
export type ChangeResult = 'began' | 'joined' | 'own' | 'disabled';

export interface ChangesOptions {
  readonly clock: Clock;
  /** Whether a session that the device sees coming from this address is ours. */
  readonly isOurs: (from: string, device: PlannedDevice) => boolean;
  /** Asks for a backup; resolves when it has ended or never began. Never rejects. */
  readonly start: (device: string, signal: AbortSignal) => Promise<unknown>;
  /** A backup was asked for. */
  readonly onStart: (device: string, origin: ChangeOrigin | null) => void;
  /** A limit keeps a device from being backed up for `waitMs`; told once, until it has been. */
  readonly onLimited: (device: string, limit: 'per_device' | 'in_total', waitMs: number) => void;
}

/** A device that messages were told of, or that a session of ours leads to. */
interface Watched {
  device: PlannedDevice;
  readonly who: Who;
  readonly quota: Quota;
  /** The last message that told of a change. */
  toldMs: number;
  /** Messages that no reading has followed, since the first of them. */
  waiting: { readonly firstMs: number } | null;
  timer: Timer | null;
  /** A backup that was asked for and has not begun. */
  asked: AbortController | null;
  limited: boolean;
  /** Monotonic; the session in progress. */
  runningSinceMs: number | null;
  ranUntilMs: number;
}

/** Messages of our own session arrive for so long after its end. */
const echoMs = 30_000;
/** What an ASA calls everybody who came by the shared enable password (`enable_15`), us included. */
const sharedUser = /^enable_\d{1,2}$/;

/** Waits until a device is quiet after a change and asks for one backup. Everything is in memory and bounded by the inventory. */
export class Changes implements Disposable {
  readonly #options: ChangesOptions;
  #timing: ChangeTiming;
  #devices = new Map<string, PlannedDevice>();
  readonly #watched = new Map<string, Watched>();
  readonly #total: Quota;
  #disposed = false;

  constructor(timing: ChangeTiming, options: ChangesOptions) {
    this.#timing = timing;
    this.#options = options;
    this.#total = new Quota(() => this.#timing.inTotal);
  }

  /** From now on these hold. What was told of a device that left or was disabled is forgotten. */
  configure(devices: readonly PlannedDevice[], timing: ChangeTiming): void {
    this.#timing = timing;
    this.#devices = new Map(devices.map((device) => [device.name, device]));
    for (const [name, watched] of this.#watched) {
      const device = this.#devices.get(name);
      if (device !== undefined) watched.device = device;
      if (device?.enabled === true) this.#arm(watched);
      else this.#forget(watched);
      if (device === undefined) this.#watched.delete(name);
    }
  }

  /** Devices whose backup waits for a limit. */
  get limited(): number {
    return [...this.#watched.values()].filter(({ limited }) => limited).length;
  }

  /** A message told of a change or of a save: both mean that somebody is at work. */
  told(device: PlannedDevice, { user, from }: Recognised): ChangeResult {
    if (!device.enabled) return 'disabled';
    const watched = this.#of(device);
    if (this.#isOwn(watched, user, from)) return 'own';
    const nowMs = this.#options.clock.monotonicMs();
    watched.who.add(user, from, nowMs);
    watched.toldMs = nowMs;
    // The one that was asked for has not begun: it will see this change as well.
    if (watched.asked !== null || watched.waiting !== null) return 'joined';
    watched.waiting = { firstMs: nowMs };
    this.#arm(watched);
    return 'began';
  }

  /** A session to a device begins, whoever asked for it. */
  runStarted(name: string, trigger: Trigger): void {
    const device = this.#devices.get(name);
    if (device === undefined) return;
    const watched = this.#of(device);
    watched.runningSinceMs = this.#options.clock.monotonicMs();
    if (trigger === 'change') watched.asked = null;
  }

  /** It is over; `good`: it read the device. What was told before it began is in that reading. */
  runEnded(name: string, good: boolean): void {
    const watched = this.#watched.get(name);
    if (watched?.runningSinceMs == null) return;
    const sinceMs = watched.runningSinceMs;
    watched.runningSinceMs = null;
    watched.ranUntilMs = this.#options.clock.monotonicMs();
    if (good) watched.who.forget(sinceMs);
    if (good && watched.toldMs < sinceMs) this.#forget(watched);
    else this.#arm(watched);
  }

  /** Who changed a device since its last good reading; null where nobody was named. */
  originOf(name: string): ChangeOrigin | null {
    return this.#watched.get(name)?.who.origin() ?? null;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const watched of this.#watched.values()) this.#forget(watched);
  }

  #of(device: PlannedDevice): Watched {
    const known = this.#watched.get(device.name);
    if (known !== undefined) return known;
    const watched: Watched = {
      device,
      who: new Who(),
      quota: new Quota(() => this.#timing.perDevice),
      toldMs: Number.NEGATIVE_INFINITY,
      waiting: null,
      timer: null,
      asked: null,
      limited: false,
      runningSinceMs: null,
      ranUntilMs: Number.NEGATIVE_INFINITY,
    };
    this.#watched.set(device.name, watched);
    return watched;
  }

  /** A backup that starts a backup would never end. */
  #isOwn({ device, runningSinceMs, ranUntilMs }: Watched, user: string | null, from: string | null): boolean {
    const inSession = runningSinceMs !== null || this.#options.clock.monotonicMs() - ranUntilMs <= echoMs;
    if (!inSession || user === null) return false;
    const ourName = user === device.credentials.username || sharedUser.test(user);
    return ourName && (from === null || this.#options.isOurs(from, device));
  }

  #forget(watched: Watched): void {
    watched.timer?.cancel();
    watched.timer = null;
    watched.waiting = null;
    watched.limited = false;
    watched.asked?.abort();
    watched.asked = null;
  }

  /** One timer a device; it looks at the time of the last message when it fires, so that a flood moves no timers. */
  #arm(watched: Watched, atLeastMs = 0): void {
    watched.timer?.cancel();
    watched.timer = null;
    const dueMs = this.#dueMs(watched);
    if (dueMs === null || this.#disposed) return;
    const delayMs = Math.max(atLeastMs, dueMs - this.#options.clock.monotonicMs());
    watched.timer = this.#options.clock.after(Math.max(0, delayMs), () => this.#due(watched));
  }

  #dueMs({ waiting, toldMs }: Watched): number | null {
    const { quietMs, atMostMs } = this.#timing;
    return waiting === null ? null : Math.min(toldMs + quietMs, waiting.firstMs + atMostMs);
  }

  #due(watched: Watched): void {
    const { clock, onLimited, onStart, start } = this.#options;
    const { device } = watched;
    const nowMs = clock.monotonicMs();
    const dueMs = this.#dueMs(watched);
    if (dueMs === null) return;
    if (nowMs < dueMs) {
      this.#arm(watched);
      return;
    }
    // A session that began after the last message may serve it: its end decides.
    if (watched.runningSinceMs !== null && watched.toldMs < watched.runningSinceMs) return;
    const [ownMs, totalMs] = [watched.quota.waitMs(nowMs), this.#total.waitMs(nowMs)];
    const waitMs = Math.max(ownMs, totalMs);
    if (waitMs > 0) {
      if (!watched.limited) onLimited(device.name, ownMs > 0 ? 'per_device' : 'in_total', waitMs);
      watched.limited = true;
      this.#arm(watched, waitMs);
      return;
    }
    watched.quota.take(nowMs);
    this.#total.take(nowMs);
    watched.waiting = null;
    watched.limited = false;
    const asked = new AbortController();
    watched.asked = asked;
    onStart(device.name, watched.who.origin());
    void start(device.name, asked.signal).finally(() => {
      if (watched.asked === asked) watched.asked = null;
    });
  }
}
