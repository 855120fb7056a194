import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/fortinet_fortigate.ts';
import { cutsAtLines, factsIn, judged, masked, modesOf } from '../support/driver-probe.ts';

const header = `#config-version=FGT60F-7.4.8-FW-build2795-250523:opmode=1:vdom=0:user=backup
#conf_file_ver=440000000000001
#buildno=2795
#global_vdom=1
`;

const flat = `${header}config system global
    set alias "FortiGate-60F"
    set hostname "fw-hq"
end
config system interface
    edit "wan1"
        set vdom "root"
        set ip 192.0.2.2 255.255.255.240
        config ipv6
            set ip6-address 2001:db8::1/64
        end
    next
    edit "say \\"end\\" \\\\"
        set vdom "root"
    next
end
config system snmp community
    edit 1
        set name "n0tr3al-community"
        config hosts
            edit 1
                set ip 192.0.2.9 255.255.255.255
            next
        end
    next
end
config system replacemsg admin "pre_admin-disclaimer-text"
    set buffer "This is the admin's page
config firewall policy
end
fw-hq #\x20
"
end
config vpn certificate local
    edit "own"
        set password ENC bm90cmVhbG5vdHJlYWw=
        set private-key "-----BEGIN ENCRYPTED PRIVATE KEY-----
bm90cmVhbGtleW1hdGVyaWFs
-----END ENCRYPTED PRIVATE KEY-----
"
        set certificate "-----BEGIN CERTIFICATE-----
cHVibGljY2VydGlmaWNhdGU=
-----END CERTIFICATE-----"
    next
end
config firewall internet-service-name
    edit "Example-Web"
        set internet-service-id 65537
    next
end
config firewall policy
    edit 8
        set name "to the web"
        set comments "key password secret"
    next
end
config router multicast
end
`;

const vdoms = `${header.replace('vdom=0', 'vdom=1')}
config vdom
edit root
next
edit shop
next
end

config global
config system global
    set hostname "fw-hq"
end
end

config vdom
edit root
config firewall policy
    edit 1
        set action accept
    next
end
config router multicast
end
end

config vdom
edit shop
config firewall policy
end
config router multicast
end
end
`;

describe('prompts of a FortiGate', () => {
  it.each([
    ['fw-hq # ', 'administrator', 'fw-hq'],
    ['fw-hq #', 'administrator', 'fw-hq'],
    ['a-very-long-name-that-was~ # ', 'administrator', 'a-very-long-name-that-was~'],
    ['fw-hq(Primary) # ', 'administrator', 'fw-hq'],
    ['fw-hq(Secondary) # ', 'administrator', 'fw-hq'],
    ['fw-hq $ ', 'limited', 'fw-hq'],
    ['fw-hq (shop) $ ', 'limited', 'fw-hq'],
    ['fw-hq (shop) # ', 'inside', 'fw-hq'],
    ['fw-hq (global) # ', 'global', 'fw-hq'],
    ['fw-hq (global) $ ', 'limited', 'fw-hq'],
    ['fw-hq(Primary) (global) # ', 'global', 'fw-hq'],
    ['fw-hq(Secondary) (shop) # ', 'inside', 'fw-hq'],
    ['fw-hq (a-long-vdom~) # ', 'inside', 'fw-hq'],
  ])('%j is the mode %s of %s', (line, mode, host) => {
    expect(modesOf(driver, line)).toEqual([{ mode, host }]);
  });

  it.each([
    '        set comments "fw-hq # ',
    'fw-hq',
    '#',
    ' # ',
    '# Version: FortiGate-60F',
    '        set password ENC abc$',
    'end # ',
  ])('%j is no prompt, or not one of that name', (line) => {
    expect(modesOf(driver, line).filter(({ host }) => host === 'fw-hq')).toEqual([]);
  });

  it('what an account sees that is no super_admin restores in part', () => {
    const [dialogue] = driver.dialogues;
    if (dialogue.channel !== 'shell') throw new Error('a FortiGate is read in a terminal');
    expect(dialogue.modes.limited).toMatchObject({ restorable: { is: 'partial' } });
    expect(dialogue.modes.inside).toMatchObject({ restorable: { is: 'partial' } });
    expect(dialogue.modes.administrator).not.toHaveProperty('restorable');
    expect(dialogue.modes.global).not.toHaveProperty('restorable');
  });

  it('the global part is entered by us and by no login, and no VDOM is entered at all', () => {
    const [dialogue] = driver.dialogues;
    if (dialogue.channel !== 'shell') throw new Error('a FortiGate is read in a terminal');
    expect(dialogue.greetedBy).not.toContain('global');
    const typed = driver.commands.flatMap((command) => [
      ...(command.before ?? []),
      ...(command.keep === 'artefact' ? command.firstOf.map(({ send }) => send) : []),
      ...(command.after ?? []),
    ]);
    expect(typed).toContain('config global');
    expect(typed.filter((line) => /^(?:edit|config vdom|set|unset|delete)/.test(line))).toEqual([]);
  });

  it('a disclaimer is accepted with a bare key, and a forced change of password with nothing', () => {
    const [dialogue] = driver.dialogues;
    if (dialogue.channel !== 'shell') throw new Error('a FortiGate is read in a terminal');
    expect(modesOf(driver, "(Press 'a' to accept):").map(({ mode }) => mode)).toEqual(['disclaimer']);
    expect(dialogue.modes.disclaimer).toMatchObject({ answer: { text: 'a', enter: false } });
    expect(modesOf(driver, 'New Password: ').map(({ mode }) => mode)).toEqual(['newPassword']);
    expect(dialogue.modes.newPassword).toMatchObject({ failsWith: 'login.password-expired' });
  });

  it('the pager is answered with a blank, and only at the beginning of a line', () => {
    const [dialogue] = driver.dialogues;
    if (dialogue.channel !== 'shell') throw new Error('a FortiGate is read in a terminal');
    const [pager] = dialogue.pagers;
    expect(pager?.press).toBe(' ');
    expect('--More-- ').toMatch(pager?.line ?? /^$/);
    expect('set comments "--More-- ').not.toMatch(pager?.line ?? /^/);
    expect(dialogue.prepare).toEqual([]);
  });
});

describe('a copy of a FortiGate', () => {
  it.each([
    ['flat', flat],
    ['with VDOMs', vdoms],
  ])('that is complete and %s is whole', (_shape, text) => {
    expect(judged(driver, text)).toEqual({ whole: true });
  });

  it.each([
    ['flat', flat],
    ['with VDOMs', vdoms],
  ])('that is cut and %s is whole on a boundary only, where the last section is gone', (_shape, text) => {
    const sections = (part: string) => new Set(driver.outline(part).map(({ section }) => section));
    let boundaries = 0;
    for (const cut of cutsAtLines(text)) {
      if (!judged(driver, cut).whole) continue;
      if (cut.trimEnd() === text.trimEnd()) continue;
      boundaries++;
      expect(cut.trimEnd()).toMatch(/\nend$/);
      expect([...sections(text)].some((section) => !sections(cut).has(section))).toBe(true);
    }
    expect(boundaries).toBeGreaterThan(0);
  });

  it.each([
    ['nothing', ''],
    ['a header alone', header],
    ['no header', flat.slice(header.length)],
    [
      'an error in the middle',
      flat.replace('config system snmp', 'Command fail. Return code -61\nconfig system snmp'),
    ],
    ['a pager between two lines', flat.replace('        set vdom', '--More--         set vdom')],
    ['an end too many', `${flat}end\n`],
    ['a lost next', flat.replace('    next\nend\nconfig router', 'config router')],
    ['a lost closing quote', flat.replace('"wan1"', '"wan1')],
  ])('that holds %s is not whole', (_what, text) => {
    expect(judged(driver, text).whole).toBe(false);
  });

  it('with quotes and apostrophes as values may have them is whole', () => {
    const text = `${header}config system a\n    set x ''\n    set y "it's"\n    set z "\\"" "\\\\"\n    set w O'Brien\nend\n`;
    expect(judged(driver, text)).toEqual({ whole: true });
  });

  it('with an odd quote in a comment is whole', () => {
    expect(judged(driver, flat.replace('#buildno', '# the "old one\n#buildno'))).toEqual({ whole: true });
  });

  it('shows no secret in git and keeps what only looks like one', () => {
    const text = masked(driver, flat);
    for (const secret of ['n0tr3al-community', 'bm90cmVhbG5vdHJlYWw', 'bm90cmVhbGtleW1h']) {
      expect(text).not.toContain(secret);
    }
    for (const line of [
      '        set name "to the web"\n',
      '        set comments "key password secret"\n',
      'cHVibGljY2VydGlmaWNhdGU=\n',
    ]) {
      expect(text).toContain(line);
    }
    expect(text).toContain('<secret:rotating>');
  });

  it('does not change with new ciphertexts, the reader, the display counter or a signature update', () => {
    const other = flat
      .replace('bm90cmVhbG5vdHJlYWw=', 'YW5vdGhlcmNpcGhlcnRleHQ=')
      .replace('bm90cmVhbGtleW1hdGVyaWFs', 'YW5vdGhlcmtleWNpcGhlcg==')
      .replace('440000000000001', '440000000000002')
      .replace('user=backup', 'user=ops')
      .replace('"Example-Web"', '"Example-Mail"');
    expect(masked(driver, other)).toBe(masked(driver, flat));
  });

  it('stays balanced when it is masked', () => {
    expect(driver.outline(masked(driver, flat)).at(-1)?.title).toBe('config router multicast');
  });
});

describe('secrets of a FortiGate', () => {
  const inside = (section: string, line: string) =>
    masked(driver, `config ${section}\n    edit 1\n        ${line}\n    next\nend\n`);

  it.each([
    ['vpn ipsec phase1-interface', 'set psksecret n0tr3al'],
    ['vpn ipsec phase1-interface', 'set psksecret-remote "n0t r3al"'],
    ['vpn ipsec phase1-interface', 'set ppk-secret n0tr3al'],
    ['user radius', 'set secret n0tr3al'],
    ['user radius', 'set secondary-secret "n0tr3al"'],
    ['user tacacs+', 'set tertiary-key n0tr3al'],
    ['user local', 'set passwd n0tr3al'],
    ['system admin', 'set password "n0tr3al"'],
    ['system ha', 'set group-password n0tr3al'],
    ['router ospf', 'set md5-key 1 n0tr3al'],
    ['router isis', 'set auth-password-l1 n0tr3al'],
    ['wireless-controller vap', 'set sae-password n0tr3al'],
    ['wireless-controller vap', 'set passphrase "n0tr3al"'],
    ['system sdn-connector', 'set api-key n0tr3al'],
    ['system snmp user', 'set auth-pwd n0tr3al'],
    ['vpn certificate local', 'set password "ENC n0tr3aln0tr3al"'],
    ['log fortianalyzer setting', 'set server-key n0tr3al'],
    ['system password-policy', 'set history0 n0tr3al'],
    ['system automation-action', 'set headers "Authorization: Bearer n0tr3al"'],
    ['system automation-action', 'set headers "Accept: n0t/r3al" "X-Api-Key : n0tr3al"'],
    ['system automation-action', 'set headers n0tr3al'],
    ['system automation-action', 'set headers "X-Api-Key: \\"n0tr3al\\" n0tr3al"'],
    ['system automation-action', 'set http-body "{\\"user\\":\\"x\\",\\"password\\":\\"n0tr3al\\"}"'],
    ['system automation-action', 'set http-body "{\n\\"password\\":\\"n0tr3al\\"\n}"'],
    ['system automation-action', 'set uri "reader:n0tr3al@hooks.example.net/x"'],
    ['system automation-action', 'set uri "https://reader:n0tr3al@hooks.example.net/x"'],
    ['system automation-action', 'set uri "hooks.example.net/run?code=n0tr3al"'],
    ['system automation-action', 'set uri "hooks.example.net/services/T0/n0tr3al0123456789abcdef/x?a=b"'],
    ['firewall ssh local-key', 'set privatekey "n0tr3al"'],
    ['firewall ssh local-key', 'set privatekey "n0tr3al\nn0tr3al\n"'],
    ['firewall ssh local-key', 'set private-key "n0tr3al"'],
    ['firewall ssh local-key', 'set private-key n0tr3al'],
    ['firewall ssh local-key', 'set private-key "\nn0tr3al\n\n"'],
    ['vpn certificate local', 'set csr "n0tr3al"'],
    ['vpn certificate local', 'set csr "n0tr3al\nsay \\"n0tr3al"'],
    ['system external-resource', 'set resource "https://reader:n0tr3al@feeds.example.net/x"'],
    ['system external-resource', 'set resource "https://feeds.example.net/x?token=n0tr3al"'],
    ['system snmp community', 'set name n0tr3al'],
  ])('under "config %s", %j is masked', (section, line) => {
    expect(inside(section, line)).not.toMatch(/n0t|3al/);
    expect(inside(section, line)).toContain('<secret:');
  });

  it('the name of a header stays and its value does not', () => {
    const action = `config system automation-action
    edit "chat"
        set uri "hooks.example.net/services/T0001?team=noc"
        config http-headers
            edit 1
                set key "X-Api-Key"
                set value "n0tr3al"
            next
        end
        config form-data
            edit 1
                set key "token"
                set value "n0tr3al"
            next
        end
        set headers "Accept: n0tr3al/x" "X-Token: n0tr3al"
    next
end
config user tacacs+
    edit "t"
        set key "n0tr3al"
    next
end
`;
    const text = masked(driver, action);
    expect(text).not.toMatch(/n0t|3al/);
    expect(text).toContain('set uri "hooks.example.net/services/T0001?team=noc"\n');
    expect(text).toContain('set key "X-Api-Key"\n');
    expect(text).toContain('set key "token"\n');
    expect(text).toMatch(/set headers "Accept: <secret:\w+>" "X-Token: <secret:\w+>"\n/);
    expect(judged(driver, `${header}${text}`)).toEqual({ whole: true });
  });

  it('a private key shows that it was changed, unless it is encrypted anew at every display', () => {
    const shown = (label: string, body: string) =>
      inside(
        'vpn certificate local',
        `set private-key "-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n"`,
      );
    for (const label of ['RSA PRIVATE KEY', 'EC PRIVATE KEY', 'PRIVATE KEY']) {
      expect(shown(label, 'bm90cmVhbA==')).not.toBe(shown(label, 'YW5vdGhlcg=='));
      expect(shown(label, 'bm90cmVhbA==')).not.toMatch(/bm90|rotating/);
    }
    for (const [label, body] of [
      ['ENCRYPTED PRIVATE KEY', ''],
      ['RSA PRIVATE KEY', 'Proc-Type: 4,ENCRYPTED\n\n'],
      ['OPENSSH PRIVATE KEY', 'b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI'],
    ] as const) {
      expect(shown(label, `${body}bm90cmVhbA==`)).toBe(shown(label, `${body}YW5vdGhlcg==`));
    }
  });

  it.each([
    ['firewall address', 'set name "n0tr3al"'],
    ['firewall address', 'set value "n0tr3al"'],
    ['web-proxy forward-server', 'set uri "x.example.net/services/n0tr3al0123456789abcdef"'],
    ['system automation-action', 'set uri "https://automation-01.example.net/api/notifications"'],
    ['system password-policy', 'set status enable'],
    ['user local', 'set passwd-policy "strict"'],
    ['user local', 'set passwd-time 2026-01-07 14:30:09'],
    ['vpn ipsec phase1-interface', 'set keylife 86400'],
    ['system admin', 'set force-password-change enable'],
    ['system admin', 'set ssh-public-key1 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"'],
    ['system global', 'set admin-server-cert "Fortinet_Factory"'],
    ['firewall policy', 'set uuid 0a1b2c3d-0000-51ee-1111-222222222222'],
  ])('under "config %s", %j stays as it is', (section, line) => {
    expect(inside(section, line)).toContain(`${line}\n`);
  });
});

describe('what a FortiGate copy restores', () => {
  const worst = (line: string) =>
    driver.restorable.filter((rule) => rule.line.test(line)).map(({ is }) => is);

  it('is less where a key or the other VDOMs are missing', () => {
    expect(worst('#private-encryption-key=bm90LXJlYWw=')).toEqual(['partial']);
    expect(worst('    set private-data-encryption enable')).toEqual(['partial']);
    expect(worst('    set private-data-encryption disable')).toEqual([]);
    expect(worst('#global_vdom=0:vd_name=root/root')).toEqual(['partial']);
    expect(worst('#config-version=FGT60E-7.2.6-FW-build2795-250523:opmode=0:vdom=1:user=b')).toEqual([]);
    expect(worst('#global_vdom=1')).toEqual([]);
  });
});

describe('facts of a FortiGate', () => {
  it('come from "get system status"', () => {
    const status = `Version: FortiGate-1500D v6.0.7,build0302,191112 (GA)
Virus-DB: 16.00560(2012-10-19 08:31)
Serial-Number: FG1K500000000000
BIOS version: 05000006
Hostname: fw-hq\x20
Virtual domain configuration: enable
Current HA mode: a-p, master
`;
    expect(factsIn(driver, 'status', status)).toEqual({
      hostname: 'fw-hq',
      version: '6.0.7,build0302',
      model: 'FortiGate-1500D',
      serial: 'FG1K500000000000',
    });
  });
});

describe('a refusal of a FortiGate', () => {
  const refusalOf = (line: string) => driver.refusals.find((rule) => rule.line.test(line))?.means;

  it.each([
    'Unknown action 0',
    'Command fail. Return code -61',
    "command parse error before 'psu'",
    "value parse error before 'x'",
    'object check operator error, -9, discard the setting',
    'entry not found in datasource',
    'Permission denied',
  ])('%j is recognised', (line) => {
    expect(refusalOf(line)).toBe('collect.command-refused');
  });

  it.each(['config system global', '    set comment "Command fail. Return code -1"'])(
    '%j is none',
    (line) => {
      expect(refusalOf(line)).toBeUndefined();
    },
  );
});

describe('the outline of a FortiGate', () => {
  const titles = (text: string) => driver.outline(text).map(({ title }) => title);

  it('names sections and what is in them', () => {
    expect(titles(flat).filter((title) => /interface|policy|multicast/.test(title))).toEqual([
      'config system interface',
      'config system interface > edit "wan1"',
      'config system interface > edit "wan1" > config ipv6',
      'config system interface > edit "say \\"end\\" \\\\"',
      'config firewall policy',
      'config firewall policy > edit 8',
      'config router multicast',
    ]);
  });

  it('keeps the same section of two VDOMs apart', () => {
    expect(driver.outline(vdoms).map(({ section, title }) => [section, title])).toEqual([
      ['config vdom', 'config vdom'],
      ['vdom root', 'vdom root'],
      ['vdom shop', 'vdom shop'],
      ['config global', 'config global'],
      ['global: config system global', 'global: config system global'],
      ['config vdom', 'config vdom'],
      ['vdom root', 'vdom root'],
      ['vdom root: config firewall policy', 'vdom root: config firewall policy'],
      ['vdom root: config firewall policy', 'vdom root: config firewall policy > edit 1'],
      ['vdom root: config router multicast', 'vdom root: config router multicast'],
      ['config vdom', 'config vdom'],
      ['vdom shop', 'vdom shop'],
      ['vdom shop: config firewall policy', 'vdom shop: config firewall policy'],
      ['vdom shop: config router multicast', 'vdom shop: config router multicast'],
    ]);
  });

  it('ends a VDOM at the end that closes it', () => {
    const lines = vdoms.split('\n');
    const shop = driver.outline(vdoms).findLast(({ title }) => title === 'vdom shop');
    expect(lines[shop?.firstLine ?? -1]).toBe('edit shop');
    expect(shop?.lastLine).toBe(lines.length - 2);
  });
});
