import {
  type Block,
  defineDriver,
  type Refusal,
  type SecretKind,
  type SecretRule,
  type Source,
  type Verdict,
  type VolatileRule,
} from './driver.ts';

/*
 * Cisco ASA in single-context mode, over a terminal: its exec channel hangs or answers with a hint
 * (paramiko issue 360). What is typed stays below 60 characters: at 80 columns a longer line is
 * redrawn with a `$` (netmiko issues 281 and 2039).
 */

/** Fields of the prompt that a failover changes. They may stand before the hostname or behind it. */
const state = '(?:act|stby|actNoFailover|stbyNoFailover|pri|sec|master|slave|control|data|disabled)';

/** The hostname is the first field that is no state; context, domain or state may follow it. */
const fields = `(?:${state}/){0,4}(?<host>[A-Za-z0-9][\\w.-]{0,63})(?:/[\\w.-]{1,64}){0,6}`;

const keysAreMasked = 'keys are printed as *****: a device restored from this copy has no working VPNs';

/** The head; the tail is the last line `: end`. A checksum stands before it on most versions and proves no more. */
function isWhole(text: string): Verdict {
  if (!/^ASA Version \S/m.test(text.slice(0, 4096))) {
    return { whole: false, because: 'no line "ASA Version" near the beginning' };
  }
  // It can land in the middle of a line and tear it apart (unicon's ASA patterns): a key would lie in two pieces.
  if (
    /Beginning configuration replication: Sending to mate|End Configuration Replication to mate/.test(text)
  ) {
    return { whole: false, because: 'a message of the failover pair was printed into the text' };
  }
  return { whole: true };
}

/** Kinds of blocks that take more than one word to name. */
const kind =
  /^(?:object(?:-group)? [a-z-]+|router [a-z0-9]+|dns server-group|crypto (?:ca (?:certificate (?:chain|map)|trustpoint|trustpool|server)|(?:ikev[12]|isakmp) policy|ipsec (?:ikev[12] )?(?:ipsec-proposal|profile|transform-set)|(?:dynamic-)?map))(?= )/;

const deepest = 8;
const longestTitle = 160;

/** A line is a block where the next one is indented deeper. `!` and blank lines belong to none. */
function outline(text: string): Block[] {
  const blocks: { firstLine: number; lastLine: number; section: string; title: string }[] = [];
  const open: { indent: number; block: (typeof blocks)[number] | null }[] = [];
  let head: { indent: number; index: number; words: string } | null = null;
  let lastFilled = -1;

  const close = (indent: number): void => {
    for (let top = open.at(-1); top !== undefined && top.indent >= indent; top = open.at(-1)) {
      if (top.block !== null) top.block.lastLine = lastFilled;
      open.pop();
    }
  };
  const begin = (line: { indent: number; index: number; words: string }): void => {
    const around = open.at(-1)?.block;
    let block: (typeof blocks)[number] | null = null;
    if (around !== null && open.length < deepest) {
      const name = line.words.slice(0, longestTitle).trimEnd();
      block = {
        firstLine: line.index,
        lastLine: line.index,
        section: around?.section ?? kind.exec(name)?.[0] ?? /^\S{1,40}/.exec(name)?.[0] ?? name,
        title: around === undefined ? name : `${around.title} > ${name}`,
      };
      blocks.push(block);
    }
    open.push({ indent: line.indent, block });
  };

  let index = 0;
  for (let at = 0; at < text.length; index++) {
    const feed = text.indexOf('\n', at);
    const end = feed === -1 ? text.length : feed;
    let from = at;
    while (from < end && text[from] === ' ') from++;
    const indent = from - at;
    at = end + 1;
    if (from === end || text[from] === '\r') continue;
    const separates = indent === 0 && (text[from] === '!' || text[from] === ':');
    if (head !== null && !separates && indent > head.indent) begin(head);
    else close(indent);
    head = separates ? null : { indent, index, words: text.slice(from, Math.min(end, from + longestTitle)) };
    if (!separates) lastFilled = index;
  }
  close(0);
  return blocks;
}

function source(claim: string, url: string): Source {
  return { claim, see: { url: `https://github.com/${url}`, read: '2026-11-22' } };
}

function refused(line: RegExp, example: string): Refusal {
  return { line, means: 'collect.command-refused', example };
}

function drop(line: RegExp, because: string, example: string): VolatileRule {
  return { line, act: 'drop', because, example };
}

function secret(name: SecretKind, line: RegExp, example: string): SecretRule {
  return { kind: name, line, example };
}

export const driver = defineDriver({
  id: 'cisco_asa',
  title: 'Cisco ASA',
  sources: [
    source(
      'exec requests hang or answer "Type help or \'?\' for a list of available commands."',
      'paramiko/paramiko/issues/360',
    ),
    source(
      'a level-1 user may not type "terminal pager 0": it is sent after enable',
      'ytti/oxidized/issues/486',
    ),
    source(
      '"more system:running-config" prints keys that "show running-config" masks',
      'ytti/oxidized/blob/687ed426/lib/oxidized/model/asa.rb',
    ),
    source('a complete configuration ends in ": end"', 'haussli/rancid/blob/fb9019c3/lib/ios.pm.in'),
    source(
      'the question about anonymous reporting and the messages of a replication',
      'CiscoTestAutomation/unicon.plugins/tree/c4231305/src/unicon/plugins/asa',
    ),
  ],

  dialogues: [
    {
      channel: 'shell',
      name: 'terminal',
      modes: {
        user: {
          kind: 'prompt',
          line: new RegExp(`^${fields}> ?$`),
          moves: {
            privileged: {
              send: 'enable',
              leadsTo: ['privileged', 'enablePassword', 'enableUnset', 'enableRefused', 'enableDenied'],
            },
          },
        },
        privileged: { kind: 'prompt', line: new RegExp(`^${fields}# ?$`) },
        /** Named so that a session which lands here stops: nothing is ever typed in configuration mode. */
        configuration: { kind: 'prompt', line: new RegExp(`^${fields}\\([\\w-]{1,64}\\)# ?$`) },
        enablePassword: {
          kind: 'question',
          line: /^Password: ?$/,
          answer: { credential: 'enable' },
          leadsTo: ['privileged', 'reporting', 'replication', 'enableAgain', 'enableRefused', 'enableDenied'],
        },
        /** Asked a second time: the first answer was wrong. */
        enableAgain: { kind: 'dead-end', line: /^Password: ?$/, failsWith: 'login.enable-rejected' },
        /** A unit without an enable password wants one to be set; answering would change it. */
        enableUnset: {
          kind: 'dead-end',
          line: /^(?:The enable +password is not set|Enter +Password:|Repeat Password:)/,
          failsWith: 'login.enable-rejected',
        },
        enableRefused: {
          kind: 'dead-end',
          line: /^(?:% ?)?(?:Access denied|Invalid password|Error in authentication|Command authorization failed)/,
          failsWith: 'login.enable-rejected',
        },
        /** Back where we came from: enable was not granted. */
        enableDenied: {
          kind: 'dead-end',
          line: new RegExp(`^${fields}> ?$`),
          failsWith: 'login.enable-rejected',
        },
        /** "Ask later" is the answer that is not stored in the configuration. */
        reporting: {
          kind: 'question',
          line: /\[Y\]es, \[N\]o, \[A\]sk later:? ?$/,
          answer: { text: 'A', enter: true },
          leadsTo: ['user', 'privileged', 'replication'],
        },
        /** Printed over the prompt by a failover pair; Enter has the prompt printed again. */
        replication: {
          kind: 'question',
          line: /(?:Beginning configuration replication: Sending to mate\.|End Configuration Replication to mate) ?$/,
          answer: { text: '', enter: true },
          leadsTo: ['user', 'privileged', 'replication'],
        },
      },
      greetedBy: ['user', 'privileged', 'reporting', 'replication'],
      worksIn: ['privileged'],
      prepare: ['terminal pager 0'],
      pagers: [{ line: /(?:^|[\r\n])<--- More --->\s?$/, press: ' ' }],
      leave: ['exit'],
    },
  ],

  commands: [
    { name: 'version', keep: 'facts', send: 'show version' },
    {
      name: 'running-config',
      keep: 'artefact',
      firstOf: [
        { send: 'more system:running-config', restorable: 'yes', because: null },
        { send: 'show running-config', restorable: 'no', because: keysAreMasked },
      ],
      wholeWhen: {
        firstLine: /^(?::(?: |$)|ASA Version |Cryptochecksum:)/,
        lastLine: /^: end\s*$/,
        atLeastLines: 6,
        structure: isWhole,
        proof: 'end-marker',
      },
    },
  ],

  refusals: [
    refused(/^(?:ERROR: )?Command authorization failed/, 'Command authorization failed'),
    refused(/^ERROR: /, "ERROR: % Invalid input detected at '^' marker."),
    refused(
      /^% ?(?:Invalid|Ambiguous|Incomplete|Unrecognized|Unknown|Error|Access denied|Bad)/,
      '% Ambiguous command:  "more sys"',
    ),
    refused(
      /^(?:%Error|Error) (?:opening|reading) /,
      '%Error opening system:running-config (Permission denied)',
    ),
    refused(
      /^Type help or '\?' for a list of available commands\./,
      "Type help or '?' for a list of available commands.",
    ),
  ],

  volatile: [
    drop(/^: Saved\s*$/, 'printed or not according to how the file was read', ': Saved'),
    drop(
      /^: Written by /,
      'the time of the last save; the text may be the same',
      ': Written by admin at 20:03:32.236 CEST Mon Oct 21 2024',
    ),
    drop(
      /^: (?:Serial Number|Hardware):/,
      'changes in a failover; it is kept as a fact of the run',
      ': Serial Number: FCH0000AAAA',
    ),
    drop(
      /^Cryptochecksum:/,
      'computed over text that holds the lines above',
      'Cryptochecksum:0123456789abcdef0123456789abcdef',
    ),
    drop(/^ntp clock-period \d/, 'the drift of the clock, measured', 'ntp clock-period 17179869'),
  ],

  secrets: [
    secret(
      'hash',
      /^enable password (?<secret>\S+)/,
      'enable password $sha512$5000$AAAABBBBCCCCDDDD$EEEE pbkdf2',
    ),
    secret('hash', /^passwd (?<secret>\S+)/, 'passwd AAAABBBBCCCCDDDD encrypted'),
    secret(
      'hash',
      /^ *username \S+ password (?<secret>\S+)/,
      'username backup password AAAABBBBCCCC nt-encrypted privilege 15',
    ),
    secret(
      'shared-key',
      /^ *(?:ikev1 )?pre-shared-key (?:[0-9] )?(?<secret>\S+)/,
      ' ikev1 pre-shared-key n0tr3al',
    ),
    secret(
      'shared-key',
      /^ *ikev2 (?:remote|local)-authentication pre-shared-key (?:(?:hex|[0-9]) )?(?<secret>\S+)/,
      ' ikev2 remote-authentication pre-shared-key hex 00112233445566',
    ),
    secret(
      'shared-key',
      /^(?:crypto )?isakmp key (?:[0-9] )?(?<secret>\S+) /,
      'crypto isakmp key n0tr3al address 192.0.2.1 netmask 255.255.255.255',
    ),
    secret(
      'password',
      /^(?:vpdn username|vpnclient (?:username|vpngroup)) \S+ password (?<secret>\S+)/,
      'vpdn username isp password n0tr3al store-local',
    ),
    {
      ...secret('shared-key', /^ +key (?:[0-9] )?(?<secret>\S+)/, ' key n0tr3al'),
      inSection: /^(?:aaa-server \S+ (?:\(\S*\) )?host|cluster group) /,
    },
    secret(
      'password',
      /^ +(?:ldap-login-password|radius-common-pw) (?:[0-9] )?(?<secret>\S+)/,
      ' ldap-login-password n0tr3al',
    ),
    secret(
      'shared-key',
      /^failover (?:ipsec pre-shared-)?key (?:(?:hex|[0-9]) )?(?<secret>\S+)/,
      'failover key hex 0011223344556677',
    ),
    secret(
      'shared-key',
      /^ +(?:ospf|area) (?:.{1,200}? )?message-digest-key \d+ md5 (?:[0-9] )?(?<secret>\S+)/,
      ' ospf message-digest-key 1 md5 n0tr3al',
    ),
    secret(
      'shared-key',
      /^ +(?:ospf|area) (?:.{1,200}? )?authentication-key (?:[0-9] )?(?<secret>\S+)/,
      ' area 1 virtual-link 192.0.2.1 authentication-key n0tr3al',
    ),
    secret(
      'shared-key',
      /^ +neighbor \S+ password (?:[0-9] )?(?<secret>\S+)/,
      '  neighbor 192.0.2.1 password n0tr3al',
    ),
    secret(
      'shared-key',
      /^ +(?:isis )?authentication key (?:eigrp \d+ )?(?:[0-9] )?(?<secret>\S+)/,
      ' authentication key eigrp 100 n0tr3al key-id 1',
    ),
    secret(
      'shared-key',
      /^ +rip authentication key (?<secret>\S+)/,
      ' rip authentication key n0tr3al key_id 1',
    ),
    secret(
      'password',
      /^ +(?:isis password|(?:area|domain)-password) (?<secret>\S+)/,
      ' area-password n0tr3al',
    ),
    secret('shared-key', /^ +key-string (?:[0-9] )?(?<secret>\S+)/, '  key-string 0 n0tr3al'),
    secret('community', /^snmp-server community (?:[0-9] )?(?<secret>\S+)/, 'snmp-server community n0tr3al'),
    secret(
      'community',
      /^snmp-server host(?:-group)? .{1,200}? community (?:[0-9] )?(?<secret>\S+)/,
      'snmp-server host inside 192.0.2.1 poll community n0tr3al version 2c',
    ),
    secret(
      'hash',
      /^snmp-server user .{1,400}? auth (?:md5|sha\d*) (?<secret>\S+)/,
      'snmp-server user ops grp v3 engineID 80000009fe encrypted auth sha 00:11:22:33 priv aes 256 44:55',
    ),
    secret(
      'hash',
      /^snmp-server user .{1,800}? priv (?:3des|des|aes(?: \d+)?) (?<secret>\S+)/,
      'snmp-server user ops grp v3 encrypted auth sha 00:11:22:33 priv aes 256 44:55:66',
    ),
    secret(
      'shared-key',
      /^ntp authentication-key \d+ [a-z]\w* (?:[0-9] )?(?<secret>\S+)/,
      'ntp authentication-key 1 sha256 n0tr3al',
    ),
    {
      ...secret('password', /^ +password (?<secret>\S+)/, ' password n0tr3al'),
      inSection: /^crypto ca trustpoint /,
    },
    secret(
      'password',
      /^ *https?-proxy .{1,200}? password (?:[0-9] )?(?<secret>\S+)/,
      ' http-proxy 192.0.2.1 8080 username backup password n0tr3al',
    ),
    secret(
      'password',
      /^wccp .{1,200}? password (?:[0-9] )?(?<secret>\S+)/,
      'wccp web-cache password n0tr3al',
    ),
    secret(
      'hash',
      / password (?<secret>\S+) (?:encrypted|nt-encrypted|pbkdf2)(?: |$)/,
      ' client username phone password AAAABBBBCCCC encrypted',
    ),
    secret('hash', /(?<secret>\$sha512\$\d+\$\S+)/, 'enable password $sha512$5000$AAAABBBB pbkdf2'),
    secret(
      'password',
      /:\/\/[^\s/:@"]{0,64}:(?<secret>[^\s/@"]{1,200})@/,
      ' config-url ftp://backup:n0tr3al@192.0.2.1/fw.cfg',
    ),
    {
      kind: 'private-key',
      line: /(?<secret>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)\s*$/,
      until: /(?<secret>-----END [A-Z ]{0,40}PRIVATE KEY-----)/,
      example: '-----BEGIN RSA PRIVATE KEY-----\nbm90LXJlYWw=\n-----END RSA PRIVATE KEY-----',
    },
  ],

  restorable: [
    {
      line: /^(?!banner |access-list \S+ (?:line \d+ )?remark | *description ).*?(?:key|passw(?:or)?d|pw|community|md5|sha\d*|3des|des|aes|aes \d+|hex|encrypted) (?:[0-9] )?(?:\*{5}|<removed>)(?: |$)/,
      is: 'no',
      because: keysAreMasked,
      example: ' ikev1 pre-shared-key *****',
    },
    {
      line: /^ASA Version \S+ <(?:system|context)>/,
      is: 'partial',
      because: 'the device runs several security contexts and only the one that was logged in to is here',
      example: 'ASA Version 9.8(3)235 <system>',
    },
  ],

  facts: [
    {
      fact: 'hostname',
      from: 'version',
      line: /^(?<value>\S+) up \d+ (?:year|day|hour|min|sec)/,
      example: 'fw-hq up 173 days 16 hours',
    },
    { fact: 'hostname', from: 'running-config', line: /^hostname (?<value>\S+)/, example: 'hostname fw-hq' },
    {
      fact: 'version',
      from: 'version',
      line: /Appliance Software Version (?<value>[\d.()]+\S*)/,
      example: 'Cisco Adaptive Security Appliance Software Version 9.12(4)67 ',
    },
    {
      fact: 'model',
      from: 'version',
      line: /^Hardware:\s+(?<value>[^\s,]+)/,
      example: 'Hardware:   ASA5512, 4096 MB RAM, CPU Clarkdale 2800 MHz, 1 CPU (2 cores)',
    },
    {
      fact: 'serial',
      from: 'version',
      line: /^Serial Number: (?<value>\S+)/,
      example: 'Serial Number: FCH0000AAAA',
    },
    {
      fact: 'changed-by',
      from: 'version',
      line: /^Configuration last modified by (?<value>.*\S) at \d/,
      example: 'Configuration last modified by admin at 18:56:48.410 UTC Wed Apr 5 2017',
    },
    {
      fact: 'changed-at',
      from: 'version',
      line: /^Configuration last modified by .* at (?<value>\d.*\S)\s*$/,
      example: 'Configuration last modified by admin at 18:56:48.410 UTC Wed Apr 5 2017',
    },
  ],

  outline,
});
