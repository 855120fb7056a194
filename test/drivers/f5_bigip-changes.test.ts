import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/f5_bigip.ts';
import { namesIn, recognise } from '../../src/syslog/recognise.ts';

const head = '<133>Mar  3 09:12:44 lb1.corp.example notice';
const mcpd = (rest: string, sender = `${head} mcpd[5832]:`) => `${sender} 01070417:5: AUDIT - ${rest}`;
const tmsh = (data: string, status = 'Command OK', user = 'netops') =>
  `${head} tmsh[16322]: 01420002:5: AUDIT - pid=16322 user=${user} folder=/Common module=(tmos)# status=[${status}] cmd_data=${data}`;
const did = 'transaction #29194914-3 - object 0 -';

describe('audit messages of a BIG-IP that tell of a change', () => {
  it.each([
    [
      'modify',
      mcpd(
        `client Unknown, user netops - ${did} modify { pool { pool_name "/Common/web" } } [Status=Command OK]`,
      ),
    ],
    ['create', mcpd(`client Unknown, user netops - ${did} create { pool { } } [Status=Command OK]`)],
    ['obj_delete', mcpd(`client tmui, user netops - ${did} obj_delete { pool { } } [Status=Command OK]`)],
    ['without a client', mcpd(`user netops - ${did} create_if { folder { } } [Status=Command OK]`)],
    [
      'cut by the size of a datagram',
      mcpd(`client Unknown, user netops - ${did} create { rule { rule_definition "when HTTP_REQ`),
    ],
    [
      'with an iRule in it',
      mcpd(`client Unknown, user netops - ${did} create { rule {\nwhen X {\n}\n} [Status=Command OK]`),
    ],
    [
      'of a blade',
      mcpd(
        `client Unknown, user netops - ${did} modify { } [Status=Command OK]`,
        'Mar  3 09:12:44 slot1/lb1 notice mcpd[5832]:',
      ),
    ],
    [
      'without a header',
      `mcpd[5832]: 01070417:5: AUDIT - client Unknown, user netops - ${did} modify { } [Status=Command OK]`,
    ],
    ['modify in tmsh', tmsh('modify ltm pool web members add { 192.0.2.80:80 }')],
    ['behind cd', tmsh('cd /Sales; create ltm node x address 192.0.2.1')],
    ['delete', tmsh('delete ltm virtual /Common/vs1')],
    ['load', tmsh('load sys config merge file x.conf')],
    ['mv', tmsh('mv ltm pool a b')],
    ['install', tmsh('install sys crypto cert x from-local-file /tmp/x')],
    ['by REST', tmsh('create ltm pool x').replace('tmsh[', 'icrd_child[')],
  ])('%s', (_what, text) => {
    expect(recognise(driver, text)).toEqual({ means: 'changed', user: 'netops', from: null });
  });

  it('a configuration that came from another unit is the work of its daemon', () => {
    const text = mcpd(
      `client Unknown, user %cmi-mcpd-peer-/Common/lb2 - ${did} modify { } [Status=Command OK]`,
    );
    expect(recognise(driver, text)).toMatchObject({ means: 'changed', user: '%cmi-mcpd-peer-/Common/lb2' });
  });

  it.each(['192.0.2.77', '2001:db8::77'])('the address of a client is told: %s', (address) => {
    const text = mcpd(`client ${address}, user netops - ${did} modify { } [Status=Command OK]`);
    expect(recognise(driver, text)?.from).toBe(address);
  });
});

describe('audit messages of a BIG-IP that tell of a save', () => {
  it.each(['save sys config', 'save /sys config partitions all', 'cd /; save sys config'])('%s', (data) => {
    expect(recognise(driver, tmsh(data))).toEqual({ means: 'saved', user: 'netops', from: null });
  });
});

describe('audit messages of a BIG-IP that tell of neither', () => {
  it.each([
    [
      'a login',
      `${head.replace('notice', 'info')} sshd(pam_audit)[21398]: 01070417:6: AUDIT - user netops - RAW: sshd(pam_audit): user=netops(netops) partition=[All] level=Administrator tty=ssh host=192.0.2.9 attempts=1 start="Tue Mar  3 09:12:44 2026".`,
    ],
    [
      'a login to the GUI',
      `${head} httpd(mod_auth_pam)[16784]: 01070417:5: AUDIT - user netops - RAW: httpd(mod_auth_pam): user=netops(netops) partition=[All] level=Administrator`,
    ],
    ['a change that failed', mcpd(`client Unknown, user netops - ${did} modify { } [Status=Command Failed]`)],
    ['a daemon at work', mcpd(`client Unknown, user %devmgmtd - ${did} modify { } [Status=Command OK]`)],
    [
      'a member that is down',
      `${head} mcpd[5832]: 01070638:5: Pool /Common/web member /Common/192.0.2.80:80 monitor status down.`,
    ],
    ['a command that failed', tmsh('modify ltm pool x', 'Syntax Error: unexpected argument')],
    ...[
      ...[
        'show sys version',
        'show sys mcp-state field-fmt',
        'list sys global-settings hostname',
        'show sys hardware',
      ],
      ...[
        'cd / ;',
        'cd /; show running-config recursive',
        'list auth partition',
        'quit',
        'list ltm rule create',
      ],
      ...[
        'save sys ucs roundsman-backup.ucs',
        'delete sys ucs x.ucs',
        'save sys config file x.scf no-passphrase',
      ],
      ...[
        'modify cli preference pager disabled display-threshold 0',
        'run util bash -c id',
        'cp sys ucs a b',
      ],
    ].map((data) => [data, tmsh(data)]),
  ])('%s', (_what, text) => {
    expect(recognise(driver, text ?? '')).toBeNull();
  });

  it('what our own commands cause, over exec and in a terminal', () => {
    for (const command of driver.commands) {
      const sent = command.keep === 'archive' ? [command.makeOpen, command.make] : [];
      const lines = command.keep === 'facts' ? [command.send] : sent;
      for (const line of [...lines, 'show running-config recursive'])
        expect(recognise(driver, tmsh(line.replace(/^tmsh -q /, '').replace(/ && .*/, '')))).toBeNull();
    }
  });
});

describe('the name of a BIG-IP in a message', () => {
  it.each([
    [mcpd(`client Unknown, user netops - ${did} modify { }`), ['lb1.corp.example']],
    [tmsh('create ltm pool x'), ['lb1.corp.example']],
    [`<133>1 2026-03-03T09:12:44.1Z lb1 tmsh 123 - -`, []],
    [`Mar  3 09:12:44 slot1/lb1 notice tmsh[1]: 01420002:5: AUDIT - pid=1 user=a`, ['lb1']],
    [`Mar  3 09:12:44 lb1 tmsh[1]: 01420002:5: AUDIT - pid=1 user=a`, ['lb1']],
  ])('%j', (text, names) => {
    expect(namesIn(driver, text)).toEqual(names);
  });
});

it('a message of any length is judged at once: more than a pass over it would not come to its end here', () => {
  const long = 'cd /a;'.repeat(20_000);
  for (const text of [
    tmsh(long),
    tmsh(`${long}x`),
    mcpd(`client ${'x '.repeat(50_000)}`),
    'a '.repeat(60_000),
  ]) {
    expect(recognise(driver, text)).toBeNull();
    expect(namesIn(driver, text).length).toBeLessThan(2);
  }
});
