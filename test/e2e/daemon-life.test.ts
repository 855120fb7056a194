import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { everyMetric } from '../../src/metrics/definitions.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { describeWith, programPath } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const library = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file));

/** No slot of the usual schedule is near. */
const noon = Date.UTC(2026, 2, 1, 12);
const password = 'hunter2-canary';
const count = 6;

interface Row {
  readonly device: string;
  readonly run_id: string | null;
  readonly state: string;
  readonly trigger: string;
  readonly error: { readonly code: string; readonly detail: object } | null;
}

/** What a port is free for, another program can still take before we do; the tests of this file then fail loudly. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

describeWith('faketime', 'the life of the daemon', () => {
  const workspace = new Workspace();
  const socketPath = join(workspace.state, 'control.sock');
  const inventoryFile = join(workspace.dir, 'devices.yaml');
  const clockFile = join(workspace.dir, 'clock');
  const devices: FakeDevice[] = [];
  let tcp = '';
  let offsetMs = 0;
  let settings = '';
  let daemon: ChildProcess | null = null;
  let log = '';

  beforeAll(async () => {
    await workspace.init();
    setClock(noon);
    Object.assign(workspace.env, {
      ...{ TEST_PASSWORD: password, TEST_ENABLE: password, TEST_WRONG: 'wrong-canary', TZ: 'UTC' },
      // One time for the daemon and for what the commands do themselves.
      LD_PRELOAD: library ?? '',
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    });
    for (let n = 0; n < count; n++) {
      const platform = n % 2 === 0 ? 'cisco_asa' : 'fortinet_fortigate';
      const [hostname, config] = n % 2 === 0 ? ['fw-asa', asaConfig] : ['fw-fgt', fortigateConfig];
      devices.push(await startFakeDevice({ platform, hostname, config, username: 'backup', password }));
    }
    const port = await freePort();
    tcp = `http://127.0.0.1:${port}`;
    settings = `${readFileSync(workspace.config, 'utf8')}
schedule: "0 2 * * *"
catch_up_spread: 1s
http: { listen: 127.0.0.1:${port} }
`;
    writeFileSync(workspace.config, settings);
    inventory();
  }, 60_000);

  afterEach(() => {
    for (const device of devices) device.setFaults({});
    inventory();
  });

  afterAll(async () => {
    await stop('SIGKILL');
    for (const device of devices) await device.stop();
    workspace[Symbol.dispose]();
  });

  /** fw0 to fw4 unless told otherwise; `more` is what a device says besides. */
  function inventory(names = ['fw0', 'fw1', 'fw2', 'fw3', 'fw4'], more: Record<string, string[]> = {}): void {
    const wrong = '  wrong:\n    username: backup\n    password: { env: TEST_WRONG }\n';
    const slow = `  slow:\n    username: backup\n    password: { command: [/bin/sh, -c, "sleep 1; echo x"] }\n`;
    const entries = names.map((name) => {
      const n = Number(name.slice(2));
      const [platform, device] = [n % 2 === 0 ? 'cisco_asa' : 'fortinet_fortigate', devices[n] as FakeDevice];
      const about = { name, platform, port: device.port, hostKey: device.fingerprint };
      const said = more[name] ?? [];
      // Of fw4 the inventory demands no key.
      const free = name === 'fw4' || said.some((line) => line.startsWith('host_key:'));
      const own = deviceYaml(free ? { name, platform, port: device.port } : about, ...said);
      return said.some((line) => line.startsWith('credentials:'))
        ? own.replace('    credentials: readonly\n', '')
        : own;
    });
    const groups = 'groups:\n  narrow: { max_sessions: 1 }\n';
    const credentials = credentialsYaml.replace('readonly:', 'readonly:\n    logins_per_second: 100');
    writeFileSync(inventoryFile, `${credentials}${wrong}${slow}${groups}devices:\n${entries.join('')}`);
  }

  function setClock(atMs: number): void {
    offsetMs = atMs - Date.now();
    const offset = offsetMs / 1000;
    writeFileSync(clockFile, `${offset >= 0 ? '+' : ''}${offset.toFixed(3)}\n`);
  }

  function launch(stderr: 'pipe' | number = 'pipe'): ChildProcess {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, 'daemon'], {
      env: {
        ...{ PATH, HOME, ...workspace.env, ROUNDSMAN_CONFIG: workspace.config },
      },
      stdio: ['ignore', 'ignore', stderr],
    });
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      log += piece;
    });
    daemon = child;
    return child;
  }

  async function start(stderr: 'pipe' | number = 'pipe'): Promise<void> {
    const child = launch(stderr);
    await until('the daemon is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${log}`);
      return (await ready())?.status === 200;
    });
  }

  /** Resolves to the exit code. */
  function stop(...signals: NodeJS.Signals[]): Promise<number | null> {
    const child = daemon;
    daemon = null;
    if (child === null || child.exitCode !== null) return Promise.resolve(child?.exitCode ?? null);
    return new Promise((resolve) => {
      child.on('exit', resolve);
      for (const signal of signals) child.kill(signal);
    });
  }

  async function running(): Promise<void> {
    if (daemon === null) await start();
  }

  async function ready(): Promise<{ status: number; reasons: string[] } | null> {
    const answer = await fetch(`${tcp}/-/ready`).catch(() => null);
    if (answer === null) return null;
    return { status: answer.status, ...((await answer.json()) as { reasons: string[] }) };
  }

  function post(path: string, body: object = {}): Promise<{ status: number; body: Record<string, unknown> }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const sent = request({ socketPath, path, method: 'POST', headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
      });
      sent.on('error', reject);
      sent.end(JSON.stringify(body));
    });
  }

  async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 30_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async function scrape(): Promise<string> {
    return (await fetch(`${tcp}/metrics`)).text();
  }

  /** The value of one series, named as in the text. */
  async function metric(series: string): Promise<number | null> {
    const line = (await scrape()).split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? null : Number(line.slice(series.length + 1));
  }

  async function runs(...names: string[]): Promise<Row[]> {
    return JSON.parse((await workspace.run(['runs', ...names, '--json'])).stdout) as Row[];
  }

  function database<T>(read: (open: DatabaseSync) => T): T {
    const open = new DatabaseSync(join(workspace.state, 'ledger.db'), { readOnly: true });
    try {
      return read(open);
    } finally {
      open.close();
    }
  }

  /** What was logged since. */
  function since(length: number): string[] {
    return log.slice(length).split('\n').slice(0, -1);
  }

  /* ── Start ──────────────────────────────────────────────────────────────────────────────── */

  it('is healthy before it is ready, and says why it is not ready yet', async () => {
    // Reading this one's secret takes a second, and start-up tries every secret.
    inventory(['fw0', 'fw1', 'fw2', 'fw3', 'fw4'], { fw4: ['credentials: slow'] });
    launch();
    const before: string[][] = [];
    await until('it is ready', async () => {
      const answer = await ready();
      if (answer?.status === 503) before.push(answer.reasons);
      return answer?.status === 200;
    });
    expect(before.length).toBeGreaterThan(0);
    for (const reasons of before) expect(reasons).toContain('the daemon is starting');
    expect((await ready())?.reasons).toEqual([]);
    expect((await fetch(`${tcp}/-/healthy`)).status).toBe(200);
    await until('it says so', () => log.includes('daemon started'));
  }, 60_000);

  it('keeps a second one off the same state directory, naming the process', async () => {
    await running();
    const pid = daemon?.pid ?? 0;
    const second = await workspace.run(['daemon']);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`pid ${pid}`);
    expect((await ready())?.status).toBe(200);
  }, 60_000);

  it('leaves nothing in the state directory that others can read', async () => {
    expect((await workspace.backup('fw0', 'fw1')).code).toBe(0);
    const open = readdirSync(workspace.state, { recursive: true, encoding: 'utf8' }).filter(
      (name) => (statSync(join(workspace.state, name)).mode & 0o077) !== 0,
    );
    expect(open).toEqual([]);
  }, 60_000);

  /* ── The commands of a running daemon ───────────────────────────────────────────────────── */

  it('does what the commands ask for, in the same words as they say themselves', async () => {
    const answered = await workspace.backup('fw0');
    expect(answered.code).toBe(0);
    const [newest] = await runs('fw0');
    expect(newest).toMatchObject({ run_id: answered.lines.get('fw0')?.run_id, trigger: 'manual' });
    // Its log has the line: the command ran in the daemon.
    expect(log).toContain(String(newest?.run_id));

    expect(await stop('SIGTERM')).toBe(0);
    const alone = await workspace.backup('fw0');
    const comparable = ({ lines }: typeof alone) => ({ ...lines.get('fw0'), run_id: '', duration_ms: 0 });
    expect(comparable(answered)).toEqual(comparable(alone));
    expect(Object.keys(answered.lines.get('fw0') ?? {})).toEqual(Object.keys(alone.lines.get('fw0') ?? {}));
    await start();
  }, 60_000);

  it('status, trust, accept and restore work while it runs', async () => {
    const status = await workspace.run(['status', '--json']);
    expect((JSON.parse(status.stdout) as { device: string }[]).map(({ device }) => device)).toEqual(
      Array.from({ length: count - 1 }, (_, n) => `fw${n}`),
    );
    expect((await workspace.backup('fw4')).lines.get('fw4')?.error?.code).toBe('connect.host-key-unknown');
    expect((await workspace.run(['trust', 'fw4', '--yes'])).code).toBe(0);
    expect((await workspace.backup('fw4')).code).toBe(0);

    const restored = await workspace.run(['restore', 'fw0', '--identity', workspace.identity]);
    expect(restored.code, restored.stderr).toBe(0);
    expect(restored.stdout).toContain('s3cretPeerKey77');

    devices[0]?.change(asaConfig.replace(/access-list[\s\S]*?(?=Cryptochecksum)/, ''));
    const held = await workspace.backup('fw0');
    const line = held.lines.get('fw0');
    expect(line?.outcome).toBe('quarantined');
    expect(await metric('roundsman_device_state{device="fw0",state="quarantined"}')).toBe(1);
    const accepted = await workspace.run(['accept', 'fw0', String(line?.run_id), '--yes']);
    expect(accepted.code, accepted.stderr).toBe(0);
    expect(await metric('roundsman_device_state{device="fw0",state="quarantined"}')).toBe(0);
    devices[0]?.change(asaConfig);
  }, 60_000);

  it('a command waits for its turn: there is never a second session to a device', async () => {
    const [, second] = devices as [FakeDevice, FakeDevice];
    second.setFaults({ bytesPerSecond: 1_000 });
    const connections = second.connections;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, second.sessions);
    }, 2);
    try {
      const both = await Promise.all([workspace.backup('fw1'), workspace.backup('fw1')]);
      expect(both.map(({ code }) => code)).toEqual([0, 0]);
    } finally {
      clearInterval(watch);
    }
    expect(second.connections).toBe(connections + 2);
    expect(most).toBe(1);
  }, 60_000);

  /* ── Reload ─────────────────────────────────────────────────────────────────────────────── */

  it('SIGHUP takes over a new device, another schedule and a limit of a group', async () => {
    await running();
    const from = log.length;
    inventory(['fw0', 'fw1', 'fw2', 'fw3', 'fw4', 'fw5'], {
      fw2: ['schedule: "30 4 * * *"', 'splay: 0s'],
      fw3: ['group: narrow'],
      fw4: ['group: narrow'],
    });
    daemon?.kill('SIGHUP');
    await until('it is reloaded', () => log.slice(from).includes('configuration reloaded'));
    expect(since(from).join('\n')).toMatch(/configuration reloaded devices=6 added=1 removed=0/);
    const next = Date.UTC(2026, 2, 2, 4, 30) / 1000;
    expect(await metric('roundsman_device_next_run_timestamp_seconds{device="fw2"}')).toBe(next);
    expect(await metric('roundsman_inventory_last_reload_successful')).toBe(1);

    const [, , , third, fourth] = devices as FakeDevice[];
    for (const device of [third, fourth]) device?.setFaults({ bytesPerSecond: 2_000 });
    let both = false;
    const watch = setInterval(() => {
      both ||= (third?.sessions ?? 0) > 0 && (fourth?.sessions ?? 0) > 0;
    }, 2);
    const { code } = await workspace.backup('fw3', 'fw4', 'fw5');
    clearInterval(watch);
    expect([code, both]).toEqual([0, false]);
  }, 60_000);

  it('an invalid edit is refused whole, and the log says where it is wrong', async () => {
    await running();
    const from = log.length;
    await post('/-/reload', { confirm: true });
    const before = await workspace.run(['status', '--json']);
    const good = readFileSync(inventoryFile, 'utf8');
    const bad = `${good}  - name: fw9\n    platfrom: "backup failure"\n`;
    writeFileSync(inventoryFile, bad);
    const refused = await post('/-/reload');
    expect(refused.status).toBe(422);
    const line = bad.split('\n').findIndex((text) => text.includes('platfrom')) + 1;
    const said = since(from).find((text) => text.includes('configuration refused'));
    expect(said).toContain(`devices.yaml:${line}: `);
    expect(log.slice(from)).not.toMatch(/backup failure/i);
    expect(await metric('roundsman_inventory_last_reload_successful')).toBe(0);
    expect((await workspace.run(['status', '--json'])).stdout).toBe(before.stdout);
    expect((await workspace.backup('fw0')).code).toBe(0);

    writeFileSync(inventoryFile, good);
    expect((await post('/-/reload', { confirm: true })).status).toBe(200);
    expect(await metric('roundsman_inventory_last_reload_successful')).toBe(1);
  }, 60_000);

  it('whatever becomes of the file of the inventory, the one in use stays until a whole one is there', async () => {
    await running();
    await post('/-/reload', { confirm: true });
    const before = await workspace.run(['status', '--json']);
    const good = readFileSync(inventoryFile, 'utf8');
    const elsewhere = join(workspace.dir, 'elsewhere.yaml');
    const link = (target: string) => symlinkSync(target, inventoryFile);
    const become: Record<string, () => void> = {
      gone: () => {},
      emptied: () => writeFileSync(inventoryFile, ''),
      'without devices': () => writeFileSync(inventoryFile, 'devices: []\n'),
      'half written': () => writeFileSync(inventoryFile, good.slice(0, good.length - 40)),
      'a gigabyte': () => {
        writeFileSync(inventoryFile, good);
        truncateSync(inventoryFile, 1024 ** 3);
      },
      'nested without end': () => writeFileSync(inventoryFile, `devices: ${'['.repeat(100_000)}`),
      'full of laughs': () => writeFileSync(inventoryFile, `a: &a [x]\nb: [${'*a, '.repeat(10_000)}]\n`),
      'with a device twice': () =>
        writeFileSync(inventoryFile, good + good.slice(good.indexOf('  - name: fw0'))),
      'of other bytes': () => writeFileSync(inventoryFile, Buffer.from(`${good}# \xff\n`, 'latin1')),
      'a directory': () => mkdirSync(inventoryFile),
      'a link to nothing': () => link(join(workspace.dir, 'nothing.yaml')),
      'a link to itself': () => link(inventoryFile),
      'a link to another one': () => link(elsewhere),
    };
    writeFileSync(elsewhere, good.slice(0, good.indexOf('  - name: fw2')));
    for (const [what, make] of Object.entries(become)) {
      rmSync(inventoryFile, { recursive: true, force: true });
      make();
      const { status } = await post('/-/reload');
      expect([what, [409, 422].includes(status), status]).toEqual([what, true, status]);
      expect([what, await metric('roundsman_inventory_last_reload_successful')]).toEqual([what, 0]);
      expect(await metric('roundsman_device_enabled{device="fw4"}')).toBe(1);
    }
    expect((await ready())?.status).toBe(200);
    // A mark that some editors write is no mistake.
    rmSync(inventoryFile);
    writeFileSync(inventoryFile, `\ufeff${good}`);
    expect((await post('/-/reload')).status).toBe(200);
    expect(await metric('roundsman_inventory_last_reload_successful')).toBe(1);
    expect(await workspace.run(['status', '--json'])).toEqual(before);
    expect((await workspace.backup('fw0')).code).toBe(0);
  }, 120_000);

  it('one that drops over a fifth of the devices wants to be confirmed', async () => {
    await running();
    await post('/-/reload', { confirm: true });
    inventory(['fw0', 'fw1', 'fw2']);
    const refused = await post('/-/reload');
    expect(refused.status).toBe(409);
    expect(JSON.stringify(refused.body)).toMatch(/drops 2 of 5 devices.*confirm/);
    expect(await metric('roundsman_device_enabled{device="fw4"}')).toBe(1);

    expect(await post('/-/reload', { confirm: true })).toMatchObject({
      status: 200,
      body: { devices: 3, added: 0, removed: 2 },
    });
    expect(await scrape()).not.toContain('device="fw4"');
    inventory();
    expect(await post('/-/reload')).toMatchObject({ status: 200, body: { added: 2 } });
  }, 60_000);

  it('what only a restart can change is refused, by its name', async () => {
    await running();
    const from = log.length;
    try {
      writeFileSync(
        workspace.config,
        settings
          .replace(/(listen: \S+:)\d+/, '$19734')
          .replace('format: plain', 'format: json')
          .replace('workers: 32', 'workers: 1'),
      );
      const refused = await post('/-/reload');
      expect(refused.status).toBe(409);
      expect(JSON.stringify(refused.body)).toMatch(/http\.listen, log cannot change.*systemctl restart/);
      expect(await metric('roundsman_workers')).toBe(32);
      expect(log.slice(from)).toContain('http.listen, log cannot change');
      writeFileSync(workspace.config, settings.replace('workers: 32', 'workers: 1'));
      expect((await post('/-/reload')).status).toBe(200);
      expect(await metric('roundsman_workers')).toBe(1);
    } finally {
      writeFileSync(workspace.config, settings);
      await post('/-/reload');
    }
  }, 60_000);

  it('the next run after a reload uses the new credentials and the new host key', async () => {
    await running();
    const [device] = devices as [FakeDevice];
    inventory(undefined, { fw0: ['credentials: wrong'] });
    await post('/-/reload');
    const { lines } = await workspace.backup('fw0');
    expect(lines.get('fw0')?.error?.code).toBe('login.rejected');
    expect(device.passwordsSeen.at(-1)).toBe('wrong-canary');

    const logins = device.logins;
    inventory(undefined, { fw0: [`host_key: SHA256:${'A'.repeat(43)}`] });
    expect((await post('/-/reload')).status).toBe(200);
    const refused = await workspace.backup('fw0');
    expect(refused.lines.get('fw0')?.error?.code).toBe('connect.host-key-changed');
    expect(device.logins).toBe(logins);

    inventory();
    await post('/-/reload');
    expect((await workspace.backup('fw0')).code).toBe(0);
  }, 60_000);

  it('a hundred reloads in a burst lose no slot', async () => {
    await running();
    expect((await workspace.run(['trust', 'fw4', '--yes'])).code).toBe(0);
    await post('/-/reload', { confirm: true });
    const answers = await Promise.all(Array.from({ length: 100 }, () => post('/-/reload')));
    expect(answers.map(({ status }) => status)).toEqual(Array(100).fill(200));

    writeFileSync(workspace.config, settings.replace('"0 2 * * *"', '"*/30 * * * *"\nsplay: 0s'));
    await post('/-/reload');
    const due = noon + 3_600_000;
    setClock(due - 1_000);
    for (let n = 0; n < 100; n++) {
      daemon?.kill('SIGHUP');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const states = () =>
      database((open) =>
        open.prepare('SELECT state FROM slot WHERE due_at_ms = ? ORDER BY device').all(due),
      ).map(({ state }) => state);
    await until('the slot has its end', () => states().filter((state) => state !== null).length === 5);
    for (const state of states()) expect(['changed', 'unchanged']).toContain(state);
    expect(await metric('roundsman_scheduler_start_delay_seconds_count')).toBeGreaterThanOrEqual(5);
    writeFileSync(workspace.config, settings);
    await post('/-/reload');
  }, 60_000);

  /* ── What it shows ──────────────────────────────────────────────────────────────────────── */

  it('every metric of the definitions is in a scrape, fed by what happened', async () => {
    await running();
    const text = await scrape();
    const absent = everyMetric()
      .map(([name]) => name)
      .filter((name) => !text.includes(`# TYPE ${name} `));
    expect(absent).toEqual([]);
    const promtool = programPath('promtool');
    if (promtool !== null) {
      const checked = spawnSync(promtool, ['check', 'metrics'], { input: text, encoding: 'utf8' });
      expect(checked.stderr).toBe('');
      expect(checked.status).toBe(0);
    }
    for (const stage of ['queue', 'connect', 'login', 'collect', 'verify', 'redact', 'store', 'record']) {
      const series = `roundsman_backup_stage_duration_seconds_count{stage="${stage}"}`;
      expect([stage, await metric(series)]).not.toEqual([stage, 0]);
    }
    expect(await metric('roundsman_log_records_total{level="info"}')).toBeGreaterThan(0);
    expect(await metric('roundsman_audit_chain_length')).toBeGreaterThan(0);
    expect(await metric('roundsman_git_commit_duration_seconds_count')).toBeGreaterThan(0);
    expect(text).not.toContain('canary');
  }, 60_000);

  it('a restart changes no value of a device, and no counter of runs goes back', async () => {
    await running();
    const series = async () =>
      (await scrape())
        .split('\n')
        .filter((line) => /^roundsman_(device_|backup_runs_total|backup_run_failures_total)/.test(line));
    const before = await series();
    expect(await stop('SIGTERM')).toBe(0);
    await start();
    expect(await series()).toEqual(before);
  }, 60_000);

  /* ── Stop ───────────────────────────────────────────────────────────────────────────────── */

  it('the first SIGTERM lets open sessions end, and readiness says so meanwhile', async () => {
    await running();
    devices[0]?.setFaults({ bytesPerSecond: 500 });
    const said = workspace.backup('fw0');
    await until('the session is open', () => (devices[0]?.sessions ?? 0) > 0);
    daemon?.kill('SIGTERM');
    await until('it is stopping', async () => (await ready())?.status === 503);
    expect((await ready())?.reasons).toEqual(['the daemon is stopping']);
    const child = daemon;
    daemon = null;
    const ended = new Promise((resolve) => child?.on('exit', resolve));
    const { code, lines } = await said;
    expect([code, lines.get('fw0')?.error]).toEqual([0, null]);
    expect(await ended).toBe(0);
    expect(existsSync(socketPath)).toBe(false);
    expect(log).toContain('daemon stopped');
  }, 60_000);

  it('the second SIGTERM ends them, and their rows say by what', async () => {
    await start();
    for (const device of devices.slice(0, 2)) device.setFaults({ bytesPerSecond: 100 });
    const said = workspace.backup('fw0', 'fw1');
    await until('both are open', () => devices.slice(0, 2).every(({ sessions }) => sessions > 0));
    daemon?.kill('SIGTERM');
    await until('it is stopping', async () => (await ready())?.status === 503);
    expect(await stop('SIGTERM')).toBe(0);
    const { code, lines } = await said;
    expect(code).not.toBe(0);
    for (const name of ['fw0', 'fw1']) {
      expect(lines.get(name)?.error).toMatchObject({ code: 'run.interrupted', detail: { by: 'signal' } });
      const newest = (await runs(name)).find(({ run_id }) => run_id !== null);
      expect(newest).toMatchObject({ state: 'failed', run_id: lines.get(name)?.run_id });
    }
  }, 60_000);

  it('killed, it closes what it left behind at its next start; its stale socket is in nobody’s way', async () => {
    await start();
    devices[0]?.setFaults({ bytesPerSecond: 100 });
    const said = workspace.backup('fw0');
    await until('the session is open', () => (devices[0]?.sessions ?? 0) > 0);
    await stop('SIGKILL');
    const { code, stderr } = await said;
    expect([code, stderr]).toEqual([1, expect.stringContaining('the daemon ended before it had answered')]);
    expect(existsSync(socketPath)).toBe(true);
    devices[0]?.setFaults({});
    // What a git process that was killed too leaves.
    const lock = join(workspace.repository, 'refs/heads/main.lock');
    writeFileSync(lock, '');
    utimesSync(lock, new Date(noon), new Date(noon));
    const failures = log.split('backup failure').length;
    await start();
    expect(log.split('backup failure').length).toBe(failures + 1);
    const newest = (await runs('fw0')).find(({ run_id }) => run_id !== null);
    expect(newest).toMatchObject({ state: 'failed', error: { code: 'run.interrupted' } });
    devices[0]?.change(asaConfig.replace('198.51.100.80', '198.51.100.81'));
    expect((await workspace.backup('fw0')).lines.get('fw0')?.outcome).toBe('changed');
    expect(existsSync(lock)).toBe(false);
    expect(await metric('roundsman_git_stale_locks_removed_total')).toBe(1);
  }, 60_000);

  it('a log that cannot be written ends no backup, and is counted', async () => {
    expect(await stop('SIGTERM')).toBe(0);
    const full = openSync('/dev/full', 'w');
    try {
      await start(full);
      expect((await workspace.backup('fw0', 'fw1')).code).toBe(0);
      expect(await metric('roundsman_log_dropped_total{sink="console"}')).toBeGreaterThan(0);
      expect((await ready())?.status).toBe(200);
      await stop('SIGTERM');
    } finally {
      closeSync(full);
    }
  }, 60_000);

  it('and never a secret in its log', () => {
    expect(log).not.toContain('canary');
    expect(log).not.toContain('s3cretPeerKey77');
  });
});
