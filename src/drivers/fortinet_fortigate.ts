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
 * FortiGate over a terminal. The pager has no switch for one session: `config system console` is a
 * stored, logged and replicated change (netmiko issues 2833 and 3248), so every page is answered.
 * One `show` from the top level prints the global part and every VDOM.
 */

/** A long name is cut and ends in `~` (Oxidized issue 490); 7.x puts the HA role behind it (issue 3846). */
const name = '(?:\\([A-Z]\\) )?(?<host>[\\w.-]{1,64}~?)(?:\\([A-Za-z]{1,24}\\))?';

/* ── Grammar: config … edit … set … next … end ────────────────────────────────────────────── */

type Word = 'config' | 'edit' | 'next' | 'end' | 'other';

/** One line that begins outside of a quoted value; blank lines and comments are none. */
interface Statement {
  readonly index: number;
  readonly word: Word;
  /** Without blanks around it; at most 200 characters. */
  readonly text: string;
}

const longest = 200;

/** Calls `visit` for every statement. Returns whether the text ends outside of a quoted value. */
function walk(text: string, visit: (statement: Statement) => void): boolean {
  let quoted = false;
  let index = 0;
  for (let at = 0; at < text.length; index++) {
    const feed = text.indexOf('\n', at);
    const end = feed === -1 ? text.length : feed;
    let comment = false;
    if (!quoted) {
      let from = at;
      while (from < end && (text[from] === ' ' || text[from] === '\t')) from++;
      comment = text[from] === '#';
      const line = text.slice(from, Math.min(end, from + longest)).trimEnd();
      if (!comment && line !== '') visit({ index, word: wordOf(line), text: line });
    }
    if (!comment) quoted = quotedAfter(text, at, end, quoted);
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
 * Whether a value is still open at `end`. A backslash escapes the next character. An apostrophe quotes
 * only where another one follows on the line (`set image-base64 ''`): else it is a letter.
 */
function quotedAfter(text: string, from: number, end: number, open: boolean): boolean {
  let quoted = open;
  let apostrophes = true;
  for (let at = from; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === 92) at++;
    else if (code === 34) quoted = !quoted;
    else if (code === 39 && !quoted && apostrophes) {
      let closing = at + 1;
      while (closing < end && text.charCodeAt(closing) !== 39) closing++;
      if (closing < end) at = closing;
      else apostrophes = false;
    }
  }
  return quoted;
}

/** Every block closes. `end` also closes an open `edit`: each VDOM ends that way, without a `next`. */
function isWhole(text: string): Verdict {
  const open: ('config' | 'edit')[] = [];
  let blocks = 0;
  let problem: string | null = null;
  const closed = walk(text, ({ index, word }) => {
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
    } else if (open.length === 0) wrong('text outside of every block');
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

  walk(text, ({ index, word, text: line }) => {
    last = index;
    if (word === 'config' || word === 'edit') begin(word, line, index);
    else if (word === 'next' && open.at(-1)?.word === 'edit') close(index);
    else if (word === 'end') {
      if (open.at(-1)?.word === 'edit') close(index);
      close(index);
    }
  });
  while (open.length > 0) close(last);
  return blocks;
}

/* ── Rules ────────────────────────────────────────────────────────────────────────────────── */

function source(claim: string, url: string): Source {
  return { claim, see: { url: `https://github.com/${url}`, read: '2026-11-22' } };
}

function refused(line: RegExp, example: string): Refusal {
  return { line, means: 'collect.command-refused', example };
}

function drop(line: RegExp, because: string, example: string): VolatileRule {
  return { line, act: 'drop', because, example };
}

/** Attributes whose value is a secret, in clear in templates and under old releases, else behind `ENC`. */
const attribute =
  '(?:(?:[a-z0-9]+-){0,4}(?:password|passwd|passphrase|psksecret|secret|pwd)(?:-?(?:[0-9]|l[12]|remote|local))?|' +
  '(?:secondary-|tertiary-|server-|api-|inter-controller-|secret-|auth-|authentication-|md5-)?keys?|' +
  'key-string|auth-string|authkey|enckey|(?:[a-z0-9]+-){0,2}token|crptpasswd|history[01])';

/** The same rule for a bare and for a quoted value. */
function values(kind: SecretKind, what: string, bare: string, quoted: string): readonly SecretRule[] {
  return [
    {
      kind,
      line: new RegExp(`^\\s*set ${what} (?!"|ENC |(?:enable|disable|none)\\s*$)(?<secret>\\S+)\\s*$`),
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

const webhooks = /^\s*config system automation-action\s*$/;
/** Here `key` is the name of a header or a field, and `value` what is secret. */
const namedValues = /^\s*config (?:http-headers|form-data)\s*$/;

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
        /** The part of one VDOM, or the global part alone. */
        inside: {
          kind: 'prompt',
          line: new RegExp(`^${name} \\([\\w.~ -]{1,64}\\) # ?$`),
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
      worksIn: ['administrator', 'limited', 'inside'],
      prepare: [],
      pagers: [{ line: /(?:^|[\r\n])--More-- ?$/, press: ' ' }],
      leave: ['exit'],
    },
  ],

  commands: [
    { name: 'status', keep: 'facts', send: 'get system status' },
    {
      name: 'running-config',
      keep: 'artefact',
      firstOf: [{ send: 'show', restorable: 'yes', because: null }],
      wholeWhen: {
        firstLine: /^#config-version=/,
        lastLine: /^end\s*$/,
        atLeastLines: 5,
        structure: isWhole,
        proof: 'structure',
      },
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
      line: /^#config-version=\w+-6\.0?2[.-].*:vdom=1(?::|\s*$)/,
      is: 'partial',
      because: 'FortiOS 6.2 leaves parts of the global section out where VDOMs are on',
      example: '#config-version=FGT60E-6.2.3-FW-build1066-191219:opmode=0:vdom=1:user=backup',
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

  outline,
});
