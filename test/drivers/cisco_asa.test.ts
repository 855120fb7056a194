import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/cisco_asa.ts';
import { read } from '../support/conformance-reading.ts';
import { loadCase } from '../support/devices/cases.ts';
import type { DeviceSpec } from '../support/devices/spec.ts';
import { cutsAtLines, factsIn, judged, masked, modesOf } from '../support/driver-probe.ts';

const complete = `: Saved

:\x20
: Serial Number: FCH0000AAAA
: Hardware:   ASA5512, 4096 MB RAM, CPU Clarkdale 2800 MHz, 1 CPU (2 cores)
: Written by ops at 20:03:32.236 CEST Mon Oct 21 2024
!
ASA Version 9.12(4)67\x20
!
hostname fw-hq
enable password $sha512$5000$c2FsdHNhbHRzYWx0$aGFzaGhhc2g= pbkdf2
passwd aGFzaGhhc2hoYXNo encrypted
!
interface GigabitEthernet0/0
 nameif outside
 ip address 192.0.2.1 255.255.255.0\x20
!
banner motd : end
banner motd fw-hq#
object network WEB
 host 192.0.2.80
aaa-server TAC protocol tacacs+
aaa-server TAC (inside) host 192.0.2.5
 key tacacs-shared
key chain OSPF
 key 1
  key-string 0 chain-secret
tunnel-group 192.0.2.9 ipsec-attributes
 ikev1 pre-shared-key vpn-shared-1
 ikev2 remote-authentication pre-shared-key vpn-shared-2
 ikev2 local-authentication pre-shared-key hex 0a0b0c0d0e0f
policy-map global_policy
 class inspection_default
  inspect dns preset_dns_map\x20
!
service-policy global_policy global
Cryptochecksum:0123456789abcdef0123456789abcdef
: end
`;

describe('prompts of an ASA', () => {
  it.each([
    ['fw-hq> ', 'user', 'fw-hq'],
    ['fw-hq# ', 'privileged', 'fw-hq'],
    ['fw-hq#', 'privileged', 'fw-hq'],
    ['fw-hq/admin# ', 'privileged', 'fw-hq'],
    ['fw-hq/pri/act# ', 'privileged', 'fw-hq'],
    ['fw-hq/sec/stby# ', 'privileged', 'fw-hq'],
    ['act/fw-hq# ', 'privileged', 'fw-hq'],
    ['stby/sec/fw-hq/ctx-1# ', 'privileged', 'fw-hq'],
    ['actNoFailover/fw-hq> ', 'user', 'fw-hq'],
    ['SYS/CTX1/act/sec# ', 'privileged', 'SYS'],
    ['fw-hq/customer-a/pri/act# ', 'privileged', 'fw-hq'],
    ['fw-hq/customer-a> ', 'user', 'fw-hq'],
    ['fw-hq/customer-a(config)# ', 'configuration', 'fw-hq'],
    ['fw_1.example.net# ', 'privileged', 'fw_1.example.net'],
    ['fw-hq(config)# ', 'configuration', 'fw-hq'],
    ['fw-hq/pri/act(config-if)# ', 'configuration', 'fw-hq'],
  ])('%j is the mode %s of %s', (line, mode, host) => {
    expect(modesOf(driver, line)).toContainEqual({ mode, host });
  });

  it('a failover changes the state and not the host', () => {
    const hosts = ['act/fw-hq# ', 'stby/fw-hq# ', 'fw-hq/pri/act# ', 'fw-hq/pri/stbyNoFailover# '].map(
      (line) => modesOf(driver, line)[0]?.host,
    );
    expect(new Set(hosts)).toEqual(new Set(['fw-hq']));
  });

  it.each(['banner motd fw-hq#', ' key abc#', '# ', '> ', 'enable password a# pbkdf2', '-fw# ', '[fw]# '])(
    '%j is no prompt',
    (line) => {
      expect(modesOf(driver, line)).toEqual([]);
    },
  );

  it('no command is sent at ">", and none in configuration mode', () => {
    const dialogue = driver.dialogues[0];
    if (dialogue.channel !== 'shell') throw new Error('an ASA has no exec');
    expect(dialogue.worksIn).toEqual(['privileged']);
    expect(dialogue.greetedBy).not.toContain('configuration');
    expect(dialogue.modes.configuration).not.toHaveProperty('moves');
  });
});

describe('enable on an ASA', () => {
  const dialogue = driver.dialogues[0];
  if (dialogue.channel !== 'shell') throw new Error('an ASA has no exec');
  const { modes } = dialogue;
  const reached = (from: string, line: string) => {
    const spec = modes[from];
    const expected = spec?.kind === 'question' ? spec.leadsTo : [];
    return expected.filter((name) => modes[name]?.line.test(line));
  };

  it.each([
    ['Password: ', 'enableAgain'],
    ['Invalid password', 'enableRefused'],
    ['Access denied.', 'enableRefused'],
    ['% Access denied', 'enableRefused'],
    ['Command authorization failed', 'enableRefused'],
    ['fw-hq> ', 'enableDenied'],
  ])('after the password, %j means that it was refused', (line, mode) => {
    expect(reached('enablePassword', line)).toEqual([mode]);
    expect(modes[mode]).toMatchObject({ kind: 'dead-end', failsWith: 'login.enable-rejected' });
  });

  it('the starred echo of a password is no question', () => {
    expect(modesOf(driver, 'Password: ********')).toEqual([]);
  });

  it('a unit that wants an enable password to be set is left alone', () => {
    for (const line of ['The enable password is not set.  Please set it now.', 'Enter  Password: ']) {
      expect(modesOf(driver, line).map(({ mode }) => mode)).toEqual(['enableUnset']);
    }
  });

  it('anonymous reporting is put off, because the other answers are stored', () => {
    const line = 'help improve the product? [Y]es, [N]o, [A]sk later: ';
    expect(modesOf(driver, line).map(({ mode }) => mode)).toEqual(['reporting']);
    expect(modes.reporting).toMatchObject({ answer: { text: 'A', enter: true } });
  });

  it('a message of the failover that covers the prompt is answered with Enter', () => {
    const line = 'fw-hq# Beginning configuration replication: Sending to mate. ';
    expect(modesOf(driver, line).map(({ mode }) => mode)).toEqual(['replication']);
  });
});

describe('the option elevate', () => {
  const option = driver.options?.find(({ name }) => name === 'elevate');
  const takes = option?.takes;
  if (typeof takes !== 'object' || !('matching' in takes)) throw new Error('it takes what matches');

  it.each(['enable', 'enable 1', 'enable 5', 'enable 15', 'login'])('takes %j', (value) => {
    expect(value).toMatch(takes.matching);
  });

  it.each([
    '',
    'enable 0',
    'enable 16',
    'enable 5 ',
    'enable  5',
    'login\nreload',
    'logout',
    'enable;reload',
  ])('does not take %j', (value) => {
    expect(value).not.toMatch(takes.matching);
  });

  const session = async (elevate: string, change: Partial<DeviceSpec> = {}) => {
    const fixture = loadCase('cisco_asa', 'login');
    const { persona } = await read(driver, {
      ...fixture,
      options: { elevate },
      device: { ...fixture.device, ...change },
    });
    return persona.typed.slice(0, 4).map(({ kind, text }) => `${kind} ${text}`);
  };

  it('is typed as it is, and `login` is asked for a name before the password of the account', async () => {
    expect(await session('login')).toEqual([
      'line login',
      'secret backup',
      'secret the-login-password',
      'line terminal pager 0',
    ]);
    expect((await session('enable 5', { enable: 'level-5' })).slice(0, 3)).toEqual([
      'line enable 5',
      'secret level-5',
      'line terminal pager 0',
    ]);
  });

  it.each(['login', 'enable 5'])(
    '%s that is refused types each credential once and fails',
    async (elevate) => {
      const thrown = await session(elevate, { enable: 'other', faults: { enableRefused: true } }).catch(
        (error: unknown) => error,
      );
      expect(thrown).toMatchObject({ code: 'login.enable-rejected' });
    },
  );
});

describe('a copy of an ASA', () => {
  it('is whole with its head, its checksum and its end', () => {
    expect(judged(driver, complete)).toEqual({ whole: true });
  });

  it.each([
    ['as "show running-config" begins', complete.replace(/^: Saved\n\n:.*\n/, ': Saved\n:\n')],
    ['without any line of the head', complete.slice(complete.indexOf('ASA Version'))],
    ['without the line about who saved', complete.replace(/: Written by.*\n/, '')],
    ['with blank lines behind the end', `${complete}\n\n`],
  ])('is whole %s', (_shape, text) => {
    expect(judged(driver, text)).toEqual({ whole: true });
  });

  it('is never whole when it is cut, at whatever line', () => {
    for (const cut of cutsAtLines(complete)) expect(judged(driver, cut).whole).toBe(false);
  });

  it('is not whole when it is cut inside of its last line, or when something follows it', () => {
    const end = complete.lastIndexOf(': end');
    for (const cut of [end + 1, end + 3, end + 4])
      expect(judged(driver, complete.slice(0, cut)).whole).toBe(false);
    expect(judged(driver, `${complete.slice(0, end)}ERROR: out of memory\n`).whole).toBe(false);
  });

  it('is whole by its last line, with or without a checksum before it', () => {
    expect(judged(driver, complete.replace(/Cryptochecksum.*\n/, '')).whole).toBe(true);
  });

  it('is not whole where a message of the failover pair tore a line apart', () => {
    for (const message of [
      'End Configuration Replication to mate',
      'Beginning configuration replication: Sending to mate.',
    ]) {
      const torn = complete.replace('pre-shared-key ', `pre-shared-key HALF\n\t${message}\n`);
      expect(torn).not.toBe(complete);
      expect(judged(driver, torn)).toMatchObject({
        whole: false,
        because: expect.stringContaining('failover'),
      });
    }
  });

  it('is not whole when its beginning is missing', () => {
    expect(judged(driver, complete.slice(complete.indexOf('hostname'))).whole).toBe(false);
  });

  it('shows no secret in git and keeps what only looks like one', () => {
    const text = masked(driver, complete);
    for (const secret of ['tacacs-shared', 'chain-secret', 'vpn-shared', '0a0b0c0d', 'aGFzaGhh', 'sha512']) {
      expect(text).not.toContain(secret);
    }
    for (const line of [
      ' key 1\n',
      'banner motd fw-hq#\n',
      'hostname fw-hq\n',
      'aaa-server TAC protocol tacacs+\n',
    ]) {
      expect(text).toContain(line);
    }
  });

  it('does not change with the time of a save, the unit that answers or the way it is asked', () => {
    const other = complete
      .replace(/: Written by.*\n/, ': Written by enable_15 at 01:02:03.004 CEST Tue Oct 22 2024\n')
      .replace('FCH0000AAAA', 'FCH0000BBBB')
      .replace(/: Hardware.*\n/, ': Hardware:   ASA5512, 8192 MB RAM\n')
      .replace(/Cryptochecksum:.*/, 'Cryptochecksum:ffffffffffffffffffffffffffffffff');
    expect(masked(driver, other)).toBe(masked(driver, complete));
  });

  it('keeps certificates, which are public', () => {
    const chain =
      'crypto ca certificate chain TP\n certificate 4f5c2c5b\n    308201e3 3082014c a0030201\n  quit\n';
    expect(masked(driver, chain)).toBe(chain);
  });
});

describe('what an ASA copy restores', () => {
  const worst = (line: string) =>
    driver.restorable.filter((rule) => rule.line.test(line)).map(({ is }) => is);

  it.each([
    ' ikev1 pre-shared-key *****',
    ' ikev2 remote-authentication pre-shared-key *****',
    ' key *****',
    'snmp-server host inside 192.0.2.1 community ***** version 2c',
    'username ops password ***** pbkdf2',
    'failover key *****',
    ' ldap-login-password <removed>',
    ' ospf message-digest-key 1 md5 *****',
    'snmp-server user u g v3 encrypted auth sha ***** priv aes 256 *****',
  ])('%j tells that keys are masked', (line) => {
    expect(worst(line)).toEqual(['no']);
  });

  it.each([
    'banner motd ***** key ***** no entry *****',
    'access-list OUT remark password *****',
    ' description key *****',
    'banner motd *****',
    ' ikev1 pre-shared-key a*b*c',
  ])('%j tells nothing', (line) => {
    expect(worst(line)).toEqual([]);
  });

  it('the head of a copy tells of several contexts where "show mode" was refused', () => {
    const worthOf = (version: string) => {
      const texts: Record<string, string> = { 'running-config': `: Saved\n${version}\n` };
      return driver.state?.({ text: (name) => texts[name] ?? null, options: {}, dialogue: 'terminal' }).worth;
    };
    const inPart = { is: 'partial', because: expect.stringContaining('several security contexts') };
    expect(worthOf('ASA Version 9.8(3)235 <system>')).toEqual([inPart]);
    expect(worthOf('ASA Version 9.14(2)15 <context>')).toEqual([inPart]);
    expect(worthOf('ASA Version 9.12(4)67 ')).toBeUndefined();
  });
});

describe('facts of an ASA', () => {
  it('come from "show version"', () => {
    const version = `
Cisco Adaptive Security Appliance Software Version 9.9(2)32\x20
Firepower Extensible Operating System Version 2.3(1.121)
Device Manager Version 7.9(1)151

fw-hq up 55 days 9 hours
failover cluster up 87 days 15 hours

Hardware:   ASA5516, 8192 MB RAM, CPU Atom C2000 series 2416 MHz, 1 CPU (8 cores)
Serial Number: JAD0000AAAA
Configuration last modified by at home at 17:31:04.576 CDT Mon Aug 12 2019
`;
    expect(factsIn(driver, 'version', version)).toEqual({
      hostname: 'fw-hq',
      version: '9.9(2)32',
      model: 'ASA5516',
      serial: 'JAD0000AAAA',
      'changed-by': 'at home',
      'changed-at': '17:31:04.576 CDT Mon Aug 12 2019',
    });
  });

  it('are silent about who changed a device that nobody changed', () => {
    const text = 'Configuration has not been modified since last system restart.\n';
    expect(factsIn(driver, 'version', text)).toEqual({});
  });
});

describe('a refusal of an ASA', () => {
  const refusalOf = (line: string) => driver.refusals.find((rule) => rule.line.test(line))?.means;

  it.each([
    "ERROR: % Invalid input detected at '^' marker.",
    'ERROR: % Unrecognized command',
    '% Ambiguous command:  "sh r"',
    '% Incomplete command',
    'Command authorization failed',
    'ERROR: Command authorization failed',
    "ERROR: 'X' is not valid.",
    '%Error opening system:running-config (No such file or directory)',
    "% Error  Use the '?' or <TAB> key to list commands.",
  ])('%j is recognised', (line) => {
    expect(refusalOf(line)).toBe('collect.command-refused');
  });

  it.each([
    ': Saved',
    'ASA Version 9.12(4)67',
    'banner motd ERROR: % Invalid',
    ' description Command authorization failed',
  ])('%j is none', (line) => {
    expect(refusalOf(line)).toBeUndefined();
  });
});

describe('the outline of an ASA', () => {
  const blocks = driver.outline(complete);
  const titled = (title: string) => blocks.find((block) => block.title === title);
  const lines = complete.split('\n');

  it('names every line that heads an indented block, and nothing else', () => {
    expect(blocks.map(({ section, title }) => [section, title])).toEqual([
      ['interface', 'interface GigabitEthernet0/0'],
      ['object network', 'object network WEB'],
      ['aaa-server', 'aaa-server TAC (inside) host 192.0.2.5'],
      ['key', 'key chain OSPF'],
      ['key', 'key chain OSPF > key 1'],
      ['tunnel-group', 'tunnel-group 192.0.2.9 ipsec-attributes'],
      ['policy-map', 'policy-map global_policy'],
      ['policy-map', 'policy-map global_policy > class inspection_default'],
    ]);
  });

  it('tells first and last line of a block', () => {
    const block = titled('interface GigabitEthernet0/0');
    expect(lines[block?.firstLine ?? -1]).toBe('interface GigabitEthernet0/0');
    expect(lines[block?.lastLine ?? -1]).toBe(' ip address 192.0.2.1 255.255.255.0 ');
  });
});
