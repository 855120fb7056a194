import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/fortinet_fortigate.ts';

const { messages = [], device = [] } = driver.changes ?? {};

/** What a message tells; null for nothing. */
function heard(message: string): { means: string; user: string | null; from: string | null } | null {
  for (const { line, butNot, means } of messages) {
    const groups = line.exec(message)?.groups;
    if (groups === undefined || butNot?.test(message) === true) continue;
    return { means, user: groups.user ?? null, from: groups.from ?? null };
  }
  return null;
}

function named(message: string): { name: string | undefined; serial: string | undefined } {
  const groups = device.map((pattern) => pattern.exec(message)?.groups ?? {});
  return {
    name: groups.find(({ name }) => name !== undefined)?.name,
    serial: groups.find(({ serial }) => serial !== undefined)?.serial,
  };
}

const head = 'date=2026-03-04 time=01:30:00 devname="fw-hq" devid="FGT60FTK00000000"';
const event = (id: string, rest: string) =>
  `<189>${head} eventtime=1772587800123456789 tz="+0100" logid="${id}" type="event" subtype="system" level="information" vd="root" ${rest}`;

describe('a syslog message of a FortiGate', () => {
  it.each(messages.map(({ example, means }) => [example, means]))('%s', (example, means) => {
    expect(heard(example)).toEqual({ means, user: 'netadmin', from: '192.0.2.20' });
    expect(named(example)).toEqual({ name: 'fw-hq', serial: 'FGT60FTK00000000' });
  });

  it.each([
    ['0100044544', 'Path configured', 'Edit'],
    ['0100044545', 'Object configured', 'Add'],
    ['0100044546', 'Attribute configured', 'Edit'],
    ['0100044547', 'Object attribute configured', 'Delete'],
    ['0100044547', 'Object attribute configured', 'Move'],
  ])('%s "%s" by %s is a change', (id, logdesc, action) => {
    const message = event(
      id,
      `logdesc="${logdesc}" user="net admin" ui="jsconsole(2001:db8::20)" action="${action}" cfgtid=7 cfgpath="firewall.policy" cfgobj="8" msg="${action} firewall.policy 8"`,
    );
    expect(heard(message)).toEqual({ means: 'changed', user: 'net admin', from: '2001:db8::20' });
  });

  it.each(['GUI(192.0.2.20)', 'ssh(192.0.2.20)', 'https(192.0.2.20)', 'jsconsole(192.0.2.20)'])(
    'from %s it tells the address',
    (ui) => {
      expect(heard(event('0100044546', `user="a" ui="${ui}" action="Edit" cfgpath="system.dns"`))?.from).toBe(
        '192.0.2.20',
      );
    },
  );

  it.each(['console', 'fgfmd', 'GUI', ''])('from %j it tells none, and the change all the same', (ui) => {
    const message = event('0100044546', `user="a" ui="${ui}" action="Edit" cfgpath="system.dns"`);
    expect(heard(message)).toEqual({ means: 'changed', user: 'a', from: null });
  });

  it('tells who did it by their field and not by what an administrator wrote', () => {
    const wrote =
      'cfgobj="x user=mallory ui=ssh(203.0.113.66) " msg="Edit user=mallory ui=ssh(203.0.113.66)"';
    const message = event(
      '0100044547',
      `user="a" ui="GUI(192.0.2.20)" action="Edit" cfgpath="firewall.policy" ${wrote}`,
    );
    expect(heard(message)).toEqual({ means: 'changed', user: 'a', from: '192.0.2.20' });
    // The alert of a console session names nobody.
    expect(
      heard(
        event(
          '0100032102',
          `logdesc="Configuration changed" user="" ui="console" msg="user=mallory ui=ssh(203.0.113.66)"`,
        ),
      ),
    ).toEqual({
      means: 'changed',
      user: null,
      from: null,
    });
  });

  it('may come unquoted, as of 5.x, and comma-separated', () => {
    const old =
      '<189>date=2026-03-04 time=01:30:00 devname=fw-hq devid=FGT60FTK00000000 logid=0100044547 type=event subtype=system level=information vd="root" logdesc="Object attribute configured" user="netadmin" ui="GUI(192.0.2.20)" action=Edit cfgtid=1 cfgpath="firewall.policy" msg="x"';
    const csv =
      'date=2026-03-04,time=01:30:00,devname="fw-hq",devid="FGT60FTK00000000",logid="0100044547",type="event",user="netadmin",ui="GUI(192.0.2.20)",action="Edit",cfgpath="firewall.policy"';
    for (const message of [old, csv]) {
      expect(heard(message)).toEqual({ means: 'changed', user: 'netadmin', from: '192.0.2.20' });
      expect(named(message)).toEqual({ name: 'fw-hq', serial: 'FGT60FTK00000000' });
    }
    expect(heard(csv.replace('"firewall.policy"', '"system.console"'))).toBeNull();
  });

  it('may come as CEF', () => {
    const cef = (id: string, rest: string) =>
      `<189>Mar  4 01:30:00 fw-hq CEF:0|Fortinet|Fortigate|v7.2.8|${id.slice(5)}|event:system|2|deviceExternalId=FGT60FTK00000000 FTNTFGTeventtime=1772587800123456789 FTNTFGTtz=+0100 FTNTFGTlogid=${id} cat=event:system FTNTFGTsubtype=system FTNTFGTlevel=information FTNTFGTvd=root ${rest}`;
    const edit = cef(
      '0100044547',
      'FTNTFGTlogdesc=Object attribute configured act=Edit FTNTFGTcfgtid=7 FTNTFGTcfgpath=firewall.policy FTNTFGTcfgobj=21 FTNTFGTcfgattr=status[enable->disable] duser=net admin sproc=jsconsole(198.51.100.25) msg=Edit firewall.policy 21',
    );
    expect(heard(edit)).toEqual({ means: 'changed', user: 'net admin', from: '198.51.100.25' });
    expect(named(edit).serial).toBe('FGT60FTK00000000');
    expect(heard(edit.replace('firewall.policy FTNT', 'system.console FTNT'))).toBeNull();
    const alert = cef(
      '0100032102',
      'FTNTFGTlogdesc=Configuration changed duser= sproc=console msg=Configuration is changed in the admin session',
    );
    expect(heard(alert)).toEqual({ means: 'changed', user: null, from: null });
    const logout = cef(
      '0100032003',
      'duser=netadmin sproc=ssh(192.0.2.20) act=logout FTNTFGTstate=Config-Changed reason=exit',
    );
    expect(heard(logout)).toEqual({ means: 'changed', user: 'netadmin', from: '192.0.2.20' });
  });

  it.each([
    [
      'the pager of a session that somebody turned off',
      event(
        '0100044546',
        'user="a" ui="ssh(192.0.2.20)" action="Edit" cfgpath="system.console" cfgattr="output[more->standard]" msg="Edit system.console"',
      ),
    ],
    [
      'nothing that was done',
      event('0100044546', 'user="a" ui="ssh(192.0.2.20)" action="" cfgpath="firewall.policy"'),
    ],
    [
      'a login',
      event(
        '0100032001',
        'logdesc="Admin login successful" user="a" ui="ssh(192.0.2.20)" action="login" status="success"',
      ),
    ],
    [
      'a logout after which nothing was changed',
      event('0100032003', 'user="a" ui="ssh(192.0.2.20)" action="logout" reason="exit"'),
    ],
    [
      'a logout that only names the words',
      event('0100032003', 'user="a" ui="ssh(192.0.2.20)" action="logout" msg="mystate=Config-Changed"'),
    ],
    [
      'traffic',
      '<189>date=2026-03-04 time=01:30:00 logid="0000000013" type="traffic" srcip=10.0.0.1 sessionid=44547',
    ],
    ['a longer number', event('01000445470', 'user="a" action="Edit" cfgpath="x"')],
    ['the number elsewhere', event('0100020000', 'msg="see logid 0100044547"')],
  ])('tells nothing of a change where it is %s', (_what, message) => {
    expect(heard(message)).toBeNull();
  });

  it('is a change also where a section has a longer name than that of the pager', () => {
    expect(heard(event('0100044546', 'user="a" action="Edit" cfgpath="system.console-server"'))?.means).toBe(
      'changed',
    );
  });

  it('costs no more than its length, whatever it holds', () => {
    for (const piece of [
      ' user=',
      ' user="',
      ' ui=a(',
      ' a=b',
      ',',
      ' state=',
      '"',
      ' user=x ',
      'logid=0100044547',
    ]) {
      const message = event('0100044547', piece.repeat(Math.floor(60_000 / piece.length)));
      const started = performance.now();
      heard(message);
      named(message);
      expect({ piece, slow: performance.now() - started > 1_000 }).toEqual({ piece, slow: false });
    }
  });
});
