import {
  type Block,
  type ChangeMessage,
  type Completeness,
  defineDriver,
  drop,
  refused,
  type SecretKind,
  type SecretRule,
  type Seen,
  type StateReport,
  source,
  type Verdict,
  type VolatileRule,
} from './driver.ts';

/*
 * FortiGate over a terminal. The pager has no switch for one session: `config system console` is a
 * stored, logged and replicated change (netmiko issues 2833 and 3248), so every page is answered.
 * One `show` from the top level prints the global part and every VDOM. No VDOM is ever entered: `edit`
 * creates what it does not find.
 */

/** A long name is cut and ends in `~` (Oxidized issue 490); 7.x puts the HA role behind it (issue 3846). */
const name = '(?:\\([A-Z]\\) )?(?<host>[\\w.-]{1,64}~?)(?:\\([A-Za-z]{1,24}\\))?';

/* ── Grammar: config … edit … set … next … end ────────────────────────────────────────────── */

type Word = 'config' | 'edit' | 'next' | 'end' | 'other';

const longest = 200;

/** A statement without blanks around it; at most 200 characters. */
function statementAt(text: string, from: number, end: number): string {
  return text.slice(from, Math.min(end, from + longest)).trimEnd();
}

/**
 * Calls `visit` for every statement: a line that begins outside of a quoted value, `from` its first character to
 * `end` (see `statementAt`); blank lines and comments are none. Returns whether the text ends outside of a quoted value.
 */
function walk(text: string, visit: (word: Word, index: number, from: number, end: number) => void): boolean {
  const quotedAfter = quoting(text);
  let quoted = false;
  let index = 0;
  for (let at = 0; at < text.length; index++) {
    const feed = text.indexOf('\n', at);
    const end = feed === -1 ? text.length : feed;
    let comment = false;
    if (!quoted) {
      let from = at;
      while (from < end && (text.charCodeAt(from) === 32 || text.charCodeAt(from) === 9)) from++;
      const first = from < end ? text.charCodeAt(from) : 32;
      comment = first === 35;
      if (first > 32 && first < 127) {
        // Nearly every statement is a `set`: one look at its first letter tells that it is none of the four.
        const word =
          first === 99 || first === 101 || first === 110 ? wordOf(statementAt(text, from, end)) : 'other';
        if (!comment) visit(word, index, from, end);
      } else if (statementAt(text, from, end) !== '') visit('other', index, from, end);
    }
    if (!comment) quoted = quotedAfter(at, end, quoted);
    at = end + 1;
  }
  return !quoted;
}

function wordOf(line: string): Word {
  if (line.startsWith('config ')) return 'config';
  if (line.startsWith('edit ')) return 'edit';
  return line === 'next' || line === 'end' ? line : 'other';
}

/**
 * Tells whether a value is still open at `end`, of one piece of `text` after the other. A backslash escapes the next
 * character. An apostrophe quotes only where another one follows on the line (`set image-base64 ''`): else it is a letter.
 */
function quoting(text: string): (from: number, end: number, open: boolean) => boolean {
  const [backslash, quote, apostrophe] = [finder(text, '\\'), finder(text, '"'), finder(text, "'")];
  return (from, end, open) => {
    let quoted = open;
    let apostrophes = true;
    for (let at = from; ; ) {
      const next = Math.min(backslash(at), quote(at), apostrophes && !quoted ? apostrophe(at) : end);
      if (next >= end) return quoted;
      const code = text.charCodeAt(next);
      at = next + 1;
      if (code === 92) at++;
      else if (code === 34) quoted = !quoted;
      else if (apostrophe(at) < end) at = apostrophe(at) + 1;
      else apostrophes = false;
    }
  };
}

/**
 * Finds the next place of a character at or after `from`; the length of the text where there is none. Positions must
 * not decrease: the text is searched once, however often it is asked, and several times as fast as by looking at every
 * character of it.
 */
function finder(text: string, character: string): (from: number) => number {
  let found = -1;
  return (from) => {
    if (found >= from) return found;
    const next = text.indexOf(character, from);
    found = next === -1 ? text.length : next;
    return found;
  };
}

/** What a pager that is no part of a quoted value begins with. */
const pagerMark = '--More--';

/** Every block closes. `end` also closes an open `edit`: each VDOM ends that way, without a `next`. */
function isWhole(all: string): Verdict {
  const open: ('config' | 'edit')[] = [];
  let blocks = 0;
  let problem: string | null = null;
  const closed = walk(all, (word, index, from) => {
    if (problem !== null) return;
    const wrong = (what: string): void => {
      problem = `line ${index + 1}: ${what}`;
    };
    if (word === 'config') {
      blocks++;
      open.push('config');
    } else if (word === 'edit') {
      if (open.at(-1) !== 'config') wrong('"edit" outside of "config"');
      open.push('edit');
    } else if (word === 'next') {
      if (open.pop() !== 'edit') wrong('"next" without "edit"');
    } else if (word === 'end') {
      if (open.at(-1) === 'edit') open.pop();
      if (open.pop() !== 'config') wrong('"end" without "config"');
    } else if (all.startsWith(pagerMark, from)) wrong('a pager interrupted the answer');
    else if (open.length === 0) wrong('text outside of every block');
  });
  if (problem === null && !closed) problem = 'a quoted value is still open at the end';
  if (problem === null && open.length > 0) problem = `${open.length} blocks are still open at the end`;
  if (problem === null && blocks === 0) problem = 'there is no "config" in it';
  return problem === null ? { whole: true } : { whole: false, because: problem };
}

/** Deeper blocks belong to the last one that has a title: titles grow with depth. */
const deepest = 8;

function outline(text: string): Block[] {
  type Open = { firstLine: number; lastLine: number; section: string; title: string };
  const blocks: Open[] = [];
  const open: { word: Word; text: string; block: Open | null }[] = [];
  let last = -1;

  const begin = (word: Word, line: string, index: number): void => {
    const around = open.at(-1);
    // Inside of `config global` and of one VDOM, sections begin anew under its name.
    const scope =
      open.length === 1 && around?.text === 'config global'
        ? 'global: '
        : open.length === 2 && open[0]?.text === 'config vdom' && word === 'config'
          ? `${open[1]?.block?.title}: `
          : null;
    const vdom = open.length === 1 && word === 'edit' && around?.text === 'config vdom';
    let block: Open | null = null;
    if (vdom) {
      const title = `vdom ${line.slice('edit '.length)}`;
      block = { firstLine: index, lastLine: index, section: title, title };
    } else if (around === undefined || scope !== null) {
      const title = `${scope ?? ''}${line}`;
      block = { firstLine: index, lastLine: index, section: title, title };
    } else if (around.block !== null && open.length < deepest) {
      const { section, title } = around.block;
      block = { firstLine: index, lastLine: index, section, title: `${title} > ${line}` };
    }
    if (block !== null) blocks.push(block);
    open.push({ word, text: line, block });
  };
  const close = (index: number): void => {
    const block = open.pop()?.block;
    if (block != null) block.lastLine = index;
  };

  walk(text, (word, index, from, end) => {
    last = index;
    if (word === 'config' || word === 'edit') begin(word, statementAt(text, from, end), index);
    else if (word === 'next' && open.at(-1)?.word === 'edit') close(index);
    else if (word === 'end') {
      if (open.at(-1)?.word === 'edit') close(index);
      close(index);
    }
  });
  while (open.length > 0) close(last);
  return blocks;
}

/* ── State: HA, VDOMs, and how much the account sees ──────────────────────────────────────── */

/** What stands behind `label: ` in `get system status`; null where the line is missing. */
function statusOf(seen: Seen, label: string): string | null {
  for (const line of (seen.text('status') ?? '').split('\n'))
    if (line.startsWith(`${label}:`)) return line.slice(label.length + 1).trim();
  return null;
}

/** `a-p, primary`, `a-a, slave` and the like; null for a unit that stands alone or does not say. */
function haMode(seen: Seen): string | null {
  const mode = statusOf(seen, 'Current HA mode');
  return mode === null || mode === '' || /^standalone/i.test(mode) ? null : mode;
}

/** `disable` is one VDOM; `enable`, `multiple`, `split-task` and what else there may be is several. */
function hasVdoms(seen: Seen): boolean {
  return !/^(?:disable)?$/i.test(statusOf(seen, 'Virtual domain configuration') ?? '');
}

/** The comments that the copy begins with. */
function headerOf(seen: Seen): string {
  return (seen.text('running-config') ?? '').slice(0, 2_000);
}

/** VDOMs are on, and the account is one of the whole unit: it may enter `config global`. */
function seesGlobal(seen: Seen): boolean {
  return hasVdoms(seen) && /^#global_vdom=1/m.test(headerOf(seen));
}

/** Root `show` of FortiOS 6.2 leaves parts of the global section out where VDOMs are on; the file has them. */
function lacksGlobal(seen: Seen): boolean {
  const is62 = /^#config-version=\w+-6\.0?2[.-]/m.test(headerOf(seen));
  return is62 && seen.options.method !== 'scp' && hasVdoms(seen);
}

/** Which administrators a copy names; a quoted value that only looks like one does not count. */
function administratorsIn(text: string): 'none' | 'lesser' | 'super' {
  let section = false;
  let everything = false;
  walk(text, (word, _index, from, end) => {
    if (word === 'config' && statementAt(text, from, end) === 'config system admin') section = true;
    if (word !== 'other' || !text.startsWith('set accprofile ', from)) return;
    if (/^set accprofile "?super_admin"?$/.test(statementAt(text, from, end))) everything = true;
  });
  return everything ? 'super' : section ? 'lesser' : 'none';
}

/** What the text itself tells of missing rights: no line of it says so. */
function worthOf(seen: Seen): NonNullable<StateReport['worth']> {
  const root = seen.text('running-config');
  // A VDOM has neither administrators nor all interfaces of the unit: its header tells that the rest is missing.
  if (root === null || /^#global_vdom=0/m.test(headerOf(seen))) return [];
  const global = seen.text('global.running-config');
  const text = `${root}\n${global ?? ''}`;
  const administrators = administratorsIn(text);
  // At most 120 characters each: longer ones are clipped.
  const lost: string[] = [];
  const remove = 'restoring this would remove every';
  if (administrators === 'lesser')
    lost.push(`${remove} super_admin: none is in this copy, the account that reads may not see them`);
  if (administrators === 'none')
    lost.push(`${remove} administrator: "config system admin" is missing, the account may not read it`);
  if (!/^config system interface\s*$/m.test(text))
    lost.push(`${remove} interface: "config system interface" is missing, the account may not read it`);
  if (lacksGlobal(seen) && global === null)
    lost.push('FortiOS 6.2 with VDOMs: parts of the global section are missing, "config global" was refused');
  return lost.map((because) => ({ is: 'partial', because }));
}

/** The interfaces that are reserved for the management of one unit, and the dashboards of administrators. */
function blocksOfUnit(text: string): Block[] {
  const blocks = outline(text);
  const lines = text.split('\n');
  const reserved = new Set<string>();
  for (const { firstLine, lastLine, title } of blocks) {
    if (!/^(?:global: )?config system ha$/.test(title)) continue;
    for (const line of lines.slice(firstLine, lastLine + 1)) {
      const name = /^\s*set (?:ha-mgmt-)?interface (?<name>"[^"]{1,64}")\s*$/.exec(line)?.groups?.name;
      if (name !== undefined) reserved.add(name);
    }
  }
  return blocks.filter(({ title }) => {
    const [, name] = /^(?:global: )?config system interface > edit ("[^"]{1,64}")$/.exec(title) ?? [];
    return name === undefined ? / > config (?:gui-)?dashboard(?:-tabs)?$/.test(title) : reserved.has(name);
  });
}

/** A member of a cluster by its serial number, in the formats of 5.0 to 7.4. */
const memberLines = [
  /, {0,8}(?<serial>[A-Z][\w-]{5,31}), (?:HA )?cluster index = \d+\s*$/,
  /^\s*(?:Master|Slave|Primary|Secondary)\s{0,4}: (?<serial>[A-Z][\w-]{5,31}), (?:HA )?operating (?:cluster )?index = \d+\s*$/,
  /^(?:Master|Slave)\s{0,4}: {0,4}\d+ +\S[^,]*? (?<serial>[A-Z][\w-]{5,31}) +\d+\s*$/,
];
/** Of `Configuration Status:`; the lines of `System Usage stats:` have nothing behind the colon. */
const syncLine = /^\s*[\w-]{6,32}\(updated \d+ seconds? ago\): (?<sync>[a-z][a-z-]{1,31})\s*$/;

function stateOf(seen: Seen): StateReport {
  const worth = worthOf(seen);
  const report = worth.length === 0 ? {} : { worth };
  const ha = haMode(seen);
  if (ha === null) return report;
  const serials = new Set<string>();
  const agreement: string[] = [];
  const lines = (seen.text('ha-status') ?? seen.text('global.ha-status') ?? '').split('\n');
  for (const line of lines.filter(({ length }) => length < 200)) {
    for (const format of memberLines) {
      const serial = format.exec(line)?.groups?.serial;
      if (serial !== undefined) serials.add(serial);
    }
    const sync = syncLine.exec(line)?.groups?.sync;
    if (sync !== undefined) agreement.push(sync);
  }
  serials.delete(statusOf(seen, 'Serial-Number') ?? '');
  const sync = agreement.find((word) => word !== 'in-sync') ?? agreement[0];
  return {
    ...report,
    ha,
    standby: /\b(?:slave|secondary|backup|subordinate)\b/i.test(ha),
    ...(sync === undefined ? {} : { sync }),
    partnerSerials: [...serials],
  };
}

/* ── Rules ────────────────────────────────────────────────────────────────────────────────── */

/** What each unit of a cluster has of its own: after a failover another unit displays its own. */
function unitsOwn(inSection: RegExp, line: RegExp, because: string, example: string): VolatileRule {
  return { ...drop(line, because, example), inSection, inHa: true };
}

/** Attributes whose value is a secret, in clear in templates and under old releases, else behind `ENC`. */
const attribute =
  '(?:(?:[a-z0-9]+-){0,4}(?:password|passwd|passphrase|psksecret|secret|pwd)(?:-?(?:[0-9]|l[12]|remote|local))?|' +
  '(?:secondary-|tertiary-|server-|api-|inter-controller-|secret-|auth-|authentication-|md5-)?keys?|' +
  'key-string|auth-string|authkey|enckey|(?:[a-z0-9]+-){0,2}token|crptpasswd|history[01])';

/** In the last line of a value that began further up, the quote that closes that one is no part of it. */
const bareValue = '(?<secret>(?:[^\\s\\\\]|\\\\(?:\\S|(?=\\s|$)))+?)';

/** The same rule for a bare and for a quoted value. */
function values(kind: SecretKind, what: string, bare: string, quoted: string): readonly SecretRule[] {
  return [
    {
      kind,
      line: new RegExp(`^\\s*set ${what} (?!"|ENC |(?:enable|disable|none)\\s*$)${bareValue}"?\\s*$`),
      example: bare,
    },
    { kind, line: new RegExp(`^\\s*set ${what} "(?!ENC )(?<secret>[^"].*)"\\s*$`), example: quoted },
  ];
}

/**
 * A quoted value that goes on in the next line, up to its closing quote. Private keys in PEM stay for
 * the rule that knows them wherever they stand: it tells encrypted ones, which rotate, from the others.
 */
function openValue(kind: SecretKind, what: string, example: string): SecretRule {
  return {
    kind,
    line: new RegExp(
      `^\\s*set ${what} "(?!-----BEGIN [A-Z ]{0,40}PRIVATE KEY)(?<secret>[^"\\\\]*(?:\\\\.[^"\\\\]*)*\\\\?)$`,
    ),
    until: /^(?<secret>[^"\\]*(?:\\.[^"\\]*)*)"/,
    example,
  };
}

/** There is no end marker. */
const withHeader = {
  firstLine: /^#config-version=/,
  lastLine: /^end\s*$/,
  atLeastLines: 5,
  structure: isWhole,
  proof: 'structure',
} satisfies Completeness;

const webhooks = /^\s*config system automation-action\s*$/;
/** Here `key` is the name of a header or a field, and `value` what is secret. */
const namedValues = /^\s*config (?:http-headers|form-data)\s*$/;

/** A key of a message: alone on it, or with the prefix that CEF puts before those of FortiOS. */
function key(named: string): string {
  return `(?:^|[\\s,|>])(?:FTNTFGT|FortinetFortiGate)?${named}=`;
}

/**
 * A message of type event by the last digits of its log id, quoted or not, as key=value, CSV or CEF. Who and from
 * where come from the first `user` and `ui` behind it: what an administrator typed stands further back.
 */
function told(id: string, example: string, and = ''): ChangeMessage {
  // The first one of a message: one behind it may be a user name that somebody made up.
  const logId = key('log_?id');
  const who = `(?:(?=.*?${key('d?user')}(?:"?(?<user>[^"\\s][^"]{0,127}?)(?:"|[\\s,]\\w+=|$))?)|)`;
  const where = `(?:(?=.*?${key('(?:ui|sproc)')}(?:"?[^"(\\s]{0,32}\\((?<from>[0-9A-Fa-f.:]{2,45})\\))?)|)`;
  return {
    line: new RegExp(`^(?:(?!${logId})[\\s\\S])*?${logId}"?01000${id}(?![0-9])${who}${where}${and}`),
    means: 'changed',
    example,
  };
}

export const driver = defineDriver({
  id: 'fortinet_fortigate',
  title: 'Fortinet FortiGate',
  sources: [
    source(
      '"#" is the prompt of super_admin, "$" of every other account; long names are cut and end in "~"',
      'ytti/oxidized/issues/490',
    ),
    source('HA units show their role behind the name', 'ytti/oxidized/issues/3846'),
    source('the pager is a stored setting that not every account may change', 'ktbyers/netmiko/issues/2833'),
    source('passwords are encrypted anew at every display', 'ytti/oxidized/issues/931'),
    source(
      'what the units of a cluster do not copy from each other: host name, priority, override, reserved management interface, dashboards',
      'https://docs.fortinet.com/document/fortigate/6.0.0/Handbook/173759/synchronizing-the-configuration',
    ),
    source(
      'FortiOS 6.2 with VDOMs leaves parts of the global section out of a root "show"; scp of sys_config is complete',
      'netfishers-onl/Netshot/blob/07228503/src/main/resources/drivers/Fortinet_FortiOS.js',
    ),
    source(
      'which lines are no change: internet-service-name, conf_file_ver, last-login, ACME comments',
      'ytti/oxidized/blob/687ed426/lib/oxidized/model/fortigate.rb',
    ),
  ],

  dialogues: [
    {
      channel: 'shell',
      name: 'terminal',
      modes: {
        administrator: { kind: 'prompt', line: new RegExp(`^${name} # ?$`) },
        limited: {
          kind: 'prompt',
          line: new RegExp(`^${name}(?: \\([\\w.~ -]{1,64}\\))? \\$ ?$`),
          restorable: {
            is: 'partial',
            because: 'the account is no super_admin: super_admin accounts and profiles are not in this copy',
          },
        },
        /** Where `config global` leads; no login does. */
        global: { kind: 'prompt', line: new RegExp(`^${name} \\(global\\) # ?$`) },
        /** The part of one VDOM. */
        inside: {
          kind: 'prompt',
          line: new RegExp(`^${name} \\((?!global\\))[\\w.~ -]{1,64}\\) # ?$`),
          restorable: {
            is: 'partial',
            because: 'the login leads into one VDOM: the others are not in this copy',
          },
        },
        disclaimer: {
          kind: 'question',
          line: /\(Press 'a' to accept\): ?$/,
          answer: { text: 'a', enter: false },
          leadsTo: ['administrator', 'limited', 'inside', 'newPassword'],
        },
        newPassword: {
          kind: 'dead-end',
          line: /^(?:You are forced to change your password|New Password: ?$)/,
          failsWith: 'login.password-expired',
        },
      },
      greetedBy: ['administrator', 'limited', 'inside', 'disclaimer', 'newPassword'],
      worksIn: ['administrator', 'limited', 'inside', 'global'],
      prepare: [],
      pagers: [{ line: /(?:^|[\r\n])--More-- ?$/, press: ' ' }],
      leave: ['exit'],
    },
  ],

  options: [
    {
      name: 'on_standby',
      takes: ['store', 'skip'],
      standard: 'store',
      says: 'What to do with a unit that stands by in an HA cluster: store its copy like any other, or skip it.',
    },
    {
      name: 'method',
      takes: ['shell', 'scp'],
      standard: 'shell',
      says: 'How the configuration is read: `show` in the terminal, or the file `sys_config` by SCP, which needs `set admin-scp enable`.',
    },
    {
      name: 'full_configuration',
      takes: 'flag',
      standard: false,
      says: 'Reads `show full-configuration` as well: with every default, many times larger.',
    },
  ],

  commands: [
    { name: 'status', keep: 'facts', send: 'get system status' },
    {
      name: 'running-config',
      keep: 'artefact',
      firstOf: [
        // Who asked for exact bytes gets them or a refusal: `show` in their place would be another text, unasked.
        {
          send: 'sys_config',
          by: 'scp',
          when: ({ options }) => options.method === 'scp',
          restorable: 'yes',
          because: null,
        },
        { send: 'show', when: ({ options }) => options.method !== 'scp', restorable: 'yes', because: null },
      ],
      wholeWhen: withHeader,
    },
    {
      name: 'global.running-config',
      keep: 'artefact',
      when: (seen) => seesGlobal(seen) && lacksGlobal(seen),
      before: ['config global'],
      firstOf: [{ send: 'show', restorable: 'yes', because: null }],
      after: ['end'],
      mayBeRefusedBecause: 'a profile can be without the right to the global section',
      wholeWhen: { ...withHeader, firstLine: /^(?:#config-version=|config )/ },
    },
    {
      name: 'full-configuration',
      keep: 'artefact',
      when: ({ options }) => options.full_configuration === true,
      firstOf: [{ send: 'show full-configuration', restorable: 'yes', because: null }],
      // It is put together while it is displayed, and is silent between two tables (Oxidized issues 2987 and 3218).
      idleMs: 300_000,
      wholeWhen: withHeader,
    },
    {
      name: 'ha-status',
      keep: 'facts',
      when: (seen) => haMode(seen) !== null && !hasVdoms(seen),
      send: 'get system ha status',
      mayBeRefusedBecause: 'a profile can be without the right to the state of the cluster',
    },
    {
      name: 'global.ha-status',
      keep: 'facts',
      when: (seen) => haMode(seen) !== null && seesGlobal(seen),
      before: ['config global'],
      send: 'get system ha status',
      after: ['end'],
      mayBeRefusedBecause: 'a profile can be without the right to the state of the cluster',
    },
  ],

  refusals: [
    refused(/^Unknown action/, 'Unknown action 0'),
    refused(/^Command fail\. Return code/, 'Command fail. Return code -61'),
    refused(/^(?:command|value) parse error before/, "command parse error before 'show'"),
    refused(/^object check operator error/, 'object check operator error, -9, discard the setting'),
    refused(/^entry not found in datasource/, 'entry not found in datasource'),
    refused(/^Permission denied/, 'Permission denied'),
  ],

  volatile: [
    {
      line: /^#config-version=.*:user=(?<volatile>\S+)/,
      act: 'mask',
      because: 'the account that reads',
      example: '#config-version=FGT60F-7.4.7-FW-build2731-250120:opmode=1:vdom=0:user=backup',
    },
    drop(
      /^#conf_file_ver=/,
      'differs between two displays of the same configuration',
      '#conf_file_ver=440000000000001',
    ),
    drop(
      /^#private-encryption-key=/,
      'differs between two displays of the same configuration (Oxidized issue 3285)',
      '#private-encryption-key=bm90LXJlYWw=',
    ),
    drop(/^\s*set last-login /, 'the time of a login', '        set last-login 2026-01-07 14:30:09'),
    drop(
      /^\s*set comments "Error \(No order found for account ID \d+\) on /,
      'written by every try to renew a certificate by ACME',
      '        set comments "Error (No order found for account ID 42) on Mon Feb  2 12:42:42 2026"',
    ),
    {
      ...drop(
        /^\s*config firewall internet-service-name\s*$/,
        'a table of signature updates, not of administrators',
        'config firewall internet-service-name\n    edit "Example-Web"\n        set internet-service-id 65537\n    next\nend',
      ),
      until: /^\s*end\s*$/,
    },
    unitsOwn(
      /^\s*config system global\s*$/,
      /^\s*set hostname /,
      'each unit of a cluster has its own name',
      '    set hostname "fw-a"',
    ),
    // Defaults are not displayed: a line that one unit has is missing on the other.
    unitsOwn(
      /^\s*config system ha\s*$/,
      /^\s*set (?:priority|override|override-wait-time|ha-mgmt-interface-gateway6?|gateway6?) /,
      'each unit of a cluster has its own priority, override, and way out of its management interface',
      '    set priority 200',
    ),
    {
      ...drop(
        /^/,
        'each unit of a cluster has its own dashboards, and its own settings of a reserved management interface',
        '    edit "mgmt"',
      ),
      within: blocksOfUnit,
      inHa: true,
    },
    unitsOwn(
      /^\s*config system interface\s*$/,
      /^\s*set management-ip /,
      'each unit of a cluster has its own address for management',
      '        set management-ip 192.0.2.11 255.255.255.0',
    ),
    unitsOwn(
      /^\s*config system (?:link-monitor|ha-monitor|gwdetect)\s*$/,
      /^\s*set ha-priority /,
      'the weight of a ping server is set on each unit of a cluster by itself',
      '        set ha-priority 10',
    ),
  ],

  secrets: [
    {
      kind: 'password',
      line: /^\s*(?:set|append) [\w-]+(?: \d+)? "?ENC (?<secret>[^\s"]+)/,
      rotates: true,
      example: '        set md5-key 1 "ENC bm90LXJlYWw="',
    },
    {
      kind: 'password',
      line: /(?<=[\s"])ENC (?<secret>[A-Za-z0-9+/]{16,}={0,2})/,
      rotates: true,
      example: '        select history "ENC bm90LWEtcmVhbC1zZWNyZXQ="',
    },
    ...values(
      'password',
      `${attribute}(?: \\d+)?`,
      '    set psksecret n0tr3al',
      '    set secondary-key "n0t r\\"3al"',
    ).map((rule) => ({ ...rule, exceptIn: namedValues })),
    ...values('community', 'name', '        set name n0tr3al', '        set name "n0tr3al"').map((rule) => ({
      ...rule,
      inSection: /^\s*config system snmp community\s*$/,
    })),
    // Before the rules for whole values: what is encrypted anew must not become part of a fingerprint.
    {
      kind: 'private-key',
      line: /^(?!.*-----END ).*(?<secret>-----BEGIN ENCRYPTED PRIVATE KEY-----)/,
      until: /^(?<secret>.*-----END ENCRYPTED PRIVATE KEY-----)/,
      rotates: true,
      example:
        '        set private-key "-----BEGIN ENCRYPTED PRIVATE KEY-----\nbm90LXJlYWw=\n-----END ENCRYPTED PRIVATE KEY-----\n"',
    },
    // A request, too: its challenge password stands in it in clear, inside of the base64.
    openValue('private-key', '(?:private-?key|csr)', '        set privatekey "n0tr3al\nn0tr3al"'),
    ...values(
      'private-key',
      '(?:private-?key|csr)',
      '        set private-key n0tr3al',
      '        set csr "n0tr3al"',
    ),
    {
      kind: 'shared-key',
      line: /^#private-encryption-key=(?<secret>\S+)/,
      rotates: true,
      example: '#private-encryption-key=bm90LXJlYWw=',
    },
    ...[
      openValue('token', 'http-body', '        set http-body "n0tr3al\nn0tr3al"'),
      ...values('token', '(?:http-body|value)', 'set value n0tr3al', 'set value "Bearer n0tr3al"'),
      {
        kind: 'token' as const,
        line: /^\s*set headers "?(?:[\w.-]{1,64}\s{0,4}:\s{0,4})?(?<secret>(?:[^"\s\\]|\\.)[^"\\]*(?:\\.[^"\\]*)*)/,
        example: '        set headers "Authorization: Bearer n0tr3al"',
      },
      {
        kind: 'token' as const,
        line: /" "[\w.-]{1,64}\s{0,4}:\s{0,4}(?<secret>(?:[^"\s\\]|\\.)[^"\\]*(?:\\.[^"\\]*)*)/,
        example: '        set headers "Accept: text/plain" "X-Api-Key: n0tr3al"',
      },
      {
        kind: 'password' as const,
        line: /^\s*set uri "?[^\s/:@"]{1,64}:(?<secret>[^\s/@"]{1,200})@/,
        example: '        set uri "reader:n0tr3al@hooks.example.net/x"',
      },
      // Chat services put the token into the path, as a long part that is no word; nothing behind it is read.
      {
        kind: 'token' as const,
        line: /^\s*set uri "?[^\s"?]*?[^\s"?/]\/(?=[\w.~@=-]{16})(?=[a-z_.~@=-]{0,256}[A-Z0-9])(?<secret>[^\s"?]+)/,
        example: '        set uri "hooks.example.net/services/T0/bm90LWEtcmVhbC10b2tlbg?wait=true"',
      },
    ].map((rule) => ({ ...rule, inSection: webhooks })),
    {
      kind: 'token',
      line: /[?&](?:access_token|auth_token|token|api[-_]?key|key|code|secret|password|passwd|pwd|sig)=(?<secret>[^&\s"]+)/i,
      example: '        set resource "https://feeds.example.net/list?user=7&api_key=n0tr3al"',
    },
    {
      kind: 'password',
      line: /:\/\/[^\s/:@"]{0,64}:(?<secret>[^\s/@"]{1,200})@/,
      example: '        set resource "https://reader:n0tr3al@feeds.example.net/list"',
    },
  ],

  restorable: [
    {
      line: /^#private-encryption-key=/,
      is: 'partial',
      because: 'private-data-encryption is on: passwords restore only where that key is known',
      example: '#private-encryption-key=bm90LXJlYWw=',
    },
    {
      line: /^#global_vdom=0/,
      is: 'partial',
      because: 'the copy covers one VDOM only',
      example: '#global_vdom=0:vd_name=root',
    },
    {
      line: /^\s*set private-data-encryption enable\s*$/,
      is: 'partial',
      because: 'private-data-encryption is on: passwords restore only where that key is known',
      example: '    set private-data-encryption enable',
    },
  ],

  facts: [
    { fact: 'hostname', from: 'status', line: /^Hostname: (?<value>\S+)/, example: 'Hostname: fw-hq ' },
    {
      fact: 'version',
      from: 'status',
      line: /^Version: \S+ v(?<value>[\d.]+,build\d+)/,
      example: 'Version: FortiGate-60F v7.4.8,build2795,250523 (GA.M)',
    },
    {
      fact: 'model',
      from: 'status',
      line: /^Version: (?<value>\S+) v\d/,
      example: 'Version: FortiGate-60F v7.4.8,build2795,250523 (GA.M)',
    },
    {
      fact: 'serial',
      from: 'status',
      line: /^Serial-Number: (?<value>\S+)/,
      example: 'Serial-Number: FGT60FTK00000000',
    },
  ],

  state: stateOf,

  changes: {
    messages: [
      {
        ...told(
          '4454[4-7]',
          'date=2026-03-04 time=01:30:00 devname="fw-hq" devid="FGT60FTK00000000" eventtime=1772587800123456789 tz="+0100" logid="0100044547" type="event" subtype="system" level="information" vd="root" logdesc="Object attribute configured" user="netadmin" ui="GUI(192.0.2.20)" action="Edit" cfgtid=12345678 cfgpath="firewall.policy" cfgobj="8" cfgattr="dstintf[port1->port2]" msg="Edit firewall.policy 8"',
        ),
        butNot: new RegExp(
          `${key('cfgpath')}"?system\\.console(?=["\\s,]|$)|${key('(?:action|act)')}(?:""|"?(?:none|nothing)"?)(?=[\\s,]|$)`,
          'i',
        ),
      },
      told(
        '(?:32102|32104|32400)',
        '<185>date=2026-03-04 time=01:30:00 devname=fw-hq devid=FGT60FTK00000000 logid=0100032102 type=event subtype=system level=alert vd="root" logdesc="Configuration changed" user="netadmin" ui="ssh(192.0.2.20)" msg="Configuration is changed in the admin session"',
      ),
      told(
        '32003',
        'date=2026-03-04 time=01:30:00 devname="fw-hq" devid="FGT60FTK00000000" logid="0100032003" type="event" subtype="system" level="information" vd="root" logdesc="Admin logout successful" sn="1772587800" user="netadmin" ui="ssh(192.0.2.20)" method="ssh" srcip=192.0.2.20 dstip=192.0.2.1 action="logout" status="success" duration=61 state="Config-Changed" reason="exit" msg="Administrator netadmin logged out from ssh(192.0.2.20)"',
        `(?=.*?${key('state')}"?Config-Changed)`,
      ),
      {
        ...told(
          '36882',
          'date=2026-03-04 time=01:30:00 devname="fw-hq" devid="FGT60FTK00000000" logid="0100036882" type="event" subtype="system" level="notice" vd="root" logdesc="Configuration manually saved" user="netadmin" ui="jsconsole(192.0.2.20)" msg="Configuration manually saved"',
        ),
        means: 'saved',
      },
    ],
    device: [
      new RegExp(`${key('(?:devname|dvchost)')}"?(?<name>[\\w.-]{1,64})`),
      new RegExp(`${key('(?:devid|device_id|deviceExternalId)')}"?(?<serial>[A-Z0-9]{6,32})`),
    ],
  },

  outline,
});
