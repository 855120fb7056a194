import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const library = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file));

/** The daemon's own wall clock. The monotonic one is left alone, as a jump of the wall clock leaves it. */
const midnight = Date.UTC(2026, 2, 1);
const minute = 60_000;
const count = 10;

interface Slot {
  readonly device: string;
  readonly due_at_ms: number;
  readonly last_ms: number;
  readonly state: string | null;
  readonly cause: string | null;
  readonly run_id: string | null;
}

describeWith('faketime', 'the daemon, with its clock in our hands', () => {
  const workspace = new Workspace();
  const devices: FakeDevice[] = [];
  const clockFile = join(workspace.dir, 'clock');
  let daemon: ChildProcess | null = null;
  let log = '';

  beforeAll(async () => {
    await workspace.init();
    workspace.env.TEST_PASSWORD = 'hunter2-canary';
    workspace.env.TEST_ENABLE = 'hunter2-canary';
    let inventory = `${credentialsYaml}devices:\n`;
    for (let n = 0; n < count; n++) {
      const platform = n % 2 === 0 ? 'cisco_asa' : 'fortinet_fortigate';
      const [hostname, config] = n % 2 === 0 ? ['fw-asa', asaConfig] : ['fw-fgt', fortigateConfig];
      const account = { username: 'backup', password: 'hunter2-canary' };
      const device = await startFakeDevice({ platform, hostname, config, ...account });
      devices.push(device);
      inventory += deviceYaml({ name: `fw${n}`, platform, port: device.port, hostKey: device.fingerprint });
    }
    workspace.inventory(inventory.replace('readonly:', 'readonly:\n    logins_per_second: 100'));
    const settings = readFileSync(workspace.config, 'utf8');
    writeFileSync(
      workspace.config,
      `${settings}\nschedule: "* * * * *"\ncatch_up_spread: 1s\nhttp: { listen: 127.0.0.1:9723 }\n`,
    );
  }, 60_000);

  afterAll(async () => {
    if (daemon !== null) await stop('SIGKILL');
    for (const device of devices) await device.stop();
    workspace[Symbol.dispose]();
  });

  /** Sets the daemon's wall clock, at its start or while it runs. */
  function setClock(atMs: number): void {
    const offset = (atMs - Date.now()) / 1000;
    writeFileSync(clockFile, `${offset >= 0 ? '+' : ''}${offset.toFixed(3)}\n`);
  }

  async function start(atMs: number): Promise<void> {
    setClock(atMs);
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, 'daemon'], {
      env: {
        PATH,
        HOME,
        ...workspace.env,
        ROUNDSMAN_CONFIG: workspace.config,
        LD_PRELOAD: library ?? '',
        FAKETIME_TIMESTAMP_FILE: clockFile,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        TZ: 'UTC',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      log += piece;
    });
    daemon = child;
    await until('the daemon is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${log}`);
      const answer = await fetch('http://127.0.0.1:9723/-/ready').catch(() => null);
      return answer?.status === 200;
    });
  }

  async function stop(signal: NodeJS.Signals): Promise<number | null> {
    const child = daemon;
    daemon = null;
    if (child === null || child.exitCode !== null) return child?.exitCode ?? null;
    return new Promise((resolve) => {
      child.on('exit', resolve);
      child.kill(signal);
    });
  }

  function slots(): Slot[] {
    const database = new DatabaseSync(join(workspace.state, 'ledger.db'), { readOnly: true });
    try {
      const rows = database.prepare('SELECT * FROM slot ORDER BY device, due_at_ms').all();
      return rows.map((row) => ({ ...row }) as unknown as Slot);
    } finally {
      database.close();
    }
  }

  /** State and cause of every device's slot at this minute. */
  function at(minutes: number): string[] {
    return slots()
      .filter(({ due_at_ms }) => due_at_ms === midnight + minutes * minute)
      .map(({ state, cause }) => (cause === null ? String(state) : `${state}{${cause}}`));
  }

  async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 40_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  const good = (states: readonly string[]): boolean =>
    states.length === count && states.every((state) => state === 'changed' || state === 'unchanged');

  it('backs every device up when it is due', async () => {
    await start(midnight + 1 * minute - 4_000);
    await until('the slot at 00:01 is served', () => good(at(1)));
    expect(at(1)).toEqual(Array(count).fill('changed'));
  }, 60_000);

  it('killed in the middle of a round, it leaves no slot without an end and starts none twice', async () => {
    setClock(midnight + 2 * minute - 2_000);
    await until('a session is open', () => devices.some((device) => device.sessions > 0));
    await stop('SIGKILL');
    await start(midnight + 4 * minute + 20_000);
    await until('the catch-up of 00:04 is over', async () => (await catchUps()) === count);
    const killed = at(2);
    expect(killed).toHaveLength(count);
    for (const state of killed) {
      expect(['changed', 'unchanged', 'failed{run.interrupted}', 'missed{collector_down}']).toContain(state);
    }
    expect(at(3)).toEqual(Array(count).fill('missed{collector_down}'));
    expect(at(4)).toEqual(Array(count).fill('missed{collector_down}'));
  }, 90_000);

  it('stopped in good order, it ends with 0, and what it missed meanwhile is a row and a log line each', async () => {
    const before = log.length;
    expect(await stop('SIGTERM')).toBe(0);
    await start(midnight + 7 * minute + 20_000);
    for (const minutes of [5, 6, 7]) expect(at(minutes)).toEqual(Array(count).fill('missed{collector_down}'));
    const lines = log
      .slice(before)
      .split('\n')
      .filter((line) => line.includes('backup failure'));
    expect(lines.filter((line) => line.includes('outcome=missed'))).toHaveLength(3 * count);
  }, 60_000);

  it('a clock that jumps ahead says so, and the slots in between are missed', async () => {
    await until('the round is over', () => devices.every((device) => device.sessions === 0));
    setClock(midnight + 20 * minute + 20_000);
    await until('the slots of the jump have their end', () => at(19).length === count);
    for (const minutes of [9, 12, 19]) expect(at(minutes)).toEqual(Array(count).fill('missed{clock}'));
    expect(log).toContain('the clock jumped');
  }, 60_000);

  it('a clock that goes back runs no slot twice', async () => {
    setClock(midnight + 10 * minute);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    setClock(midnight + 21 * minute - 2_000);
    await until('the slot at 00:21 is served', () => good(at(21)));
  }, 60_000);

  it('and every minute is there exactly once, with one end', async () => {
    expect(await stop('SIGTERM')).toBe(0);
    const rows = slots();
    const runs = rows.flatMap(({ run_id }) => run_id ?? []);
    expect(new Set(runs).size).toBe(runs.length);
    for (let n = 0; n < count; n++) {
      const mine = rows.filter(({ device }) => device === `fw${n}`);
      expect(mine.map(({ due_at_ms }) => (due_at_ms - midnight) / minute)).toEqual(
        Array.from({ length: 21 }, (_, index) => index + 1),
      );
      expect(mine.filter(({ state }) => state === null)).toEqual([]);
    }
    expect(log).not.toContain('canary');
    const totals = new DatabaseSync(join(workspace.state, 'ledger.db'), { readOnly: true });
    const missed = totals.prepare("SELECT sum(count) AS n FROM total WHERE kind = 'missed'").get();
    totals.close();
    expect(missed?.n).toBe(rows.filter(({ state }) => state === 'missed').length);
  });

  async function catchUps(): Promise<number> {
    const { stdout } = await workspace.run(['runs', '--json']);
    const runs = JSON.parse(stdout) as { trigger: string; state: string }[];
    return runs.filter(({ trigger, state }) => trigger === 'catch-up' && state !== 'running').length;
  }
});
