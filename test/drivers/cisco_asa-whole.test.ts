import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/cisco_asa.ts';
import type { ArtefactCommand, Verdict } from '../../src/drivers/driver.ts';
import { cutsAtLines, judged, masked } from '../support/driver-probe.ts';

/* ── Any configuration that an ASA may have ───────────────────────────────────────────────── */

const word = fc.stringMatching(/^[A-Za-z][\w-]{0,15}$/);
const address = fc.ipV4();
/** Free text: what an administrator may type, with everything that looks like an end or a prompt. */
const words = fc.oneof(
  fc.stringMatching(/^[ -~]{1,60}$/).map((text) => `x${text.trimEnd()}`),
  fc.constantFrom(
    ': end',
    'ASA Version 9',
    'fw#',
    'fw> ',
    '<--- More --->',
    'see %ASA-4-106023: Deny',
    '\xe9t\xe9',
  ),
);
const block = (head: fc.Arbitrary<string>, body: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(head, fc.array(body, { maxLength: 5 }))
    .map(([first, rest]) => [first, ...rest.map((line) => ` ${line}`)].join('\n'));
const interfaceLine = fc.oneof(
  fc.constantFrom('shutdown', 'no nameif', 'management-only'),
  words.map((text) => `description ${text}`),
  word.map((name) => `nameif ${name}`),
  address.map((ip) => `ip address ${ip} 255.255.255.0`),
  word.map((key) => `ospf message-digest-key 1 md5 ${key}`),
);
const section = fc.oneof(
  block(
    fc.nat(9).map((port) => `interface GigabitEthernet0/${port}`),
    interfaceLine,
  ),
  block(
    word.map((name) => `object network ${name}`),
    address.map((ip) => `host ${ip}`),
  ),
  block(
    address.map((ip) => `tunnel-group ${ip} ipsec-attributes`),
    word.map((key) => `ikev1 pre-shared-key ${key}`),
  ),
  block(
    word.map((name) => `aaa-server ${name} (inside) host 192.0.2.1`),
    word.map((key) => `key ${key}`),
  ),
  block(
    word.map((name) => `context ${name}`),
    fc.oneof(
      word.map((name) => ` config-url disk0:/${name}.cfg`),
      words.map((text) => ` description ${text}`),
    ),
  ),
  words.map((text) => `banner motd ${text}`),
  words.map((text) => `access-list outside_in remark ${text}`),
  word.map((name) => `access-list ${name} extended permit ip any any `),
  fc.constantFrom('!', '', 'names', 'pager lines 24', 'failover', 'no asdm history enable'),
  fc.constant('crypto ca certificate chain TP\n certificate ca 01\n    308201e3 3082014c a0030201\n  quit'),
);
const head = fc.constantFrom(
  ': Saved\n\n: \n: Serial Number: JAD0000AAAA\n: Hardware:   ASA5516, 8192 MB RAM\n: Written by ops at 09:12:44.871 UTC Tue Mar 3 2026\n!\n',
  ': Saved\n: Written by ops at 09:12:44.871 UTC Tue Mar 3 2026\n!\n',
  ': Serial Number: 9AXQ1LTBC4D\n: Hardware:   ASAv\n!\n',
  '',
);
const version = fc.constantFrom('9.12(4)67 ', '9.24(1) ', '9.16(4)57 <system>', '9.16(4)57 <context>');
const tail = fc.constantFrom(
  'Cryptochecksum:0123456789abcdef0123456789abcdef\n: end\n',
  ': end\n',
  ': end\n\n\n',
);
const configuration = fc
  .tuple(head, version, word, fc.array(section, { minLength: 2, maxLength: 30 }), tail)
  .map(
    ([top, release, name, sections, end]) =>
      `${top}ASA Version ${release}\n!\nhostname ${name}\n${sections.join('\n')}\n!\n${end}`,
  );

describe('any configuration of an ASA', () => {
  it('is whole, and masked it is the same when masked again', () => {
    fc.assert(
      fc.property(configuration, (text) => {
        expect(judged(driver, text)).toEqual({ whole: true });
        const once = masked(driver, text);
        expect(masked(driver, once)).toBe(once);
      }),
    );
  });

  it('is not whole when it is cut: after any line, and anywhere inside of one', () => {
    fc.assert(
      fc.property(configuration, fc.double({ min: 0, max: 1, noNaN: true }), (text, share) => {
        const end = text.trimEnd().length;
        for (const cut of cutsAtLines(text)) {
          // Lines of blanks behind the end are no part of it.
          if (cut.trimEnd().length < end) expect([cut, judged(driver, cut).whole]).toEqual([cut, false]);
        }
        const inside = text.slice(0, Math.floor(share * (end - 1)));
        expect([inside, judged(driver, inside).whole]).toEqual([inside, false]);
      }),
    );
  });
});

describe('a message that was printed into a configuration', () => {
  const plain = `: Saved
ASA Version 9.12(4)67
!
hostname fw
tunnel-group 192.0.2.9 ipsec-attributes
 ikev1 pre-shared-key vpn-shared
banner motd welcome
: end
`;
  const because = (text: string): string | null => {
    const verdict = judged(driver, text);
    return verdict.whole ? null : verdict.because;
  };

  it.each([
    ["%ASA-5-111008: User 'ops' executed the 'enable' command.", 'a log message was printed into the text'],
    ['Mar 03 2026 10:25:04 fw : %ASA-6-605005: Login permitted', 'a log message was printed into the text'],
    ['%ASA-session-6-302013: Built inbound TCP connection', 'a log message was printed into the text'],
    [
      '\tBeginning configuration replication: Sending to mate.',
      'a message of the failover pair was printed into the text',
    ],
    ['End Configuration Replication to mate', 'a message of the failover pair was printed into the text'],
    [
      'Beginning configuration replication from mate.',
      'a message of the failover pair was printed into the text',
    ],
    ['\tSwitching to Standby', 'a message of the failover pair was printed into the text'],
    ['*** --- START GRACEFUL SHUTDOWN ---', 'a message that the unit shuts down was printed into the text'],
  ])('%j makes it no copy, between two lines or inside of one', (message, reason) => {
    expect(because(plain)).toBeNull();
    expect(because(plain.replace('tunnel-group', `${message}\ntunnel-group`))).toBe(reason);
    expect(because(plain.replace('vpn-shared', `vpn-\n${message}\nshared`))).toBe(reason);
    if (message.startsWith('%'))
      expect(because(plain.replace('vpn-shared', `vpn-${message}\nshared`))).toBe(reason);
  });

  it.each([
    'access-list out remark see %ASA-4-106023: Deny in the log',
    ' description Switching to Active is announced; %ASA-1-104001: too',
    'banner motd *** --- SHUTDOWN NOW --- is not meant for you',
    'logging message 106023 level warnings',
    'object-group network SHUTDOWN',
    ' description switching to the new line',
  ])('is none in %j', (line) => {
    expect(because(plain.replace('banner motd welcome', line))).toBeNull();
  });

  it('is looked for in one pass', () => {
    for (const piece of [
      '%ASA-',
      'Switching to ',
      'SHUTDOWN ',
      '%ASA-\n',
      ' description %ASA-5-111008: \n',
    ]) {
      const text = `ASA Version 9\n${piece.repeat(2_000_000 / piece.length)}\n: end\n`;
      const start = performance.now();
      judged(driver, text);
      expect({ piece, slow: performance.now() - start > 5_000 }).toEqual({ piece, slow: false });
    }
  });
});

describe('an XML file of an ASA', () => {
  const command = driver.commands.find(({ name }) => name === 'file-{file}') as ArtefactCommand;
  const verdict = (text: string): Verdict => {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    const { firstLine, lastLine, structure } = command.wholeWhen;
    if (!firstLine?.test(lines[0] ?? '') || !lastLine?.test(lines.at(-1) ?? ''))
      return { whole: false, because: 'first or last line' };
    return structure?.(text) ?? { whole: true };
  };
  const profile = `<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<p:AnyConnectProfile xmlns:p="http://schemas.xmlsoap.org/encoding/">
  <ServerList>
    <HostEntry><HostName>a</HostName></HostEntry>
  </ServerList>
</p:AnyConnectProfile>
`;

  it.each([
    ['as it is written', profile],
    ['with a byte order mark', `\xef\xbb\xbf${profile}`],
    ['on one line', '<dapRecordList><dapRecord></dapRecord></dapRecordList>'],
    ['without a declaration', profile.split('\n').slice(2).join('\n')],
  ])('is whole %s, and never when it is cut', (_how, text) => {
    expect(verdict(text)).toEqual({ whole: true });
    for (let at = 0; at < text.trimEnd().length; at++)
      expect([at, verdict(text.slice(0, at)).whole]).toEqual([at, false]);
  });

  it('is none where an error stands in its place', () => {
    for (const text of [
      '%Error opening disk0:/x.xml (No such file or directory)\n',
      'hello\n',
      '<\n',
      '<?xml?>\n',
    ])
      expect(verdict(text).whole).toBe(false);
  });

  it('is looked for where the configuration names one on the unit itself', () => {
    const config = `webvpn
 anyconnect profiles CORP disk0:/corp.xml
 anyconnect profiles LAB flash:/lab/lab.xml
 anyconnect profiles TWICE disk0:/corp.xml
 svc profiles OLD disk1:/old.xml
 anyconnect profiles FAR ftp://u:n0tr3al@192.0.2.1/far.xml
group-policy G attributes
 webvpn
  anyconnect profiles value CORP type user
dynamic-access-policy-record DfltAccessPolicy
`;
    const seen = { text: () => null, options: { profiles: true }, dialogue: 'terminal' };
    const items = (text: string) => command.forEach?.items(text, seen);
    expect(items(config)).toEqual([
      { file: 'corp.xml', path: 'disk0:/corp.xml' },
      { file: 'lab-lab.xml', path: 'flash:/lab/lab.xml' },
      { file: 'disk1-old.xml', path: 'disk1:/old.xml' },
    ]);
    expect(items('dynamic-access-policy-record contractors\n')).toEqual([
      { file: 'dap.xml', path: 'disk0:/dap.xml' },
    ]);
    expect(command.when?.(seen)).toBe(true);
    expect(command.when?.({ ...seen, options: { profiles: false } })).toBe(false);
  });

  it('shows no password in git', () => {
    const text =
      '<a>\n <ProxyPassword>n0tr3al</ProxyPassword>\n <x:SharedKey encrypted="no">n0tr3al</x:SharedKey>\n <AllowPassword>true</AllowPassword>\n</a>\n';
    expect(masked(driver, text)).not.toContain('n0tr3al');
    expect(masked(driver, text)).toContain('<AllowPassword>true</AllowPassword>');
  });
});
