import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Seen, StateReport } from '../../src/drivers/driver.ts';
import { driver } from '../../src/drivers/f5_bigip.ts';
import { read } from '../support/conformance-reading.ts';
import { type FixtureCase, loadCase } from '../support/devices/cases.ts';
import { timersOf } from '../support/devices/memory.ts';
import { createPersona, type Persona } from '../support/devices/persona.ts';
import type { DeviceSpec } from '../support/devices/spec.ts';
import { masked, modesOf } from '../support/driver-probe.ts';
import type { FakeClock } from '../support/fake-clock.ts';

async function stateOf(fixture: string): Promise<StateReport | undefined> {
  const { collected } = await read(driver, loadCase('f5_bigip', fixture));
  return driver.state?.(collected.seen);
}

/** What the driver makes of these answers; under bash. */
function stateFrom(answers: { readonly [command: string]: string }): StateReport | undefined {
  const seen: Seen = { text: (command) => answers[command] ?? null, options: {}, dialogue: 'bash' };
  return driver.state?.(seen);
}

function spoiled(fixture: string, changes: Partial<DeviceSpec>): FixtureCase {
  const known = loadCase('f5_bigip', fixture);
  return { ...known, device: { ...known.device, ...changes } };
}

describe('the state of a BIG-IP', () => {
  it.each<[string, StateReport]>([
    ['typical', {}],
    ['partitions', { unsaved: false }],
    [
      'ha-standby',
      {
        ha: 'STANDBY',
        standby: true,
        sync: 'Changes Pending',
        partnerSerials: ['a0b1c2d3-7788-99aa-bbccddeeff00'],
      },
    ],
    [
      'ha-active-zebos',
      {
        ha: 'ACTIVE',
        standby: false,
        sync: 'In Sync',
        unsaved: false,
        partnerSerials: ['b1c2d3e4-8899-aabb-ccddeeff0011'],
      },
    ],
    [
      'resource-admin',
      {
        unsaved: true,
        worth: [{ is: 'partial', because: 'no user account is in the text: this role does not see them' }],
      },
    ],
    [
      'auditor',
      {
        worth: [
          { is: 'partial', because: 'no password of a user is in the text: this role does not see them' },
        ],
      },
    ],
    [
      'narrow',
      {
        worth: [
          {
            is: 'partial',
            because:
              'restoring this would leave out the partitions Sales, Tenant-A: nothing of them is in it',
          },
        ],
      },
    ],
  ])('of %s is told by its answers', async (fixture, state) => {
    expect(await stateOf(fixture)).toEqual(state);
  });

  it('an empty partition is in the text by its own object', () => {
    const user = 'auth user a {\n    encrypted-password x\n}\n';
    const partitions = 'auth partition Common { }\nauth partition Empty { }\nauth partition Full { }\n';
    const worthOf = (config: string) =>
      stateFrom({ 'running-config': `${user}${config}`, partitions })?.worth;
    for (const root of ['/', ''])
      expect(
        worthOf(`auth partition Common { }\nauth partition Empty { }\nltm pool ${root}Full/x { }\n`),
      ).toBe(undefined);
    expect(worthOf('auth partition Common { }\n')?.[0]?.because).toContain('Empty, Full');
  });

  it('a failover and a change of the sync state change no line that is kept', () => {
    const { config } = loadCase('f5_bigip', 'ha-standby').device;
    const afterwards = config
      .replaceAll('failover-state active', 'failover-state other')
      .replaceAll('failover-state standby', 'failover-state active')
      .replaceAll('failover-state other', 'failover-state standby');
    expect(afterwards).not.toBe(config);
    expect(masked(driver, afterwards)).toBe(masked(driver, config));
  });

  it('the configuration tells the role where the commands are refused', () => {
    const config = loadCase('f5_bigip', 'ha-standby').device.config;
    expect(stateFrom({ 'running-config': config })).toEqual({
      ha: 'standby',
      standby: true,
      partnerSerials: ['a0b1c2d3-7788-99aa-bbccddeeff00'],
    });
  });

  it('the tables of old releases are read as well as their fields', () => {
    const rule = '-'.repeat(30);
    const failover = `\n${rule}\nCM::Failover Status\n${rule}\nColor    gray\nStatus   STANDBY\nSummary  1/1 standby\nDetails\n`;
    const sync = `\n${rule}\nCM::Sync Status\n${rule}\nColor    red\nMode     high-availability\nStatus   Disconnected\nSummary\n`;
    expect(stateFrom({ failover, sync })).toEqual({ ha: 'STANDBY', standby: true, sync: 'Disconnected' });
  });

  it('a unit that is forced offline stands by for nobody', () => {
    const fields = (status: string) => `cm x {\n    status ${status}\n}\n`;
    const state = stateFrom({ failover: fields('FORCED OFFLINE'), sync: fields('In Sync') });
    expect(state).toEqual({ ha: 'FORCED OFFLINE', standby: false, sync: 'In Sync' });
  });

  it('never throws, whatever the answers are', () => {
    const piece = fc.constantFrom(
      ...['cm device /Common/a {\n', '    self-device true\n', '    chassis-id  \n', 'status \n', '}\n'],
      ...['auth partition x {', 'auth user ', '{ }', '\\{', '"', '\0', '\n', ' /Common/', 'ltm pool /a/b {'],
    );
    const text = fc.array(fc.oneof(piece, fc.string()), { maxLength: 30 }).map((pieces) => pieces.join(''));
    const names = ['running-config', 'saved', 'failover', 'sync', 'partitions'];
    fc.assert(
      fc.property(fc.tuple(text, text, text, text, text), (texts) => {
        stateFrom(Object.fromEntries(names.map((name, index) => [name, texts[index] ?? ''])));
      }),
    );
  });
});

describe('running and saved configuration of a BIG-IP', () => {
  const pool = (name: string, more = '') => `ltm pool ${name} {\n    monitor /Common/https\n${more}}\n`;
  const rule = (body: string) => `ltm rule /Common/r {\nwhen HTTP_REQUEST {\n    ${body}\n}\n}\n`;
  const saved = `#TMSH-VERSION: 16.1.4\n\n${pool('/Common/a')}${pool('/Common/b')}${rule('pool a')}`;
  const unsaved = (running: string, files = saved) =>
    stateFrom({ 'running-config': `auth user a {\n    encrypted-password x\n}\n${running}`, saved: files })
      ?.unsaved;
  const same = `${pool('/Common/a')}${pool('/Common/b')}${rule('pool a')}`;

  it('agree where they say the same', () => {
    expect(unsaved(same)).toBe(false);
  });

  it.each([
    ['an object that is new', `${same}${pool('/Common/c')}`],
    ['an object that is gone', same.replace(pool('/Common/b'), '')],
    ['another body', same.replace('pool a', 'pool b')],
    ['another attribute', same.replace('/https\n', '/http\n')],
    ['a new address', `${same}net self /Common/s {\n    address 192.0.2.1/24\n}\n`],
  ])('differ by %s', (_what, running) => {
    expect(unsaved(running)).toBe(true);
  });

  it.each([
    ['names without their first /', same.replaceAll(' /Common/', ' Common/')],
    ['times', same.replace('    monitor', '    last-modified-time 2026-03-03:09:12:44\n    monitor')],
    ['an order of their own', same.replace('}\n', '    vs-index 3\n}\n')],
    ['what the system makes itself', `${same}ltm rule /Common/_sys_https_redirect {\n}\n`],
    ['a node that DNS made', `${same}ltm node /Common/_auto_192.0.2.7 {\n    address 192.0.2.7\n}\n`],
    ['an object of a kind that is not compared', `${same}sys snmp {\n    contact x\n}\n`],
  ])('do not differ by %s', (_what, running) => {
    expect(unsaved(running)).toBe(false);
  });

  it('are displayed with what is measured, and saved without', () => {
    const members = (state: string) =>
      `    members {\n        /Common/192.0.2.1:80 {\n            address 192.0.2.1\n${state}        }\n    }\n`;
    const measured = members('            session monitor-enabled\n            state down\n');
    expect(
      unsaved(`${rule('x')}${pool('/Common/a', measured)}`, `${rule('x')}${pool('/Common/a', members(''))}`),
    ).toBe(false);
    const byHand = members('            session user-disabled\n');
    expect(
      unsaved(`${rule('x')}${pool('/Common/a', byHand)}`, `${rule('x')}${pool('/Common/a', members(''))}`),
    ).toBe(true);
  });

  it('do not differ by members that DNS puts into a pool', () => {
    const member = (name: string) =>
      `    members {\n        /Common/${name}:80 {\n            ephemeral true\n        }\n    }\n`;
    expect(
      unsaved(`${same}${pool('/Common/dns', member('x'))}`, `${saved}${pool('/Common/dns', member('y'))}`),
    ).toBe(false);
  });

  it('VLANs are compared by name alone', () => {
    const vlan = (more: string) => `net vlan /Common/v {\n${more}    tag 12\n}\n`;
    expect(unsaved(`${same}${vlan('    if-index 96\n')}`, `${saved}${vlan('')}`)).toBe(false);
  });

  it.each([
    ['a saved file that was cut', same, saved.slice(0, -4)],
    ['no saved file at all', same, ''],
    [
      'two displays that agree in nothing',
      same,
      saved.replaceAll('monitor', 'monitors').replace('pool a', 'x'),
    ],
  ])('nothing is told of %s', (_what, running, files) => {
    expect(unsaved(running, files)).toBeUndefined();
  });

  it('are compared in little time, however large', () => {
    const many = Array.from({ length: 30_000 }, (_, index) =>
      pool(`/Common/pool-${index}`, '    # x\n'.repeat(10)),
    ).join('');
    expect(many.length).toBeGreaterThan(4_000_000);
    expect(unsaved(many, many)).toBe(false);
    expect(unsaved(many, many.replace('pool-29999 ', 'pool-30000 '))).toBe(true);
  });
});

describe('a BIG-IP that cannot be read now', () => {
  it('is not ready while mcpd is not, however its prompt looks', async () => {
    await expect(read(driver, spoiled('typical', { bigip: { phase: 'platform' } }))).rejects.toMatchObject({
      code: 'collect.not-ready',
      detail: { reply: 'phase platform' },
    });
  });

  it('is not ready where its configuration did not load', async () => {
    await expect(
      read(driver, spoiled('auditor', { answers: {}, bigip: { load: 'failed' } })),
    ).rejects.toMatchObject({
      code: 'collect.not-ready',
      detail: { reply: 'last-load full-config-load-failed' },
    });
  });

  it('is read where it is inoperative for want of a licence and mcpd runs', async () => {
    expect(modesOf(driver, 'admin@(lb1)(INOPERATIVE)(/Common)(tmos)# ')).toEqual([
      { mode: 'tmsh', host: 'lb1' },
    ]);
    const inoperative = spoiled('tmsh-short-prompt', { status: ['(cfg-sync Standalone)(INOPERATIVE)'] });
    const { collected } = await read(driver, inoperative);
    expect([...collected.artefacts.keys()]).toEqual(['running-config']);
  });

  it.each(['typical', 'tmsh-pager'])(
    'says that the password has expired, and answers nothing: %s',
    async (name) => {
      const expired = spoiled(name, { faults: { passwordExpired: true } });
      const devices: Persona[] = [];
      const persona = (clock: FakeClock) => {
        const device = createPersona(expired.device, timersOf(clock));
        devices.push(device);
        return device;
      };
      await expect(read(driver, expired, { persona })).rejects.toMatchObject({
        code: 'login.password-expired',
      });
      expect(devices[0]?.typed).toEqual([{ kind: 'exec', text: "tmsh -q -c 'show sys version'" }]);
    },
  );
});

describe('dynamic routing of a BIG-IP', () => {
  const command = driver.commands.find(({ name }) => name === 'zebos-rd{rd}');
  const seen: Seen = { text: () => null, options: {}, dialogue: 'bash' };
  const itemsOf = (listing: string) => command?.forEach?.items(listing, seen);

  it('is asked for by route domain, and by nothing that is none', () => {
    const listing = `/config/zebos/rd10/ZebOS.conf
/config/zebos/rd2/ZebOS.conf
/config/zebos/rd2/ZebOS.conf
/config/zebos/rd2/ZebOS.conf.sav
/config/zebos/rd; reboot/ZebOS.conf
/tmp/config/zebos/rd3/ZebOS.conf
`;
    expect(itemsOf(listing)).toEqual([{ rd: '2' }, { rd: '10' }]);
    expect(itemsOf('')).toEqual([]);
  });

  it('is not asked for, nor any file, where there is no bash', () => {
    const asked = (dialogue: string) =>
      driver.commands.filter((one) => one.when?.({ ...seen, dialogue }) !== false).map(({ name }) => name);
    expect(asked('tmsh')).toEqual(
      asked('bash').filter((name) => !/^(?:saved|route-domains|zebos|ucs|scf)/.test(name)),
    );
  });

  it('has a title for every block, and its last line is one', () => {
    const text = '!\nrouter bgp 65101\n neighbor 192.0.2.1 remote-as 1\n!\nline vty 0 39\n login\n!\nend\n';
    expect(driver.outline(text).map(({ section, title }) => `${section} | ${title}`)).toEqual([
      'router bgp | router bgp 65101',
      'line vty | line vty 0 39',
      'end | end',
    ]);
    expect(driver.outline(text.replace('end\n', '')).map(({ title }) => title)).not.toContain('end');
  });

  it.each([
    ' neighbor 192.0.2.1 password n0tr3al',
    ' neighbor 2001:db8::1 password 7 n0tr3al',
    'enable password 8 n0tr3al',
    'enable secret n0tr3al',
    'username ops privilege 15 password 8 n0tr3al',
    ' ip ospf authentication-key n0tr3al',
    ' ip ospf 192.0.2.1 message-digest-key 1 md5 n0tr3al',
    ' area 0.0.0.1 virtual-link 192.0.2.1 authentication-key n0tr3al',
    ' ip rip authentication string n0tr3al',
    ' isis password n0tr3al',
    ' area-password clear n0tr3al',
    '  key-string n0tr3al',
  ])('%j is masked', (line) => {
    expect(masked(driver, `!\nrouter bgp 1\n${line}\n!\nend\n`)).not.toContain('n0tr3al');
  });
});
