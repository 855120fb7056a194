import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Driver } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { mostText } from '../../src/syslog/limits.ts';
import { namesIn, recognise } from '../../src/syslog/recognise.ts';
import { corpusDir } from '../support/corpus.ts';
import { tiny } from './support.ts';

const drivers = await loadDrivers();
const all = [...drivers.values()].filter(({ changes }) => changes !== undefined);
const named = (id: string): Driver => drivers.get(id) as Driver;

describe('the engine', () => {
  it('takes the first rule that fits, and what a rule excludes is no change', () => {
    expect(recognise(tiny, 'x CHANGED by alice from 192.0.2.7')).toEqual({
      means: 'changed',
      user: 'alice',
      from: '192.0.2.7',
    });
    expect(recognise(tiny, 'SAVED')).toEqual({ means: 'saved', user: null, from: null });
    expect(recognise(tiny, 'CHANGED pager')).toBeNull();
    expect(recognise(tiny, 'nothing')).toBeNull();
  });

  it('says the same each time, also by a pattern that remembers where it was', () => {
    for (let n = 0; n < 3; n++) {
      expect(recognise(tiny, 'CHANGED')?.means).toBe('changed');
      expect(namesIn(tiny, ' id=fw1 sn=S1')).toEqual(['fw1', 'S1']);
    }
  });
});

/** What anybody can have a device say who may try to log in, with a user name of their own making. */
const refusedLogin: Readonly<Record<string, (user: string) => string>> = {
  cisco_asa: (user) =>
    `<166>Oct 06 2021 15:02:30 192.0.2.10 : %ASA-6-605004: Login denied from 198.51.100.7/4711 to outside:192.0.2.1/ssh for user "${user}"`,
  cisco_ios: (user) =>
    `<189>4711: sw-core: Aug 20 09:37:40: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: ${user}] [Source: 198.51.100.7] [localport: 22]`,
  f5_bigip: (user) => `<86>Mar  3 09:12:44 lb1 info sshd[4711]: Invalid user ${user} from 198.51.100.7`,
  fortinet_fortigate: (user) =>
    `<185>date=2026-03-04 time=01:30:00 devname="fw-hq" devid="FGT60FTK00000001" logid="0100032002" type="event" subtype="system" level="alert" vd="root" user="${user}" ui="ssh(198.51.100.7)" action="login" status="failed" msg="Administrator ${user} login failed"`,
  paloalto_panos: (user) =>
    `<14>Mar  3 09:12:44 pa-edge 1,2026/03/03 09:12:44,016301000000,SYSTEM,auth,2561,2026/03/03 09:12:44,,auth-fail,,0,0,general,medium,"failed authentication for user '${user}'"`,
};

describe.each(all)('$id', (driver) => {
  it('believes no message that stands in a user name of another', () => {
    const refusal = refusedLogin[driver.id];
    expect(refusal, 'how does this platform say that a login was refused?').toBeDefined();
    for (const { example } of driver.changes?.messages ?? [])
      for (const user of [
        example,
        example.replace(/^<\d+>/, ''),
        ` ${example.slice(example.indexOf(' ') + 1)}`,
      ])
        expect(recognise(driver, refusal?.(user) ?? ''), user).toBeNull();
  });

  it.each(driver.changes?.messages ?? [])('recognises $example', ({ example, means }) => {
    expect(recognise(driver, example)?.means).toBe(means);
  });

  it('recognises it however a relay passes it on', () => {
    const bare = (text: string) => text.replace(/^<\d+>/, '');
    for (const { example, means } of driver.changes?.messages ?? [])
      for (const before of [
        '<189>',
        '<13>Mar  4 01:30:00 relay ',
        '<165>1 2026-03-04T01:30:00.003Z relay - - - - ',
        '2026-03-04T01:30:00+01:00 relay ',
      ])
        expect(recognise(driver, before + bare(example))?.means, before + example).toBe(means);
  });

  it('recognises no message of another platform', () => {
    for (const other of all)
      for (const { example } of other === driver ? [] : (other.changes?.messages ?? []))
        expect(recognise(driver, example), example).toBeNull();
  });

  it('takes any text, and a hostile one of the longest length in a time that does not explode', () => {
    const parts = [
      ...(driver.changes?.messages ?? []).flatMap(({ example }) => example.split(/(?<=[ :=,])/)),
      ...['a', ' ', "'", '"', '%ASA-5-111010: ', 'user=', 'AUDIT - client ', ', user ', '\n', '1'],
    ];
    const text = fc.array(fc.constantFrom(...parts), { maxLength: 400 }).map((words) => words.join(''));
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'binary' })), (said) => {
        recognise(driver, said.slice(0, mostText));
        namesIn(driver, said.slice(0, mostText));
      }),
    );
    // Each part again and again, behind each other one: a pattern that backtracks takes minutes for these.
    const slow = parts.flatMap((part) =>
      [...new Set(parts)].slice(0, 40).map((head) => (head + part.repeat(mostText)).slice(0, mostText)),
    );
    for (const said of slow) {
      recognise(driver, said);
      namesIn(driver, said);
    }
  }, 30_000);
});

describe('cisco_asa', () => {
  const asa = named('cisco_asa');
  const body = (command: string, user = 'alice', from = '192.0.2.7') =>
    `%ASA-5-111010: User '${user}', running 'CLI' from IP ${from}, executed '${command}'`;
  const prefixes = [
    '',
    '<165>Oct 06 2021 15:02:30 192.0.2.10 : ',
    '<165>Nov 08 2013 10:18:30: ',
    '<166>2018-06-27T12:17:46Z asa : ',
    'Mar 09 2017 10:25:04 EDGE-5515X : ',
    'HQ-5585 : ',
    '<166>:Aug 15 13:44:38 UTC: ',
    '<165>1 2026-03-04T01:30:00Z fw1 - - - - ',
  ];

  it.each(prefixes)('a change behind the prefix "%s"', (prefix) => {
    expect(recognise(asa, prefix + body('object network web-02'))).toEqual({
      means: 'changed',
      user: 'alice',
      from: '192.0.2.7',
    });
    const other = "%ASA-5-111008: User 'enable_15' executed the 'no access-list OUT' command.";
    expect(recognise(asa, prefix + other)).toMatchObject({ means: 'changed', user: 'enable_15' });
    expect(recognise(asa, `${prefix}%ASA-5-111005: 192.0.2.7 end configuration: OK`)?.means).toBe('saved');
  });

  it('a session that only reads is no change', () => {
    const commands = [
      'terminal pager 0',
      'enable',
      'show running-config',
      'more system:running-config',
      'changeto context admin',
      'changeto system',
      'show version',
    ];
    for (const prefix of prefixes)
      for (const command of commands) {
        expect(recognise(asa, prefix + body(command, 'backup', '192.0.2.5')), command).toBeNull();
        const said = `${prefix}%ASA-5-111008: User 'backup' executed the '${command}' command.`;
        expect(recognise(asa, said), command).toBeNull();
      }
    for (const noise of [
      "%ASA-7-111009: User 'backup' executed cmd: show running-config",
      '%ASA-5-502103: User priv level changed: Uname: backup From: 1 To: 15',
      '%ASA-6-605005: Login permitted from 192.0.2.5/41000 to mgmt:192.0.2.1/ssh for user "backup"',
      '%ASA-6-113012: AAA user authentication Successful : local database : user = backup',
      '%ASA-6-611103: User logged out: Uname: backup',
    ])
      expect(recognise(asa, `<166>${noise}`), noise).toBeNull();
  });
});

describe('fortinet_fortigate', () => {
  const fortigate = named('fortinet_fortigate');
  const event = (id: string, rest: string) =>
    `<189>date=2026-03-04 time=01:30:00 devname="fw-hq" devid="FGT60FTK00000001" eventtime=1772587800123456789 tz="+0100" logid="0100${id}" type="event" subtype="system" level="information" vd="root" ${rest}`;
  const login = (action: string, id: string) =>
    event(
      id,
      `logdesc="Admin ${action}" sn="1" user="backup" ui="ssh(192.0.2.5)" method="ssh" srcip=192.0.2.5 dstip=192.0.2.1 action="${action}" status="success" reason="none" msg="Administrator backup ${action} from ssh(192.0.2.5)"`,
    );

  it('tells who and from where, and names itself twice', () => {
    const text = event(
      '044547',
      'logdesc="Object attribute configured" user="alice" ui="GUI(192.0.2.7)" action="Edit" cfgtid=1 cfgpath="firewall.policy" cfgobj="8" cfgattr="password[*]" msg="Edit firewall.policy 8"',
    );
    expect(recognise(fortigate, text)).toEqual({ means: 'changed', user: 'alice', from: '192.0.2.7' });
    expect(namesIn(fortigate, text)).toEqual(expect.arrayContaining(['fw-hq', 'FGT60FTK00000001']));
  });

  it('login and logout of a session that only reads, and its pager, are no change', () => {
    expect(recognise(fortigate, login('login', '032001'))).toBeNull();
    expect(recognise(fortigate, login('logout', '032003'))).toBeNull();
    const pager = event(
      '044546',
      'logdesc="Attribute configured" user="backup" ui="ssh(192.0.2.5)" action="Edit" cfgtid=1 cfgpath="system.console" cfgattr="output[more->standard]" msg="Edit system.console "',
    );
    expect(recognise(fortigate, pager)).toBeNull();
  });
});

describe('f5_bigip', () => {
  const bigip = named('f5_bigip');

  it('the audit of a login is no change, whatever the user calls itself', () => {
    const login = (user: string) =>
      `<134>Mar  4 01:30:00 lb1 info sshd(pam_audit)[811]: 01070417:6: AUDIT - user ${user} - RAW: sshd(pam_audit): user=x tty=ssh host=198.51.100.7 failed to login after 1 attempts`;
    expect(recognise(bigip, login('ceo - transaction #1-2 - object 0'))).toBeNull();
  });

  const audit = (data: string) =>
    `<133>Mar  4 01:30:00 slot1/lb1.example.net notice tmsh[16322]: 01420002:5: AUDIT - pid=16322 user=backup folder=/ module=(tmos)# status=[Command OK] cmd_data=${data}`;

  it('the audit lines of a session that only reads are no change', () => {
    for (const data of [
      'cd / ;',
      'show sys version',
      'list',
      'show running-config recursive',
      'show cm sync-status',
      'show sys mcp-state field-fmt',
      'quit',
    ])
      expect(recognise(bigip, audit(data)), data).toBeNull();
    const login =
      '<134>Mar  4 01:30:00 lb1 info sshd(pam_audit)[811]: 01070417:6: AUDIT - user backup - RAW: sshd(pam_audit): user=backup(backup) partition=[All] level=Administrator tty=ssh host=192.0.2.5 attempts=1 start="Wed Mar  4 01:30:00 2026".';
    expect(recognise(bigip, login)).toBeNull();
  });

  it('a transaction and a save are, and the name stands before them', () => {
    const transaction =
      '<133>Mar  4 01:30:00 lb1.example.net notice mcpd[8013]: 01070417:5: AUDIT - client Unknown, user alice - transaction #29194914-3 - object 0 - modify { pool { pool_name "/Common/p" } } [Status=Command OK]';
    expect(recognise(bigip, transaction)).toMatchObject({ means: 'changed', user: 'alice' });
    expect(namesIn(bigip, transaction)).toEqual(['lb1.example.net']);
    expect(recognise(bigip, audit('save sys config'))?.means).toBe('saved');
    expect(recognise(bigip, audit('modify ltm pool p members add { 192.0.2.1:80 }'))?.means).toBe('changed');
  });
});

describe.skipIf(corpusDir === null)('what devices logged, from public sources (corpus)', () => {
  it('none of it is taken for a change of another platform, nor traffic for a change', () => {
    let lines = 0;
    for (const [folder, id] of [
      ['cisco_asa', 'cisco_asa'],
      ['fortinet_fortigate', 'fortinet_fortigate'],
    ] as const) {
      const dir = join(corpusDir ?? '', folder);
      for (const file of readdirSync(dir).filter((name) => name.startsWith('syslog__'))) {
        for (const line of readFileSync(join(dir, file), 'latin1').split('\n')) {
          lines++;
          for (const driver of all) if (driver.id !== id) expect(recognise(driver, line), line).toBeNull();
          if (/11100|0000000013|30201|30501/.test(line)) continue;
          if (recognise(named(id), line) !== null) expect(line).toMatch(/1110|0100|cfgpath/);
        }
      }
    }
    expect(lines).toBeGreaterThan(20);
  });
});
