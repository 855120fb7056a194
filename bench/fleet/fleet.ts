import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { account, deviceOf, type FleetDevice, type FleetOptions, standard } from './options.ts';
import type { Line, Message, Order, Report, Trouble } from './protocol.ts';

/** Simulated devices in a process of their own. */
export interface Fleet {
  readonly port: number;
  /** Of every device, as in a known_hosts line: type, blank, base64. */
  readonly hostKey: string;
  readonly fingerprint: string;
  readonly devices: readonly FleetDevice[];
  readonly pid: number;
  /** Changes the configuration of this share of the devices, 0 to 1. */
  change(share: number): Promise<void>;
  /** For connections from now on. */
  setLine(line: Line): Promise<void>;
  /** From now on these devices have these troubles, and no other one has any. */
  trouble(by: ReadonlyMap<number, Trouble>): Promise<void>;
  /** What it did and what that cost it since the last report. */
  report(): Promise<Report>;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @throws Error where it does not come up, such as a port that is taken. */
export async function startFleet(options: Partial<FleetOptions> = {}): Promise<Fleet> {
  const all = { ...standard, ...options };
  const child = fork(fileURLToPath(new URL('server.ts', import.meta.url)), [JSON.stringify(all)], {
    // The profiler of whoever starts it is not meant for it.
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const first = await answer(child);
  if (first.is !== 'started') throw new Error('the fleet did not say where it listens');

  const order = async (what: Order): Promise<Report> => {
    const answered = answer(child);
    child.send(what);
    const told = await answered;
    if (told.is !== 'report') throw new Error('the fleet said something else than was asked');
    return told.report;
  };
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    if (child.connected) child.send({ does: 'stop' } satisfies Order);
    await gone;
  };
  return {
    ...first.started,
    devices: Array.from({ length: all.devices }, (_, number) => deviceOf(number, all.platforms)),
    pid: child.pid ?? 0,
    change: async (share) => void (await order({ does: 'change', share })),
    setLine: async (line) => void (await order({ does: 'line', line })),
    trouble: async (by) => void (await order({ does: 'trouble', by: [...by] })),
    report: () => order({ does: 'report' }),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function answer(child: ChildProcess): Promise<Message> {
  return new Promise((done, failed) => {
    const onMessage = (message: Message): void => {
      child.off('exit', onExit);
      done(message);
    };
    const onExit = (): void => {
      child.off('message', onMessage);
      failed(new Error('the fleet ended by itself'));
    };
    child.once('message', onMessage);
    child.once('exit', onExit);
  });
}

/**
 * An inventory of these devices. The rate of logins is as high as it can be for each of several credentials, because
 * the guard of accounts is not what a bench measures.
 */
export function inventoryOf(fleet: Pick<Fleet, 'devices' | 'port' | 'fingerprint'>): string {
  const accounts = Math.max(1, Math.ceil(fleet.devices.length / 10));
  const credentials = Array.from(
    { length: Math.min(accounts, 50) },
    (_, index) =>
      `  account-${index}: { username: ${account.username}, password: { file: ./password }, enable: true, logins_per_second: 100 }\n`,
  );
  const devices = fleet.devices.map(
    ({ number, platform, hostname, address }) =>
      `  - { name: ${hostname}, platform: ${platform}, host: ${address}, port: ${fleet.port}, credentials: account-${number % credentials.length}, host_key: "${fleet.fingerprint}" }\n`,
  );
  return `credentials:\n${credentials.join('')}devices:\n${devices.join('')}`;
}
