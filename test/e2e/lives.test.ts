import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const library = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file));

const day = 86_400_000;
const hour = 3_600_000;
/** Midnight before the first slot. */
const start = Date.UTC(2026, 2, 1);
const password = 'hunter2-canary';
const pageOf = (n: number): string => asaConfig.replace('198.51.100.80', `198.51.100.${80 + n}`);

interface Row {
  readonly device: string;
  readonly run_id: string | null;
  readonly slot: string | null;
  readonly trigger: string | null;
  readonly state: string;
  readonly count: number;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

describeWith('faketime', 'the lives of devices', () => {
  const workspace = new Workspace();
  const ledgerFile = join(workspace.state, 'ledger.db');
  const clockFile = join(workspace.dir, 'clock');
  const devices: FakeDevice[] = [];
  let fortigate: FakeDevice;
  let tcp = '';
  let daemon: ChildProcess | null = null;
  let log = '';

  beforeAll(async () => {
    await workspace.init();
    setClock(start);
    Object.assign(workspace.env, {
      ...{ TEST_PASSWORD: password, TEST_ENABLE: password, TZ: 'UTC', SUDO_USER: 'alice' },
      ...{ LD_PRELOAD: library ?? '', FAKETIME_TIMESTAMP_FILE: clockFile },
      ...{ FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
    });
    const account = { username: 'backup', password };
    for (let n = 0; n < 3; n++)
      devices.push(
        await startFakeDevice({ platform: 'cisco_asa', hostname: 'fw-asa', config: asaConfig, ...account }),
      );
    fortigate = await startFakeDevice({
      ...{ platform: 'fortinet_fortigate', hostname: 'fw-fgt', config: fortigateConfig, ...account },
    });
    const port = await freePort();
    tcp = `http://127.0.0.1:${port}`;
    writeFileSync(
      workspace.config,
      `${readFileSync(workspace.config, 'utf8')}
schedule: "0 2 * * *"
splay: 0s
catch_up_spread: 0s
http: { listen: 127.0.0.1:${port} }
`,
    );
    inventory(line('fw0'), line('fw1'), line('fw2'));
  }, 60_000);

  afterEach(() => {
    for (const device of [...devices, fortigate]) device.setFaults({});
  });

  afterAll(async () => {
    await stop('SIGKILL');
    for (const device of [...devices, fortigate]) await device.stop();
    workspace[Symbol.dispose]();
  });

  /** A line of the inventory for the ASA of this number, whatever its name. */
  function line(name: string, n = Number(name.slice(2)), ...more: string[]): string {
    const device = devices[n] as FakeDevice;
    const about = { name, platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint };
    return deviceYaml(about, ...more);
  }

  function inventory(...lines: string[]): void {
    const slow = `  slow:\n    username: backup\n    password: { command: [/bin/sh, -c, "sleep 2; echo ${password}"] }\n`;
    const credentials = credentialsYaml.replace('readonly:', 'readonly:\n    logins_per_second: 100');
    workspace.inventory(`${credentials}${slow}devices:\n${lines.join('')}`);
  }

  function setClock(atMs: number): void {
    const offset = (atMs - Date.now()) / 1000;
    writeFileSync(clockFile, `${offset >= 0 ? '+' : ''}${offset.toFixed(3)}\n`);
  }

  function launch(): ChildProcess {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, 'daemon'], {
      env: { PATH, HOME, ...workspace.env, ROUNDSMAN_CONFIG: workspace.config },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      log += piece;
    });
    daemon = child;
    return child;
  }

  async function run(): Promise<void> {
    const child = launch();
    await until('the daemon is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${log}`);
      return (await readiness()) === 200;
    });
  }

  async function readiness(): Promise<number | null> {
    const answer = await fetch(`${tcp}/-/ready`).catch(() => null);
    return answer?.status ?? null;
  }

  function stop(signal: NodeJS.Signals): Promise<number | null> {
    const child = daemon;
    daemon = null;
    if (child === null || child.exitCode !== null) return Promise.resolve(child?.exitCode ?? null);
    return new Promise((resolve) => {
      child.on('exit', resolve);
      child.kill(signal);
    });
  }

  async function reload(): Promise<void> {
    const from = log.length;
    daemon?.kill('SIGHUP');
    await until('it is reloaded', () => /configuration (reloaded|refused)/.test(log.slice(from)));
    expect(log.slice(from)).not.toContain('configuration refused');
  }

  async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 40_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async function json<Answer>(...args: string[]): Promise<Answer> {
    const said = await workspace.run([...args, '--json']);
    if (said.stdout === '') throw new Error(`${args.join(' ')}: ${said.stderr}`);
    return JSON.parse(said.stdout) as Answer;
  }

  const runs = (...names: string[]) => json<Row[]>('runs', ...names);
  const commits = async () => (await workspace.git('log', '--format=%s', 'main')).trim().split('\n');
  const files = async () => (await workspace.git('ls-tree', '-r', '--name-only', 'main')).trim().split('\n');
  const slotAt = (atMs: number) => new Date(atMs).toISOString();
  async function statesAt(atMs: number): Promise<string[]> {
    return (await runs())
      .filter(({ slot, trigger }) => slot === slotAt(atMs) && trigger !== 'catch-up')
      .map(({ state }) => state);
  }

  function records(category: string): Record<string, unknown>[] {
    const open = new DatabaseSync(ledgerFile, { readOnly: true });
    try {
      return open
        .prepare('SELECT record FROM chain WHERE category = ? ORDER BY n')
        .all(category)
        .map(({ record }) => JSON.parse(String(record)) as Record<string, unknown>);
    } finally {
      open.close();
    }
  }

  async function metric(series: string): Promise<number | null> {
    const text = await (await fetch(`${tcp}/metrics`)).text();
    const found = text.split('\n').find((one) => one.startsWith(`${series} `));
    return found === undefined ? null : Number(found.slice(series.length + 1));
  }

  /* ── A ledger that was put back ─────────────────────────────────────────────────────────── */

  it('an older ledger that is put back learns from the commits which slots were served', async () => {
    setClock(start + hour);
    await run();
    setClock(start + 2 * hour - 2_000);
    await until('the first slot is served', async () => (await statesAt(start + 2 * hour)).length === 3);
    await until('it is over', async () => !(await statesAt(start + 2 * hour)).includes('running'));
    await stop('SIGTERM');
    copyFileSync(ledgerFile, join(workspace.dir, 'old.db'));

    for (const device of devices.slice(0, 2)) device.change(pageOf(1));
    // Well before the slot, and then forward: however long the start takes, the slot is not over.
    setClock(start + day + hour);
    await run();
    setClock(start + day + 2 * hour - 2_000);
    await until('the second slot is served', async () => {
      const states = await statesAt(start + day + 2 * hour);
      return states.length === 3 && !states.includes('running');
    });
    expect((await statesAt(start + day + 2 * hour)).sort()).toEqual(['changed', 'changed', 'unchanged']);
    await stop('SIGTERM');
    const before = await commits();

    for (const suffix of ['', '-wal', '-shm']) rmSync(`${ledgerFile}${suffix}`, { force: true });
    copyFileSync(join(workspace.dir, 'old.db'), ledgerFile);
    const from = log.length;
    setClock(start + day + 3 * hour);
    await run();
    expect(log.slice(from)).toMatch(/ledger rebuilt from commits readings=2/);
    // Two commits prove two slots. Of the third one, whose device had not changed, nothing is left.
    expect((await statesAt(start + day + 2 * hour)).sort()).toEqual(['changed', 'changed', 'missed']);
    expect(log.slice(from).match(/backup failure/g)).toHaveLength(1);
    await until('the one that is not proven is made up for', async () =>
      (await runs('fw2')).some(({ run_id, state }) => run_id !== null && state === 'unchanged'),
    );
    expect(await commits()).toEqual(before);
    const all = (await runs()).flatMap(({ run_id }) => run_id ?? []);
    expect(new Set(all).size).toBe(all.length);
    expect(records('rebuilt')).toHaveLength(2);
    expect((await json<unknown[]>('log', 'fw0')).length).toBe(2);
  }, 120_000);

  it('a ledger that is lost comes back from the commits: log, show and diff work again', async () => {
    await stop('SIGTERM');
    const before = await json<{ commit: string; path: string }[]>('log', 'fw0');
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${ledgerFile}${suffix}`, { force: true });
    await run();
    expect(await json<object[]>('log', 'fw0')).toMatchObject(
      before.map(({ commit, path }) => ({ commit, path })),
    );
    expect((await workspace.run(['show', 'fw0'])).stdout).toContain('198.51.100.81');
    expect((await workspace.run(['diff', 'fw0'])).stdout).toContain('+ host 198.51.100.81');
    const restored = await workspace.run(['restore', 'fw0', '--identity', workspace.identity]);
    expect(restored.stdout, restored.stderr).toContain('198.51.100.81');
    const { lines } = await workspace.backup();
    expect([...lines.values()].map(({ outcome }) => outcome)).toEqual(Array(3).fill('unchanged'));
    // Nothing is known of the slots that were not proven, so nothing is called missed.
    expect((await runs()).filter(({ state }) => state === 'missed')).toEqual([]);
  }, 60_000);

  /* ── Moves ──────────────────────────────────────────────────────────────────────────────── */

  it('all moves of one reload are one commit, and the next readings are none', async () => {
    const before = (await commits()).length;
    inventory(
      ...[line('fw0', 0, 'group: hq'), line('fw1', 1, 'group: hq')],
      line('edge2', 2, 'group: hq', 'formerly: [fw2]'),
    );
    await reload();
    expect((await commits())[0]).toBe('3 devices moved');
    expect(await commits()).toHaveLength(before + 1);
    expect(await files()).toEqual(['edge2', 'fw0', 'fw1'].map((name) => `hq/${name}/running-config.cfg`));
    const { lines } = await workspace.backup();
    expect([...lines.values()].map(({ outcome }) => outcome)).toEqual(Array(3).fill('unchanged'));
    expect((await json<unknown[]>('log', 'edge2')).length).toBe(1);
    expect((await workspace.run(['diff', 'fw0'])).stdout).toContain('+ host 198.51.100.81');
  }, 60_000);

  it('a device that is being read moves when its session is over', async () => {
    devices[0]?.setFaults({ bytesPerSecond: 1_000 });
    const said = workspace.backup('fw0');
    await until('it is being read', () => (devices[0]?.sessions ?? 0) > 0);
    inventory(line('fw0', 0, 'group: dc'), line('fw1', 1, 'group: dc'), line('edge2', 2, 'formerly: [fw2]'));
    await reload();
    expect((await commits())[0]).toBe('2 devices moved');
    expect(await files()).toContain('hq/fw0/running-config.cfg');
    expect((await said).lines.get('fw0')?.outcome).toBe('unchanged');
    await until('it has moved', async () => (await commits())[0] === 'fw0: moved to dc');
    expect((await files()).sort()).toEqual([
      ...['dc/fw0', 'dc/fw1', 'default/edge2'].map((path) => `${path}/running-config.cfg`),
    ]);
  }, 60_000);

  it('files that were moved while no daemon ran are moved at the start, once', async () => {
    await stop('SIGTERM');
    inventory(line('fw0', 0, 'group: hq'), line('fw1', 1, 'group: hq'), line('edge2', 2, 'formerly: [fw2]'));
    await run();
    expect((await commits())[0]).toBe('2 devices moved');
    const before = await commits();
    await stop('SIGTERM');
    await run();
    expect(await commits()).toEqual(before);
  }, 60_000);

  /* ── Retirement ─────────────────────────────────────────────────────────────────────────── */

  it('a device is read until the day of its retirement, and from then on it is gone from everywhere but history', async () => {
    const date = new Date(start + 3 * day).toISOString().slice(0, 10);
    inventory(line('fw0', 0, 'group: hq'), line('fw1', 1, 'group: hq', `retired: ${date}`), line('edge2', 2));
    await reload();
    expect((await workspace.backup('fw1')).lines.get('fw1')?.outcome).toBe('unchanged');
    expect(await metric('roundsman_device_enabled{device="fw1"}')).toBe(1);

    setClock(start + 3 * day + 1_000);
    await until('it is retired', async () => (await commits())[0] === 'fw1: retired');
    expect(await files()).not.toContain('hq/fw1/running-config.cfg');
    expect(await workspace.git('log', '-1', '--format=%B', 'main')).toMatch(
      /Device: fw1\nPlatform: cisco_asa/,
    );
    expect(await metric('roundsman_device_enabled{device="fw1"}')).toBeNull();
    expect(await metric('roundsman_device_enabled{device="fw0"}')).toBe(1);
    const shown = await json<{ device: string; state: string }[]>('status');
    expect(shown.map(({ device }) => device)).toEqual(['fw0', 'edge2']);
    expect(await json<object[]>('status', 'fw1')).toMatchObject([{ device: 'fw1', state: 'disabled' }]);
    expect((await json<unknown[]>('log', 'fw1')).length).toBe(2);
    expect((await workspace.run(['show', 'fw1'])).stdout).toContain('198.51.100.81');
    const restored = await workspace.run(['restore', 'fw1', '--identity', workspace.identity]);
    expect(restored.stdout, restored.stderr).toContain('198.51.100.81');
    expect((await workspace.backup('fw1')).code).not.toBe(0);
    expect(records('retire')).toHaveLength(1);

    const before = await commits();
    await stop('SIGTERM');
    await run();
    await reload();
    expect(await commits()).toEqual(before);
    expect(records('retire')).toHaveLength(1);
  }, 120_000);

  it('its name can go to another device of another platform; the old one keeps its history', async () => {
    const { port, fingerprint } = fortigate;
    const next = deviceYaml({ name: 'fw1', platform: 'fortinet_fortigate', port, hostKey: fingerprint });
    inventory(line('fw0', 0, 'group: hq'), next, line('edge2', 2));
    await reload();
    const { lines } = await workspace.backup('fw1');
    expect(lines.get('fw1')).toMatchObject({ outcome: 'changed', platform: 'fortinet_fortigate' });
    expect((await json<unknown[]>('log', 'fw1')).length).toBe(1);
    expect((await json<unknown[]>('log', 'fw1.retired-2026-03-04')).length).toBe(2);
  }, 60_000);

  it('a device that another platform replaced goes on with its history, and is not held for it', async () => {
    const { port, fingerprint } = fortigate;
    const next = { name: 'fgt2', platform: 'fortinet_fortigate', port, hostKey: fingerprint };
    const replaced = [line('fw0', 0, 'group: hq'), deviceYaml(next, 'formerly: [edge2]')];
    const first = deviceYaml({ ...next, name: 'fw1' });
    inventory(...replaced, first);
    await reload();
    const { lines } = await workspace.backup('fgt2');
    expect(lines.get('fgt2')?.outcome).toBe('changed');
    expect((await commits())[0]).toBe('fgt2: re-read as fortinet_fortigate');
    expect((await json<unknown[]>('log', 'fgt2')).length).toBe(2);
    inventory(line('fw0', 0, 'group: hq'), line('fgt2', 2), first);
    const from = log.length;
    daemon?.kill('SIGHUP');
    await until('it is refused', () => log.slice(from).includes('configuration refused'));
    expect(log.slice(from)).toContain('fgt2 is known as fortinet_fortigate');
    inventory(...replaced, first);
    await reload();
  }, 60_000);

  /* ── Sessions, people, counters ─────────────────────────────────────────────────────────── */

  it('check --connect and trust wait for a run in progress: never a second session to a device', async () => {
    const [device] = devices as [FakeDevice];
    device.setFaults({ bytesPerSecond: 1_500 });
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, device.sessions);
    }, 2);
    try {
      const backup = workspace.backup('fw0');
      await until('it is being read', () => device.sessions > 0);
      const [, check, trust] = await Promise.all([
        backup,
        workspace.run(['check', '--connect', '--json']),
        workspace.run(['trust', 'fw0', '--json']),
      ]);
      expect(check.code, check.stderr).toBe(0);
      expect(trust.code, trust.stderr).toBe(0);
    } finally {
      clearInterval(watch);
    }
    expect(most).toBe(1);
  }, 60_000);

  it('an acceptance is counted as a commit, and names who asked for it', async () => {
    devices[0]?.change(asaConfig.replace(/access-list[\s\S]*?(?=Cryptochecksum)/, ''));
    const held = (await workspace.backup('fw0')).lines.get('fw0');
    expect(held?.outcome).toBe('quarantined');
    const before = (await metric('roundsman_git_commits_total')) ?? 0;
    const accepted = await workspace.run(['accept', 'fw0', String(held?.run_id), '--yes']);
    expect(accepted.code, accepted.stderr).toBe(0);
    expect(await metric('roundsman_git_commits_total')).toBe(before + 1);
    expect(records('accept').at(-1)?.by).toMatch(/^alice as \S+ via socket$/);
    expect(await workspace.git('log', '-1', '--format=%(trailers:key=Accepted-By)', 'main')).toMatch(
      /^Accepted-By: alice as \S+ via socket/,
    );
  }, 60_000);

  it('runs --json counts the slots of a long downtime', async () => {
    await stop('SIGTERM');
    setClock(start + 80 * day);
    await run();
    const missed = (await runs('fw0')).filter(({ state }) => state === 'missed');
    expect(missed.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThan(70);
    expect(missed.filter(({ count }) => count > 1)).toHaveLength(1);
  }, 60_000);

  /* ── Signals while it starts ────────────────────────────────────────────────────────────── */

  it('a reload that is asked for while it starts is made when it has started', async () => {
    await stop('SIGTERM');
    const slow = line('fw0', 0, 'group: hq').replace('credentials: readonly', 'credentials: slow');
    inventory(slow);
    const from = log.length;
    launch();
    // Its listeners are up, and start-up is still trying the secrets.
    await until('it answers', async () => (await readiness()) === 503);
    daemon?.kill('SIGHUP');
    await until('it is reloaded', () => log.slice(from).includes('configuration reloaded'));
    expect(log.slice(from).indexOf('daemon started')).toBeLessThan(
      log.slice(from).indexOf('configuration reloaded'),
    );
    await until('it is ready', async () => (await readiness()) === 200);
  }, 60_000);

  it('told to stop while it starts, it ends well and starts nothing', async () => {
    await stop('SIGTERM');
    const connections = devices[0]?.connections;
    const from = log.length;
    setClock(start + 80 * day + 2 * hour);
    launch();
    await until('it answers', async () => (await readiness()) === 503);
    expect(await stop('SIGTERM')).toBe(0);
    expect(log.slice(from)).not.toContain('daemon started');
    expect(devices[0]?.connections).toBe(connections);
    expect(existsSync(join(workspace.state, 'control.sock'))).toBe(false);
    expect(log).not.toContain('canary');
  }, 60_000);
});
