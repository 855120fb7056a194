import { describe, expect, it } from 'vitest';
import type { Command, Seen, StateReport } from '../../src/drivers/driver.ts';
import { driver } from '../../src/drivers/fortinet_fortigate.ts';
import { normalise } from '../../src/pipeline/normalise.ts';

const header = (version: string, vdom: 0 | 1, scope = '#global_vdom=1') =>
  `#config-version=FGT60F-${version}-FW-build2795-250523:opmode=1:vdom=${vdom}:user=backup
#conf_file_ver=440000000000001
#buildno=2795
${scope}
`;

const status = (vdoms: string, ha: string) => `Version: FortiGate-60F v7.4.8,build2795,250523 (GA.M)
Serial-Number: FGT60FTK00000001
Hostname: fw-a
Virtual domain configuration: ${vdoms}
Current HA mode: ${ha}
`;

const interfaces = 'config system interface\n    edit "wan1"\n        set vdom "root"\n    next\nend\n';
const admins = (profile: string) =>
  `config system admin\n    edit "someone"\n        set accprofile "${profile}"\n    next\nend\n`;
const full = `${header('7.4.8', 0)}${interfaces}${admins('super_admin')}config router multicast\nend\n`;

const standard = Object.fromEntries((driver.options ?? []).map((option) => [option.name, option.standard]));

function seen(answers: { readonly [command: string]: string }, options = {}): Seen {
  return {
    text: (command) => answers[command] ?? null,
    options: { ...standard, ...options },
    dialogue: 'terminal',
  };
}

const stateOf = (...of: Parameters<typeof seen>): StateReport => driver.state?.(seen(...of)) ?? {};

/** The commands that are asked on such a device. */
const asked = (...of: Parameters<typeof seen>): string[] =>
  driver.commands.filter((command: Command) => command.when?.(seen(...of)) ?? true).map(({ name }) => name);

describe('a member of a FortiGate cluster', () => {
  const old = `Model: 300
Mode: a-p
Group: 0
Debug: 0
ses_pickup: enable
Master:200 fw-a             FG300A0000000001 0
Slave :100 fw-b             FG300A0000000002 1
number of vcluster: 1
vcluster 1: work 10.0.0.1
Master:0 FG300A0000000001
Slave :1 FG300A0000000002
`;
  const fiveSix = `HA Health Status: OK
Mode: HA A-P
Configuration Status:
    FG200D0000000001(updated 3 seconds ago): in-sync
    FG200D0000000002(updated 2 seconds ago): out-of-sync
System Usage stats:
    FG200D0000000001(updated 3 seconds ago):
        sessions=783, average-cpu-user/nice/system/idle=0%/0%/0%/100%, memory=36%
Slave : fw, b         , FG200D0000000001, cluster index = 1
Master: fw-a          , FG200D0000000002, cluster index = 0
number of vcluster: 1
Slave : FG200D0000000001, operating cluster index = 1
Master: FG200D0000000002, operating cluster index = 0
`;
  const seven = `HA Health Status:\r
    WARNING: FGT40F0000000001 has hbdev down;\r
Configuration Status:\r
    FGT40F0000000001(updated 3 seconds ago): in-sync\r
    FGT40F0000000001 chksum dump: fe 55 7c e1 08 00 00 00 00 00 00 00 00 00 00 00\r
    FGT40F0000000002(updated 4 seconds ago): in-sync\r
Primary     : fw-a            , FGT40F0000000001, HA cluster index = 1\r
Secondary   : fw-b            , FGT40F0000000002, HA cluster index = 0\r
Primary: FGT40F0000000001, HA operating index = 0\r
Secondary: FGT40F0000000002, HA operating index = 1\r
`;
  const sevenFour = `Mode: HA A-P
Configuration Status:
    FG3K1F0000000001(updated 1 seconds ago): in-sync
    FG3K1F0000000002(updated 2 seconds ago): in-sync
number of member: 2
fw-a              , FG3K1F0000000001, HA cluster index = 0
fw-b              , FG3K1F0000000002, HA cluster index = 1
Primary: FG3K1F0000000001, HA operating index = 0
Secondary: FG3K1F0000000002, HA operating index = 1
`;

  it.each([
    ['before 5.4', old, 'FG300A', undefined],
    ['5.6', fiveSix, 'FG200D', 'out-of-sync'],
    ['7.0', seven, 'FGT40F', 'in-sync'],
    ['7.4', sevenFour, 'FG3K1F', 'in-sync'],
  ])('names its partners and how far they agree in the format of %s', (_version, members, type, sync) => {
    const unit = status('disable', 'a-p, primary').replace('FGT60FTK00000001', `${type}0000000001`);
    const state = stateOf({ status: unit, 'running-config': full, 'ha-status': members });
    expect(state).toMatchObject({ ha: 'a-p, primary', standby: false });
    expect(state.partnerSerials).toEqual([`${type}0000000002`]);
    expect(state.sync).toBe(sync);
  });

  it.each([
    ['a-p, primary', false],
    ['a-p, master', false],
    ['a-a, primary', false],
    ['a-p, secondary', true],
    ['a-p, slave', true],
    ['a-a, backup', true],
  ])('that says %j stands by: %s', (mode, standby) => {
    const state = stateOf({ status: status('disable', mode), 'running-config': full });
    expect(state).toEqual({ ha: mode, standby, partnerSerials: [] });
  });

  it('that stands alone is none', () => {
    const members = 'HA Health Status: OK\nMode: Standalone\nnumber of vcluster: 0\n';
    const state = stateOf({
      status: status('disable', 'standalone'),
      'running-config': full,
      'ha-status': members,
    });
    expect(state).toEqual({});
    expect(stateOf({ status: 'Version: x\n', 'running-config': full })).toEqual({});
  });

  it('is asked for the others where it can tell: at the top, or in the global part where there are VDOMs', () => {
    const text = { 'running-config': full };
    expect(asked({ ...text, status: status('disable', 'standalone') })).toEqual(['status', 'running-config']);
    expect(asked({ ...text, status: status('disable', 'a-p, primary') })).toContain('ha-status');
    const vdoms = { 'running-config': full.replace('vdom=0', 'vdom=1') };
    for (const word of ['enable', 'multiple', 'split-task', 'multi-vdom']) {
      expect(asked({ ...vdoms, status: status(word, 'a-p, primary') })).toEqual([
        'status',
        'running-config',
        'global.ha-status',
      ]);
    }
    // An account of one VDOM has no way there.
    const one = { 'running-config': full.replace('#global_vdom=1', '#global_vdom=0:vd_name=shop') };
    expect(asked({ ...one, status: status('multiple', 'a-p, primary') })).toEqual([
      'status',
      'running-config',
    ]);
  });

  it('of hostile words makes no state that is expensive or wrong', () => {
    const members = [
      `${'a'.repeat(100_000)}, FG100, HA cluster index = 1`,
      `Master:${' '.repeat(150)}`,
      'x, <script>, HA cluster index = 1',
      '    FG200D0000000001(updated 3 seconds ago): rm -rf /',
    ].join('\n');
    const started = performance.now();
    const state = stateOf({
      status: status('disable', 'a-p, primary'),
      'running-config': full,
      'ha-status': members,
    });
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(state).toEqual({ ha: 'a-p, primary', standby: false, partnerSerials: [] });
  });
});

describe('what a FortiGate copy tells of the account that read it', () => {
  const worthOf = (text: string, options = {}, more = {}) =>
    (
      stateOf({ status: status('disable', 'standalone'), 'running-config': text, ...more }, options).worth ??
      []
    ).map(({ is, because }) => {
      expect(because.length).toBeLessThanOrEqual(120);
      return `${is}: ${because}`;
    });

  it('a copy with a super_admin in it is all there', () => {
    expect(worthOf(full)).toEqual([]);
    expect(worthOf(full.replaceAll('\n', '\r\n'))).toEqual([]);
  });

  it('without a super_admin, the account may not see them', () => {
    const narrow = full.replace('"super_admin"', '"prof_admin"');
    expect(worthOf(narrow)).toEqual([
      expect.stringMatching(/^partial: restoring this would remove every super_admin: /),
    ]);
    // The words stand in a value, and no such account in the configuration.
    const quoted = narrow.replace(
      'config router',
      'config system replacemsg admin "x"\n    set buffer "a\n        set accprofile super_admin\n"\nend\nconfig router',
    );
    expect(worthOf(quoted)).toHaveLength(1);
  });

  it('without administrators or interfaces, whole sections are missing', () => {
    expect(worthOf(full.replace(admins('super_admin'), ''))).toEqual([
      expect.stringMatching(
        /^partial: restoring this would remove every administrator: "config system admin"/,
      ),
    ]);
    expect(worthOf(full.replace(interfaces, ''))).toEqual([
      expect.stringMatching(
        /^partial: restoring this would remove every interface: "config system interface"/,
      ),
    ]);
  });

  it('a VDOM has no super_admin of its own: its header tells what is missing', () => {
    const one = full
      .replace('#global_vdom=1', '#global_vdom=0:vd_name=shop')
      .replace(interfaces + admins('super_admin'), 'config system admin\nend\n');
    expect(worthOf(one)).toEqual([]);
  });

  it('looks for them in the global section too, where that was read by itself', () => {
    const root = full.replace(admins('super_admin'), '').replace(interfaces, '');
    expect(worthOf(root)).toHaveLength(2);
    expect(worthOf(root, {}, { 'global.running-config': `${interfaces}${admins('super_admin')}` })).toEqual(
      [],
    );
  });

  it('says nothing where nothing was read', () => {
    expect(stateOf({ status: status('disable', 'standalone') })).toEqual({});
    expect(stateOf({})).toEqual({});
  });
});

describe('the global section of FortiOS 6.2', () => {
  const gap = {
    status: status('enable', 'standalone'),
    'running-config': full.replace(header('7.4.8', 0), header('6.2.3', 1)),
  };

  it('is read by itself where there are VDOMs', () => {
    expect(asked(gap)).toContain('global.running-config');
    const padded = { ...gap, 'running-config': gap['running-config'].replace('-6.2.3-', '-6.02-') };
    expect(asked(padded)).toContain('global.running-config');
  });

  it.each([
    ['without VDOMs', { ...gap, status: status('disable', 'standalone') }, {}],
    ['in another release', { ...gap, 'running-config': full }, {}],
    [
      'in a release that only looks like it',
      { ...gap, 'running-config': gap['running-config'].replace('-6.2.', '-6.20.') },
      {},
    ],
    [
      'to an account of one VDOM',
      {
        ...gap,
        'running-config': gap['running-config'].replace('#global_vdom=1', '#global_vdom=0:vd_name=a'),
      },
      {},
    ],
    ['where the file is fetched, which has it', gap, { method: 'scp' }],
  ])('is not read by itself %s', (_where, answers, options) => {
    expect(asked(answers, options)).not.toContain('global.running-config');
    expect(stateOf(answers, options).worth ?? []).toEqual([]);
  });

  it('is missing where it was refused, and not where it came', () => {
    expect(stateOf(gap).worth).toEqual([
      {
        is: 'partial',
        because: expect.stringContaining('FortiOS 6.2 with VDOMs: parts of the global section are missing'),
      },
    ]);
    expect(stateOf({ ...gap, 'global.running-config': interfaces }).worth).toBeUndefined();
  });
});

describe('options of a FortiGate', () => {
  const ways = (options = {}) => {
    const command = driver.commands.find(({ name }) => name === 'running-config');
    if (command?.keep !== 'artefact') throw new Error('no such artefact');
    return command.firstOf
      .filter((way) => way.when?.(seen({}, options)) ?? true)
      .map(({ send, by }) => `${by ?? 'shell'} ${send}`);
  };

  it('the text is displayed, or fetched as a file and then by nothing else', () => {
    expect(ways()).toEqual(['shell show']);
    expect(ways({ method: 'scp' })).toEqual(['scp sys_config']);
  });

  it('the defaults are read where they are asked for', () => {
    const answers = { status: status('disable', 'standalone'), 'running-config': full };
    expect(asked(answers)).not.toContain('full-configuration');
    expect(asked(answers, { full_configuration: true })).toContain('full-configuration');
  });

  it('a unit that stands by is stored unless somebody says otherwise', () => {
    expect(driver.options?.find(({ name }) => name === 'on_standby')).toMatchObject({
      takes: ['store', 'skip'],
      standard: 'store',
    });
  });
});

describe('a failover of a FortiGate', () => {
  /** As the two units of one cluster display it: all that each has of its own, and nothing else, differs. */
  const unit = (own: 'a' | 'b', global = '') => {
    const first = own === 'a';
    return `${header('7.4.8', 0)}${global}config system global
    set admintimeout 15
    set hostname "fw-${own}"
end
config system interface
    edit "wan1"
        set ip 192.0.2.2 255.255.255.240
        ${first ? 'set management-ip 192.0.2.11 255.255.255.0' : 'set management-ip 192.0.2.12 255.255.255.0'}
    next
    edit "mgmt"
        set ip 198.51.100.${first ? 1 : 2} 255.255.255.0
        set alias "unit ${own}"
${first ? '        config ipv6\n            set ip6-address 2001:db8::1/64\n        end\n' : ''}    next
    edit "mgmt2"
        set ip 198.51.100.130 255.255.255.128
    next
end
config system admin
    edit "admin"
        set accprofile "super_admin"
${first ? '        config gui-dashboard\n            edit 1\n                set name "Status"\n                config widget\n                    edit 1\n                        set type cpu\n                    next\n                end\n            next\n        end\n' : ''}        set vdom "root"
    next
end
config system ha
    set group-name "pair"
    set mode a-p
    set hbdev "ha1" 50 "ha2" 100
    set ha-mgmt-status enable
    config ha-mgmt-interfaces
        edit 1
            set interface "mgmt"
            set gateway 198.51.100.${first ? 253 : 254}
        next
    end
    set override ${first ? 'enable' : 'disable'}
${first ? '    set priority 200\n    set override-wait-time 10\n' : ''}    set monitor "wan1"
end
config system link-monitor
    edit "isp"
        set server "192.0.2.1"
${first ? '        set ha-priority 10\n' : ''}    next
end
config router static
    edit 1
        set gateway 192.0.2.1
        set priority 10
    next
end
config router multicast
end
${global === '' ? '' : 'end\n'}`;
  };

  it.each([
    ['', ''],
    [' with VDOMs', 'config global\n'],
  ])('makes no commit%s', (_what, global) => {
    expect(unit('a', global)).not.toBe(unit('b', global));
    expect(normalise(driver, unit('b', global), true)).toBe(normalise(driver, unit('a', global), true));
  });

  it('hides nothing of a unit that stands alone', () => {
    const text = normalise(driver, unit('a'));
    for (const line of [
      'set hostname "fw-a"',
      'set priority 200',
      'edit "mgmt"',
      'config gui-dashboard',
      'set ha-priority 10',
    ])
      expect(text).toContain(line);
  });

  it('hides nothing that the units share', () => {
    const text = normalise(driver, unit('a'), true);
    for (const line of [
      'set admintimeout 15',
      'edit "wan1"',
      'set ip 192.0.2.2 255.255.255.240',
      'edit "mgmt2"',
      'set ip 198.51.100.130 255.255.255.128',
      'set accprofile "super_admin"',
      'set vdom "root"',
      'set group-name "pair"',
      'set hbdev "ha1" 50 "ha2" 100',
      'set interface "mgmt"',
      'set monitor "wan1"',
      'set gateway 192.0.2.1',
      '        set priority 10',
    ])
      expect(text).toContain(`${line}\n`);
    expect(driver.outline(text).at(-1)?.title).toBe('config router multicast');
  });
});
