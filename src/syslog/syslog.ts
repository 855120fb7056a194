import type { Clock, Timer } from '../core/clock.ts';
import type { ChangeOrigin, Trigger } from '../core/run.ts';
import type { Driver } from '../drivers/driver.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';
import { type ChangeResult, Changes, type ChangesOptions, type ChangeTiming } from './changes.ts';
import { Directory, type DirectoryOptions } from './directory.ts';
import type { Address, Listener, Transport } from './listener.ts';
import { recognise } from './recognise.ts';
import { Strangers } from './senders.ts';
import { listenTcp, type TlsFiles } from './tcp.ts';
import { listenUdp } from './udp.ts';

/**
 * What became of a message: it tells of a `change` of a known device, or of something `other`; its sender is
 * `unknown`; or it was `shed`, because looking at messages took too much of our time.
 */
export type MessageResult = 'change' | 'other' | 'unknown' | 'shed';

/** Told of what happens. No call throws, none does I/O. */
export interface SyslogSink {
  message(transport: Transport, result: MessageResult): void;
  change(platform: string, result: ChangeResult | 'started' | 'limited'): void;
  /** The kernel threw datagrams away because we did not fetch them. */
  dropped(datagrams: number): void;
  /** A connection was refused or cut. */
  refused(transport: Transport): void;
  started(device: string, origin: ChangeOrigin | null): void;
  limited(device: string, limit: 'per_device' | 'in_total', waitMs: number): void;
  /** Senders that are no device: how many messages since the last time, and some of their addresses. */
  strangers(messages: number, senders: readonly string[]): void;
  /** A listener that was open met an error. */
  trouble(transport: Transport, error: Error): void;
}

export interface SyslogOptions {
  readonly clock: Clock;
  /** Null: not listened on. */
  readonly udp: Address | null;
  readonly tcp: Address | null;
  readonly tls: (TlsFiles & { readonly at: Address }) | null;
  readonly timing: ChangeTiming;
  readonly devices: readonly PlannedDevice[];
  readonly drivers: ReadonlyMap<string, Driver>;
  readonly known: DirectoryOptions['known'];
  readonly resolve: DirectoryOptions['resolve'];
  readonly localAddresses: DirectoryOptions['localAddresses'];
  readonly start: ChangesOptions['start'];
  readonly sink: SyslogSink;
}

/** Listens for what devices say, and asks for backups of those that changed. Disposing it ends all of that. */
export interface Syslog extends AsyncDisposable {
  /** Where it listens; null where it does not. */
  readonly ports: Readonly<Record<Transport, number | null>>;
  configure(devices: readonly PlannedDevice[], timing: ChangeTiming): void;
  /** Of every run, whoever asked for it. */
  runStarted(device: string, trigger: Trigger): void;
  runEnded(device: string, good: boolean): void;
  originOf(device: string): ChangeOrigin | null;
  /** Devices whose backup waits for a limit. */
  limited(): number;
}

/** A part of each second: a flood must not keep the rest of the daemon from its work. */
const budgetMs = 200;
const secondMs = 1_000;
const dropsEveryMs = 10_000;

/** Opens the listeners that are asked for; with none it does nothing. Throws OperationError where one cannot be opened. */
export async function openSyslog(options: SyslogOptions): Promise<Syslog> {
  const { clock, drivers, sink, timing, devices } = options;
  await using opened = new AsyncDisposableStack();
  const directory = opened.use(new Directory(options));
  const changes = opened.use(
    new Changes(timing, {
      clock,
      isOurs: (from, device) => directory.isOurs(from, device),
      start: options.start,
      onStart: (name, origin) => {
        sink.change(platformOf(name), 'started');
        sink.started(name, origin);
      },
      onLimited: (name, limit, waitMs) => {
        sink.change(platformOf(name), 'limited');
        sink.limited(name, limit, waitMs);
      },
    }),
  );
  const strangers = new Strangers(clock, sink.strangers);
  let platforms = new Map<string, string>();
  const platformOf = (name: string): string => platforms.get(name) ?? '';
  const configure: Syslog['configure'] = (next, how) => {
    platforms = new Map(next.map(({ name, platform }) => [name, platform]));
    directory.configure(next);
    changes.configure(next, how);
  };

  const judge = (text: string, address: string): MessageResult => {
    const device = directory.find(text, address);
    if (device === null) {
      strangers.heard(address);
      return 'unknown';
    }
    const driver = drivers.get(device.platform);
    // Nothing but the rules of its own platform counts, whoever passed the message on.
    const recognised = driver === undefined ? null : recognise(driver, text);
    if (recognised === null) return 'other';
    sink.change(device.platform, changes.told(device, recognised));
    return 'change';
  };
  const within = budget(clock);
  const receive =
    (transport: Transport) =>
    (text: string, address: string): void =>
      sink.message(transport, within(() => judge(text, address)) ?? 'shed');

  configure(devices, timing);
  const ports: Record<Transport, number | null> = { udp: null, tcp: null, tls: null };
  const open = (transport: Transport, listener: Listener): void => {
    opened.use(listener);
    ports[transport] = listener.port;
  };
  if (options.udp !== null) {
    const trouble = (error: Error): void => sink.trouble('udp', error);
    const listener = await listenUdp(options.udp, receive('udp'), trouble);
    open('udp', listener);
    opened.use(watchDrops(clock, listener.dropped, sink));
  }
  for (const [transport, at, tls] of [
    ['tcp', options.tcp, null],
    ['tls', options.tls?.at ?? null, options.tls],
  ] as const) {
    if (at === null) continue;
    const listener = await listenTcp({
      at,
      tls,
      clock,
      receive: receive(transport),
      onRefused: () => sink.refused(transport),
      onError: (error) => sink.trouble(transport, error),
    });
    open(transport, listener);
  }

  const owned = opened.move();
  return {
    ports,
    configure,
    runStarted: (device, trigger) => changes.runStarted(device, trigger),
    runEnded(device, good) {
      if (good) directory.learn(device);
      changes.runEnded(device, good);
    },
    originOf: (device) => changes.originOf(device),
    limited: () => changes.limited,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Does a piece of work, or (null) leaves it where this second's share of time is used up. */
function budget(clock: Clock): <Answer>(work: () => Answer) => Answer | null {
  let secondFromMs = clock.monotonicMs();
  let spentMs = 0;
  return (work) => {
    const beganMs = clock.monotonicMs();
    if (beganMs - secondFromMs >= secondMs) {
      secondFromMs = beganMs;
      spentMs = 0;
    }
    if (spentMs >= budgetMs) return null;
    const answer = work();
    spentMs += clock.monotonicMs() - beganMs;
    return answer;
  };
}

/** Tells by how much the kernel's count has grown. */
function watchDrops(clock: Clock, dropped: () => Promise<number | null>, sink: SyslogSink): Disposable {
  let before = 0;
  let stopped = false;
  let timer: Timer;
  const look = async (): Promise<void> => {
    const count = await dropped();
    if (stopped) return;
    if (count !== null && count > before) sink.dropped(count - before);
    before = count ?? before;
    next();
  };
  const next = (): void => {
    timer = clock.after(dropsEveryMs, () => void look());
  };
  next();
  return {
    [Symbol.dispose]() {
      stopped = true;
      timer.cancel();
    },
  };
}
