import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { describeMounting, Tmpfs } from '../support/mount.ts';
import { fortigateConfig } from '../support/samples.ts';
import { programPath } from '../support/system.ts';
import { type BackupLine, credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const withTimezone = (zone: string) => fortigateConfig.replace('Europe/Berlin', zone);

/** The daemon as it is, on a disk of its own that things happen to. It is never started again within a test. */
describeMounting('a daemon whose disk fails', () => {
  const workspace = new Workspace();
  const disk = new Tmpfs('24m');
  const state = join(disk.dir, 'state');
  const repository = join(state, 'configs.git');
  const fill = join(disk.dir, 'fill');
  const devices: FakeDevice[] = [];
  let tcp = '';
  let log = '';
  let daemon: ChildProcess | null = null;

  beforeAll(async () => {
    await workspace.init();
    Object.assign(workspace.env, { TEST_PASSWORD: 'hunter2', TEST_ENABLE: 'hunter2' });
    let inventory = `${credentialsYaml.replace('readonly:', 'readonly:\n    logins_per_second: 100')}devices:\n`;
    for (const name of ['fw1', 'fw2']) {
      const device = await startFakeDevice({
        ...{ platform: 'fortinet_fortigate', config: fortigateConfig, hostname: name },
        ...{ username: 'backup', password: 'hunter2' },
      });
      devices.push(device);
      const { port, fingerprint: hostKey } = device;
      inventory += deviceYaml({ name, platform: 'fortinet_fortigate', port, hostKey });
    }
    workspace.inventory(inventory);
    const port = await freePort();
    tcp = `http://127.0.0.1:${port}`;
    const settings = readFileSync(workspace.config, 'utf8').replace(/^state_dir:.*$/m, `state_dir: ${state}`);
    writeFileSync(
      workspace.config,
      `${settings}\nschedule: "0 2 * * *"\nhttp: { listen: 127.0.0.1:${port} }\n`,
    );
    await start();
    const { code, stderr } = await workspace.backup();
    expect(code, stderr).toBe(0);
  }, 60_000);

  afterEach(async () => {
    writable();
    rmSync(fill, { force: true });
    // Whatever happened: the history is whole, and says of every run the same as the ledger.
    git('fsck', '--full', '--strict', '--no-dangling');
    await until('nothing waits', async () => (await metric('roundsman_spool_entries')) === 0);
    expect(ledger(`SELECT * FROM run WHERE state = 'running'`)).toEqual([]);
    const committed = git('log', '--format=%H %(trailers:key=Run-Id,valueonly,separator=%x20)', 'main').split(
      '\n',
    );
    const changed = ledger(`SELECT commit_id || ' ' || id AS line FROM run WHERE state = 'changed'`);
    expect(changed.map(({ line }) => line).sort()).toEqual(committed.sort());
  }, 60_000);

  afterAll(async () => {
    await end();
    for (const device of devices) await device.stop();
    disk[Symbol.dispose]();
    workspace[Symbol.dispose]();
  });

  async function start(...under: readonly string[]): Promise<void> {
    const { PATH = '', HOME = '' } = process.env;
    const [file = process.execPath, ...args] = [...under, process.execPath, program, 'daemon'];
    const child = spawn(file, args, {
      env: { PATH, HOME, ...workspace.env, ROUNDSMAN_CONFIG: workspace.config },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      log += piece;
    });
    daemon = child;
    await until('the daemon is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${log}`);
      return (await ready()).status === 200;
    });
  }

  function end(): Promise<number | null> {
    const child = daemon;
    daemon = null;
    if (child === null || child.exitCode !== null) return Promise.resolve(child?.exitCode ?? null);
    return new Promise((resolve) => {
      child.on('exit', resolve);
      child.kill('SIGTERM');
    });
  }

  async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 40_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${log.slice(-4_000)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async function ready(): Promise<{ status: number; text: string }> {
    const answer = await fetch(`${tcp}/-/ready`).catch(() => null);
    return { status: answer?.status ?? 0, text: (await answer?.text()) ?? '' };
  }

  async function metric(series: string): Promise<number | null> {
    const text = await fetch(`${tcp}/metrics`).then((answer) => answer.text());
    const line = text.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? null : Number(line.slice(series.length + 1));
  }

  function git(...args: string[]): string {
    const safe = ['-c', `safe.directory=${repository}`, '--git-dir', repository];
    return execFileSync('git', [...safe, ...args], { encoding: 'utf8', stdio: 'pipe' }).trimEnd();
  }

  function ledger(sql: string): Record<string, unknown>[] {
    const open = new DatabaseSync(join(state, 'ledger.db'), { readOnly: true });
    try {
      return open.prepare(sql).all();
    } finally {
      open.close();
    }
  }

  async function backup(name: string): Promise<BackupLine> {
    const { lines, stderr } = await workspace.backup(name);
    const line = lines.get(name);
    if (line === undefined) throw new Error(stderr);
    return line;
  }

  /** Takes the read-only mount above the state away, where there is one. */
  const writable = () => spawnSync('umount', ['-l', state]);
  const [pathOf, textOf] = [
    (name: string) =>
      git('ls-tree', '-r', '--name-only', 'main')
        .split('\n')
        .find((path) => path.includes(name)) ?? '',
    (name: string) => git('show', `main:${pathOf(name)}`),
  ];
  const spooled = () => readdirSync(join(state, 'spool')).filter((name) => name.endsWith('.json'));
  const objectFile = (id: string) => join(repository, 'objects', id.slice(0, 2), id.slice(2));
  const logins = (device = devices[0]) => device?.displayed.length ?? 0;

  it('a full disk: runs fail with the reason before a device is asked for anything, and the next ones are as ever', async () => {
    const before = textOf('fw1');
    devices[0]?.change(withTimezone('Europe/Paris'));
    const asked = logins();
    disk.fill();
    const failed = await backup('fw1');
    expect(failed.outcome).toBe('failed');
    expect(failed.error?.code).toBe('store.disk-full');
    // No run without its row: what cannot be written down is not begun.
    expect(logins()).toBe(asked);
    expect(textOf('fw1')).toBe(before);
    rmSync(fill);
    expect((await backup('fw1')).outcome).toBe('changed');
    expect(textOf('fw1')).toContain('Europe/Paris');
  }, 60_000);

  it('a disk that fills while a device is being read: the run fails, and its row is closed when there is room again', async () => {
    devices[0]?.change(withTimezone('Europe/Rome'));
    devices[0]?.setFaults({ bytesPerSecond: 4_000 });
    const failing = backup('fw1');
    await until('a session is open', () => (devices[0]?.sessions ?? 0) > 0);
    disk.fill();
    const failed = await failing;
    devices[0]?.setFaults({});
    expect(failed.error?.code).toBe('store.disk-full');
    expect(textOf('fw1')).toContain('Europe/Paris');
    rmSync(fill);
    await until('its row is closed', () => ledger(`SELECT 1 FROM run WHERE state = 'running'`).length === 0);
    expect((await backup('fw1')).outcome).toBe('changed');
    expect(textOf('fw1')).toContain('Europe/Rome');
  }, 90_000);

  it('a repository that takes nothing: the spool grows and says so, and is stored in order, once each, without a restart', async () => {
    const lock = join(repository, 'refs/heads/main.lock');
    writeFileSync(lock, '');
    const zones = ['Asia/Tokyo', 'Asia/Dubai', 'Asia/Seoul'];
    for (const zone of zones) {
      devices[0]?.change(withTimezone(zone));
      const failed = await backup('fw1');
      expect(failed.error?.code).toBe('store.locked');
    }
    expect(await metric('roundsman_spool_entries')).toBe(3);
    expect(await metric('roundsman_spool_oldest_timestamp_seconds')).toBeGreaterThan(Date.now() / 1000 - 60);
    expect(await metric('roundsman_git_commit_failures_total{reason="lock"}')).toBeGreaterThan(2);
    await until('it is said', () => log.includes('readings wait for the repository'));
    rmSync(lock);
    await until('nothing waits', () => spooled().length === 0);
    const stored = git('log', '-3', '--reverse', '--format=%H', '--', pathOf('fw1')).split('\n');
    expect(
      stored.map((commit) => /set timezone "(.*?)"/.exec(git('show', `${commit}:${pathOf('fw1')}`))?.[1]),
    ).toEqual(zones);
    expect(log).toContain('readings that waited are stored');
    expect((await backup('fw1')).outcome).toBe('unchanged');
  }, 90_000);

  it('what waits is stored before what is read next, whoever is faster', async () => {
    const lock = join(repository, 'refs/heads/main.lock');
    writeFileSync(lock, '');
    devices[0]?.change(withTimezone('Africa/Cairo'));
    expect((await backup('fw1')).error?.code).toBe('store.locked');
    rmSync(lock);
    devices[0]?.change(withTimezone('Africa/Tunis'));
    expect((await backup('fw1')).outcome).toBe('changed');
    const stored = git('log', '-2', '--reverse', '--format=%H', '--', pathOf('fw1')).split('\n');
    expect(
      stored.map((commit) => /set timezone "(.*?)"/.exec(git('show', `${commit}:${pathOf('fw1')}`))?.[1]),
    ).toEqual(['Africa/Cairo', 'Africa/Tunis']);
  }, 60_000);

  it('a disk that becomes read-only: runs fail with the reason, readiness says so, and both come back', async () => {
    // What a process has open for writing keeps a mount from being read-only; one above it does not.
    execFileSync('mount', ['--bind', state, state], { stdio: 'pipe' });
    execFileSync('mount', ['-o', 'remount,bind,ro', state], { stdio: 'pipe' });
    const failed = await backup('fw1');
    expect(failed.error?.code).toBe('store.read-only');
    await until('it is not ready', async () => (await ready()).text.includes('read-only'));
    writable();
    await until('it is ready', async () => (await ready()).status === 200);
    expect((await backup('fw1')).outcome).toBe('unchanged');
  }, 150_000);

  it('an emptied main: the next backup goes on from what was acknowledged, and the audit chain has it', async () => {
    const tip = git('rev-parse', 'main');
    writeFileSync(join(repository, 'refs/heads/main'), '');
    devices[1]?.change(withTimezone('Europe/Oslo'));
    const { commit, outcome } = await backup('fw2');
    expect(outcome).toBe('changed');
    expect(git('rev-parse', `${commit}^`)).toBe(tip);
    const records = ledger(`SELECT record FROM chain WHERE category = 'repository-mended'`);
    expect(records.map(({ record }) => JSON.parse(String(record)))).toContainEqual(
      expect.objectContaining({
        what: 'main',
        commit: tip,
        from: expect.stringMatching(/reflog|acknowledged/),
      }),
    );
    expect(log).toContain('the repository was repaired');
  }, 60_000);

  it('a damaged object of one device: the others go on, and its next backup stores the text again', async () => {
    const blob = git('rev-parse', `main:${pathOf('fw1')}`);
    const before = textOf('fw1');
    chmodSync(objectFile(blob), 0o600);
    writeFileSync(objectFile(blob), '');
    devices[1]?.change(withTimezone('Europe/Riga'));
    expect((await backup('fw2')).outcome).toBe('changed');
    expect((await backup('fw1')).outcome).toBe('changed');
    expect(textOf('fw1')).toBe(before);
    expect((await backup('fw1')).outcome).toBe('unchanged');
  }, 60_000);

  const prlimit = programPath('prlimit');
  it.skipIf(prlimit === null)(
    'no file left to open: runs fail with a reason, the daemon lives, and goes on when there are some again',
    async () => {
      const pid = String(daemon?.pid);
      execFileSync(prlimit ?? '', ['--pid', pid, '--nofile=24:']);
      const failures = await Promise.all(['fw1', 'fw2'].map((name) => workspace.backup(name)));
      expect(failures.map(({ code }) => code)).not.toContain(0);
      expect(daemon?.exitCode).toBeNull();
      execFileSync(prlimit ?? '', ['--pid', pid, '--nofile=1024:']);
      await until('it is ready', async () => (await ready()).status === 200);
      expect((await backup('fw1')).error).toBeNull();
      expect((await backup('fw2')).error).toBeNull();
    },
    90_000,
  );

  it('started with a repository that cannot be used, it collects, and stores when that is healed', async () => {
    expect(await end()).toBe(0);
    const objects = join(repository, 'objects');
    execFileSync('mv', [objects, `${objects}-away`]);
    mkdirSync(objects);
    await start();
    devices[0]?.change(withTimezone('Asia/Amman'));
    expect((await backup('fw1')).error?.code).toBe('store.git-failed');
    expect(spooled()).toHaveLength(1);
    rmSync(objects, { recursive: true });
    execFileSync('mv', [`${objects}-away`, objects]);
    await until('nothing waits', () => spooled().length === 0);
    expect(textOf('fw1')).toContain('Asia/Amman');
  }, 120_000);
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
