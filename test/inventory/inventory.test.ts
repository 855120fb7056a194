import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { archiveNames } from '../../src/daemon/archives.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { loadInventory } from '../../src/inventory/inventory.ts';
import { deviceSchema } from '../../src/inventory/inventory-schema.ts';
import { knownAlgorithms } from '../../src/transport/algorithms.ts';
import { problemsOf } from './expected.ts';
import { defaults, options, temporaryFile } from './support.ts';

const load = (text: string, over: Partial<typeof options> = {}) =>
  loadInventory(temporaryFile(text), { ...options, ...over });
const login = 'credentials:\n  a: { username: backup, agent: true }\n';

const choices = new Map(
  [...(await loadDrivers())].map(([id, driver]) => [
    id,
    { options: driver.options ?? [], archives: archiveNames(driver) },
  ]),
);

describe('a reference into Vault', () => {
  const inventory = (ref: string) =>
    `credentials:\n  vault: { username: u, password: ${ref} }\ndevices:\n  - { name: lb, platform: f5_bigip, host: h, credentials: vault, options: { ucs: { schedule: "0 3 * * 0", passphrase: ${ref} } } }\n`;
  const ref = '{ vault: { path: network/asa, key: password } }';

  it('has the mount secret, unless it names one', () => {
    const [device] = load(inventory(ref)).devices;
    const expected = { vault: { mount: 'secret', path: 'network/asa', key: 'password' } };
    expect(device?.credentials.password).toEqual(expected);
    expect(device?.archives[0]?.passphrase).toEqual(expected);
    const [other] = load(inventory('{ vault: { mount: kv/team, path: a, key: b } }')).devices;
    expect(other?.credentials.password).toEqual({ vault: { mount: 'kv/team', path: 'a', key: 'b' } });
  });

  it('is a mistake wherever it stands, where the settings do not say how to reach Vault', () => {
    const problems = problemsOf(() => load(inventory(ref), { vault: false }));
    expect(problems.map(({ path, line }) => [path, line])).toEqual([
      ['credentials.vault.password.vault', 2],
      ['devices[0].options.ucs.passphrase.vault', 4],
    ]);
    expect(problems[0]?.message).toContain('the section vault:');
    // Credentials and groups can be called so.
    expect(load(inventory('{ env: A }'), { vault: false }).devices).toHaveLength(1);
  });
});

describe('devices.example.yaml', () => {
  const file = fileURLToPath(new URL('../../devices.example.yaml', import.meta.url));

  it('is loaded without a problem or a warning', () => {
    const { devices, groups, warnings } = loadInventory(file, {
      ...{ ...options, choices, algorithms: knownAlgorithms },
    });
    expect(warnings).toEqual([]);
    expect(devices.map((device) => device.name)).toEqual(['fw1', 'fgt-branch-7', 'lb1', 'lb0']);
    expect(groups).toEqual(['branch', 'default', 'hq']);
  });

  it('shows every option that a platform has, at what is standard, and every archive', () => {
    const text = readFileSync(file, 'utf8');
    const { devices } = loadInventory(file, { ...options, choices, algorithms: knownAlgorithms });
    const shown = ['cisco_asa', 'fortinet_fortigate', 'f5_bigip'];
    for (const [platform, { options: specs, archives }] of choices) {
      if (!shown.includes(platform)) continue;
      for (const name of [...specs.map((spec) => spec.name), ...archives])
        expect(text, name).toMatch(new RegExp(`^ +${name}:`, 'm'));
      const standard = Object.fromEntries(specs.map((spec) => [spec.name, spec.standard]));
      for (const device of devices.filter((one) => one.platform === platform))
        expect(device.options).toEqual(standard);
    }
    expect(devices.find(({ name }) => name === 'lb1')?.archives.map(({ name }) => name)).toEqual(['ucs']);
  });

  it('shows every key that a device can have', () => {
    const text = readFileSync(file, 'utf8');
    const [first = ''] = text.slice(text.indexOf('  - name: fw1')).split(/^ {2}- name: fgt/m);
    const known = { ...options, credentials: [], groups: [], jumpHosts: [] };
    const keys = Object.keys(deviceSchema(known).shape);
    const below = ['profile', 'allow', 'connect', 'login', 'idle', 'hostname', 'serials'];
    expect(keys.length).toBeGreaterThan(20);
    for (const key of [...keys, ...below]) expect(first, key).toMatch(new RegExp(`^ +(?:- )?${key}:`, 'm'));
  });
});

describe('what a device becomes', () => {
  it('the smallest device has the defaults', () => {
    const { devices } = load(
      `${login}devices:\n  - { name: fw1, platform: cisco_asa, host: fw1.example.net, credentials: a }\n`,
    );
    const { maxRuntimeMs, ...plan } = defaults;
    expect(devices).toEqual([
      {
        name: 'fw1',
        platform: 'cisco_asa',
        group: 'default',
        host: 'fw1.example.net',
        port: 22,
        enabled: true,
        credentials: {
          name: 'a',
          username: 'backup',
          password: null,
          enable: null,
          privateKey: null,
          passphrase: null,
          agent: true,
          loginsPerSecond: 5,
        },
        hostKeys: [],
        firstUse: false,
        ssh: { profile: 'modern', allow: [] },
        sourceAddress: null,
        timeouts: { connectMs: 15_000, loginMs: 30_000, idleMs: 60_000 },
        maxRuntimeMs,
        expect: { hostname: null, serials: [] },
        formerly: [],
        jump: [],
        options: { on_standby: 'store', elevate: 'enable' },
        archives: [],
        plan: { ...plan, maxSessions: null },
      },
    ]);
  });

  it('secret files are relative to the inventory', () => {
    const file = temporaryFile(
      'credentials:\n  a: { username: u, password: { file: secrets/pw }, private_key: { file: /abs/key } }\ndevices: [{ name: d, platform: cisco_asa, host: h, credentials: a }]\n',
    );
    const [device] = loadInventory(file, options).devices;
    expect(device?.credentials.password).toEqual({ file: join(dirname(file), 'secrets/pw') });
    expect(device?.credentials.privateKey).toEqual({ file: '/abs/key' });
  });

  it('a disabled device is listed, a retired one is not, one that retires later still is', () => {
    const { devices, groups } = load(
      `${login}groups: { old: }\ndevices:\n` +
        '  - { name: off, platform: cisco_asa, host: h1, credentials: a, enabled: false }\n' +
        '  - { name: gone, platform: cisco_asa, host: h2, group: old, retired: 2025-12-31 }\n' +
        '  - { name: today, platform: cisco_asa, host: h3, group: old, retired: 2026-01-01 }\n' +
        '  - { name: later, platform: cisco_asa, host: h4, credentials: a, retired: 2026-01-02 }\n',
    );
    expect(devices.map(({ name, enabled }) => [name, enabled])).toEqual([
      ['off', false],
      ['later', true],
    ]);
    expect(groups).toEqual(['default', 'old']);
  });

  it('empty sections are the same as none', () => {
    expect(load('credentials:\nplatforms:\ngroups:\njump_hosts:\ndevices:\n').devices).toEqual([]);
  });
});

/** What one level says; `undefined` is not written. */
const level = fc.record(
  {
    max_runtime: fc.constantFrom('10m', '20m'),
    source_address: fc.constantFrom('192.0.2.1', '192.0.2.2', null),
    schedule: fc.constantFrom('1 1 * * *', '2 2 * * *'),
    max_age: fc.constantFrom('1d', '2d', null),
    host_key: fc.constantFrom('first-use', null),
    credentials: fc.constantFrom('a', 'b'),
    blackout: fc.constantFrom([], [{ schedule: '0 0 * * *', duration: '1h' }]),
    ssh: fc.record(
      { profile: fc.constantFrom('modern', 'legacy'), allow: fc.constantFrom([], ['ssh-rsa']) },
      { requiredKeys: [] },
    ),
    timeouts: fc.record(
      {
        connect: fc.constantFrom('1s', '2s'),
        login: fc.constantFrom('3s', '4s'),
        idle: fc.constantFrom('5s', '6s'),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);
type Level = typeof level extends fc.Arbitrary<infer T> ? T : never;

const ms = (text: string) =>
  Number(text.slice(0, -1)) * ({ s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[text.slice(-1)] ?? 0);

describe('groups', () => {
  const device =
    'devices:\n  - { name: fw1, platform: cisco_asa, host: 192.0.2.1, credentials: a, group: branch }\n';

  it('need no declaration where the inventory declares none', () => {
    expect(load(login + device).devices[0]?.group).toBe('branch');
  });

  it('are taken for a mistake where others are declared', () => {
    const problems = problemsOf(() => load(`${login}groups: { branches: {} }\n${device}`));
    expect(problems).toMatchObject([{ path: 'devices[0].group', nearest: 'branches' }]);
  });

  it('have names that are safe as a folder', () => {
    expect(problemsOf(() => load(`${login}${device.replace('branch', '../x')}`))).toHaveLength(1);
  });
});

describe('a word that is listed nowhere', () => {
  const problemsWith = (platform: string, more = '') =>
    problemsOf(() =>
      load(
        `${login}${more}devices:\n  - { name: fw1, platform: ${platform}, host: 192.0.2.1, credentials: a }\n`,
      ),
    );

  it('is answered with the only one that begins like it', () => {
    expect(problemsWith('cisco')).toMatchObject([
      {
        path: 'devices[0].platform',
        message: '"cisco" is not a platform of this version',
        nearest: 'cisco_asa',
      },
    ]);
  });

  it('is answered with the whole list where nothing is near and the list is short', () => {
    const known = '(known: cisco_asa, fortinet_fortigate, f5_bigip)';
    expect(problemsWith('juniper', 'platforms: { juniper: {} }\n')).toMatchObject([
      { path: 'platforms.juniper', message: `is not a platform of this version ${known}`, nearest: null },
      { message: `"juniper" is not a platform of this version ${known}`, nearest: null },
    ]);
  });

  it('is not answered with a list that nobody would read', () => {
    const groups = Array.from({ length: 9 }, (_, index) => `site-${index}: {}`).join(', ');
    const device = '{ name: fw1, platform: cisco_asa, host: 192.0.2.1, credentials: a, group: zebra }';
    expect(problemsOf(() => load(`${login}groups: { ${groups} }\ndevices: [${device}]\n`))).toMatchObject([
      { message: '"zebra" is not listed under groups:', nearest: null },
    ]);
  });
});

describe('precedence', () => {
  it('device, then group, then platform, then settings: for every key on its own', () => {
    fc.assert(
      fc.property(level, level, level, (device, group, platform) => {
        const file = temporaryFile(
          JSON.stringify({
            credentials: {
              a: { username: 'a', agent: true },
              b: { username: 'b', agent: true },
              c: { username: 'c', agent: true },
            },
            platforms: { cisco_asa: { credentials: 'c', ...platform } },
            groups: { hq: group },
            devices: [{ name: 'd', platform: 'cisco_asa', host: 'h', group: 'hq', ...device }],
          }),
        );
        const [made] = loadInventory(file, options).devices;
        const first = <T>(read: (from: Level) => T | undefined, otherwise: T): T =>
          [device, group, platform].map(read).find((value) => value !== undefined) ?? otherwise;
        // A written null is a statement: it wins over what stands below it.
        const firstOrNull = <T>(read: (from: Level) => T | undefined): T | null =>
          [device, group, platform].map(read).find((value) => value !== undefined) ?? null;
        expect(made?.maxRuntimeMs).toBe(ms(first((from) => from.max_runtime, '30m')));
        expect(made?.sourceAddress).toBe(firstOrNull((from) => from.source_address));
        expect(made?.plan.schedule).toBe(first((from) => from.schedule, defaults.schedule));
        const maxAge = firstOrNull((from) => from.max_age);
        expect(made?.plan.maxAgeMs).toBe(maxAge === null ? null : ms(maxAge));
        expect(made?.firstUse).toBe(firstOrNull((from) => from.host_key) === 'first-use');
        expect(made?.credentials.name).toBe(first((from) => from.credentials, 'c'));
        expect(made?.plan.blackout).toHaveLength(
          first<readonly unknown[]>((from) => from.blackout, []).length,
        );
        expect(made?.ssh.profile).toBe(first((from) => from.ssh?.profile, 'modern'));
        expect(made?.ssh.allow).toEqual(first((from) => from.ssh?.allow, []));
        expect(made?.timeouts).toEqual({
          connectMs: ms(first((from) => from.timeouts?.connect, '15s')),
          loginMs: ms(first((from) => from.timeouts?.login, '30s')),
          idleMs: ms(first((from) => from.timeouts?.idle, '60s')),
        });
      }),
      { numRuns: 200 },
    );
  });

  it('a way through jump hosts is taken whole from the most specific place that says one, [] for straight', () => {
    const { devices, warnings } = load(
      `${login}  hop: { username: jump, password: x }
jump_hosts:
  dmz: { host: 192.0.2.1, credentials: hop, host_key: first-use }
  core: { host: core.example.net, port: 2222, credentials: a, ssh: { allow: [ssh-rsa] } }
platforms: { cisco_asa: { credentials: a, jump: [dmz] } }
groups: { far: { jump: [dmz, core] }, default: }
devices:
  - { name: fw1, platform: cisco_asa, host: h1, group: far }
  - { name: fw2, platform: cisco_asa, host: h2 }
  - { name: fw3, platform: cisco_asa, host: h3, group: far, jump: [] }
  - { name: fw4, platform: cisco_asa, host: h4, group: far, jump: [core] }
`,
    );
    expect(devices.map(({ jump }) => jump.map(({ name }) => name))).toEqual([
      ['dmz', 'core'],
      ['dmz'],
      [],
      ['core'],
    ]);
    expect(devices[0]?.jump).toMatchObject([
      {
        ...{ host: '192.0.2.1', port: 22, hostKeys: [], firstUse: true },
        ...{ credentials: { name: 'hop', username: 'jump' }, ssh: { profile: 'modern', allow: [] } },
      },
      {
        ...{ host: 'core.example.net', port: 2222, hostKeys: [], firstUse: false },
        ...{ credentials: { name: 'a' }, ssh: { profile: 'modern', allow: ['ssh-rsa'] } },
      },
    ]);
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('used by fw1, fw2;')]);
  });

  it('devices of one address behind different jump hosts need a host_key to be told apart', () => {
    const inventory = (more: string) => `${login}jump_hosts:
  east: { host: 192.0.2.1, credentials: a }
  west: { host: 192.0.2.2, credentials: a }
devices:
  - { name: fw1, platform: cisco_asa, host: 10.0.0.1, credentials: a, jump: [east] }
  - { name: fw2, platform: cisco_asa, host: 10.0.0.1, credentials: a, jump: [west]${more} }
`;
    expect(load(inventory('')).warnings[0]?.message).toContain('give one of them a host_key');
    const told = load(inventory(`, host_key: SHA256:${'A'.repeat(43)}`));
    expect(told.warnings[0]?.message).not.toContain('host_key');
  });

  it('a fingerprint at the device wins over first-use of its group, and so does null', () => {
    const { devices } = load(
      `${login}groups: { hq: { host_key: first-use, credentials: a, max_sessions: 3 } }\ndevices:\n` +
        '  - { name: d1, platform: cisco_asa, group: hq, host: h1, host_key: SHA256:uNiVztksCsDhcc0u9e8BrVyBaUkqxDBUWVl3Zmaysho }\n' +
        '  - { name: d2, platform: cisco_asa, group: hq, host: h2, host_key: null }\n' +
        '  - { name: d3, platform: cisco_asa, group: hq, host: h3 }\n',
    );
    expect(devices.map(({ firstUse, hostKeys }) => [firstUse, hostKeys.length])).toEqual([
      [false, 1],
      [false, 0],
      [true, 0],
    ]);
    expect(devices[0]?.plan.maxSessions).toBe(3);
  });

  it('a listed group default holds for devices without a group', () => {
    const { devices } = load(
      `${login}groups: { default: { credentials: a } }\ndevices: [{ name: d, platform: cisco_asa, host: h }]\n`,
    );
    expect(devices[0]?.credentials.name).toBe('a');
  });
});

describe('warnings', () => {
  it('a literal secret names the devices that use it, and not itself', () => {
    const devices = Array.from(
      { length: 7 },
      (_, n) => `  - { name: fw${n}, platform: cisco_asa, host: h${n}, credentials: a }\n`,
    );
    const { warnings } = load(
      `credentials:\n  a:\n    username: backup\n    password: CANARY-hunter2\n  b: { username: b, password: CANARY2 }\ndevices:\n${devices.join('')}`,
    );
    expect(warnings.map(({ path, line }) => [path, line])).toEqual([
      ['credentials.a.password', 4],
      ['credentials.b.password', 5],
    ]);
    expect(warnings[0]?.message).toContain('used by fw0, fw1, fw2, fw3, fw4 and 2 more');
    expect(warnings[1]?.message).toContain('used by no device');
    expect(JSON.stringify(warnings)).not.toContain('CANARY');
  });

  it('a secret from the environment is accepted with a word of caution', () => {
    const { warnings } = load(
      'credentials:\n  a: { username: u, password: { env: RM }, enable: true }\ndevices: []\n',
    );
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.message).toContain('environment');
  });

  it('two devices at one host and port are told, whatever the case of the host', () => {
    const { warnings } = load(
      `${login}devices:\n` +
        '  - { name: d1, platform: cisco_asa, host: FW.example.net, credentials: a }\n' +
        '  - { name: d2, platform: cisco_asa, host: fw.example.net, credentials: a, port: 2222 }\n' +
        '  - { name: d3, platform: cisco_asa, host: fw.example.net, credentials: a }\n',
    );
    expect(warnings.map(({ path, line, message }) => [path, line, message])).toEqual([
      ['devices[2].host', 6, 'd3 has the host and port of d1; they are never read at the same time'],
    ]);
  });
});

describe('many devices', () => {
  const fleet = (count: number) =>
    `${login}devices:\n${Array.from(
      { length: count },
      (_, n) =>
        `  - name: fw-${n}\n    platform: cisco_asa\n    host: fw-${n}.example.net\n    credentials: a\n    formerly: [old-${n}]\n`,
    ).join('')}`;

  it('ten times as many take less than thirty times as long', () => {
    const took = (count: number): number => {
      const file = temporaryFile(fleet(count));
      loadInventory(file, options);
      const started = performance.now();
      expect(loadInventory(file, options).devices).toHaveLength(count);
      return performance.now() - started;
    };
    const small = Math.min(took(1000), took(1000), took(1000));
    expect(took(10_000)).toBeLessThan(30 * small);
  });

  it('a mistake in each of ten thousand is named ten thousand times', () => {
    const problems = problemsOf(() => load(fleet(10_000).replaceAll('cisco_asa', 'cisco_aza')));
    expect(problems).toHaveLength(10_000);
    expect(problems[9_999]?.path).toBe('devices[9999].platform');
    expect(problems[9_999]?.line).toBe(5 + 9_999 * 5);
  });
});
