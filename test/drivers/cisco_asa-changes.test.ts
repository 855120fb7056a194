import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/cisco_asa.ts';

const { messages, device } = driver.changes ?? { messages: [], device: [] };

/** What a whole message tells: the first rule that finds something in it. */
function told(message: string) {
  for (const { line, butNot, means } of messages) {
    const found = line.exec(message);
    if (found === null || butNot?.test(message)) continue;
    const { user, from } = found.groups ?? {};
    return { means, ...(user === undefined ? {} : { user }), ...(from === undefined ? {} : { from }) };
  }
  return null;
}

/** The headers that were seen in the wild, with the name that each one gives the device. */
const headers: readonly (readonly [string, string | null])[] = [
  ['<165>Oct 06 2021 15:02:30 10.160.0.10 : ', '10.160.0.10'],
  ['<165>Nov 08 2013 10:18:30: ', null],
  ['<166>2018-06-27T12:17:46Z asa : ', 'asa'],
  ['Mar 09 2017 10:25:04 MDF-ASA5515X : ', 'MDF-ASA5515X'],
  ['HQ-ASA5585 : ', 'HQ-ASA5585'],
  ['<165>HQ-ASA5585 : ', 'HQ-ASA5585'],
  ['', null],
  ['<166>:Aug 15 13:44:38 UTC: ', null],
  ['<166>Aug 15 2019 13:44:38 UTC: ', null],
  ['<165>Oct  6 15:02:30 fw1.example.net ', 'fw1.example.net'],
];

describe('a syslog message of an ASA', () => {
  it.each(headers)('is recognised behind %j, which names %s', (header, name) => {
    const message = `${header}%ASA-5-111010: User 'netops', running 'CLI' from IP 192.0.2.77, executed 'mtu inside 9000'`;
    expect(told(message)).toEqual({ means: 'changed', user: 'netops', from: '192.0.2.77' });
    const named = device.map((rule) => rule.exec(message)?.groups?.name).find((one) => one !== undefined);
    expect(named ?? null).toBe(name);
  });

  it.each([
    [
      "%ASA-5-111010: User 'enable_15', running 'N/A' from IP 0.0.0.0, executed 'write-nothing'",
      { means: 'changed', user: 'enable_15' },
    ],
    [
      "%ASA-5-111008: User 'a b' executed the 'no access-list OUT' command.",
      { means: 'changed', user: 'a b' },
    ],
    ["%ASA-5-111008 User 'ops' executed the 'failover' command.", { means: 'changed', user: 'ops' }],
    [
      "%ASA-config-5-111008: User 'ops' executed the 'clear configure access-list' command.",
      { means: 'changed', user: 'ops' },
    ],
    ["%FTD-5-111008: User 'ops' executed the 'context new' command.", { means: 'changed', user: 'ops' }],
    [
      '%ASA-5-111007: Begin configuration: 192.0.2.77 reading from http [POST]',
      { means: 'changed', from: '192.0.2.77' },
    ],
    ['%ASA-5-111007: Begin configuration: console reading from device.', { means: 'changed' }],
    ['%ASA-5-111002: 192.0.2.77 reading from device', { means: 'changed', from: '192.0.2.77' }],
    ['%ASA-5-111003: 192.0.2.77 Erase configuration', { means: 'changed', from: '192.0.2.77' }],
    ['%ASA-5-111004: 192.0.2.77 end configuration: OK', { means: 'saved', from: '192.0.2.77' }],
    ['%PIX-5-111005: console end configuration: OK', { means: 'saved' }],
    ['%ASA-5-111005: 2001:db8::7 end configuration: OK', { means: 'saved', from: '2001:db8::7' }],
  ])('%s is understood', (message, meaning) => {
    expect(told(message)).toEqual(meaning);
  });

  it.each([
    'terminal pager 0',
    'show version',
    'sh run',
    'enable',
    'changeto system',
    'changeto context admin',
    'more system:running-config',
    'more disk0:/admin.cfg',
    'exit',
    'logout',
    'configure terminal',
    'conf t',
    'end',
    'write memory',
    'wr',
    'ping 192.0.2.1',
    'clear xlate',
    'copy running-config startup-config',
    'debug icmp trace',
    'failover active',
    'no failover active',
    'login',
    'show startup-config | include ^: Written',
  ])('that somebody typed %j tells of no change', (command) => {
    expect(told(`fw : %ASA-5-111008: User 'ops' executed the '${command}' command.`)).toBeNull();
    expect(
      told(`fw : %ASA-5-111010: User 'ops', running 'CLI' from IP 192.0.2.7, executed '${command}'`),
    ).toBeNull();
  });

  it.each([
    'enable password x',
    'no failover',
    'failover',
    'clear configure all',
    'exec-banner',
    'sla monitor 1',
    'terminal-x',
    'logging host inside 192.0.2.1',
    'moreover',
    'ssh 10.0.0.0 255.0.0.0 inside',
    'username x',
    'mode multiple',
  ])('that somebody typed %j tells of a change', (command) => {
    expect(told(`%ASA-5-111010: User 'ops', running 'CLI' from IP 192.0.2.7, executed '${command}'`)).toEqual(
      {
        means: 'changed',
        user: 'ops',
        from: '192.0.2.7',
      },
    );
  });

  it('is none of ours where it tells of logins, levels, shows, failed saves or traffic', () => {
    for (const message of [
      '%ASA-5-502103: User priv level changed: Uname: ops From: 1 To: 15',
      "%ASA-7-111009: User 'ops' executed cmd: show run",
      '%ASA-5-111001: Begin configuration: 192.0.2.77 writing to device',
      '%ASA-5-111004: 192.0.2.77 end configuration: FAILED',
      '%ASA-6-605005: Login permitted from 192.0.2.50/4711 to inside:192.0.2.1/ssh for user "backup"',
      '%ASA-6-302015: Built outbound UDP connection 111008 for outside:192.0.2.53/53',
      "executed 'no access-list OUT'",
      '',
    ])
      expect([message, told(message)]).toEqual([message, null]);
  });

  it('is looked through in a time that grows with its length', () => {
    for (const piece of [
      "%ASA-5-111010: User '",
      'a',
      ' ',
      '%ASA-5-111007: Begin configuration: ',
      '1.',
      ' : %ASA-',
      '15:02:30 a',
    ]) {
      const start = performance.now();
      const message = piece.repeat(Math.ceil(200_000 / piece.length));
      told(message);
      for (const rule of device) rule.exec(message);
      expect({ piece, slow: performance.now() - start > 2_000 }).toEqual({ piece, slow: false });
    }
  });

  it.each(messages)('$example is its own example', ({ line, butNot, example }) => {
    expect(example).toMatch(line);
    expect(butNot?.test(example) ?? false).toBe(false);
  });
});
