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
 * F5 BIG-IP. Where the login shell is bash, every command is an SSH exec of `tmsh -q`: no pager, no
 * question, and an exit status that proves the end. Where it is tmsh, or exec is not to be had, the same
 * commands are typed in a tmsh session; its pager is answered, because turning it off is a stored preference.
 */

/** The first parenthesis of a tmsh prompt is the host, unless it is a status (of one word), a folder or a module. */
const host = '(?!tmos\\)|/|(?:Active|Standby|ForcedOffline|Offline|INOPERATIVE)\\))(?<host>[^()\\s]{1,255})';

/** User, host, synchronisation, state and folder: which of them stand there is a preference, and states change. */
const tmshFields = `^(?:[^\\s@()]{0,64}@)?(?:\\(${host}\\))?(?:\\([^()]{0,255}\\)){0,5}`;

const whatIsMissing =
  'certificates and private keys of the file store are not in the text, and $M$ values need the master key of this unit';

/* ── Grammar: module type name { … } ──────────────────────────────────────────────────────── */

/**
 * Calls `visit` for every brace that counts. Quotes do not matter (Tcl bodies hold odd ones), a
 * backslash does: `\{` is data. `endOfLine` is called with the depth at the end of every line.
 */
function walk(
  text: string,
  visit: (opens: boolean, at: number, lineStart: number, index: number) => void,
  endOfLine: (lineStart: number, end: number, index: number) => void,
): void {
  let lineStart = 0;
  let index = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 10) {
      endOfLine(lineStart, at, index);
      lineStart = at + 1;
      index++;
    } else if (code === 92) {
      // An escaped line feed still ends the line.
      if (text.charCodeAt(at + 1) !== 10) at++;
    } else if (code === 123 || code === 125) visit(code === 123, at, lineStart, index);
  }
  if (lineStart < text.length) endOfLine(lineStart, text.length, index);
}

/** Every object closes, none closes twice, and nothing stands between objects. */
function isWhole(text: string): Verdict {
  let depth = 0;
  let objects = 0;
  let startDepth = 0;
  let opened = false;
  let problem: string | null = null;
  walk(
    text,
    (opens, _at, _lineStart, index) => {
      if (opens) {
        if (depth === 0) objects++;
        depth++;
        opened = true;
      } else if (--depth < 0) problem ??= `line ${index + 1}: a "}" closes nothing`;
    },
    (lineStart, end, index) => {
      if (startDepth === 0 && !opened && problem === null) {
        const line = text.slice(lineStart, Math.min(end, lineStart + 200)).trim();
        if (line !== '' && !line.startsWith('#')) problem = `line ${index + 1}: text outside of every object`;
      }
      startDepth = depth;
      opened = false;
    },
  );
  if (problem === null && depth > 0) problem = `${depth} blocks are still open at the end`;
  if (problem === null && objects === 0) problem = 'there is no object in it';
  return problem === null ? { whole: true } : { whole: false, because: problem };
}

/** Deeper blocks belong to the last one that has a title: titles grow with depth. */
const deepest = 6;
const longest = 160;

/** Objects are told by depth, not by a `}` in the first column: bodies of rules and scripts hold those. */
function outline(text: string): Block[] {
  type Open = { firstLine: number; lastLine: number; section: string; title: string };
  const blocks: Open[] = [];
  const open: (Open | null)[] = [];
  let ofThisLine: Open[] = [];
  let openedInLine = 0;
  let last = -1;

  const close = (index: number): void => {
    const block = open.pop();
    if (openedInLine > 0) openedInLine--;
    if (block == null) return;
    block.lastLine = index;
    // Below an object, what opens and closes in one line is a value and no block.
    if (open.length > 0 && block === ofThisLine.at(-1)) ofThisLine.pop();
  };

  walk(
    text,
    (opens, at, lineStart, index) => {
      if (!opens) return close(index);
      const around = open.at(-1);
      openedInLine++;
      // The first brace of a line names the block.
      if (openedInLine > 1 || around === null || open.length >= deepest) {
        open.push(null);
        return;
      }
      const start = text.slice(lineStart, Math.min(at, lineStart + longest));
      const words = start.replace(/^[}\s]+/, '').trimEnd();
      const block = {
        firstLine: index,
        lastLine: index,
        section: around?.section ?? words.split(' ', 2).join(' '),
        title: around === undefined ? words : `${around.title} > ${words}`,
      };
      ofThisLine.push(block);
      open.push(block);
    },
    (_lineStart, _end, index) => {
      last = index;
      openedInLine = 0;
      for (const block of ofThisLine) blocks.push(block);
      ofThisLine = [];
    },
  );
  for (const block of open) if (block !== null) block.lastLine = last;
  return blocks;
}

/* ── Rules ────────────────────────────────────────────────────────────────────────────────── */

function source(claim: string, url: string): Source {
  return { claim, see: { url: `https://github.com/${url}`, read: '2026-11-22' } };
}

function refused(line: RegExp, example: string): Refusal {
  return { line, means: 'collect.command-refused', example };
}

function notReady(line: RegExp, example: string): Refusal {
  return { line, means: 'collect.not-ready', example };
}

function drop(line: RegExp, because: string, example: string): VolatileRule {
  return { line, act: 'drop', because, example };
}

const bookkeeping = 'kept by the system itself, and different on the units of a pair';
const state = 'a state that was measured, not a setting';

/** Words that stand where a secret could and are none. */
const noSecret = '(?:none|enabled|disabled|default|yes|no|true|false)\\s*$';

/** The same rule for a bare and for a quoted value. `what` is matched at the beginning of the line. */
function values(kind: SecretKind, what: string, bare: string, quoted: string): readonly SecretRule[] {
  return [
    {
      kind,
      line: new RegExp(`^\\s+${what} (?!["{]|${noSecret})(?<secret>\\S+)\\s*$`),
      example: bare,
    },
    { kind, line: new RegExp(`^\\s+${what} "(?<secret>[^"].*)"\\s*$`), example: quoted },
  ];
}

/** An iApp variable is named one level above its value: `cloud__aws_secret_access_key { value … }`. */
const secretVariable =
  /^\s+(?=\w+__)(?=\w*(?:secret|password|passwd|passphrase|credential|private_key|token|access_key(?!_id)))\w+ \{\s*$/;

/** Whole declarations of AS3 and FAST, compressed: passwords in them are seen by no other rule. */
const declarations = /^ltm data-group internal \S*appsvcs\S* \{\s*$/;

export const driver = defineDriver({
  id: 'f5_bigip',
  title: 'F5 BIG-IP',
  sources: [
    source('users whose shell is tmsh get a syntax error for "tmsh …"', 'ytti/oxidized/issues/419'),
    source('a question "Display all N items?" waits for ever without -q', 'ytti/oxidized/issues/352'),
    source('the text does not restore keys and certificates', 'ytti/oxidized/issues/2240'),
    source(
      '"cd /; show running-config recursive" prints all partitions',
      'netfishers-onl/Netshot/blob/acd6f4d0/src/main/resources/drivers/F5_TMOS.js',
    ),
    source('which lines are no change', 'haussli/rancid/blob/fb9019c3/lib/bigip.pm.in'),
  ],

  dialogues: [
    {
      channel: 'exec',
      name: 'bash',
      line: "tmsh -q -c '{commands}'",
      otherShellWhen: /unexpected argument "tmsh"/,
    },
    {
      channel: 'shell',
      name: 'tmsh',
      modes: {
        /** No host is pinned here: nothing is read at this prompt, and tmsh may write the name otherwise. */
        bash: {
          kind: 'prompt',
          line: /^\[[^\]@\s]{1,64}@[^\]]{1,255}\] \S{1,255} [#$] ?$/,
          moves: { tmsh: { send: 'tmsh', leadsTo: ['tmsh', 'module'] } },
        },
        tmsh: { kind: 'prompt', line: new RegExp(`${tmshFields}\\(tmos\\)# ?$`) },
        /** Named so that a session which lands here stops: it would list one module only. */
        module: { kind: 'prompt', line: new RegExp(`${tmshFields}\\(tmos\\.[\\w.-]{1,64}\\)# ?$`) },
        passwordExpired: {
          kind: 'dead-end',
          line: /^(?:You are required to change your password immediately|Changing password for |\(current\) (?:UNIX|BIG-IP) password:|Current password:|New (?:BIG-IP )?password:)/i,
          failsWith: 'login.password-expired',
        },
      },
      greetedBy: ['bash', 'tmsh', 'passwordExpired'],
      worksIn: ['tmsh'],
      prepare: [],
      pagers: [
        {
          line: /(?:^|[\r\n]|\x1b\[\d{0,2}m)---\(less(?: \d{1,3}%)?\)---(?:\x1b\[[\d;]{0,8}[A-Za-z])*\s?$/,
          press: ' ',
        },
        { line: /(?:^|[\r\n]|\x1b\[\d{0,2}m)\(END\)(?:\x1b\[[\d;]{0,8}[A-Za-z])*\s?$/, press: 'q' },
        { line: /(?:^|[\r\n])Display all \d{1,12} items\? \(y\/n\) ?$/, press: 'y' },
      ],
      leave: ['quit', 'exit'],
    },
  ],

  commands: [
    { name: 'version', keep: 'facts', send: 'show sys version' },
    { name: 'hostname', keep: 'facts', send: 'list sys global-settings hostname' },
    {
      name: 'hardware',
      keep: 'facts',
      send: 'show sys hardware',
      mayBeRefusedBecause: 'not every role may read the hardware; model and serial number stay unknown then',
    },
    {
      name: 'running-config',
      keep: 'artefact',
      before: ['cd /'],
      firstOf: [{ send: 'show running-config recursive', restorable: 'partial', because: whatIsMissing }],
      wholeWhen: {
        firstLine: /^(?:#|[a-z][\w-]* \S)/,
        lastLine: /\}\s*$/,
        atLeastLines: 3,
        structure: isWhole,
        proof: 'structure',
      },
    },
  ],

  refusals: [
    notReady(
      /^.{0,120}?connection to mcpd has been lost/i,
      'The connection to mcpd has been lost, try again.',
    ),
    notReady(
      /^The configuration has not yet loaded/,
      'The configuration has not yet loaded. If this message persists, it may indicate a configuration problem.',
    ),
    refused(/^Syntax Error: /, 'Syntax Error: unexpected argument "tmsh"'),
    refused(/^(?:Data Input|Unexpected) Error: /, 'Data Input Error: "recursive" is not allowed here'),
    refused(/^command authorization failed/i, 'command authorization failed'),
    refused(/^[0-9a-f]{8}:\d: /, '01070822:3: Access Denied: user (guest) may not run this command'),
    refused(
      /^(?:-?(?:ba)?sh: )?(?:line \d{1,6}: )?tmsh: (?:command )?not found/,
      'bash: tmsh: command not found',
    ),
    refused(
      /^.{0,80}?Password change required but no TTY available/,
      'WARNING: Your password has expired. Password change required but no TTY available.',
    ),
  ],

  volatile: [
    drop(
      /^\s+(?:creation-time|last-modified(?:-time)?|create-time|last-update-time) \d{4}-\d\d-\d\d/,
      bookkeeping,
      '    last-modified-time 2020-09-17:08:51:07',
    ),
    drop(/^\s+revision \d+\s*$/, bookkeeping, '    revision 2'),
    drop(/^\s+checksum SHA\d+:\d+:/, bookkeeping, '    checksum SHA1:1704:d108f95e23990ea14a618354af37dcf3'),
    drop(/^\s+cache-path \//, bookkeeping, '    cache-path /config/filestore/files_d/Common_d/x_1'),
    drop(/^\s+updated-by \S/, bookkeeping, '    updated-by %devmgmtd'),
    drop(
      /^\s+state (?:up|down|checking|unchecked|irule-down|fqdn-(?:up|down|checking)(?:-no-addr)?)\s*$/,
      state,
      '            state checking',
    ),
    // What a unit tells its group of itself: only in its own object.
    ...[
      drop(/^ {4}failover-state \S/, state, '    failover-state active'),
      drop(/^ {4}(?:version|build|edition) \S/, 'of the running software', '    version 15.1.8.2'),
      drop(/^ {4}time-zone \S/, 'copied from the unit that it describes', '    time-zone US/Central'),
      drop(
        /^ {4}(?:active|optional)-modules \{.*\}\s*$/,
        'what the licence server says',
        '    optional-modules { "App Mode (TMSH Only, No Root/Bash)" "VPN Users" }',
      ),
    ].map((rule) => ({ ...rule, inSection: /^cm device \S+ \{\s*$/ })),
    // Whole blocks: bodies of scripts hold a `}` in the first column, so no line tells where one ends.
    ...[
      drop(
        /^sys db (?:configsync\.localconfigtime|(?:ltm|gtm)\.configtime) \{\s*$/,
        bookkeeping,
        'sys db ltm.configtime {\n    value "1602008840"\n}',
      ),
      drop(
        /^(?:cli script|ltm data-group internal) (?:\/Common\/)?__appsvcs_update \{/,
        'left behind by a deployment of AS3',
        'cli script /Common/__appsvcs_update {\nproc script::run {} {\n}\n}',
      ),
    ].map((rule) => ({ ...rule, act: 'drop-block' as const })),
    drop(/^\s+errors \d+\s*$/, state, '    errors 12'),
    drop(/^\s+bandwidth-(?:bps|cps|pps) \S+\s*$/, state, '    bandwidth-bps 12345'),
    {
      line: /^\s+description "Updated by AS3 at (?<volatile>[^"]+)"/,
      act: 'mask',
      because: 'the time of a deployment',
      example: '    description "Updated by AS3 at Thu, 17 Sep 2020 15:14:36 GMT"',
    },
  ],

  secrets: [
    // First, so that no fingerprint is made of them: they oscillate between two displays (RANCID, change log).
    ...values(
      'password',
      '(?:auth|privacy|user)-password-encrypted',
      '            auth-password-encrypted bm90LXJlYWw',
      '            user-password-encrypted "bm90 LXJlYWw"',
    ).map((rule) => ({ ...rule, rotates: true as const })),
    {
      kind: 'password',
      line: /(?<secret>\$M\$[^\s"]+)/,
      example: '    login-password $M$2q$bm90LXJlYWw=',
    },
    {
      kind: 'hash',
      line: /(?<secret>\$(?:1|2[abxy]|5|6)\$[^\s"]{8,})/,
      example: '    encrypted-password $6$saltsalt$bm90LXJlYWw',
    },
    ...values(
      'password',
      '(?:[a-z0-9]+-){0,4}(?:password|passwd|passphrase|secret|preshared-key|bind-pw|auth-key)(?:-encrypted)?',
      '    shared-secret n0tr3al',
      '    md5-signature-passphrase "n0t r3al"',
    ),
    ...values(
      'community',
      '(?:snmp-community|community-name|community)',
      '            community-name n0tr3al',
      '    community "n0tr3al"',
    ),
    ...values('shared-key', 'key', '    key n0tr3al', '    key "n0tr3al"').map((rule) => ({
      ...rule,
      inSection: /^sys dynad key \{\s*$/,
    })),
    ...values('token', 'value', '            value n0tr3al', '            value "n0t r3al"').map((rule) => ({
      ...rule,
      inSection: secretVariable,
    })),
    {
      kind: 'token',
      line: /^\s+data (?<secret>[A-Za-z0-9+/]{20,}={0,2})\s*$/,
      inSection: declarations,
      example: '            data eNqrVkpJzUktSU0JSc0tyEksSQ',
    },
    {
      kind: 'private-key',
      line: /^(?!.*-----END ).*(?<secret>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)/,
      until: /^(?<secret>.*-----END [A-Z ]{0,40}PRIVATE KEY-----)/,
      example:
        '    certificate-text "-----BEGIN PRIVATE KEY-----\nbm90LXJlYWw=\n-----END PRIVATE KEY-----\n"',
    },
    {
      kind: 'private-key',
      line: /(?<secret>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^"]+)/,
      example: '    certificate-text "-----BEGIN PRIVATE KEY-----\\nbm90\\n-----END PRIVATE KEY-----"',
    },
    {
      kind: 'password',
      line: /:\/\/[^\s/:@"]{0,64}:(?<secret>[^\s/@"]{1,200})@/,
      example: '    url https://reader:n0tr3al@feeds.example.net/list',
    },
  ],

  restorable: [
    {
      line: /\$M\$/,
      is: 'partial',
      because: whatIsMissing,
      example: '    secret $M$mn$bm90LXJlYWw=',
    },
  ],

  facts: [
    {
      fact: 'hostname',
      from: 'hostname',
      line: /^\s+hostname (?<value>\S+)/,
      example: '    hostname bigip1.example.net',
    },
    {
      fact: 'version',
      from: 'version',
      line: /^\s*Version\s+(?<value>\d\S*)/,
      example: '  Version     15.1.8.2',
    },
    {
      fact: 'model',
      from: 'hardware',
      line: /^\s*Name\s+(?<value>(?:BIG-IP|VIPRION)(?: \S+)*)\s*$/,
      example: '  Name           BIG-IP Virtual Edition',
    },
    {
      fact: 'model',
      from: 'hardware',
      line: /^\s*Type\s+(?<value>[A-Z]\d{2,4})\s*$/,
      example: '  Type                       Z100',
    },
    {
      fact: 'model',
      from: 'version',
      line: /^\s*Product\s+(?<value>\S+)/,
      example: '  Product     BIG-IP',
    },
    {
      fact: 'serial',
      from: 'hardware',
      line: /^\s*Chassis Serial\s+(?<value>\S+)/,
      example: '  Chassis Serial             00000000-0000-0000-000000000000',
    },
    {
      fact: 'serial',
      from: 'hardware',
      line: /^\s*Appliance Serial\s+(?<value>\S+)/,
      example: '  Appliance Serial           f5-xxxx-0000',
    },
  ],

  outline,
});
