import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { describeWith, programPath } from '../support/system.ts';
import { credentialsYaml, deviceYaml, type Said, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const library = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file));
const password = 'hunter2-canary';
/** Most of it is gone, and it is still well formed. */
const half = asaConfig.replace(/^(interface|object|access-list|tunnel-group|snmp| )[^\n]*\n/gm, '');

interface Status {
  readonly device: string;
  readonly state: string;
  readonly due: string | null;
}

async function startDevices(): Promise<FakeDevice[]> {
  const account = { username: 'backup', password, enable: password };
  return [
    await startFakeDevice({
      ...account,
      platform: 'cisco_asa',
      hostname: 'fw-asa',
      config: asaConfig,
    }),
    await startFakeDevice({
      ...account,
      platform: 'fortinet_fortigate',
      hostname: 'fw-fgt',
      config: fortigateConfig,
    }),
  ];
}

function inventoryOf([asa, fgt]: readonly FakeDevice[]): string {
  const entry = (name: string, platform: string, device: FakeDevice | undefined) =>
    deviceYaml({ name, platform, port: device?.port ?? 1 });
  return `${credentialsYaml}devices:\n${entry('fw1', 'cisco_asa', asa)}${entry('fgt1', 'fortinet_fortigate', fgt)}`;
}

/** Another host that has the settings and the inventory of the first one, and nothing else. */
function otherHost(from: Workspace): Workspace {
  const to = new Workspace();
  for (const name of ['roundsman.yaml', 'devices.yaml'])
    copyFileSync(join(from.dir, name), join(to.dir, name));
  Object.assign(to.env, from.env);
  return to;
}

async function json<Value>(workspace: Workspace, ...args: string[]): Promise<Value> {
  const { stdout, stderr } = await workspace.run([...args, '--json']);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Value;
}

/** What a daemon would take for a state, in this state directory. */
function stateIn(workspace: Workspace): string[] {
  const harmless = ['lock.db', 'lock.db-journal', '.importing'];
  return existsSync(workspace.state)
    ? readdirSync(workspace.state).filter((name) => !harmless.includes(name))
    : [];
}

describe('a collector that moves to another host', () => {
  const a = new Workspace();
  const hosts: Workspace[] = [a];
  const exported = join(a.dir, 'export');
  let devices: FakeDevice[] = [];
  let said: Said;

  function another(): Workspace {
    const host = otherHost(a);
    hosts.push(host);
    return host;
  }

  beforeAll(async () => {
    await a.init();
    Object.assign(a.env, { TEST_PASSWORD: password, TEST_ENABLE: password });
    devices = await startDevices();
    a.inventory(inventoryOf(devices));
    expect((await a.run(['trust', '--all', '--yes'])).code).toBe(0);
    expect((await a.backup()).code).toBe(0);
    // One reading that waits for a person.
    devices[0]?.change(half);
    expect((await a.backup('fw1')).lines.get('fw1')?.outcome).toBe('quarantined');
    devices[0]?.change(asaConfig);
    said = await a.run(['export', exported]);
  }, 60_000);

  afterAll(async () => {
    for (const device of devices) await device.stop();
    for (const host of hosts) host[Symbol.dispose]();
  });

  it('says what is a secret, what is not in the export, and what to compare', () => {
    expect(said.stderr).toBe('');
    expect(said.code).toBe(0);
    expect(said.stdout).toContain(`${exported}/fingerprint.key is the key of every mask in git, a secret`);
    expect(said.stdout).toContain(join(a.dir, 'devices.yaml'));
    expect(said.stdout).toContain('environment variable TEST_PASSWORD');
    expect(said.stdout).toContain('the age identity');
    expect(said.stdout).toMatch(/head [0-9a-f]{64}/);
    expect(readdirSync(exported, { recursive: true })).not.toContain('identity.txt');
    expect(statSync(exported).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(exported, { recursive: true, encoding: 'utf8' })) {
      const { mode } = statSync(join(exported, name));
      expect([name, mode & 0o077]).toEqual([name, 0]);
    }
  });

  it('goes on there: the same history, the same masks, and every copy can be restored', async () => {
    const b = another();
    const imported = await b.run(['import', exported]);
    expect(imported.stderr).toBe('');
    expect(imported.code).toBe(0);
    const [head] = /head [0-9a-f]{64}/.exec(said.stdout) ?? [];
    expect(imported.stdout).toContain(head);
    expect(imported.stdout).toContain(`Nobody knows whether ${hostname()} went on`);

    const key = join(b.dir, 'fingerprint.key');
    expect(readFileSync(key, 'utf8')).toBe(readFileSync(join(a.dir, 'fingerprint.key'), 'utf8'));
    expect(statSync(key).mode & 0o777).toBe(0o600);
    for (const question of [['runs'], ['log', 'fw1'], ['log', 'fgt1'], ['show', 'fw1']])
      expect(await json(b, ...question)).toEqual(await json(a, ...question));
    expect(await b.git('rev-parse', 'main')).toBe(await a.git('rev-parse', 'main'));
    expect(await b.git('fsck', '--full')).toBe('');
    expect(readdirSync(join(b.state, 'spool/quarantine'))).toEqual(
      readdirSync(join(a.state, 'spool/quarantine')),
    );

    const first = await b.run(['restore', 'fw1', '--identity', a.identity]);
    expect(first.code).toBe(0);
    expect(first.stdout).toContain('s3cretPeerKey77');
    const { lines, stderr } = await b.backup();
    const outcomes = [...lines.values()].map(({ device, outcome }) => `${device} ${outcome}`);
    expect(outcomes.toSorted(), stderr).toEqual(['fgt1 unchanged', 'fw1 unchanged']);
  }, 60_000);

  it('records on both sides that it moved, in one chain', async () => {
    const b = another();
    const { chain } = await json<{ chain: { length: number; head: string } }>(b, 'import', exported);
    const records = (workspace: Workspace) => {
      const database = new DatabaseSync(join(workspace.state, 'ledger.db'), { readOnly: true });
      const rows = database.prepare('SELECT record, hash FROM chain ORDER BY n').all();
      database.close();
      return rows.map(({ record, hash }) => [
        String(record),
        Buffer.from(hash as Uint8Array).toString('hex'),
      ]);
    };
    const [before, after] = [records(a), records(b)];
    expect(before).toHaveLength(chain.length);
    expect(before.at(-1)?.[1]).toBe(chain.head);
    expect(after.slice(0, -1)).toEqual(before);
    expect(JSON.parse(before.at(-1)?.[0] ?? '')).toMatchObject({ category: 'export', host: hostname() });
    expect(JSON.parse(after.at(-1)?.[0] ?? '')).toMatchObject({
      category: 'import',
      from_host: hostname(),
      exported_at_ms: (JSON.parse(before.at(-1)?.[0] ?? '') as { at_ms: number }).at_ms,
    });
  }, 30_000);

  /** Files of the export, each changed in one byte or one word. */
  it.each([
    ['ledger.db', 'ledger.db'],
    ['configs.bundle', 'configs.bundle'],
    ['configs.tip', 'configs.tip'],
    ['known_hosts', 'known_hosts'],
    ['fingerprint.key', 'fingerprint.key'],
    ['a sealed copy', 'artefacts'],
    ['a reading in quarantine', 'spool/quarantine'],
  ])(
    'refuses an export in which %s was changed, and names it',
    async (_what, prefix) => {
      const b = another();
      const copy = join(b.dir, 'copy');
      cpSync(exported, copy, { recursive: true });
      const name = readdirSync(copy, { recursive: true, encoding: 'utf8' }).find(
        (path) => path.startsWith(prefix) && statSync(join(copy, path)).isFile(),
      );
      const file = join(copy, name ?? '');
      const bytes = readFileSync(file);
      const at = bytes.length >> 1;
      bytes[at] = bytes[at] === 0x30 ? 0x31 : 0x30;
      writeFileSync(file, bytes);
      const { code, stderr } = await b.run(['import', copy]);
      expect(stderr).toContain(`the export is not as it was written: ${name}:`);
      expect(code).toBe(1);
      expect(stateIn(b)).toEqual([]);
      expect(existsSync(join(b.state, '.importing'))).toBe(false);
      expect(existsSync(join(b.dir, 'fingerprint.key'))).toBe(false);

      rmSync(file);
      expect((await b.run(['import', copy])).stderr).toContain(`${name}:`);
    },
    30_000,
  );

  it.each([
    ['exported_at', '2020-01-01T00:00:00.000Z'],
    ['host', 'elsewhere'],
    ['main', '1'.repeat(40)],
    ['mask_key', 'no such key'],
  ])(
    'refuses a manifest whose %s is not what the chain says',
    async (member, value) => {
      const b = another();
      const copy = join(b.dir, 'copy');
      cpSync(exported, copy, { recursive: true });
      const file = join(copy, 'manifest.json');
      const manifest = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
      writeFileSync(file, JSON.stringify({ ...manifest, [member]: value }));
      const { stderr } = await b.run(['import', copy]);
      expect(stderr).toContain('the export is not as it was written');
      expect(stderr).toContain(member === 'mask_key' ? 'fingerprint.key' : `manifest.json: ${member}`);
      expect(stateIn(b)).toEqual([]);
    },
    30_000,
  );

  it.each([
    ['../../outside', 'leads out of the directory'],
    ['/etc/passwd', 'is no name below it'],
    ['spool/.hidden', 'is no file of an export'],
  ])('refuses a manifest with the file %s, which %s', async (name) => {
    const b = another();
    const copy = join(b.dir, 'copy');
    cpSync(exported, copy, { recursive: true });
    const file = join(copy, 'manifest.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as { files: object };
    writeFileSync(
      file,
      JSON.stringify({ ...manifest, files: { ...manifest.files, [name]: '0'.repeat(64) } }),
    );
    expect((await b.run(['import', copy])).stderr).toContain('manifest.json');
    expect(stateIn(b)).toEqual([]);
  });

  it('refuses an export without a manifest, which was cut short', async () => {
    const b = another();
    const copy = join(b.dir, 'copy');
    cpSync(exported, copy, { recursive: true });
    rmSync(join(copy, 'manifest.json'));
    expect((await b.run(['import', copy])).stderr).toContain('holds no whole export');
  });

  it('joins nothing: a state directory that is not empty is refused and left alone', async () => {
    const b = another();
    mkdirSync(b.state);
    writeFileSync(join(b.state, 'known_hosts'), '# mine\n');
    const { code, stderr } = await b.run(['import', exported]);
    expect(code).toBe(1);
    expect(stderr).toContain('is not empty: it holds known_hosts');
    expect(stateIn(b)).toEqual(['known_hosts']);
    expect(readFileSync(join(b.state, 'known_hosts'), 'utf8')).toBe('# mine\n');
  });

  it('refuses a host that has another fingerprint key, and takes the same one', async () => {
    const b = another();
    const key = join(b.dir, 'fingerprint.key');
    writeFileSync(key, `${'0'.repeat(64)}\n`, { mode: 0o600 });
    const { code, stderr } = await b.run(['import', exported]);
    expect(code).toBe(1);
    expect(stderr).toContain('another fingerprint key');
    expect(stateIn(b)).toEqual([]);
    copyFileSync(join(a.dir, 'fingerprint.key'), key);
    expect((await b.run(['import', exported])).stdout).toContain('has it already');
  });

  it('killed half-way, an import leaves no state, and nothing starts on it until it is done again', async () => {
    const b = another();
    const slow = join(b.dir, 'bin');
    const reached = join(b.dir, 'reached');
    mkdirSync(slow);
    writeFileSync(
      join(slow, 'git'),
      `#!/bin/sh\ncase " $* " in *" fetch "*) : > ${reached}; exec sleep 3;; esac\nexec ${programPath('git')} "$@"\n`,
    );
    chmodSync(join(slow, 'git'), 0o755);
    b.env.PATH = `${slow}:${process.env.PATH}`;
    let pid = 0;
    const killed = b.run(['import', exported], (started) => {
      pid = started;
    });
    while (!existsSync(reached)) await new Promise((resolve) => setTimeout(resolve, 20));
    process.kill(pid, 'SIGKILL');
    await killed;
    expect(stateIn(b).filter((name) => name !== 'lock.json')).toEqual([]);
    delete b.env.PATH;

    const status = await b.run(['status']);
    expect(status.stderr).toContain('was cut short');
    expect(stateIn(b).filter((name) => name !== 'lock.json')).toEqual([]);
    expect((await b.run(['import', exported])).code).toBe(0);
    expect(existsSync(join(b.state, '.importing'))).toBe(false);
    expect(await b.git('rev-parse', 'main')).toBe(await a.git('rev-parse', 'main'));
  }, 30_000);

  it('names sealed copies that were lost before, and moves all the others', async () => {
    const c = another();
    expect((await c.run(['import', exported])).code).toBe(0);
    const [lost = ''] = readdirSync(join(c.state, 'artefacts'), { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.age'),
    );
    rmSync(join(c.state, 'artefacts', lost));
    const again = await c.run(['export', join(c.dir, 'again')]);
    expect(again.code).toBe(0);
    expect(again.stderr).toContain(lost.slice(3, 67));
    const d = another();
    const { code, stderr } = await d.run(['import', join(c.dir, 'again')]);
    expect(code).toBe(0);
    expect(stderr).toContain(lost.slice(3, 67));
  }, 30_000);

  it('overwrites no directory, and leaves none behind where it fails', async () => {
    const full = await a.run(['export', exported]);
    expect(full.code).toBe(1);
    expect(full.stderr).toContain('is not empty');
    expect((await a.run(['export', join(a.state, 'here')])).code).toBe(2);
    const broken = another();
    expect((await broken.run(['import', exported])).code).toBe(0);
    const packs = join(broken.repository, 'objects');
    for (const name of readdirSync(packs, { recursive: true, encoding: 'utf8' })) {
      if (!statSync(join(packs, name)).isFile()) continue;
      chmodSync(join(packs, name), 0o600);
      writeFileSync(join(packs, name), 'damaged');
    }
    const target = join(broken.dir, 'export');
    expect((await broken.run(['export', target])).code).toBe(1);
    expect(existsSync(target)).toBe(false);
  }, 30_000);
});

const minute = 60_000;
const midnight = Date.UTC(2026, 2, 1);

describeWith('faketime', 'the schedule of a collector that moves', () => {
  const a = new Workspace();
  const hosts: Workspace[] = [a];
  const clockFile = join(a.dir, 'clock');
  const exported = join(a.dir, 'export');
  let devices: FakeDevice[] = [];
  let daemon: ChildProcess | null = null;
  let log = '';

  beforeAll(async () => {
    await a.init();
    Object.assign(a.env, {
      TEST_PASSWORD: password,
      TEST_ENABLE: password,
      LD_PRELOAD: library ?? '',
      FAKETIME_TIMESTAMP_FILE: clockFile,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      TZ: 'UTC',
    });
    devices = await startDevices();
    a.inventory(inventoryOf(devices));
    const settings = readFileSync(a.config, 'utf8');
    writeFileSync(
      a.config,
      `${settings}\nschedule: "0 * * * *"\nsplay: 0s\ncatch_up_spread: 1s\nhttp: { listen: 127.0.0.1:9741 }\n`,
    );
    setClock(midnight + 30 * minute);
    expect((await a.run(['trust', '--all', '--yes'])).code).toBe(0);
  }, 60_000);

  afterAll(async () => {
    await stop();
    for (const device of devices) await device.stop();
    for (const host of hosts) host[Symbol.dispose]();
  });

  function setClock(atMs: number): void {
    writeFileSync(clockFile, `${((atMs - Date.now()) / 1000).toFixed(3)}\n`.replace(/^(?!-)/, '+'));
  }

  async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + 40_000;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`never came true: ${what}\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async function start(host: Workspace): Promise<void> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, 'daemon'], {
      env: { PATH, HOME, ...host.env, ROUNDSMAN_CONFIG: host.config },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    daemon = child;
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      log += piece;
    });
    await until('the daemon is ready', async () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${log}`);
      const answer = await fetch('http://127.0.0.1:9741/-/ready').catch(() => null);
      return answer?.status === 200;
    });
  }

  async function stop(): Promise<void> {
    const child = daemon;
    daemon = null;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  /** `fw1 01:00 changed`, `fgt1 02:00 missed{collector_down}`, … */
  function slots(host: Workspace): string[] {
    const database = new DatabaseSync(join(host.state, 'ledger.db'), { readOnly: true });
    const rows = database.prepare('SELECT * FROM slot ORDER BY device DESC, due_at_ms').all();
    database.close();
    return rows.map(({ device, due_at_ms, state, cause, count }) => {
      const at = new Date(Number(due_at_ms)).toISOString().slice(11, 16);
      const more = count === 1 ? '' : ` x${String(count)}`;
      return `${String(device)} ${at}${more} ${String(state)}${cause === null ? '' : `{${String(cause)}}`}`;
    });
  }

  async function dues(host: Workspace): Promise<Record<string, string>> {
    const list = await json<Status[]>(host, 'status');
    return Object.fromEntries(list.map(({ device, due }) => [device, due?.slice(11, 16) ?? 'never']));
  }

  it('is not exported while a daemon keeps it', async () => {
    setClock(midnight + 40 * minute);
    await devices[1]?.stop();
    await start(a);
    setClock(midnight + 60 * minute - 2_000);
    await until(
      'both slots of 01:00 have their end',
      () => slots(a).filter((slot) => !slot.includes('null')).length === 2,
    );
    expect(slots(a)).toEqual(['fw1 01:00 changed', 'fgt1 01:00 failed{connect.refused}']);
    const { code, stderr } = await a.run(['export', exported]);
    expect(code).toBe(1);
    expect(stderr).toContain(`pid ${daemon?.pid}`);
    expect(stderr).toContain('stop it');
    expect(existsSync(exported)).toBe(false);
    await stop();
  }, 60_000);

  it('makes no slot of the time in between, and leaves overdue what was overdue', async () => {
    setClock(midnight + 70 * minute);
    expect((await a.run(['export', exported])).code).toBe(0);
    const before = await dues(a);
    expect(before.fgt1).toBe('02:00');

    setClock(midnight + 320 * minute);
    const b = otherHost(a);
    hosts.push(b);
    const imported = await json<{ gap_ms: number }>(b, 'import', exported);
    expect(Math.round(imported.gap_ms / minute)).toBe(250);
    expect(await dues(b)).toEqual({ fw1: '07:00', fgt1: '02:00' });

    setClock(midnight + 330 * minute);
    log = '';
    await start(b);
    setClock(midnight + 6 * 60 * minute - 2_000);
    await until('fw1 was read at 06:00', () => slots(b).includes('fw1 06:00 unchanged'));
    await until('fgt1 was tried at 06:00', () => slots(b).includes('fgt1 06:00 failed{connect.refused}'));
    await stop();
    expect(slots(b)).toEqual([
      'fw1 01:00 changed',
      'fw1 06:00 unchanged',
      'fgt1 01:00 failed{connect.refused}',
      'fgt1 06:00 failed{connect.refused}',
    ]);
    expect(await dues(b)).toEqual({ fw1: '08:00', fgt1: '02:00' });
    expect(log).not.toContain('missed');
  }, 120_000);

  it('takes along what passed before the export without a daemon, and answers from the import on', async () => {
    setClock(midnight + 210 * minute);
    const second = join(a.dir, 'second');
    const said = await a.run(['export', second]);
    expect(said.stdout).toContain('4 slots had passed while no daemon ran');
    expect(said.stderr.split('\n').filter((line) => line.includes('outcome=missed'))).toHaveLength(4);

    setClock(midnight + 320 * minute);
    const c = otherHost(a);
    hosts.push(c);
    expect((await c.run(['import', second])).code).toBe(0);
    expect(await dues(c)).toEqual({ fw1: '03:00', fgt1: '02:00' });
    setClock(midnight + 380 * minute);
    await start(c);
    await until('the catch-up of fw1 is over', async () => (await dues(c)).fw1 === '08:00');
    await stop();
    const missed = (hours: readonly string[]) => hours.map((at) => `${at} missed{collector_down}`);
    expect(slots(c)).toEqual([
      'fw1 01:00 changed',
      ...missed(['fw1 02:00', 'fw1 03:00', 'fw1 06:00']),
      'fgt1 01:00 failed{connect.refused}',
      ...missed(['fgt1 02:00', 'fgt1 03:00', 'fgt1 06:00']),
    ]);
  }, 120_000);

  it('refuses an import on a host whose clock is behind', async () => {
    setClock(midnight + 60 * minute);
    const d = otherHost(a);
    hosts.push(d);
    const { code, stderr } = await d.run(['import', exported]);
    expect(code).toBe(1);
    expect(stderr).toContain('set the clock of this host');
    expect(stateIn(d)).toEqual([]);
  }, 30_000);
});
