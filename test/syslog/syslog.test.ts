import { createSocket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';
import { openSyslog, type Syslog, type SyslogOptions, type SyslogSink } from '../../src/syslog/syslog.ts';
import { listenUdp } from '../../src/syslog/udp.ts';
import { planned, tiny } from './support.ts';

const timing = { quietMs: 20, atMostMs: 100, perDevice: 6, inTotal: 120 };
let syslog: Syslog | null = null;

afterEach(() => syslog?.[Symbol.asyncDispose]());

async function opened(said: Partial<SyslogOptions> = {}) {
  const told: unknown[][] = [];
  const sink = new Proxy({} as SyslogSink, {
    get:
      (_sink, name) =>
      (...args: unknown[]) =>
        void told.push([String(name), ...args]),
  });
  const started: string[] = [];
  syslog = await openSyslog({
    clock: systemClock,
    udp: { host: '127.0.0.1', port: 0 },
    tcp: null,
    tls: null,
    timing,
    devices: [planned('fw1', { host: '127.0.0.2' })],
    drivers: new Map([['tiny', tiny]]),
    known: () => new Map(),
    resolve: async () => [],
    localAddresses: () => [],
    start: async (device) => void started.push(device),
    sink,
    ...said,
  });
  const port = syslog.ports.udp ?? 0;
  const counts = (...what: string[]) =>
    told.filter((call) => what.every((word, index) => call[index] === word)).length;
  return { told, started, port, counts };
}

async function datagrams(port: number, from: string, ...texts: string[]): Promise<void> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, from, resolve));
  for (const text of texts) await new Promise((resolve) => socket.send(text, port, '127.0.0.1', resolve));
  socket.close();
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('it never came true');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('what devices say', () => {
  it('a change of a device that is known starts one backup of it', async () => {
    const { told, started, port, counts } = await opened();
    await datagrams(port, '127.0.0.2', 'CHANGED by alice', 'CHANGED by bob', 'interface up', 'CHANGED pager');
    await until(() => started.length === 1);
    expect(counts('message', 'udp', 'change')).toBe(2);
    expect(counts('message', 'udp', 'other')).toBe(2);
    expect(told).toContainEqual(['started', 'fw1', { by: 'alice, bob', from: null }]);
    expect(counts('change', 'tiny', 'began')).toBe(1);
    expect(counts('change', 'tiny', 'started')).toBe(1);
  });

  it('a stranger starts nothing, is counted, and is told of once', async () => {
    const { told, started, port, counts } = await opened();
    await datagrams(port, '127.0.0.9', ...Array.from({ length: 20 }, () => 'CHANGED by alice'));
    await until(() => counts('message', 'udp', 'unknown') === 20);
    expect(told.filter(([name]) => name === 'strangers')).toEqual([['strangers', 1, ['127.0.0.9']]]);
    expect(started).toEqual([]);
  });

  it('looking at messages takes a bounded part of each second', async () => {
    let nowMs = 0;
    // Each look at the clock costs 10 ms: a fifth of a second is soon over.
    const clock: Clock = { ...systemClock, monotonicMs: () => (nowMs += 10) };
    const { port, counts } = await opened({ clock });
    await datagrams(port, '127.0.0.9', ...Array.from({ length: 60 }, () => 'x'));
    await until(() => counts('message') === 60);
    expect(counts('message', 'udp', 'shed')).toBeGreaterThan(10);
    expect(counts('message', 'udp', 'unknown')).toBeGreaterThan(5);
  });

  it('with nothing to listen on, it only remembers nothing', async () => {
    await opened({ udp: null });
    expect(syslog?.ports).toEqual({ udp: null, tcp: null, tls: null });
    syslog?.runStarted('fw1', 'schedule');
    syslog?.runEnded('fw1', true);
    expect(syslog?.originOf('fw1')).toBeNull();
  });

  it('one listener that cannot be opened closes the others', async () => {
    await opened({ tcp: { host: '127.0.0.1', port: 0 }, udp: null });
    const first = syslog;
    // Free for datagrams, taken for streams.
    const at = { host: '127.0.0.1', port: first?.ports.tcp ?? 0 };
    await expect(opened({ udp: at, tcp: at })).rejects.toThrow('cannot listen');
    syslog = first;
    const again = await listenUdp(
      at,
      () => {},
      () => {},
    );
    await again[Symbol.asyncDispose]();
  });
});
