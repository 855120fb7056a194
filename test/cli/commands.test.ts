import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { DeviceStatus, HostKey, OfferedKeys, RunsFilter, Services } from '../../src/cli/services.ts';
import { BackupError, InvalidConfiguration, OperationError } from '../../src/core/errors.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import {
  call,
  changed,
  device,
  ended,
  held,
  hostKey,
  nowMs,
  offer,
  rejected,
  runRow,
  shrunk,
  unchanged,
  version,
} from './fake-services.ts';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});
function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-cli-'));
  dirs.push(dir);
  return dir;
}

const commands = [
  'init',
  'check',
  'trust',
  'backup',
  'status',
  'runs',
  'log',
  'show',
  'diff',
  'accept',
  'restore',
  'token',
];

describe('help', () => {
  test.each(['', ...commands])('of "%s" has examples, and each of them parses', async (command) => {
    const { stdout, exitCode } = await call([...(command === '' ? [] : [command]), '--help']);
    expect(exitCode).toBe(0);
    const examples = [...stdout.matchAll(/^ {2}\$ roundsman (.*)$/gm)].map((match) => match[1] ?? '');
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      const argv = example.split(' > ')[0]?.split(' ') ?? [];
      const called = await call(argv, { tty: 80, services: { restore: () => Promise.resolve(null) } });
      // The words may be unknown to the fake; options and number of arguments are not.
      expect(called.options, `${example}\n${called.stderr}`).toHaveLength(1);
      expect(called.stderr).not.toContain('unexpected');
    }
  });

  test('every artefact in an example is one that a driver makes', async () => {
    const names = [...(await loadDrivers()).values()].flatMap(({ commands: asked }) =>
      asked.flatMap(({ name, keep }) => (keep === 'artefact' ? [name] : [])),
    );
    const shown: string[] = [];
    for (const command of commands) {
      const { stdout } = await call([command, '--help']);
      for (const [, name = ''] of stdout.matchAll(/^ {2}\$ .*--artefact (\S+)/gm)) shown.push(name);
    }
    expect(shown.length).toBeGreaterThan(0);
    expect(shown.filter((name) => !names.includes(name))).toEqual([]);
  });

  test('every command takes --config and --json', async () => {
    for (const command of commands) {
      const { stdout } = await call([command, '--help']);
      expect(stdout).toContain('--config <file>');
      expect(stdout).toContain('--json');
    }
  });

  test('without a command, the page goes to standard error and the exit code is 2', async () => {
    const { exitCode, stdout, stderr } = await call([]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('Usage: roundsman');
  });

  test('--version prints the version', async () => {
    expect(await call(['--version'])).toMatchObject({ exitCode: 0, stdout: '1.2.3\n' });
  });
});

describe('wrong calls', () => {
  test.each([
    [['bakup'], "unknown command 'bakup'", 'Did you mean backup?'],
    [['backup', '--gruop', 'hq'], "unknown option '--gruop'", 'Did you mean --group?'],
    [['backup', 'fwl'], 'there is no device "fwl"', 'did you mean "fw1"'],
    [['backup', '--group', 'hg'], 'there is no group "hg"', 'did you mean "hq"'],
    [['backup', 'fw1', '--group', 'hq'], 'devices and a group are both named', '--group'],
    [['backup', 'old-box'], 'old-box is disabled', 'enabled: true'],
    [['status', 'x', 'y'], 'there is no device "x", "y"', 'roundsman status'],
    [['log'], "missing required argument 'name'", 'roundsman log --help'],
    [['log', 'fw1', 'fw2'], 'too many arguments', 'roundsman log --help'],
    [
      ['log', 'fw1', '--artefact', 'runing-config'],
      'no artefact "runing-config"',
      'did you mean "running-config"',
    ],
    [['runs', '--since', 'yesterday'], '--since "yesterday" is not a time', '--since 2d'],
    [['runs', '--until', '2026-02-30T00:00:00Z'], 'is not a time', '--until'],
    [['runs', 'fw9zzzz'], 'there is no device', 'roundsman status'],
    [['show', 'fw1', 'ffff9999'], 'fw1 has no version "ffff9999"', 'roundsman log fw1'],
    [['restore', 'fw1'], "required option '--identity <file>'", 'roundsman restore --help'],
    [['trust'], 'no device is named', '--all'],
    [['trust', 'fw1', '--all'], 'more than one way', '--group'],
    [['init', '--config', 'x.yaml'], 'init writes settings', 'directory'],
  ])('%j exits with 2 and names the next step', async (argv, message, todo) => {
    const { exitCode, stdout, stderr } = await call(argv);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(/^roundsman: /);
    expect(stderr).toContain(message);
    expect(stderr.split('\n')[1]).toMatch(/^ {2}→ /);
    expect(stderr).toContain(todo);
  });

  test('hostile words are not echoed raw', async () => {
    const { stderr } = await call(['backup', 'fw\x1b[31m\u202e\n']);
    expect(stderr).not.toMatch(/[\x1b\u202e]/);
    expect(stderr).toContain('\\x1b[31m');
  });

  test('under --json the error is one line of JSON on standard error, and standard output stays empty', async () => {
    const { exitCode, stdout, stderr } = await call(['backup', 'fwl', '--json']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'usage',
        message: 'there is no device "fwl"',
        todo: 'did you mean "fw1"? `roundsman status` lists every device',
      },
    });
  });
});

describe('what goes wrong below', () => {
  const problems = [
    {
      file: 'devices.yaml',
      path: 'devices[0].platform',
      line: 7,
      message: 'expected a platform',
      nearest: 'cisco_asa',
    },
    { file: 'roundsman.yaml', path: '', line: null, message: 'not readable', nearest: null },
  ];
  const invalid = (): Promise<never> => Promise.reject(new InvalidConfiguration(problems));

  test('an invalid configuration shows every problem with its place, and a count; exit code 2', async () => {
    const { exitCode, stderr } = await call(['status'], { services: { fleet: invalid } });
    expect(exitCode).toBe(2);
    expect(stderr.split('\n')).toEqual([
      'devices.yaml:7: devices[0].platform: expected a platform (did you mean "cisco_asa"?)',
      'roundsman.yaml: not readable',
      'roundsman: the configuration cannot be used: 2 problems',
      '  → correct every line above, then run `roundsman check`',
      '',
    ]);
  });

  test('check --json gives the problems on standard output', async () => {
    const { exitCode, stdout } = await call(['check', '--json'], { services: { check: invalid } });
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toEqual({ valid: false, problems });
  });

  test('an operation that fails exits with 1', async () => {
    const init = (): Promise<never> =>
      Promise.reject(new OperationError('it exists', 'name another directory'));
    expect(await call(['init'], { services: { init } })).toMatchObject({
      exitCode: 1,
      stderr: 'roundsman: it exists\n  → name another directory\n',
    });
  });

  test('a storage failure exits with 1 and has its code under --json', async () => {
    const runs = (): Promise<never> =>
      Promise.reject(new BackupError('store.permission', { path: '/var/lib/x' }));
    const { exitCode, stderr } = await call(['runs', '--json'], { services: { runs } });
    expect(exitCode).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'store.permission', stage: 'store', detail: { path: '/var/lib/x' } },
    });
  });

  test('a defect exits with 1 and shows its stack', async () => {
    const fleet = (): Promise<never> => Promise.reject(new TypeError('x is not\x1b a function'));
    const { exitCode, stderr } = await call(['status'], { services: { fleet } });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('unexpected error: "TypeError: x is not\\x1b a function"');
    expect(stderr).toMatch(/\n {4}at /);
  });

  test('services are disposed of, also after a failure', async () => {
    let disposed = 0;
    const services = {
      fleet: (): Promise<never> => Promise.reject(new OperationError('no', 'no')),
      [Symbol.asyncDispose]: () => Promise.resolve(void disposed++),
    };
    await call(['status'], { services });
    expect(disposed).toBe(1);
  });

  test('an interrupted command exits with 130', async () => {
    const interruption = new AbortController();
    const backup = (): Promise<[]> => {
      interruption.abort();
      return Promise.resolve([]);
    };
    const around = { services: { backup }, signal: interruption.signal };
    expect((await call(['backup'], around)).exitCode).toBe(130);
  });

  test('a command that fails because it was interrupted exits with 130 as well', async () => {
    const interruption = new AbortController();
    const backup = (): Promise<never> => {
      interruption.abort();
      return Promise.reject(new Error('aborted'));
    };
    const around = { services: { backup }, signal: interruption.signal };
    expect(await call(['backup'], around)).toMatchObject({ exitCode: 130, stderr: '' });
  });
});

describe('options of every command', () => {
  test('--config is handed on; none means the usual places', async () => {
    expect((await call(['status', '--config', 'x.yaml'])).options[0]?.configFile).toBe('x.yaml');
    expect((await call(['status'])).options[0]?.configFile).toBe(null);
  });

  test('log lines are kept off a terminal', async () => {
    expect((await call(['backup'], { tty: 80 })).options[0]?.logLines).toBe(false);
    expect((await call(['backup'])).options[0]?.logLines).toBe(true);
  });
});

describe('backup', () => {
  const bad = [
    ended('fw1', changed),
    ended('fw2', { outcome: 'failed', failure: rejected }),
    ended('fw3', { outcome: 'quarantined', failure: shrunk }),
    ended('fw4', unchanged),
  ];
  const services = {
    backup(
      _devices: readonly string[],
      { onEvent }: { onEvent: (event: { type: 'ended'; ended: (typeof bad)[0] }) => void },
    ) {
      for (const one of bad) onEvent({ type: 'ended', ended: one });
      return Promise.resolve(bad);
    },
  };

  test('reads every enabled device when none is named', async () => {
    const asked: string[][] = [];
    const backup = (devices: readonly string[]): Promise<[]> => {
      asked.push([...devices]);
      return Promise.resolve([]);
    };
    await call(['backup'], { services: { backup } });
    await call(['backup', '--group', 'hq'], { services: { backup } });
    await call(['backup', 'fw2', 'fw1', 'fw2'], { services: { backup } });
    expect(asked).toEqual([['fw1', 'fw2'], ['fw1'], ['fw1', 'fw2']]);
  });

  test('exits with 0 where all are good, with 3 where one is not', async () => {
    expect((await call(['backup'])).exitCode).toBe(0);
    expect((await call(['backup'], { services })).exitCode).toBe(3);
  });

  test('--json is a line per device, with the fields that scripts hold on to', async () => {
    const { stdout } = await call(['backup', '--json'], { services });
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(4);
    expect(lines[0]).toEqual({
      device: 'fw1',
      platform: 'cisco_asa',
      run_id: 'run-of-fw1',
      under_new_rules: false,
      outcome: 'changed',
      commit: 'c0ffee'.padEnd(40, '0'),
      restorable: 'yes',
      artefacts: [
        { name: 'running-config', path: 'default/fw1/running-config.cfg', bytes: 2_048, changed: true },
      ],
      duration_ms: 1_500,
      error: null,
    });
    expect(lines[1]).toMatchObject({ outcome: 'failed', commit: null, restorable: null });
    expect(Object.keys(lines[1].error)).toEqual(['code', 'stage', 'message', 'todo', 'detail']);
    expect(lines[2].error.todo).toContain('`roundsman diff fw3 run-of-fw3`');
  });

  test('the summary names each failure, what to do, and the counts', async () => {
    const { stdout } = await call(['backup'], { services });
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toContain('fw1  changed  +12 -3  c0ffee0000  2.0 KiB  1.5 s');
    const failure = lines.findIndex((line) => line.startsWith('fw2: failed: the device rejected the login'));
    expect(lines[failure + 1]).toMatch(/^ {2}→ correct the password/);
    expect(stdout).toContain(
      'fw3: quarantined: running-config shrank from 100 lines to 10, without router bgp 1',
    );
    expect(lines.at(-1)).toBe('4 devices in 0 ms: 1 changed, 1 unchanged, 1 quarantined, 1 failed');
  });

  test.each([
    [['backup'], 80],
    [['backup'], undefined],
    [['backup', '--json'], undefined],
  ])(
    'what deserves a look in the configuration is said once on standard error (%j, terminal: %s)',
    async (argv, tty) => {
      const fleet = async () => ({
        devices: [device('fw1'), device('fw2')],
        groups: ['default'],
        gone: [],
        warnings: [
          { file: 'devices.yaml', line: 3, path: 'credentials.a', message: 'bad\x1b[2J', nearest: null },
        ],
      });
      const { stdout, stderr } = await call(argv, {
        services: { fleet },
        ...(tty === undefined ? {} : { tty }),
      });
      expect(stderr.split('warning: ')).toHaveLength(2);
      expect(stderr).toMatch(/^warning: devices.yaml:3: credentials.a: bad\\x1b\[2J$/m);
      expect(stdout).not.toContain('warning');
    },
  );

  test('a copy that does not restore says so', async () => {
    const partial = {
      ...ended('fw1', changed),
      restorable: 'partial' as const,
      restorableBecause: 'keys are starred',
    };
    const { stdout } = await call(['backup'], { services: { backup: () => Promise.resolve([partial]) } });
    expect(stdout).toContain('fw1: restorable: partial: keys are starred');
  });
});

describe('status', () => {
  const ok = {
    device: 'fw1',
    platform: 'cisco_asa',
    group: 'hq',
    state: 'ok' as const,
    restorable: 'yes' as const,
    restorableBecause: null,
    facts: null as DeviceStatus['facts'],
    archives: [] as DeviceStatus['archives'],
    lastSuccessMs: nowMs - 3_600_000,
    lastAttemptMs: nowMs - 3_600_000,
    nextRunMs: null,
    dueMs: null,
    consecutiveFailures: 0,
    failure: null,
    runId: 'r1',
  };
  const failing = {
    ...ok,
    device: 'fw2',
    state: 'failing' as const,
    consecutiveFailures: 3,
    failure: rejected,
  };

  test('exits with 3 where a device is not ok; disabled ones do not count', async () => {
    const of = (...all: (typeof ok | typeof failing)[]) => ({
      services: { status: () => Promise.resolve(all) },
    });
    expect((await call(['status'], of(ok))).exitCode).toBe(0);
    expect((await call(['status'], of(ok, { ...ok, state: 'disabled' as 'ok' }))).exitCode).toBe(0);
    expect((await call(['status'], of(ok, failing))).exitCode).toBe(3);
    expect((await call(['status', '--json'], of(ok, failing))).exitCode).toBe(3);
  });

  test('--json has the fields of the contract', async () => {
    const { stdout } = await call(['status', '--json'], {
      services: { status: () => Promise.resolve([ok, failing]) },
    });
    const [first, second] = JSON.parse(stdout);
    expect(first).toEqual({
      device: 'fw1',
      platform: 'cisco_asa',
      group: 'hq',
      state: 'ok',
      restorable: 'yes',
      restorable_because: null,
      facts: null,
      archives: [],
      last_success: '2026-03-01T01:00:00.000Z',
      last_attempt: '2026-03-01T01:00:00.000Z',
      next_run: null,
      due: null,
      consecutive_failures: 0,
      error: null,
    });
    expect(second.error.code).toBe('login.rejected');
  });

  const told: DeviceStatus = {
    ...ok,
    restorable: 'partial',
    restorableBecause: 'the account sees \x1b[31ma part',
    facts: {
      ...{ hostname: 'lb1.example', version: '17.1.1', model: 'BIG-IP VE', serial: 'A1' },
      partners: ['S2'],
      ...{ ha: 'ACTIVE', standby: false, sync: 'In Sync', unsaved: true },
    },
    archives: [
      {
        name: 'ucs',
        lastSuccessMs: nowMs - 86_400_000,
        lastAttemptMs: nowMs - 3_600_000,
        failure: { code: 'store.disk-full', detail: { path: '/var', freeBytes: 0 } },
      },
    ],
  };

  test('--json tells of the device, of its worth and of its archives', async () => {
    const { stdout, exitCode } = await call(['status', '--json'], {
      services: { status: () => Promise.resolve([told]) },
    });
    const [one] = JSON.parse(stdout);
    expect(exitCode).toBe(0);
    expect(one.facts).toEqual({
      ...{ hostname: 'lb1.example', version: '17.1.1', model: 'BIG-IP VE', serial: 'A1' },
      partner_serials: ['S2'],
      ...{ ha: 'ACTIVE', sync: 'In Sync', unsaved: true },
    });
    expect(one.restorable_because).toBe('the account sees \x1b[31ma part');
    expect(one.archives).toMatchObject([
      {
        ...{
          name: 'ucs',
          last_success: '2026-02-28T02:00:00.000Z',
          last_attempt: '2026-03-01T01:00:00.000Z',
        },
        error: { code: 'store.disk-full', stage: 'store' },
      },
    ]);
  });

  test('a note says what deserves a look, where there is room and something to say', async () => {
    const noted = async (tty: number, all: DeviceStatus[]) =>
      (await call(['status'], { tty, env: { NO_COLOR: '1' }, services: { status: async () => all } })).stdout;
    const wide = await noted(200, [told, ok]);
    expect(wide).toContain('NOTE');
    expect(wide).toContain('unsaved changes; no ucs; partial: the account sees \\x1b[31ma part');
    expect(await noted(60, [told, ok])).not.toContain('NOTE');
    expect(await noted(200, [ok])).not.toContain('NOTE');
  });

  test('of one device it tells everything, harmless', async () => {
    const { stdout } = await call(['status', 'fw1'], {
      services: { status: () => Promise.resolve([told]) },
    });
    expect(stdout).toMatch(/^ {2}model +BIG-IP VE$/m);
    expect(stdout).toMatch(/^ {2}HA +ACTIVE$/m);
    expect(stdout).toMatch(/^ {2}sync +In Sync$/m);
    expect(stdout).toMatch(/^ {2}configuration +unsaved changes$/m);
    expect(stdout).toMatch(/^ {2}restorable +partial: the account sees/m);
    expect(stdout).toMatch(
      /^ {2}archive ucs +last stored 2026-02-28T02:00:00Z; failed 2026-03-01T01:00:00Z: no space/m,
    );
    expect(stdout).not.toContain('\x1b');
    const all = await call(['status'], { services: { status: () => Promise.resolve([told]) } });
    expect(all.stdout).not.toContain('BIG-IP VE');
  });

  test.each([40, 80, 200])('fits a terminal of %d columns', async (tty) => {
    const { stdout } = await call(['status'], {
      tty,
      env: { NO_COLOR: '1' },
      services: {
        status: () => Promise.resolve([ok, { ...failing, device: 'a-device-with-a-rather-long-name' }]),
      },
    });
    const rows = stdout.split('\n\n')[0]?.split('\n') ?? [];
    expect(rows).toHaveLength(3);
    for (const row of rows) expect([...row].length).toBeLessThanOrEqual(tty);
    expect(rows[1]).toContain('2026-03-01T01:00:00Z');
    expect(stdout).toContain('(3 times in a row)');
  });

  test('is coloured on a terminal only, and not with NO_COLOR', async () => {
    const services = { status: () => Promise.resolve([ok]) };
    expect((await call(['status'], { services, tty: 80 })).stdout).toContain('\x1b[32mok');
    expect((await call(['status'], { services, tty: 80, env: { NO_COLOR: '1' } })).stdout).not.toContain(
      '\x1b',
    );
    expect((await call(['status'], { services })).stdout).not.toContain('\x1b');
  });

  test('a device that only the ledger knows is shown where it is named', async () => {
    const asked: string[][] = [];
    const status = (names: readonly string[]) => {
      asked.push([...names]);
      return Promise.resolve([{ ...ok, device: names[0] ?? '', state: 'disabled' as const }]);
    };
    for (const names of [['fw0'], ['fw0', 'fw1'], []])
      await call(['status', ...names], { services: { status } });
    expect(asked).toEqual([['fw0'], ['fw1', 'fw0'], expect.not.arrayContaining(['fw0'])]);
    expect((await call(['status', 'fw77'], { services: { status } })).exitCode).toBe(2);
  });
});

describe('remotes', () => {
  const remotes = () =>
    Promise.resolve([
      { name: 'a', url: 'x', unpushed: 0, lastSuccessMs: nowMs, failure: null },
      { name: 'b', url: 'x', unpushed: 1, lastSuccessMs: nowMs, failure: null },
      { name: 'c', url: 'x', unpushed: 9, lastSuccessMs: null, failure: null },
      {
        ...{ name: 'd', url: 'x', unpushed: 2, lastSuccessMs: nowMs },
        failure: { reason: 'diverged', problem: 'it has commits that are not here' } as const,
      },
    ]);
  const failing = [
    'remote d: 2 commits not pushed: it has commits that are not here',
    expect.stringMatching(/^ {2}→ find out who wrote to the remote/),
  ];

  test('are the last lines of status, but not of one device, nor in its JSON', async () => {
    const { stdout } = await call(['status'], { services: { remotes } });
    expect(stdout.trimEnd().split('\n').slice(-5)).toEqual([
      'remote a: up to date, last push 2026-03-01T02:00:00Z',
      'remote b: 1 commit on the way, last push 2026-03-01T02:00:00Z',
      'remote c: nothing pushed yet',
      ...failing,
    ]);
    expect((await call(['status', 'fw1'], { services: { remotes } })).stdout).not.toContain('remote');
    expect((await call(['status', '--json'], { services: { remotes } })).stdout).not.toContain('remote');
  });

  test('that fail are remarks after a backup, and no reason for another exit code', async () => {
    const services = { remotes, backup: () => Promise.resolve([ended('fw1', unchanged)]) };
    for (const json of [[], ['--json']]) {
      const { stderr, stdout, exitCode } = await call(['backup', 'fw1', ...json], { services });
      expect(exitCode).toBe(0);
      expect(stderr.trimEnd().split('\n').slice(-2)).toEqual(failing);
      expect(stdout).not.toContain('remote');
    }
  });
});

describe('runs', () => {
  function asking(): { filters: RunsFilter[]; services: { runs: (filter: RunsFilter) => Promise<[]> } } {
    const filters: RunsFilter[] = [];
    const runs = (filter: RunsFilter): Promise<[]> => {
      filters.push(filter);
      return Promise.resolve([]);
    };
    return { filters, services: { runs } };
  }

  test('hands filters on', async () => {
    const { filters, services } = asking();
    await call(['runs'], { services });
    await call(['runs', 'fw1', 'fw0', '--failed', '--since', '2d'], { services });
    await call(['runs', '--ok', '--missed', '--until', '2026-03-01T01:00:00+01:00'], { services });
    expect(filters).toEqual([
      { devices: null, states: null, sinceMs: null, untilMs: null },
      {
        devices: ['fw1', 'fw0'],
        states: ['failed', 'quarantined'],
        sinceMs: nowMs - 172_800_000,
        untilMs: null,
      },
      {
        devices: null,
        states: ['changed', 'unchanged', 'missed'],
        sinceMs: null,
        untilMs: Date.UTC(2026, 2, 1),
      },
    ]);
  });

  test('--json has the fields of the contract; a slot without a run has null for them', async () => {
    const missed = {
      ...runRow('x'),
      runId: null,
      trigger: null,
      state: 'missed' as const,
      cause: 'overload',
      startedAtMs: null,
      endedAtMs: null,
      commit: null,
      restorable: null,
      slotMs: nowMs,
      slots: 31,
    };
    const runs = () => Promise.resolve([{ ...runRow('r1'), cause: null }, missed]);
    const { stdout } = await call(['runs', '--json'], { services: { runs } });
    expect(JSON.parse(stdout)).toEqual([
      {
        run_id: 'r1',
        device: 'fw1',
        slot: null,
        trigger: 'manual',
        state: 'changed',
        cause: null,
        error: null,
        started_at: '2026-03-01T01:59:50.000Z',
        ended_at: '2026-03-01T01:59:51.500Z',
        duration_ms: 1_500,
        commit: 'c0ffee'.padEnd(40, '0'),
        restorable: 'yes',
        count: 1,
      },
      {
        run_id: null,
        device: 'fw1',
        slot: '2026-03-01T02:00:00.000Z',
        trigger: null,
        state: 'missed',
        cause: 'overload',
        error: null,
        started_at: null,
        ended_at: null,
        duration_ms: null,
        commit: null,
        restorable: null,
        count: 31,
      },
    ]);
  });

  test('a run id is never cut where a terminal has 80 columns', async () => {
    const runId = '20260301T020004Z-70d1a5b5';
    const runs = () => Promise.resolve([{ ...runRow(runId), cause: null, failure: rejected }]);
    const { stdout } = await call(['runs'], { services: { runs }, tty: 80 });
    expect(stdout).toContain(runId);
    expect(stdout).toContain('the device');
  });
});

describe('log, show and diff', () => {
  test('log lists versions, newest first', async () => {
    const { stdout } = await call(['log', 'fw1']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toBe('COMMIT      READ AT               CHANGED BY  CHANGE');
    expect(lines[1]).toBe('bbbb222200  2026-03-01T01:59:59Z  alice       running-config changed (+1 -1)');
    expect(JSON.parse((await call(['log', 'fw1', '--json'])).stdout)[1]).toMatchObject({
      device: 'fw1',
      commit: 'aaaa1111'.padEnd(40, '0'),
      run_id: 'run-aaaa1111',
      at: '2026-02-28T02:00:00.000Z',
      trailers: { 'Changed-By': 'alice' },
    });
  });

  test('a device that left the inventory can still be read', async () => {
    expect((await call(['log', 'fw0'])).exitCode).toBe(0);
  });

  test('a device without any copy says what to run', async () => {
    const { exitCode, stderr } = await call(['show', 'fw1'], {
      services: { versions: () => Promise.resolve([]) },
    });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('`roundsman backup fw1`');
  });

  test.each([
    [[], ' mtu 9000\n'],
    [['aaaa'], ' mtu 1500\n'],
    [['run-aaaa1111'], ' mtu 1500\n'],
    [['2026-03-01T00:00:00Z'], ' mtu 1500\n'],
    [['2026-03-01T02:00:00+00:00'], ' mtu 9000\n'],
  ])('show %j finds its version', async (revision, text) => {
    expect((await call(['show', 'fw1', ...revision])).stdout).toContain(text);
  });

  describe('a run that changed nothing', () => {
    const runs = ({ devices }: RunsFilter) => {
      expect(devices).toEqual(['fw1']);
      const row = (runId: string, more: Parameters<typeof runRow>[1]) => ({
        ...runRow(runId, more),
        cause: null,
      });
      const { commit } = version('aaaa1111', 0);
      return Promise.resolve([
        row('20260301T0300-77', { state: 'failed', commit: null, failure: rejected }),
        row('20260301T0200-55', { state: 'unchanged', commit }),
        row('20260301T0200-56', { state: 'unchanged', commit }),
        row('20260301T0200', { state: 'unchanged', commit }),
      ]);
    };
    const showing = (revision: string) => call(['show', 'fw1', revision], { services: { runs } });

    test('names the version that it confirmed, by its id or the beginning of it', async () => {
      expect((await showing('20260301T0200-55')).stdout).toContain(' mtu 1500\n');
      expect((await showing('20260301t0200-5')).exitCode).toBe(2);
      expect((await showing('20260301T0200-56')).stdout).toContain(' mtu 1500\n');
    });

    test('is told from one whose id begins with its own', async () => {
      expect((await showing('20260301T0200')).stdout).toContain(' mtu 1500\n');
    });

    test('and failed says that it left no copy', async () => {
      const { exitCode, stderr } = await showing('20260301T03');
      expect(exitCode).toBe(2);
      expect(stderr).toContain('run 20260301T0300-77 left no copy of fw1: it is failed');
    });

    test('is refused where the beginning fits two', async () => {
      const { exitCode, stderr } = await showing('20260301T0200-');
      expect(exitCode).toBe(2);
      expect(stderr).toContain('more than one');
    });

    test.each([
      [true, ['20260301T0200-55'], 'read by run 20260301T0200-55'],
      [false, ['20260301T0200-55', 'run-aaaa1111'], 'read by run run-aaaa1111'],
    ])('is restored from its own copy where there is one (%s)', async (has, asks, said) => {
      const asked: unknown[] = [];
      const restore = (_device: string, _artefact: string, runId: string | null) => {
        asked.push(runId);
        if (!has && runId === '20260301T0200-55') return Promise.resolve(null);
        return Promise.resolve({ bytes: Buffer.from('x'), runId: runId ?? '' });
      };
      const { stdout, stderr } = await call(['restore', 'fw1', '20260301T0200-55', '--identity', 'id.txt'], {
        services: { runs, restore },
      });
      expect({ asked, stdout }).toEqual({ asked: asks, stdout: 'x' });
      expect(stderr).toContain(said);
      expect(stderr.includes('no copy of its own')).toBe(!has);
    });
  });

  test('an instant before the first version says when the first was', async () => {
    const { exitCode, stderr } = await call(['show', 'fw1', '2020-01-01T00:00:00Z']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('2026-02-28T02:00:00Z');
  });

  test('a beginning that fits two versions is refused', async () => {
    const versions = () => Promise.resolve([version('abcd1', 2), version('abcd2', 1)]);
    const { exitCode, stderr } = await call(['show', 'fw1', 'abcd'], { services: { versions } });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('more than one version');
  });

  test('a commit of another artefact names the version that was current with it', async () => {
    const versions = () =>
      Promise.resolve([
        version('cccc3333', 30, { artefact: 'context-a' }),
        version('aaaa1111', 20),
        version('eeee', 10),
      ]);
    const asked: string[] = [];
    const text = ({ commit }: { commit: string }) => {
      asked.push(commit.slice(0, 4));
      return Promise.resolve('x\n');
    };
    await call(['show', 'fw1', 'cccc3333'], { services: { versions, text } });
    expect(asked).toEqual(['aaaa']);
  });

  test.each([80, undefined])(
    'nothing that a device sent reaches the output raw (terminal: %s)',
    async (tty) => {
      const hostile = 'a\x1b[2Jb\x9bc\u0000d\re\x07\xe2\x80\xae\n\xff\n';
      const text = ({ commit }: { commit: string }) => Promise.resolve(`${commit}${hostile}`);
      const around = { services: { text }, env: { NO_COLOR: '1' }, ...(tty === undefined ? {} : { tty }) };
      for (const argv of [
        ['show', 'fw1'],
        ['show', 'fw1', '--json'],
        ['diff', 'fw1', 'bbbb', 'aaaa'],
        ['diff', 'fw1', '--json'],
      ]) {
        const { stdout } = await call(argv, around);
        expect(stdout.replaceAll('\n', '')).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
      }
      const { stdout } = await call(['show', 'fw1'], around);
      expect(stdout).toContain('a\\x1b[2Jb\\x9bc\\x00d\\x0de\\x07');
    },
  );

  test('JSON parses back to the very text of the device', async () => {
    const text = () => Promise.resolve('a\x1b\x85\xe2\x80\xaeb\n');
    const { stdout } = await call(['show', 'fw1', '--json'], { services: { text } });
    expect(JSON.parse(stdout).text).toBe('a\x1b\x85\xe2\x80\xaeb\n');
  });

  test('diff compares the last two versions and names the section in the header', async () => {
    const { stdout } = await call(['diff', 'fw1']);
    expect(stdout.split('\n').slice(0, 4)).toEqual([
      'fw1 running-config: aaaa111100 (2026-02-28T02:00:00Z) → bbbb222200 (2026-03-01T01:59:59Z) (+1 -1)',
      '@@ -1,1 +1,1 @@ interface Ethernet1',
      '- mtu 1500',
      '+ mtu 9000',
    ]);
  });

  test('diff of one commit is what it changed; of one instant, what changed since', async () => {
    expect((await call(['diff', 'fw1', 'bbbb'])).stdout).toContain('aaaa111100');
    expect((await call(['diff', 'fw1', '2026-03-01T00:00:00Z'])).stdout).toContain('+ mtu 9000');
    expect((await call(['diff', 'fw1', 'aaaa'])).stdout).toContain('nothing → aaaa111100');
  });

  test('diff of two is from the first to the second', async () => {
    expect((await call(['diff', 'fw1', 'bbbb', 'aaaa'])).stdout).toContain('+ mtu 1500');
  });

  test('diff of a held run is against the last good version', async () => {
    const services = { held: () => Promise.resolve([held('held-run-1', 'hostname fw1\n')]) };
    const { stdout } = await call(['diff', 'fw1', 'held-run'], { services });
    expect(stdout).toContain('bbbb222200 (2026-03-01T01:59:59Z) → held run held-run-1');
    expect(stdout).toContain('- mtu 9000');
    const { to } = JSON.parse((await call(['diff', 'fw1', 'held-run', '--json'], { services })).stdout);
    expect(to).toEqual({ commit: null, run_id: 'held-run-1', at: '2026-03-01T02:00:00.000Z', held: true });
  });

  test('diff of a device with one version points to show', async () => {
    const versions = () => Promise.resolve([version('aaaa1111', 1)]);
    expect(await call(['diff', 'fw1'], { services: { versions } })).toMatchObject({ exitCode: 2 });
  });

  test('a diff is coloured on a terminal', async () => {
    expect((await call(['diff', 'fw1'], { tty: 80 })).stdout).toContain('\x1b[31m- mtu 1500\x1b[39m');
  });

  test('show --transcript shows what was typed and answered, harmless', async () => {
    const transcript = () => Promise.resolve({ runId: 'r1', text: '> show run\n\x1b[K% Invalid\n' });
    const { stdout } = await call(['show', 'fw1', 'r1', '--transcript'], { services: { transcript } });
    expect(stdout).toBe('> show run\n\\x1b[K% Invalid\n');
  });

  test('a transcript that is not there names the setting', async () => {
    const { exitCode, stderr } = await call(['show', 'fw1', '--transcript']);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('retention');
  });

  test('a pager gets the text where there is a terminal', async () => {
    const file = join(scratch(), 'paged');
    await call(['show', 'fw1'], { tty: 80, env: { PAGER: `cat > ${file}` } });
    expect(readFileSync(file, 'utf8')).toContain(' mtu 9000');
  });

  test('a pager that is not installed does not swallow the text', async () => {
    const { stdout } = await call(['show', 'fw1'], {
      tty: 80,
      env: { PAGER: 'no-such-pager-here 2>/dev/null' },
    });
    expect(stdout).toContain(' mtu 9000');
  });
});

describe('accept', () => {
  function holding(): { accepted: string[]; services: object } {
    const accepted: string[] = [];
    return {
      accepted,
      services: {
        held: () => Promise.resolve([held('0197b', 'hostname fw1\n'), held('0197a', 'hostname fw9\n')]),
        accept: (device: string, runId: string) => {
          accepted.push(`${device} ${runId}`);
          return Promise.resolve('acce97'.padEnd(40, '0'));
        },
      },
    };
  }

  test('shows why it was held and the difference before anything is accepted', async () => {
    const { accepted, services } = holding();
    const { exitCode, stdout, stderr } = await call(['accept', 'fw1'], { services });
    expect(exitCode).toBe(2);
    expect(stdout).toContain('shrank from 100 lines to 10');
    expect(stdout).toContain('- mtu 9000');
    expect(stderr).toContain('`roundsman accept fw1 0197b --yes`');
    expect(accepted).toEqual([]);
  });

  test('takes exactly the run that is named', async () => {
    const { accepted, services } = holding();
    expect((await call(['accept', 'fw1', '0197a', '--yes'], { services })).exitCode).toBe(0);
    expect(accepted).toEqual(['fw1 0197a']);
  });

  test.each([
    ['y\n', 0, ['fw1 0197b']],
    ['yes\n', 0, ['fw1 0197b']],
    ['n\n', 1, []],
    ['\n', 1, []],
    ['', 1, []],
  ])('asked on a terminal, %j exits with %d', async (answer, exitCode, taken) => {
    const { accepted, services } = holding();
    expect((await call(['accept', 'fw1'], { services, tty: 80, answer })).exitCode).toBe(exitCode);
    expect(accepted).toEqual(taken);
  });

  test('an unknown or ambiguous run is refused', async () => {
    const { accepted, services } = holding();
    expect((await call(['accept', 'fw1', '0197', '--yes'], { services })).exitCode).toBe(2);
    expect((await call(['accept', 'fw1', 'zzz', '--yes'], { services })).exitCode).toBe(2);
    expect((await call(['accept', 'fw1', '', '--yes'], { services })).exitCode).toBe(2);
    expect(accepted).toEqual([]);
  });

  test('nothing held is said plainly', async () => {
    expect(await call(['accept', 'fw1', '--yes'])).toMatchObject({ exitCode: 1 });
  });

  test('--json needs --yes, then says which commit it became', async () => {
    const { services } = holding();
    expect((await call(['accept', 'fw1', '--json'], { services, tty: 80 })).exitCode).toBe(2);
    const { stdout } = await call(['accept', 'fw1', '--json', '--yes'], { services });
    expect(JSON.parse(stdout)).toEqual({ device: 'fw1', run_id: '0197b', commit: 'acce97'.padEnd(40, '0') });
  });
});

describe('trust', () => {
  const a = hostKey('a');
  const b = hostKey('b');
  const rsa = hostKey('r', 'ssh-rsa');

  async function trusting(offers: ReturnType<typeof offer>[], argv: string[]) {
    const pinned: [string, string[], boolean][] = [];
    const trust = (
      keys: readonly { device: string; keys: readonly { fingerprint: string }[] }[],
      replace: boolean,
    ) => {
      for (const one of keys)
        pinned.push([one.device, one.keys.map(({ fingerprint }) => fingerprint), replace]);
      return Promise.resolve();
    };
    const services = {
      offeredKeys: () => Promise.resolve(offers),
      keysFromFile: () => Promise.resolve(offers),
      trust,
    };
    return { pinned, ...(await call(argv, { services })) };
  }

  test('pins new keys and leaves those that are pinned', async () => {
    const offers = [offer('fw1', [a, rsa]), offer('fw2', [a], [a])];
    const { pinned, exitCode, stdout } = await trusting(offers, ['trust', 'fw1', 'fw2', '--yes']);
    expect(pinned).toEqual([['fw1', [a.fingerprint, rsa.fingerprint], false]]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(a.fingerprint);
    expect(stdout).toContain('2 keys pinned');
  });

  test('without a terminal and without --yes nothing is pinned', async () => {
    const { pinned, exitCode, stderr } = await trusting([offer('fw1', [a])], ['trust', 'fw1']);
    expect(pinned).toEqual([]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('`roundsman trust fw1 --yes`');
  });

  test('a changed key is pinned with --replace alone', async () => {
    const offers = [offer('fw1', [b], [a])];
    const without = await trusting(offers, ['trust', 'fw1', '--yes']);
    expect(without).toMatchObject({ exitCode: 3, pinned: [] });
    expect(without.stdout).toContain('`roundsman trust fw1 --replace`');
    expect((await trusting(offers, ['trust', 'fw1', '--yes', '--replace'])).pinned).toEqual([
      ['fw1', [b.fingerprint], true],
    ]);
  });

  test('a key of another type counts as changed where no pinned key is shown beside it', async () => {
    expect(await trusting([offer('fw1', [rsa], [a])], ['trust', 'fw1', '--yes'])).toMatchObject({
      exitCode: 3,
      pinned: [],
    });
    const beside = await trusting([offer('fw1', [a, rsa], [a])], ['trust', 'fw1', '--yes']);
    expect(beside.pinned).toEqual([['fw1', [rsa.fingerprint], false]]);
  });

  test('a device that shows one pinned and one changed key gets nothing without --replace', async () => {
    const ecdsa = hostKey('e', 'ecdsa-sha2-nistp256');
    const mixed = [offer('fw1', [rsa, b, ecdsa], [rsa, a])];
    expect((await trusting(mixed, ['trust', 'fw1', '--yes'])).pinned).toEqual([]);
  });

  test('--replace adds to devices whose keys have not changed, and forgets nothing of theirs', async () => {
    const offers = [offer('fw1', [a, rsa], [a])];
    expect((await trusting(offers, ['trust', '--all', '--yes', '--replace'])).pinned).toEqual([
      ['fw1', [rsa.fingerprint], false],
    ]);
  });

  test('where the inventory demands a key, trust does not overrule it', async () => {
    const wrong = await trusting(
      [offer('fw1', [b], [], [a.fingerprint])],
      ['trust', 'fw1', '--yes', '--replace'],
    );
    expect(wrong).toMatchObject({ exitCode: 3, pinned: [] });
    expect(wrong.stdout).toContain('correct `host_key` in the inventory');
    expect(await trusting([offer('fw1', [a], [], [a.fingerprint])], ['trust', 'fw1'])).toMatchObject({
      exitCode: 0,
      pinned: [],
    });
  });

  test('a device that cannot be asked is named, the others are pinned', async () => {
    const failed = {
      ...offer('fw2', []),
      failure: { code: 'connect.refused' as const, detail: { host: 'fw2', port: 22 } },
    };
    const called = await trusting([offer('fw1', [a]), failed], ['trust', '--all', '--yes']);
    expect(called.pinned).toHaveLength(1);
    expect(called.exitCode).toBe(3);
    expect(called.stdout).toContain('fw2: fw2 refuses connections on port 22');
  });

  describe('devices behind jump hosts', () => {
    const atHop = (hop: string, code = 'connect.host-key-unknown') =>
      ({
        code: 'connect.jump',
        detail: { hop, host: 'h', port: 22, code, says: 'not pinned', todo: 'run `roundsman trust NAME`' },
      }) as const;
    const hop = (name: string, offered: HostKey[], pinned: HostKey[] = []) => ({
      ...offer(name, offered, pinned),
      jumpHost: true,
    });
    const behind = (name: string, failure: OfferedKeys['failure']) => ({ ...offer(name, []), failure });

    /** Answers each round as devices do whose keys are trusted one after the other. */
    async function rounds(answer: (trusted: ReadonlySet<string>) => readonly OfferedKeys[], argv: string[]) {
      const trusted = new Set<string>();
      const asked: (readonly string[])[] = [];
      const services = {
        offeredKeys: (names: readonly string[]) => {
          asked.push(names);
          return Promise.resolve(answer(trusted));
        },
        trust: (keys: Parameters<Services['trust']>[0]) => {
          for (const { device, jumpHost } of keys) trusted.add(`${device}${jumpHost ? '*' : ''}`);
          return Promise.resolve();
        },
      };
      return { asked, trusted, ...(await call(argv, { services })) };
    }
    const twoHops = (trusted: ReadonlySet<string>) => [
      hop('outer', [a], trusted.has('outer*') ? [a] : []),
      trusted.has('outer*')
        ? hop('inner', [b], trusted.has('inner*') ? [b] : [])
        : { ...hop('inner', []), failure: atHop('outer') },
      trusted.has('inner*')
        ? offer('fw1', [rsa])
        : behind('fw1', atHop(trusted.size === 0 ? 'outer' : 'inner')),
      offer('fw2', [a], [a]),
    ];

    test('are asked in rounds, each as soon as what is before it is trusted', async () => {
      const { asked, trusted, exitCode, stdout } = await rounds(twoHops, ['trust', 'fw1', 'fw2', '--yes']);
      expect([...trusted]).toEqual(['outer*', 'inner*', 'fw1']);
      expect(asked).toEqual([['fw1', 'fw2'], ['fw1'], ['fw1']]);
      expect(exitCode).toBe(0);
      expect(stdout).toContain('outer (jump host)');
      expect(stdout).toContain('behind outer');
      expect(stdout.match(new RegExp(a.fingerprint, 'g'))).toHaveLength(2);
      expect(stdout).toContain('3 keys pinned');
    });

    test('--json is one document of what came of it', async () => {
      const { stdout } = await rounds(twoHops, ['trust', 'fw1', '--yes', '--json']);
      expect(JSON.parse(stdout)).toMatchObject([
        { device: 'outer', jump_host: true, pinned: true, error: null },
        { device: 'inner', jump_host: true, pinned: true, error: null },
        { device: 'fw1', jump_host: false, pinned: true, error: null },
        { device: 'fw2', jump_host: false, pinned: false },
      ]);
    });

    test('are not asked again where nothing became passable', async () => {
      const stuck = () => [
        hop('outer', [b], [a]),
        behind('fw1', atHop('outer', 'connect.host-key-changed')),
        behind('fw2', atHop('gone', 'connect.timeout')),
      ];
      const { asked, trusted, exitCode, stdout } = await rounds(stuck, ['trust', '--all', '--yes']);
      expect(asked).toHaveLength(1);
      expect([...trusted]).toEqual([]);
      expect(exitCode).toBe(3);
      expect(stdout).toContain('`roundsman trust --all --replace`');
      expect(stdout).toContain('fw1: jump host outer');
    });
  });

  test('--from takes keys from a file', async () => {
    const { pinned } = await trusting([offer('fw1', [a])], ['trust', '--from', 'known_hosts', '--yes']);
    expect(pinned).toHaveLength(1);
  });

  test('--json lists keys with their states', async () => {
    const { stdout } = await trusting([offer('fw1', [a])], ['trust', 'fw1', '--yes', '--json']);
    expect(JSON.parse(stdout)).toEqual([
      {
        device: 'fw1',
        jump_host: false,
        host: 'fw1.example',
        port: 22,
        keys: [{ type: 'ssh-ed25519', fingerprint: a.fingerprint, state: 'new' }],
        pinned: true,
        error: null,
      },
    ]);
  });
});

describe('restore of an archive', () => {
  const kept = [
    { runId: '20260301T0200-b', atMs: nowMs - 1_000 },
    { runId: '20260222T0200-a', atMs: nowMs - 600_000_000 },
  ].map(({ runId, atMs }) => ({
    ...{ deviceId: 'fw1', name: 'ucs', runId, attemptedAtMs: atMs, failure: null },
    sealed: { digest: 'd', bytes: 10 },
  }));
  const asked: (string | null)[] = [];
  const services = {
    archives: () => Promise.resolve(kept),
    restore: (_device: string, _artefact: string, runId: string | null) => {
      asked.push(runId);
      return Promise.resolve({ bytes: Buffer.from([0, 1, 2]), runId: runId ?? '' });
    },
  };
  const argv = ['restore', 'fw1', '--identity', 'id.txt', '--artefact', 'ucs'];

  test('takes the newest one, that of a run, or the newest at an instant', async () => {
    asked.length = 0;
    for (const revision of [[], ['20260222'], ['2026-02-25T00:00:00Z']])
      expect((await call([...argv, ...revision], { services })).exitCode).toBe(0);
    expect(asked).toEqual(['20260301T0200-b', '20260222T0200-a', '20260222T0200-a']);
  });

  test('names those that there are where none is meant', async () => {
    const { exitCode, stderr } = await call([...argv, '2020-01-01T00:00:00Z'], { services });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('20260301T0200-b, 20260222T0200-a');
  });

  test('--json says nothing of the worth of a text', async () => {
    const output = join(scratch(), 'lb1.ucs');
    const { stdout } = await call([...argv, '--json', '--output', output], { services });
    expect(JSON.parse(stdout)).toMatchObject({ artefact: 'ucs', restorable: null, bytes: 3, output });
    expect(readFileSync(output)).toEqual(Buffer.from([0, 1, 2]));
  });
});

describe('restore', () => {
  const bytes = Buffer.from([0x61, 0x0d, 0x0a, 0xe9, 0x00, 0x0a]);
  const services = { restore: () => Promise.resolve({ bytes, runId: 'run-bbbb2222' }) };

  test('writes the exact bytes to a new file that only its owner can read', async () => {
    const output = join(scratch(), 'fw1.cfg');
    const argv = ['restore', 'fw1', '--identity', 'id.txt', '--output', output];
    expect((await call(argv, { services })).exitCode).toBe(0);
    expect(readFileSync(output)).toEqual(bytes);
    expect(statSync(output).mode & 0o777).toBe(0o600);
  });

  test('overwrites nothing', async () => {
    const output = join(scratch(), 'fw1.cfg');
    writeFileSync(output, 'mine');
    chmodSync(output, 0o644);
    const argv = ['restore', 'fw1', '--identity', 'id.txt', '--output', output];
    expect(await call(argv, { services })).toMatchObject({ exitCode: 1 });
    expect(readFileSync(output, 'utf8')).toBe('mine');
  });

  test('control characters do not go to a terminal', async () => {
    const { exitCode, stdout, stderr } = await call(['restore', 'fw1', '--identity', 'id.txt'], {
      services,
      tty: 80,
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('--output');
  });

  test('plain text does, and a pipe gets anything', async () => {
    expect((await call(['restore', 'fw1', '--identity', 'id.txt'], { tty: 80 })).stdout).toBe(
      'hostname fw1\n',
    );
    expect((await call(['restore', 'fw1', '--identity', 'id.txt'], { services })).stdout).toBe(
      bytes.toString(),
    );
  });

  test('names the run of a version; without one the newest copy is meant', async () => {
    const asked: unknown[] = [];
    const restore = (...args: unknown[]) => {
      asked.push(args);
      return Promise.resolve({ bytes, runId: 'x' });
    };
    await call(['restore', 'fw1', '--identity', 'id.txt'], { services: { restore } });
    await call(['restore', 'fw1', 'aaaa1111', '--identity', 'id.txt'], { services: { restore } });
    expect(asked).toEqual([
      ['fw1', 'running-config', null, 'id.txt'],
      ['fw1', 'running-config', 'run-aaaa1111', 'id.txt'],
    ]);
  });

  test('says when the copy does not restore the device', async () => {
    const run = () =>
      Promise.resolve(runRow('x', { restorable: 'no', restorableBecause: 'keys are starred' }));
    const { stderr } = await call(['restore', 'fw1', '--identity', 'id.txt'], { services: { run } });
    expect(stderr).toContain('restorable: no: keys are starred');
  });

  test('nothing sealed is said plainly', async () => {
    const restore = () => Promise.resolve(null);
    expect(await call(['restore', 'fw1', '--identity', 'id.txt'], { services: { restore } })).toMatchObject({
      exitCode: 1,
    });
  });

  test('--json wants --output', async () => {
    const output = join(scratch(), 'fw1.cfg');
    const argv = ['restore', 'fw1', '--identity', 'id.txt', '--json'];
    expect((await call(argv, { services })).exitCode).toBe(2);
    const { stdout } = await call([...argv, '--output', output], { services });
    expect(JSON.parse(stdout)).toEqual({
      device: 'fw1',
      artefact: 'running-config',
      run_id: 'run-bbbb2222',
      restorable: null,
      bytes: 6,
      output,
    });
  });
});

describe('init and check', () => {
  test('init says to take the identity off this machine, and what comes next', async () => {
    const { stdout } = await call(['init', '/tmp/x']);
    expect(stdout).toContain('keep this off this machine');
    expect(stdout).toContain('roundsman check --config /tmp/x/roundsman.yaml');
    expect((await call(['init'])).stdout).toMatch(/roundsman check$/m);
    expect(JSON.parse((await call(['init', '--json'])).stdout)).toEqual({
      config: 'config/roundsman.yaml',
      inventory: 'config/devices.yaml',
      fingerprint_key: 'config/fingerprint.key',
      identity: 'config/identity.txt',
      recipient: 'age1example',
    });
  });

  test('check prints sizing', async () => {
    const { exitCode, stdout } = await call(['check']);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('32 sessions at once, 4 s a device (assumed');
    expect(stdout).toContain('one round takes 4 s');
    expect(stdout).toContain('about 4.8 MiB after a year');
    expect(stdout).toMatch(
      /git 2\.9 MiB, sealed copies 1\.4 MiB, archives 488\.3 KiB; what is sealed is kept for 400/,
    );
  });

  test('check --connect exits with 3 where a device is not reached', async () => {
    const one = { device: 'fw1', platform: 'cisco_asa', durationMs: 200, failure: rejected };
    const reach = (_: unknown, { onEvent }: { onEvent: (event: typeof one) => void }) => {
      onEvent(one);
      return Promise.resolve([one]);
    };
    const { exitCode, stdout } = await call(['check', '--connect'], { services: { reach } });
    expect(exitCode).toBe(3);
    expect(stdout).toContain('fw1  failed  the device rejected the login');
    const { devices } = JSON.parse(
      (await call(['check', '--connect', '--json'], { services: { reach } })).stdout,
    );
    expect(devices[0]).toMatchObject({ device: 'fw1', duration_ms: 200, error: { code: 'login.rejected' } });
  });
});
