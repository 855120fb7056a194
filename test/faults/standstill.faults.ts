import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, programPath } from '../support/system.ts';
import { Daemon } from './daemon.ts';

const count = 4;
const minute = 60_000;

/** A receiver of datagrams, because Node has none of this family. Prints each with a line feed behind it. */
const receiver = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listening', flush=True)
while True:
    print(s.recv(65536).decode(), flush=True)
`;

describeWith('systemd-notify', 'a daemon that stands still', () => {
  const daemon = new Daemon();
  let manager: ChildProcess | null = null;
  let told = '';
  const fed = () => told.split('WATCHDOG=1').length - 1;
  let inspector = '';

  beforeAll(async () => {
    await daemon.begin(count, 'schedule: "* * * * *"\nsplay: 0s\ncatch_up_spread: 1s');
    const socket = join(daemon.workspace.dir, 'notify');
    const script = join(daemon.workspace.dir, 'receive.py');
    writeFileSync(script, receiver);
    manager = spawn(programPath('python3') ?? 'python3', [script, socket], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    manager.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      told += piece;
    });
    await daemon.until('somebody listens', () => told.includes('listening'));
    await daemon.start({ NOTIFY_SOCKET: socket, WATCHDOG_USEC: '4000000' }, ['--inspect=127.0.0.1:0']);
    await daemon.until('it says where it can be asked', () => daemon.log.includes('ws://'));
    inspector = /ws:\/\/\S+/.exec(daemon.log)?.[0] ?? '';
  });
  afterAll(async () => {
    await daemon.stop();
    manager?.kill('SIGKILL');
  });

  /** Begins an endless computation in the daemon, as a defect would; nothing of the program helps with that. */
  async function block(forMs: number): Promise<void> {
    const asked = new WebSocket(inspector);
    await new Promise((resolve) => asked.addEventListener('open', resolve, { once: true }));
    const expression = `{ const end = performance.now() + ${forMs}; while (performance.now() < end); }`;
    const answered = new Promise((resolve) => asked.addEventListener('message', resolve, { once: true }));
    asked.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } }));
    await answered;
    asked.close();
  }

  it('with its event loop blocked for 30 s feeds no watchdog, and goes on afterwards', async () => {
    await daemon.until('the watchdog is fed', () => fed() > 2);
    const blocked = block(30_000);
    // What was on its way to the service manager arrives.
    await sleep(5_000);
    const before = fed();
    await sleep(20_000);
    expect(fed()).toBe(before);
    await blocked;
    await daemon.until('it is fed again', () => fed() > before + 2);
    expect((await daemon.workspace.backup('fw0')).code).toBe(0);
  }, 180_000);

  it('suspended over two minutes, it counts what it missed once each, and catches up once', async () => {
    const served = (atMs: number) =>
      daemon
        .slots()
        .filter(
          ({ due_at_ms, state }) => due_at_ms >= atMs && (state === 'changed' || state === 'unchanged'),
        );
    // Just behind a round: a success shortly before a slot would serve that.
    const began = Date.now();
    await daemon.until('a round is served', () => served(began).length >= count, 3 * minute);
    await daemon.until('no session is open', () => daemon.devices.every(({ sessions }) => sessions === 0));
    const stopped = Date.now();
    const before = fed();
    daemon.signal('SIGSTOP');
    await sleep(130_000);
    // Nothing of it was fed meanwhile, but for what was under way.
    expect(fed()).toBeLessThanOrEqual(before + 1);
    daemon.signal('SIGCONT');
    const woken = Date.now();
    await daemon.until('a round is served afterwards', () => served(woken).length >= count, 3 * minute);

    const slots = daemon.slots();
    const passed = slots.filter(({ due_at_ms }) => due_at_ms > stopped && due_at_ms < woken - minute);
    expect(passed.length).toBeGreaterThanOrEqual(count);
    expect(new Set(passed.map(({ state, cause }) => `${state} ${cause}`))).toEqual(
      new Set(['missed collector_down']),
    );
    // Every minute once, each with one end, and no run for two of them.
    const keys = slots.map(({ device, due_at_ms }) => `${device} ${due_at_ms}`);
    expect(new Set(keys).size).toBe(keys.length);
    const runs = slots.flatMap(({ run_id }) => run_id ?? []);
    expect(new Set(runs).size).toBe(runs.length);
    for (let n = 0; n < count; n++) {
      const mine = slots.filter(({ device }) => device === `fw${n}`).map(({ due_at_ms }) => due_at_ms);
      expect(new Set(mine.slice(1).map((due, index) => due - (mine[index] ?? 0)))).toEqual(new Set([minute]));
    }
    expect(daemon.log).not.toContain('the clock jumped');
    const caught = JSON.parse((await daemon.workspace.run(['runs', '--json'])).stdout) as {
      trigger: string;
    }[];
    expect(caught.filter(({ trigger }) => trigger === 'catch-up').length).toBeLessThanOrEqual(count);
  }, 420_000);
});
