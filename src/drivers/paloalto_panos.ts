import {
  type Block,
  defineDriver,
  refused,
  type SecretKind,
  type SecretRule,
  type Seen,
  type StateReport,
  source,
  type Verdict,
} from './driver.ts';

/*
 * Palo Alto PAN-OS over a terminal, in set format: a line says by itself where it belongs, so a difference is one.
 * `show config running` knows no set format; `show` in configuration mode does (Oxidized pull request 1101). Entering
 * that mode takes no lock and changes nothing; what is shown there is the candidate configuration, so the device is
 * asked whether it differs from the running one. All three `set cli` lines end with the session.
 */

/** Behind the name stands the state in a pair. */
const host = '(?<host>[A-Za-z0-9][\\w.-]{0,62})(?:\\([a-z][a-z-]{1,30}\\))?';
const user = '[\\w.@\\\\-]{1,80}@';

const lockedOut = 'there are uncommitted changes: this is the candidate configuration, not the running one';

/* ── Grammar: set <path> <value>, where a quoted value may go on in the next line ─────────── */

/** Calls `visit` for every statement; its last line is known only when the next one begins. Returns whether every quote is closed. */
function walk(text: string, visit: (line: string, index: number, lastLine: number) => void): boolean {
  let quoted = false;
  let begun: { readonly line: string; readonly index: number } | null = null;
  let last = -1;
  let index = 0;
  for (let at = 0; at < text.length; index++) {
    const feed = text.indexOf('\n', at);
    const end = feed === -1 ? text.length : feed;
    if (!quoted) {
      if (begun !== null) visit(begun.line, begun.index, last);
      const line = text.slice(at, Math.min(end, at + longest)).trimEnd();
      begun = line === '' ? null : { line, index };
    }
    if (begun !== null) last = index;
    quoted = quotedAfter(text, at, end, quoted);
    at = end + 1;
  }
  if (begun !== null) visit(begun.line, begun.index, last);
  return !quoted;
}

const longest = 400;

/** Whether a value is still open at `end`. A backslash escapes the next character. */
function quotedAfter(text: string, from: number, end: number, open: boolean): boolean {
  let quoted = open;
  for (let at = from; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === 92) at++;
    else if (code === 34) quoted = !quoted;
  }
  return quoted;
}

/** Nothing but `set` lines and the mark that configuration mode prints when an answer is over. */
function isWhole(text: string): Verdict {
  let problem: string | null = null;
  let lines = 0;
  const closed = walk(text, (line, index) => {
    if (line.startsWith('set ')) lines++;
    else if (!/^\[edit\b.{0,200}\]$/.test(line)) problem ??= `line ${index + 1}: text that is no setting`;
  });
  if (problem === null && !closed) problem = 'a quoted value is still open at the end';
  if (problem === null && lines === 0) problem = 'there is no setting in it';
  return problem === null ? { whole: true } : { whole: false, because: problem };
}

/** Words of a path, a quoted name as one. */
const word = /"(?:[^"\\]|\\.){0,200}"?|\S{1,200}/g;

/** Lines that share the path to an object are its block; the first two words are the section. */
function outline(text: string): Block[] {
  const blocks: { firstLine: number; lastLine: number; section: string; title: string }[] = [];
  walk(text, (line, index, lastLine) => {
    if (!line.startsWith('set ')) return;
    const words = line.slice('set '.length).match(word) ?? [];
    // The path begins again inside of a virtual system, a device group and a template.
    const scope = /^(?:vsys|device-group|template|template-stack)$/.test(words[0] ?? '') ? 2 : 0;
    const section = words.slice(0, scope + 2).join(' ');
    const title = words.slice(0, scope + (/^rulebase|^network/.test(words[scope] ?? '') ? 4 : 3)).join(' ');
    const before = blocks.at(-1);
    if (before !== undefined && before.title === title) before.lastLine = lastLine;
    else blocks.push({ firstLine: index, lastLine, section, title });
  });
  return blocks;
}

/* ── State ────────────────────────────────────────────────────────────────────────────────── */

const found = (text: string | null, pattern: RegExp): string | undefined =>
  pattern.exec(text ?? '')?.[1]?.trim();

function state({ text }: Seen): StateReport {
  const pending = found(text('pending-changes'), /^[ \t]*(yes|no)\b/im)?.toLowerCase();
  const pair = text('high-availability');
  const [local = '', peer = ''] = (pair ?? '').split(/^[ \t]*Peer Information:/m);
  const role = found(local, /^[ \t]*State: ([a-z][a-z-]{1,30})/m);
  const sync = found(pair, /^[ \t]*Running Configuration: (\S.{0,60})$/m);
  const partner = found(peer, /^[ \t]*Serial[- ]?(?:Num(?:ber)?)?: *(\S{1,40})/im);
  const managed = /^[ \t]*Connected[ \t]*: yes/m.test(text('panorama') ?? '');
  return {
    ...(role === undefined ? {} : { ha: role, standby: role === 'passive' }),
    ...(sync === undefined ? {} : { sync }),
    ...(pending === undefined ? {} : { unsaved: pending === 'yes' }),
    ...(partner === undefined ? {} : { partnerSerials: [partner] }),
    worth: [
      ...(pending === 'yes' ? [{ is: 'partial' as const, because: lockedOut }] : []),
      ...(managed
        ? [
            {
              is: 'partial' as const,
              because: 'what Panorama pushes is not in this copy: back up Panorama as well',
            },
          ]
        : []),
    ],
  };
}

/* ── Rules ────────────────────────────────────────────────────────────────────────────────── */

/** Names at the end of a path whose value is a secret; bare and quoted. */
function values(kind: SecretKind, names: string, bare: string, quoted: string): readonly SecretRule[] {
  return [
    { kind, line: new RegExp(`^set .{0,1000}? (?:${names}) (?!")(?<secret>\\S+)$`), example: bare },
    { kind, line: new RegExp(`^set .{0,1000}? (?:${names}) "(?<secret>[^"].*)"$`), example: quoted },
  ];
}

export const driver = defineDriver({
  id: 'paloalto_panos',
  title: 'Palo Alto PAN-OS',
  sources: [
    source(
      '"show config running" knows no set format; "show" in configuration mode does',
      'ytti/oxidized/pull/1101',
    ),
    source('the prompt and "set cli pager off"', 'ytti/oxidized/blob/21e3d649/lib/oxidized/model/panos.rb'),
    source('the default format cannot be loaded again', 'ytti/oxidized/issues/1102'),
  ],

  dialogues: [
    {
      channel: 'shell',
      name: 'terminal',
      modes: {
        operational: { kind: 'prompt', line: new RegExp(`^${user}${host}> ?$`) },
        /** Only `show`, a question about the candidate and `exit` are ever typed here. */
        configuration: { kind: 'prompt', line: new RegExp(`^${user}${host}# ?$`) },
        passwordExpired: {
          kind: 'dead-end',
          line: /^(?:Enter old password|Enter new password|Your password has expired)/,
          failsWith: 'login.password-expired',
        },
      },
      greetedBy: ['operational', 'passwordExpired'],
      worksIn: ['operational', 'configuration'],
      prepare: ['set cli pager off', 'set cli terminal width 500', 'set cli config-output-format set'],
      pagers: [
        { line: /(?:^|[\r\n])lines \d{1,9}-\d{1,9}(?:\/\d{1,9} \(END\))? ?$/, press: ' ' },
        { line: /(?:^|[\r\n])--more-- ?$/i, press: ' ' },
      ],
      leave: ['exit'],
    },
  ],

  commands: [
    { name: 'system', keep: 'facts', send: 'show system info' },
    {
      name: 'high-availability',
      keep: 'facts',
      send: 'show high-availability state',
      mayBeRefusedBecause: 'Panorama knows other words, and a single firewall is in no pair',
    },
    {
      name: 'panorama',
      keep: 'facts',
      send: 'show panorama-status',
      mayBeRefusedBecause: 'Panorama itself has no such command',
    },
    {
      name: 'pending-changes',
      keep: 'facts',
      before: ['configure'],
      send: 'check pending-changes',
      after: ['exit'],
    },
    {
      name: 'running-config',
      keep: 'artefact',
      before: ['configure'],
      firstOf: [{ send: 'show', restorable: 'yes', because: null }],
      after: ['exit'],
      wholeWhen: {
        firstLine: /^set \S/,
        lastLine: /^\[edit\]\s*$/,
        atLeastLines: 4,
        structure: isWhole,
        proof: 'end-marker',
      },
    },
  ],

  refusals: [
    refused(/^(?:Unknown command|Invalid syntax)/, 'Unknown command: show'),
    refused(/^Validation Error/, 'Validation Error:'),
    refused(/^Server error ?:/, 'Server error : op command for client device timed out'),
    {
      line: /^(?:System initializing|The system is not ready|Device is not ready)/,
      means: 'collect.not-ready',
      example: 'System initializing; please wait...',
    },
  ],

  volatile: [
    {
      line: /^\[edit\b.{0,200}\]\s*$/,
      act: 'drop',
      because: 'how configuration mode says that an answer is over',
      example: '[edit]',
    },
  ],

  secrets: [
    {
      kind: 'private-key',
      line: /^(?!.*-----END ).*(?<secret>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)/,
      until: /^(?<secret>.*-----END [A-Z ]{0,40}PRIVATE KEY-----)/,
      example:
        'set shared certificate web private-key "-----BEGIN RSA PRIVATE KEY-----\nbm90LXJlYWw=\n-----END RSA PRIVATE KEY-----\n"',
    },
    ...values(
      'hash',
      'phash',
      'set mgt-config users admin phash $5$salt$bm90LXJlYWw',
      'set mgt-config users admin phash "n0tr3al"',
    ),
    ...values(
      'private-key',
      'private-key',
      'set shared certificate web private-key n0tr3al',
      'set shared certificate web private-key "n0tr3al"',
    ),
    ...values(
      'community',
      'snmp-community-string|community',
      'set deviceconfig system snmp-setting access-setting version v2c snmp-community-string n0tr3al',
      'set shared log-settings snmptrap t version v2c server s community "n0tr3al"',
    ),
    ...values(
      'shared-key',
      'key|ppk-secret|auth-key|authentication-key|enc-key|ah-key|esp-key',
      'set network ike gateway g authentication pre-shared-key key n0tr3al',
      'set network ike gateway g authentication pre-shared-key key "n0tr3al"',
    ),
    ...values(
      'password',
      '(?:[a-z0-9]+-){0,4}(?:password|passwd|passphrase|secret|pin|pwd)|authpwd|privpwd',
      'set shared server-profile radius r server s secret n0tr3al',
      'set shared server-profile ldap l bind-password "n0t r3al"',
    ),
    ...values(
      'token',
      'api-key|access-token|auth-token|token|webhook-url|value-secret',
      'set shared log-settings http h server s token n0tr3al',
      'set shared log-settings http h server s token "n0t r3al"',
    ),
    {
      // What the master key encrypted, wherever it stands.
      kind: 'password',
      line: /[ "](?<secret>-AQ==[A-Za-z0-9+/=]{8,})/,
      example: 'set deviceconfig system some-word -AQ==bm90LXJlYWw=',
    },
    {
      kind: 'password',
      line: /:\/\/[^\s/:@"]{0,64}:(?<secret>[^\s/@"]{1,200})@/,
      example: 'set shared external-list l type ip url http://reader:n0tr3al@feeds.example.net/list',
    },
  ],

  restorable: [
    {
      line: /[ "]-AQ==[A-Za-z0-9+/=]{8}/,
      is: 'partial',
      because:
        'keys and passwords are encrypted with the master key: they restore only where that key is set',
      example: 'set network ike gateway g authentication pre-shared-key key -AQ==bm90LXJlYWw=',
    },
  ],

  facts: [
    { fact: 'hostname', from: 'system', line: /^hostname: (?<value>\S+)/, example: 'hostname: pa-edge' },
    { fact: 'version', from: 'system', line: /^sw-version: (?<value>\S+)/, example: 'sw-version: 10.2.9-h1' },
    { fact: 'model', from: 'system', line: /^model: (?<value>\S+)/, example: 'model: PA-3220' },
    { fact: 'serial', from: 'system', line: /^serial: (?<value>\S+)/, example: 'serial: 016301000000' },
  ],

  state,

  changes: {
    messages: [
      {
        // The type stands in its place: further back it may be a user name that somebody made up.
        line: /^[^,]*,[\d/]{10} [\d:]{8},[0-9A-Z]{0,20},CONFIG,[^,]*,[^,]*,[^,]*,(?<from>[0-9A-Fa-f.:]{0,45}),[^,]*,(?:commit|commit-all)[^,]*,(?<user>[^,]{1,64}),/,
        butNot: /,Failed,/,
        means: 'changed',
        example:
          '<14>Mar  3 09:12:44 pa-edge 1,2026/03/03 09:12:44,016301000000,CONFIG,0,2561,2026/03/03 09:12:44,192.0.2.20,,commit,netops,Web,Succeeded,,,7,0x0,0,0,0,0,,pa-edge',
      },
    ],
    device: [/\d,[\d/]{10} [\d:]{8},(?<serial>[0-9A-Z]{6,20}),CONFIG,/, /,(?<name>[A-Za-z][\w.-]{0,62})$/],
  },

  outline,
});
