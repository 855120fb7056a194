import {
  type Block,
  defineDriver,
  drop,
  refused,
  type Seen,
  type StateReport,
  secret,
  source,
  type Verdict,
} from './driver.ts';
import { indentedBlocks } from './grammar/indented.ts';

/*
 * Cisco IOS and IOS-XE over a terminal. A configuration ends in the line `end`; what a level below 15 is
 * shown ends in it too, and is not all there is.
 */

const host = '(?<host>[A-Za-z0-9][\\w.-]{0,62}?)(?:-stby)?';

/** Kinds of blocks that take more than one word to name. */
const kind =
  /^(?:aaa group server \S+|address-family \S+|class-map|control-plane|crypto (?:ikev2 \S+|ipsec \S+|isakmp \S+|map|pki (?:certificate chain|trustpoint))|flow \S+|ip (?:access-list \S+|dhcp pool|nat pool|sla|vrf)|ipv6 access-list|key chain|line \S+|object-group \S+|policy-map|radius server|route-map|router \S+|tacacs server|vrf definition)(?= |$)/;

/** A banner's text lies between two delimiters and may hold any line, `end` among them. */
const bannerHead = /^banner (?:exec|incoming|login|motd|prompt-timeout|slip-ppp) (\^.|\S)/;

/** The head, and every banner closed: a cut below a line `end` of a banner's text is none. */
function isWhole(text: string): Verdict {
  if (!/^version \d/m.test(text.slice(0, 8192))) {
    return { whole: false, because: 'no line "version" near the beginning' };
  }
  let delimiter: string | null = null;
  for (let at = 0; at < text.length; ) {
    const feed = text.indexOf('\n', at);
    const end = feed === -1 ? text.length : feed;
    if (delimiter !== null) {
      const closes = text.indexOf(delimiter, at);
      if (closes !== -1 && closes < end) delimiter = null;
    } else if (text.startsWith('banner ', at)) {
      const line = text.slice(at, end);
      const head = bannerHead.exec(line);
      const mark = head?.[1];
      if (head !== null && mark !== undefined && !line.slice(head[0].length).includes(mark)) delimiter = mark;
    }
    at = end + 1;
  }
  return delimiter === null
    ? { whole: true }
    : { whole: false, because: 'a banner is still open at the end' };
}

function outline(text: string): Block[] {
  return indentedBlocks(text, { kind, separators: '!' });
}

/* ── State ────────────────────────────────────────────────────────────────────────────────── */

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const instant = /(\d\d):(\d\d):(\d\d)(?:\.\d+)? (\S{1,16}) \w{3} (\w{3}) {1,2}(\d{1,2}) (\d{4})/;

/** A time as the device prints it. Comparable only within one zone: the name of it says no offset. */
function timeIn(line: string | undefined): { readonly zone: string; readonly atMs: number } | null {
  const [, hour, minute, second, zone, month, day, year] = instant.exec(line ?? '') ?? [];
  if (zone === undefined || month === undefined || !months.includes(month)) return null;
  const clock = [Number(hour), Number(minute), Number(second)] as const;
  return { zone, atMs: Date.UTC(Number(year), months.indexOf(month), Number(day), ...clock) };
}

/** Whether the last change is newer than the last save, by the two comments in the head. */
function isUnsaved(config: string): boolean | undefined {
  const head = config.slice(0, 4096);
  const changed = timeIn(/^! Last configuration change at .*$/m.exec(head)?.[0]);
  const savedLine = /^! NVRAM config last updated at .*$/m.exec(head)?.[0];
  const saved = timeIn(savedLine);
  if (changed === null) return undefined;
  // Changed since the start, and never written since then.
  if (savedLine === undefined) return true;
  return saved === null || saved.zone !== changed.zone ? undefined : changed.atMs > saved.atMs;
}

function state({ text }: Seen): StateReport {
  const level = /^Current privilege level is (\d{1,2})\s*$/m.exec(text('privilege') ?? '')?.[1];
  const unsaved = isUnsaved(text('running-config') ?? '');
  const narrow = {
    is: 'partial',
    because: `the login has privilege level ${level}: what only level 15 may see is not in this copy`,
  } as const;
  return {
    ...(unsaved === undefined ? {} : { unsaved }),
    ...(level === undefined || level === '15' ? {} : { worth: [narrow] }),
  };
}

/* ── Rules ────────────────────────────────────────────────────────────────────────────────── */

/** The digit in front of a key tells how it is hidden; 6, 7, 8 and 9 are as good as none to a thief. */
const type = '(?:[0-9] )?';

export const driver = defineDriver({
  id: 'cisco_ios',
  title: 'Cisco IOS and IOS-XE',
  sources: [
    source(
      'prompts, pager and "terminal length 0"; what a real C9200L prints',
      'ytti/oxidized/blob/25ace9af/lib/oxidized/model/ios.rb',
    ),
    source('a complete configuration ends in "end"', 'haussli/rancid/blob/fb9019c3/lib/ios.pm.in'),
  ],

  dialogues: [
    {
      channel: 'shell',
      name: 'terminal',
      modes: {
        user: {
          kind: 'prompt',
          line: new RegExp(`^${host}> ?$`),
          moves: {
            privileged: {
              send: 'enable',
              leadsTo: ['privileged', 'enablePassword', 'enableRefused', 'enableDenied'],
            },
          },
        },
        privileged: { kind: 'prompt', line: new RegExp(`^${host}# ?$`) },
        /** Named so that a session which lands here stops: nothing is ever typed in configuration mode. */
        configuration: { kind: 'prompt', line: new RegExp(`^${host}\\([\\w-]{1,64}\\)# ?$`) },
        enablePassword: {
          kind: 'question',
          line: /^Password: ?$/,
          answer: { credential: 'enable' },
          leadsTo: ['privileged', 'enableAgain', 'enableRefused', 'enableDenied'],
        },
        /** Asked a second time: the first answer was wrong. */
        enableAgain: { kind: 'dead-end', line: /^Password: ?$/, failsWith: 'login.enable-rejected' },
        enableRefused: {
          kind: 'dead-end',
          line: /^% ?(?:Access denied|Bad (?:secrets|passwords)|Error in authentication|No password set|Authorization failed)/,
          failsWith: 'login.enable-rejected',
        },
        /** Back where we came from: enable was not granted. */
        enableDenied: {
          kind: 'dead-end',
          line: new RegExp(`^${host}> ?$`),
          failsWith: 'login.enable-rejected',
        },
      },
      greetedBy: ['user', 'privileged'],
      worksIn: ['privileged'],
      prepare: ['terminal length 0', 'terminal width 0'],
      pagers: [{ line: /(?:^|[\r\n\b]) ?--More-- ?$/, press: ' ' }],
      leave: ['exit'],
    },
  ],

  commands: [
    { name: 'version', keep: 'facts', send: 'show version' },
    {
      name: 'privilege',
      keep: 'facts',
      send: 'show privilege',
      mayBeRefusedBecause:
        'command authorization may not grant it; what the account cannot see is not told then',
    },
    {
      name: 'running-config',
      keep: 'artefact',
      firstOf: [{ send: 'show running-config', restorable: 'yes', because: null }],
      wholeWhen: {
        firstLine: /^(?:Building configuration|Current configuration|!|version )/,
        lastLine: /^end\s*$/,
        atLeastLines: 6,
        structure: isWhole,
        proof: 'end-marker',
      },
    },
  ],

  refusals: [
    refused(/^(?:% ?)?(?:Command authorization|Authorization) failed/, 'Command authorization failed.'),
    refused(
      /^% ?(?:Invalid|Ambiguous|Incomplete|Unrecognized|Unknown|Permission denied)/,
      "% Invalid input detected at '^' marker.",
    ),
  ],

  volatile: [
    drop(/^Building configuration\.\.\.\s*$/, 'said while the text is made', 'Building configuration...'),
    drop(
      /^Current configuration : \d/,
      'counts the lines that are dropped here as well',
      'Current configuration : 20546 bytes',
    ),
    drop(
      /^! (?:Last configuration change|NVRAM config last updated) at /,
      'times; who changed it last is kept as a fact of the run',
      '! Last configuration change at 09:37:40 CEST Tue Aug 20 2024 by netops',
    ),
    drop(
      /^! No configuration change since last restart/,
      'printed or not according to the last restart',
      '! No configuration change since last restart',
    ),
    drop(/^ntp clock-period \d/, 'the drift of the clock, measured', 'ntp clock-period 17179869'),
  ],

  secrets: [
    secret(
      'hash',
      new RegExp(`^enable (?:secret|password) (?:level \\d+ )?${type}(?<secret>\\S+)`),
      'enable secret 9 $9$salt$bm90LXJlYWw',
    ),
    secret(
      'hash',
      new RegExp(`^ *username \\S+ .{0,200}?(?:password|secret) ${type}(?<secret>\\S+)`),
      'username netops privilege 15 secret 9 $9$salt$bm90LXJlYWw',
    ),
    secret('password', new RegExp(`^ +(?:password|secret) ${type}(?<secret>\\S+)`), ' password 7 n0tr3al'),
    secret(
      'community',
      /^ *snmp-server community (?:[0-9] )?(?<secret>\S+)/,
      'snmp-server community n0tr3al RW 5',
    ),
    secret(
      'community',
      /^snmp-server host \S+ (?:vrf \S+ )?(?:(?:informs|traps) )?(?:version (?:1|2c) )?(?!version |vrf |informs |traps )(?<secret>\S+)/,
      'snmp-server host 192.0.2.33 vrf mgmt informs version 2c n0tr3al  tty vtp',
    ),
    secret(
      'hash',
      /^snmp-server user .{1,200}? auth (?:md5|sha\S*) (?<secret>\S+)/,
      'snmp-server user ops grp v3 auth sha n0tr3al priv aes 128 44:55',
    ),
    secret(
      'hash',
      /^snmp-server user .{1,400}? priv (?:3des|des|aes(?: \d+)?) (?<secret>\S+)/,
      'snmp-server user ops grp v3 auth sha 00:11 priv aes 128 n0tr3al',
    ),
    secret(
      'shared-key',
      new RegExp(`^(?:tacacs|radius)-server (?:host \\S+ (?:.{1,200}? )?)?key ${type}(?<secret>\\S+)`),
      'radius-server host 192.0.2.9 auth-port 1812 key 7 n0tr3al',
    ),
    secret(
      'shared-key',
      new RegExp(`^ +(?:client|server-private) \\S+ (?:.{1,200}? )?(?:server-)?key ${type}(?<secret>\\S+)`),
      ' client 192.0.2.10 server-key 7 n0tr3al',
    ),
    {
      ...secret('shared-key', new RegExp(`^ +key ${type}(?<secret>\\S+)`), ' key 7 n0tr3al'),
      // Elsewhere it is the number of a key.
      inSection: /^(?:tacacs server|radius server|aaa server radius) /,
    },
    secret(
      'shared-key',
      new RegExp(`^(?:crypto )?isakmp key ${type}(?<secret>\\S+) `),
      'crypto isakmp key 6 n0tr3al address 192.0.2.1',
    ),
    secret(
      'shared-key',
      new RegExp(
        `^ *pre-shared-key (?:(?:local|remote|address \\S+(?: \\d\\S+)?) )?(?:key )?(?:hex )?${type}(?<secret>\\S+)`,
      ),
      '  pre-shared-key address 192.0.2.1 key n0tr3al',
    ),
    secret(
      'shared-key',
      new RegExp(`^ +neighbor \\S+ password ${type}(?<secret>\\S+)`),
      ' neighbor 192.0.2.1 password 7 n0tr3al',
    ),
    secret(
      'shared-key',
      new RegExp(`^ +(?:ip ospf|area) (?:.{1,200}? )?message-digest-key \\d+ md5 ${type}(?<secret>\\S+)`),
      ' ip ospf message-digest-key 1 md5 7 n0tr3al',
    ),
    secret(
      'shared-key',
      new RegExp(`^ +(?:ip ospf|area) (?:.{1,200}? )?authentication-key ${type}(?<secret>\\S+)`),
      ' ip ospf authentication-key n0tr3al',
    ),
    secret('shared-key', new RegExp(`^ +key-string ${type}(?<secret>\\S+)`), '   key-string 7 n0tr3al'),
    secret(
      'shared-key',
      new RegExp(
        `^ +(?:standby|vrrp|glbp) (?:\\d+ )?authentication (?:md5 key-string ${type}|text )?(?!md5 |text )(?<secret>\\S+)`,
      ),
      ' standby 1 authentication md5 key-string 7 n0tr3al',
    ),
    secret(
      'password',
      new RegExp(`^ +ppp (?:chap password|pap sent-username \\S+ password) ${type}(?<secret>\\S+)`),
      ' ppp pap sent-username isp password 0 n0tr3al',
    ),
    secret(
      'shared-key',
      /^ntp authentication-key \d+ \S+ (?<secret>\S+)/,
      'ntp authentication-key 1 md5 n0tr3al 7',
    ),
    secret(
      'password',
      new RegExp(
        `^(?:ip (?:ftp|http client|scp) password|vtp password|.{0,40}wpa-psk (?:ascii|hex)) ${type}(?<secret>\\S+)`,
      ),
      'ip ftp password 7 n0tr3al',
    ),
    secret(
      'password',
      new RegExp(`^ +(?! ).{0,60}(?:wpa-psk|psk set-key) (?:ascii|hex) ${type}(?<secret>\\S+)`),
      ' security wpa psk set-key ascii 0 n0tr3al',
    ),
    secret(
      'password',
      /^ +(?:isis password|(?:area|domain|lsp)-password) (?:[0-9] )?(?<secret>\S+)/,
      ' area-password n0tr3al',
    ),
    secret(
      'hash',
      /(?<secret>\$(?:1|5|8|9|14)\$[./A-Za-z0-9]{2,}\$[./A-Za-z0-9]{4,})/,
      ' some-word $9$salt$bm90LXJlYWw',
    ),
    secret(
      'password',
      /:\/\/[^\s/:@"]{0,64}:(?<secret>[^\s/@"]{1,200})@/,
      ' path ftp://backup:n0tr3al@192.0.2.1/fw.cfg',
    ),
    {
      kind: 'private-key',
      line: /(?<secret>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)\s*$/,
      until: /(?<secret>-----END [A-Z ]{0,40}PRIVATE KEY-----)/,
      example: '-----BEGIN RSA PRIVATE KEY-----\nbm90LXJlYWw=\n-----END RSA PRIVATE KEY-----',
    },
  ],

  restorable: [],

  facts: [
    {
      fact: 'hostname',
      from: 'version',
      line: /^(?<value>\S+) uptime is /,
      example: 'sw-core uptime is 44 weeks, 4 days, 1 hour, 16 minutes',
    },
    {
      fact: 'hostname',
      from: 'running-config',
      line: /^hostname (?<value>\S+)/,
      example: 'hostname sw-core',
    },
    {
      fact: 'version',
      from: 'version',
      line: /^Cisco IOS.{0,120}?, Version (?<value>[^,\s]+)/,
      example: 'Cisco IOS XE Software, Version 17.09.04a',
    },
    {
      fact: 'version',
      from: 'version',
      line: /^IOS \(tm\).{0,120}?, Version (?<value>[^,\s]+)/,
      example: 'IOS (tm) C2950 Software (C2950-I6Q4L2-M), Version 12.1(22)EA13, RELEASE SOFTWARE (fc2)',
    },
    {
      fact: 'model',
      from: 'version',
      line: /^Model [Nn]umber {1,40}: (?<value>\S+)/,
      example: 'Model Number                       : C9200L-24P-4G',
    },
    {
      fact: 'model',
      from: 'version',
      line: /^[Cc]isco (?<value>\S+) .{0,120}processor/,
      example: 'cisco ISR4331/K9 (1RU) processor with 1795979K/3071K bytes of memory.',
    },
    {
      fact: 'serial',
      from: 'version',
      line: /^System [Ss]erial [Nn]umber {1,40}: (?<value>\S+)/,
      example: 'System Serial Number               : JAE00000000',
    },
    {
      fact: 'serial',
      from: 'version',
      line: /^Processor board ID (?<value>\S+)/,
      example: 'Processor board ID JAE00000000',
    },
    {
      fact: 'changed-by',
      from: 'running-config',
      line: /^! Last configuration change at .{1,60} by (?<value>\S+)/,
      example: '! Last configuration change at 09:37:40 CEST Tue Aug 20 2024 by netops',
    },
    {
      fact: 'changed-at',
      from: 'running-config',
      line: /^! Last configuration change at (?<value>.{1,60}?\d{4})(?: by |\s*$)/,
      example: '! Last configuration change at 09:37:40 CEST Tue Aug 20 2024 by netops',
    },
  ],

  state,

  changes: {
    messages: [
      {
        // The first mnemonic of a message: one behind it may be a user name that somebody made up.
        line: /^(?:(?!%[A-Z])[\s\S])*?%SYS-5-CONFIG_I: Configured from \S{1,80}(?: by (?<user>\S{1,64}))?(?: on \S{1,32})?(?: \((?<from>[0-9A-Fa-f.:]{2,45})\))?/,
        means: 'changed',
        example:
          '<189>4711: sw-core: Aug 20 2024 09:37:40.123 CEST: %SYS-5-CONFIG_I: Configured from console by netops on vty0 (192.0.2.20)',
      },
      {
        line: /^(?:(?!%[A-Z])[\s\S])*?%PARSER-5-CFGLOG_LOGGEDCMD: User:(?<user>\S{1,64}) {1,2}logged command:/,
        butNot: /logged command: ?!exec: ?enable/,
        means: 'changed',
        example:
          '<189>4712: Aug 20 09:37:38.001: %PARSER-5-CFGLOG_LOGGEDCMD: User:netops  logged command:interface Vlan2',
      },
    ],
    device: [/^<\d{1,3}>\d{1,10}: (?:\d{1,10}: )?(?<name>[A-Za-z][\w.-]{0,62}): /],
  },

  outline,
});
