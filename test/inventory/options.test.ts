import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadInventory } from '../../src/inventory/inventory.ts';
import { problemsOf } from './expected.ts';
import { options, temporaryFile } from './support.ts';

const login = 'credentials:\n  a: { username: backup, agent: true }\n';
const load = (text: string) => loadInventory(temporaryFile(`${login}${text}`), options);
const device = (text: string) => load(text).devices[0];

describe('options of a device', () => {
  it('are complete: what nobody says is standard', () => {
    expect(device('devices: [{ name: d, platform: cisco_asa, host: h, credentials: a }]\n')?.options).toEqual(
      {
        on_standby: 'store',
        elevate: 'enable',
      },
    );
    expect(device('devices: [{ name: d, platform: f5_bigip, host: h, credentials: a }]\n')?.options).toEqual(
      {},
    );
  });

  it('a number stands for itself where text is matched', () => {
    const text =
      'devices: [{ name: d, platform: cisco_asa, host: h, credentials: a, options: { elevate: 7 } }]\n';
    expect(device(text)?.options.elevate).toBe('7');
  });

  it('the expression that a driver gives has to match the whole value', () => {
    for (const value of ['xlogin', 'login; reload', 'login\\nreload'])
      expect(
        problemsOf(() =>
          load(
            `devices: [{ name: d, platform: cisco_asa, host: h, credentials: a, options: { elevate: "${value}" } }]\n`,
          ),
        ),
      ).toHaveLength(1);
  });

  it('each key is taken from the most specific level that names it', () => {
    const level = fc.record(
      { on_standby: fc.constantFrom('skip', 'store'), elevate: fc.constantFrom('enable', 'login') },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(level, level, level, (here, group, platform) => {
        const made = device(
          [
            `platforms: { cisco_asa: { options: ${JSON.stringify(platform)} } }`,
            `groups: { hq: { credentials: a, options: ${JSON.stringify(group)} } }`,
            `devices: [{ name: d, platform: cisco_asa, host: h, group: hq, options: ${JSON.stringify(here)} }]\n`,
          ].join('\n'),
        );
        expect(made?.options).toEqual({
          on_standby: 'store',
          elevate: 'enable',
          ...platform,
          ...group,
          ...here,
        });
      }),
      { numRuns: 60 },
    );
  });

  it('a group of mixed platforms may name what only some of them have', () => {
    const { devices } = load(
      'groups: { hq: { credentials: a, options: { method: scp, ucs: { schedule: "0 3 * * 0" } } } }\n' +
        'devices:\n' +
        '  - { name: fw, platform: cisco_asa, host: h1, group: hq }\n' +
        '  - { name: fgt, platform: fortinet_fortigate, host: h2, group: hq }\n' +
        '  - { name: lb, platform: f5_bigip, host: h3, group: hq }\n',
    );
    expect(devices.map((one) => [one.options.method, one.archives.length])).toEqual([
      [undefined, 0],
      ['scp', 0],
      [undefined, 1],
    ]);
  });

  it('what a group says and a device cannot use is one mistake, however many devices it has', () => {
    const problems = problemsOf(() =>
      load(
        'groups: { hq: { credentials: a, options: { elevate: login } } }\ndevices:\n' +
          '  - { name: f1, platform: fortinet_fortigate, host: h1, group: hq }\n' +
          '  - { name: f2, platform: fortinet_fortigate, host: h2, group: hq }\n' +
          '  - { name: f3, platform: fortinet_fortigate, host: h3, group: hq, options: { elevate: scp } }\n',
      ),
    );
    expect(problems.map(({ path }) => path)).toEqual(['groups.hq.options.elevate']);
  });
});

describe('archives of a device', () => {
  it('have a schedule, the time zone of the device, and a passphrase or none', () => {
    const made = device(
      'devices:\n  - { name: lb, platform: f5_bigip, host: h, credentials: a, timezone: Europe/Berlin, options: { ' +
        'ucs: { schedule: "0 3 * * 0", passphrase: { file: /abs/pass } }, scf: { schedule: "0 4 1 * *" } } }\n',
    );
    expect(made?.archives).toEqual([
      { name: 'ucs', schedule: '0 3 * * 0', timezone: 'Europe/Berlin', passphrase: { file: '/abs/pass' } },
      { name: 'scf', schedule: '0 4 1 * *', timezone: 'Europe/Berlin', passphrase: null },
    ]);
  });

  it('null lifts what the platform asks for', () => {
    const made = device(
      'platforms: { f5_bigip: { credentials: a, options: { ucs: { schedule: "0 3 * * 0" } } } }\n' +
        'devices: [{ name: lb, platform: f5_bigip, host: h, options: { ucs: null } }]\n',
    );
    expect(made?.archives).toEqual([]);
  });

  it('a passphrase that is written out, or lies in the environment, is worth a warning and never shown', () => {
    const { warnings } = load(
      'devices:\n' +
        '  - { name: l1, platform: f5_bigip, host: h1, credentials: a, options: { ucs: { schedule: "0 3 * * 0", passphrase: hunter2 } } }\n' +
        '  - { name: l2, platform: f5_bigip, host: h2, credentials: a, options: { ucs: { schedule: "0 3 * * 0", passphrase: { env: P } } } }\n',
    );
    expect(warnings.map(({ path }) => path)).toEqual([
      'devices[0].options.ucs.passphrase',
      'devices[1].options.ucs.passphrase',
    ]);
    expect(JSON.stringify(warnings)).not.toContain('hunter2');
  });
});
