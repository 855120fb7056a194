import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/f5_bigip.ts';
import { artefactOf, cutsAtLines, factsIn, judged, masked, modesOf } from '../support/driver-probe.ts';

const complete = `analytics global-settings { }
auth user admin {
    description "Admin } User"
    encrypted-password $6$n0tsaltn$n0tr3aln0tr3al
    partition-access {
        all-partitions {
            role admin
        }
    }
    shell bash
}
cm device /Common/bigip1.example.net {
    active-modules { "Best Bundle, VE-5G|AAAAAAA|Rate Shaping" }
    build 0.0.6
    edition "Point Release 4"
    failover-state active
    hostname bigip1.example.net
    key /Common/dtdi.key
    self-device true
    time-zone US/Central
    version 15.1.8.2
}
cm key /Common/dtca.key {
    cache-path /config/filestore/files_d/Common_d/trust_certificate_key_d/:Common:dtca.key_62980_1
    certificate-text "-----BEGIN PRIVATE KEY-----
bm90cmVhbGtleW1hdGVyaWFs
-----END PRIVATE KEY-----
"
    checksum SHA1:1704:d108f95e23990ea14a618354af37dcf35dfb3561
    revision 1
}
ltm data-group internal /Common/appsvcs/dataStore {
    records {
        as3_async_records0 {
            data eNqrVkpJzUktSU0JSc0tyEksSQ1OLSlWsopWKkktLlGKrQUA
        }
    }
    type string
}
ltm policy /Common/redirects {
    last-modified 2020-09-17:08:51:07
    status published
}
ltm pool /Common/web {
    members {
        /Common/192.0.2.80:80 {
            address 192.0.2.80
            session monitor-enabled
            state up
        }
        /Common/192.0.2.81:80 {
            address 192.0.2.81
            session user-disabled
            state user-down
        }
    }
}
ltm profile client-ssl /Common/shop {
    cert-key-chain {
        default {
            key /Common/default.key
            passphrase $M$b3$bm90cmVhbA==
        }
    }
    passphrase none
    security-type password
}
ltm rule /Common/odd {
when HTTP_REQUEST {
    # an apostrophe isn't a quote, and neither is " this
    if { [HTTP::uri] eq "\\{" } {
        set password [HTTP::password]
}
}
}
ltm virtual /Common/vs1 {
    creation-time 2020-09-17:08:50:22
    last-modified-time 2020-09-17:08:51:07
    profiles {
        /Common/http { }
    }
}
sys application service /Common/cloud.app/cloud {
    variables {
        cloud__aws_access_key_id {
            value AKEYID
        }
        cloud__aws_secret_access_key {
            value n0tr3al-variable
        }
        pool__tag_key {
            value shop
        }
    }
}
sys db ltm.configtime {
    value "1602008840"
}
sys dynad key {
    key n0tr3al-dynad
}
sys snmp {
    communities {
        /Common/ops {
            community-name n0tr3al-community
        }
    }
    users {
        /Common/u {
            auth-password-encrypted "n0tr3al one"
            privacy-password-encrypted $M$xQ$n0tr3alfirst==
            username ops
        }
    }
}
`;

describe('prompts of a BIG-IP', () => {
  it.each([
    ['[root@bigip1:Active:Standalone] config # ', 'bash'],
    ['[ops@bigip1:Standby:In Sync] ~ # ', 'bash'],
    ['[root@bigip1:/S1-green-P:Active:Changes Pending] config # ', 'bash'],
    ['[root@bigip1:INOPERATIVE] / # ', 'bash'],
    ['[root@bigip1:NO LICENSE:Standalone] config # ', 'bash'],
  ])('%j is bash, where no host is pinned', (line, mode) => {
    expect(modesOf(driver, line)).toEqual([{ mode, host: null }]);
  });

  it.each([
    ['user@(bigip1)(cfg-sync In Sync)(Active)(/Common)(tmos)# ', 'tmsh', 'bigip1'],
    ['user@(bigip1)(cfg-sync In Sync)(Active)(/Common)(tmos)#', 'tmsh', 'bigip1'],
    ['admin@(bigip-01)(Active)(/Common)(tmos)# ', 'tmsh', 'bigip-01'],
    ['admin@(bigip-01)(Standby)(/)(tmos)# ', 'tmsh', 'bigip-01'],
    ['@(bigip1)(cfg-sync Standalone)(ForcedOffline)(/Common)(tmos)# ', 'tmsh', 'bigip1'],
    ['(bigip1)(cfg-sync Changes Pending)(Active)(/Common)(tmos)# ', 'tmsh', 'bigip1'],
    ['admin@(cfg-sync In Sync)(Active)(/Common)(tmos)# ', 'tmsh', null],
    ['admin@(Active)(/Common)(tmos)# ', 'tmsh', null],
    ['(tmos)# ', 'tmsh', null],
    ['admin@(bigip1)(cfg-sync In Sync)(Active)(/Common)(tmos.ltm)# ', 'module', 'bigip1'],
  ])('%j is the mode %s of %s', (line, mode, host) => {
    expect(modesOf(driver, line)).toEqual([{ mode, host }]);
  });

  it.each([
    'bigip1.local[0]# ',
    'bigip1.local[0](config-router)# ',
    'r5900-1# ',
    '}',
    '    shell bash',
    '# ',
  ])('%j is no prompt', (line) => {
    expect(modesOf(driver, line)).toEqual([]);
  });

  it.each([
    'You are required to change your password immediately (root enforced)',
    '(current) UNIX password: ',
    'Changing password for user root.',
    'New BIG-IP password: ',
  ])('%j ends the login and is never answered', (line) => {
    expect(modesOf(driver, line).map(({ mode }) => mode)).toEqual(['passwordExpired']);
  });
});

describe('the pagers of tmsh', () => {
  const shell = driver.dialogues.find((dialogue) => dialogue.channel === 'shell');
  const pressed = (line: string) =>
    shell?.pagers.filter((pager) => pager.line.test(line)).map(({ press }) => press);

  it.each([
    ['---(less 12%)---', ' '],
    ['---(less)---', ' '],
    ['\x1b[7m---(less 12%)---\x1b[m', ' '],
    ['\x1b[7m---(less 99%)---\x1b[m\x1b[K', ' '],
    ['(END)', 'q'],
    ['\x1b[7m(END)\x1b[m\x1b[K', 'q'],
    ['Display all 142 items? (y/n) ', 'y'],
  ])('%j is answered with %j', (line, press) => {
    expect(pressed(line)).toEqual([press]);
  });

  it.each(['    description "(END)"', '    description ---(less 12%)---x', 'when (END)'])(
    '%j is text',
    (line) => {
      expect(pressed(line)).toEqual([]);
    },
  );
});

describe('the two ways to a BIG-IP', () => {
  it('exec first, without pager and questions, and tmsh where bash is not the login shell', () => {
    const [exec, shell] = driver.dialogues;
    if (exec.channel !== 'exec' || shell?.channel !== 'shell') throw new Error('another order');
    expect(exec.line).toBe("tmsh -q -c '{commands}'");
    expect('Syntax Error: unexpected argument "tmsh"').toMatch(exec.otherShellWhen);
    expect('bash: tmsh: command not found').not.toMatch(exec.otherShellWhen);
    expect(shell.worksIn).toEqual(['tmsh']);
  });

  it('all partitions are asked for', () => {
    const { before, firstOf } = artefactOf(driver);
    expect([...(before ?? []), firstOf[0].send]).toEqual(['cd /', 'show running-config recursive']);
  });

  it('no command holds a quote that would end the quoted command line', () => {
    const sent = driver.commands.flatMap((command) => {
      if (command.execLine !== undefined || command.keep === 'archive') return [];
      return command.keep === 'facts' ? [command.send] : command.firstOf.map(({ send }) => send);
    });
    expect(sent).toContain('show running-config recursive');
    expect(sent.filter((line) => /['"`$;\\]/.test(line))).toEqual([]);
  });

  it('a copy is never said to restore everything', () => {
    expect(artefactOf(driver).firstOf[0]).toMatchObject({ restorable: 'partial' });
    expect(artefactOf(driver).firstOf[0].because).toMatch(/keys.*master key/);
  });
});

describe('a copy of a BIG-IP', () => {
  it('is whole where braces balance, whatever quotes say', () => {
    expect(judged(driver, complete.replace('Admin } User', 'Admin \\} User'))).toEqual({ whole: true });
  });

  const whole = complete.replace('Admin } User', 'Admin \\} User');

  it('is whole with the version line of a file in front', () => {
    expect(judged(driver, `#TMSH-VERSION: 15.1.8.2\n\n${whole}`)).toEqual({ whole: true });
  });

  it('that is cut is whole between two objects only, and then a proper prefix', () => {
    const titles = (part: string) => driver.outline(part).map(({ title }) => title);
    const all = titles(whole);
    let boundaries = 0;
    for (const cut of cutsAtLines(whole)) {
      if (!judged(driver, cut).whole) continue;
      boundaries++;
      expect(titles(cut)).toEqual(all.slice(0, titles(cut).length));
      expect(titles(cut).length).toBeLessThan(all.length);
    }
    expect(boundaries).toBeGreaterThan(5);
  });

  it.each([
    ['nothing', ''],
    ['an unescaped brace too many', complete],
    ['an error behind the last object', `${whole}The connection to mcpd has been lost, try again.\n`],
    ['an error between objects', whole.replace('sys dynad', 'Unexpected Error: mcpd\nsys dynad')],
    ['a lost closing brace', whole.replace('    shell bash\n}', '    shell bash')],
    ['no object', 'one\ntwo\nthree\n'],
  ])('that holds %s is not whole', (_what, text) => {
    expect(judged(driver, text).whole).toBe(false);
  });

  it('shows no secret in git and keeps what only looks like one', () => {
    const text = masked(driver, whole);
    expect(text).not.toMatch(/n0t|bm90|eNqrVkpJ/);
    for (const line of [
      '    key /Common/dtdi.key\n',
      '            key /Common/default.key\n',
      '    passphrase none\n',
      '    security-type password\n',
      '        set password [HTTP::password]\n',
      '            value AKEYID\n',
      '            value shop\n',
      '            session user-disabled\n            state user-down\n',
    ]) {
      expect(text).toContain(line);
    }
  });

  it('does not change with clocks, monitors, versions or values that oscillate', () => {
    const other = whole
      .replace('2020-09-17:08:51:07', '2026-09-17:08:51:07')
      .replace('last-modified 2020', 'last-modified 2026')
      .replace('            state up\n', '            state down\n')
      .replace('failover-state active', 'failover-state standby')
      .replace('"1602008840"', '"1702008840"')
      .replace('n0tr3al one', 'n0tr3al two')
      .replace('n0tr3alfirst', 'n0tr3alsecond')
      .replace('revision 1', 'revision 2')
      .replace('version 15.1.8.2', 'version 15.1.9');
    expect(masked(driver, other)).toBe(masked(driver, whole));
  });

  it.each([
    '    version 15.1.8.2',
    '    build 0.0.6',
    '    edition Final',
    '    time-zone US/Central',
    '    active-modules { "a" }',
    '    optional-modules { "a" }',
    '    failover-state active',
  ])('%j is volatile in "cm device" and nowhere else', (line) => {
    const within = (head: string) => `${head} {\n${line}\n    x y\n}\n`;
    expect(masked(driver, within('cm device /Common/b1'))).toBe('cm device /Common/b1 {\n    x y\n}\n');
    for (const head of ['ltm x /Common/y', 'cm device-group /Common/g', 'sys ntp'])
      expect(masked(driver, within(head))).toBe(within(head));
  });

  it('clocks of the system go whole, and only these', () => {
    const db = (name: string) => `sys db ${name} {\n    value "1602008840"\n}\n`;
    for (const name of ['configsync.localconfigtime', 'ltm.configtime', 'gtm.configtime'])
      expect(masked(driver, `${db(name)}${db('other')}`)).toBe(db('other'));
    for (const name of ['ltm.configtimeout', 'xltm.configtime'])
      expect(masked(driver, db(name))).toBe(db(name));
    const quoted = `ltm rule /Common/r {\n${db('ltm.configtime')}}\n`;
    expect(masked(driver, quoted)).toBe(quoted);
  });

  it('what AS3 leaves behind while it works goes whole, whatever its text looks like', () => {
    const others = 'cli script /Common/cleanup {\nproc x {} {\n}\n}\nltm data-group internal /Common/a { }\n';
    const script = `cli script /Common/__appsvcs_update {
proc script::run {} {
    if {[catch {
        tmsh::modify ltm data-group internal __appsvcs_update records none
    } err]} {
        tmsh::modify records add \\{ error \\{ data \\"$err\\" \\} \\}
}
}
    total-signing-status not-all-signed
}
`;
    const group = 'ltm data-group internal /Common/__appsvcs_update {\n    type string\n}\n';
    expect(masked(driver, `${script}${others}${group}`)).toBe(others);
    expect(judged(driver, `${script}${others}${group}`)).toEqual({ whole: true });
  });

  it('a credential in the request of a monitor is masked', () => {
    const send = (secret: string) =>
      `ltm monitor http /Common/m {\n    send "GET / HTTP/1.1\\r\\nAuthorization: Basic ${secret}\\r\\n\\r\\n"\n}\n`;
    const text = masked(driver, send('dXNlcjpwYXNz'));
    expect(text).toMatch(/\\nAuthorization: Basic <secret:[0-9a-f]{6}>\\r\\n/);
  });

  it('stays balanced when it is masked', () => {
    expect(judged(driver, masked(driver, whole))).toEqual({ whole: true });
  });

  it('a time of AS3 is masked and the rest of the description stays', () => {
    const line = (time: string) =>
      masked(driver, `auth partition shop {\n    description "Updated by AS3 at ${time}"\n}\n`);
    expect(line('Thu, 17 Sep 2020 15:14:36 GMT')).toBe(line('Tue, 06 Oct 2020 18:27:20 GMT'));
    expect(line('x')).toContain('Updated by AS3 at <volatile>"');
  });
});

describe('secrets of a BIG-IP', () => {
  it.each([
    'form-password n0tr3al',
    'login-password $M$2q$n0tr3aln0tr3al==',
    'shared-secret "n0t r3al"',
    'encrypt-cookie-secret n0tr3al',
    'md5-signature-passphrase n0tr3al',
    'bind-pw n0tr3al',
    'privacy-password n0tr3al',
    'user-password-encrypted n0tr3al',
    'community n0tr3al',
    'snmp-community n0tr3al',
    'preshared-key-encrypted n0tr3al',
    'url https://reader:n0tr3al@feeds.example.net/x',
  ])('%j is masked', (line) => {
    const text = masked(driver, `ltm x /Common/y {\n    ${line}\n}\n`);
    expect(text).not.toMatch(/n0t|3al/);
    expect(text).toContain('<secret:');
  });

  it.each([
    'password none',
    'passphrase none',
    'password {',
    'community {',
    'inherit-certkeychain true',
    'ca-key /Common/dtca.key',
    'key-type rsa-public',
  ])('%j stays as it is', (line) => {
    const text = `ltm x /Common/y {\n    ${line}\n${line.endsWith('{') ? '    }\n' : ''}}\n`;
    expect(masked(driver, text)).toBe(text);
  });
});

describe('facts of a BIG-IP', () => {
  it('come from three commands', () => {
    const version =
      'Sys::Version\nMain Package\n  Product     BIG-IP\n  Version     15.1.8.2\n  Build       0.0.17\n';
    expect(factsIn(driver, 'version', version)).toEqual({ version: '15.1.8.2', model: 'BIG-IP' });
    const settings = 'sys global-settings {\n    hostname bigip1.example.net\n}\n';
    expect(factsIn(driver, 'hostname', settings)).toEqual({ hostname: 'bigip1.example.net' });
    const hardware = `Sys::Hardware
Hardware Version Information
  Name        HD1
  Type        physical-disk
Platform
  Name           BIG-IP Virtual Edition
System Information
  Type                       Z100
  Chassis Serial             00000000-0000-0000-000000000000
  Switchboard Serial
`;
    expect(factsIn(driver, 'hardware', hardware)).toEqual({
      model: 'BIG-IP Virtual Edition',
      serial: '00000000-0000-0000-000000000000',
    });
  });
});

describe('a refusal of a BIG-IP', () => {
  const refusalOf = (line: string) => driver.refusals.find((rule) => rule.line.test(line))?.means;

  it.each([
    ['The connection to mcpd has been lost, try again.', 'collect.not-ready'],
    ['Unexpected Error: The connection to mcpd has been lost', 'collect.not-ready'],
    ['The configuration has not yet loaded.', 'collect.not-ready'],
    ['Syntax Error: unexpected argument "x"', 'collect.command-refused'],
    ['Data Input Error: x', 'collect.command-refused'],
    ['command authorization failed', 'collect.command-refused'],
    ['01070734:3: Configuration error: x', 'collect.command-refused'],
    ['01020036:3: The requested folder (/x) was not found.', 'collect.command-refused'],
    ['tmsh: command not found', 'collect.command-refused'],
    ['-bash: tmsh: command not found', 'collect.command-refused'],
    ['bash: line 1: tmsh: command not found', 'collect.command-refused'],
  ])('%j means %s', (line, means) => {
    expect(refusalOf(line)).toBe(means);
  });

  it.each(['ltm virtual /Common/vs1 {', 'Sys::Version', '    description "Syntax Error: x"'])(
    '%j is none',
    (line) => {
      expect(refusalOf(line)).toBeUndefined();
    },
  );
});

describe('the outline of a BIG-IP', () => {
  it('splits by depth, not at the first column, and nests', () => {
    const titles = driver.outline(complete).map(({ section, title }) => `${section} | ${title}`);
    expect(titles).toContain('ltm virtual | ltm virtual /Common/vs1');
    expect(titles).toContain('ltm virtual | ltm virtual /Common/vs1 > profiles');
    expect(titles).toContain('analytics global-settings | analytics global-settings');
    expect(titles).toContain(
      'sys application | sys application service /Common/cloud.app/cloud > variables > cloud__aws_secret_access_key',
    );
    expect(titles.filter((title) => title.includes('/Common/http'))).toEqual([]);
  });

  it('tells first and last line of an object whose body has a "}" in the first column', () => {
    const whole = complete.replace('Admin } User', 'Admin \\} User');
    const lines = whole.split('\n');
    const rule = driver.outline(whole).find(({ title }) => title === 'ltm rule /Common/odd');
    expect(lines[rule?.firstLine ?? -1]).toBe('ltm rule /Common/odd {');
    expect(lines[(rule?.lastLine ?? -1) + 1]).toBe('ltm virtual /Common/vs1 {');
  });
});
