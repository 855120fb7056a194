import {
  type Block,
  type ChangeMessage,
  defineDriver,
  drop,
  type Item,
  type Refusal,
  refused,
  type SecretKind,
  type SecretRule,
  type Seen,
  type StateReport,
  source,
  type Verdict,
  type VolatileRule,
} from './driver.ts';
import { indentedBlocks } from './grammar/indented.ts';

/*
 * F5 BIG-IP. Where the login shell is bash, every command is an SSH exec of `tmsh -q`: no pager, no
 * question, and an exit status that proves the end. Where it is tmsh, or exec is not to be had, the same
 * commands are typed in a tmsh session; its pager is answered, because turning it off is a stored preference.
 * Files (what is saved, dynamic routing, archives) can be had under bash alone.
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

/** A file of the routing daemons begins with `!`; a configuration of tmsh never does. */
function outline(text: string): Block[] {
  return /^\s*!/.test(text) ? routingOutline(text) : objectOutline(text);
}

/** The line `end` is a block of its own: a copy that has lost it has lost a section. */
function routingOutline(text: string): Block[] {
  const kind = /^(?:router|route-map|ip|ipv6|key|line|interface) \S+/;
  const blocks = indentedBlocks(text, { kind, separators: '!' });
  const filled = text.trimEnd();
  if (!/(?:^|\n)end$/.test(filled)) return blocks;
  const line = filled.split('\n').length - 1;
  return [...blocks, { firstLine: line, lastLine: line, section: 'end', title: 'end' }];
}

/** Objects are told by depth, not by a `}` in the first column: bodies of rules and scripts hold those. */
function objectOutline(text: string): Block[] {
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

/* ── State: failover group, saved files, what the role does not see ───────────────────────── */

interface DeviceObject {
  /** Such as `ltm virtual /Common/vs1`. */
  readonly head: string;
  /** All of it, the head included. */
  readonly text: string;
}

/** The objects of a configuration, outermost ones only; null where a block does not close. */
function objectsIn(text: string): readonly DeviceObject[] | null {
  const objects: DeviceObject[] = [];
  let depth = 0;
  let from = 0;
  let head = '';
  let closesTwice = false;
  walk(
    text,
    (opens, at, lineStart) => {
      if (opens) {
        if (depth++ > 0) return;
        from = lineStart;
        head = text.slice(lineStart, Math.min(at, lineStart + longest)).trim();
        return;
      }
      if (--depth === 0) objects.push({ head, text: text.slice(from, at + 1) });
      if (depth < 0) closesTwice = true;
    },
    () => {},
  );
  return depth === 0 && !closesTwice ? objects : null;
}

/** From the folder `/`, names may be displayed without their first `/`; in files they have it. */
function withoutRoot(text: string): string {
  return text.replace(/(^|[\s"])\/(?=\w)/g, '$1');
}

/** The value of an attribute of the object itself; null where it has none. */
function attributeOf(object: string, attribute: string): string | null {
  const value = new RegExp(`^ {4}${attribute} (.{1,200})$`, 'm').exec(object)?.[1]?.trim() ?? '';
  return value === '' ? null : value.replace(/^"|"$/g, '');
}

/** The line `status` of `show cm …`, as a table or as fields; null where there is none. */
function statusIn(answer: string | null): string | null {
  return /^[ \t]*status[ \t]+"?([^\s"][^"\r\n]{0,99}?)"?\s*$/im.exec(answer ?? '')?.[1] ?? null;
}

/**
 * Kinds that people work on, that `show running-config` and the files print alike, and of which none is
 * built in. `net` is looked at for objects that are new or gone: what is displayed of a VLAN differs.
 */
const comparedKinds =
  /^(?:ltm (?:virtual|virtual-address|pool|node|snatpool|snat|nat|rule|policy)|gtm (?:(?:wideip|pool)(?: [a-z]+)?|server|datacenter)|net (?:self|vlan|route|trunk)) [^\s{]+$/;
/** Made by the system while it runs. */
const madeUp = /[/ ]_(?:sys|auto)_/;
/** Depends on monitors, or on the order in which things were made. */
const incidental = /^\s*(?:session monitor-enabled|vs-index \d+)\s*$/;

/** Lines without what is no setting, in an order of their own. */
function comparable(object: string): string {
  const lines = withoutRoot(object)
    .split('\n')
    .filter((line) => line.trim() !== '' && !incidental.test(line));
  const settings = lines.filter((line) => !unsettled.some((rule) => rule.line.test(line)));
  return settings
    .map((line) => line.trim())
    .sort()
    .join('\n');
}

function byHead(objects: readonly DeviceObject[]): ReadonlyMap<string, DeviceObject> {
  const compared = objects.filter(({ head }) => comparedKinds.test(head) && !madeUp.test(head));
  return new Map(compared.map((object) => [withoutRoot(object.head), object]));
}

/**
 * Whether the running configuration differs from the saved files. In doubt it is not told: where a text
 * has no clear end, where no object at all is the same in both, where most of them differ.
 */
function isUnsaved(running: readonly DeviceObject[], saved: string): boolean | undefined {
  const inFiles = objectsIn(saved);
  if (inFiles === null) return undefined;
  const [now, then] = [byHead(running), byHead(inFiles)];
  let same = 0;
  let different = 0;
  let both = 0;
  for (const [head, object] of now) {
    const old = then.get(head);
    if (old === undefined) continue;
    both++;
    // Members that DNS put into a pool are displayed and not saved.
    if (head.startsWith('net ') || [object, old].some(({ text }) => /\n[ \t]+ephemeral true/.test(text)))
      continue;
    if (object.text === old.text || comparable(object.text) === comparable(old.text)) same++;
    else different++;
  }
  if (same === 0 || different > same) return undefined;
  return different > 0 || both < now.size || both < then.size;
}

/** What this account cannot see, as far as the text gives it away. */
function narrowness(
  config: string,
  objects: readonly DeviceObject[],
  partitions: string | null,
): NonNullable<StateReport['worth']> {
  const found = objects.filter(({ head }) => /^auth (?:user|partition) \S/.test(head));
  const worth: { is: 'partial'; because: string }[] = [];
  const users = found.filter(({ head }) => head.startsWith('auth user '));
  if (users.length === 0)
    worth.push({ is: 'partial', because: 'no user account is in the text: this role does not see them' });
  else if (!users.some(({ text }) => text.includes('\n    encrypted-password ')))
    worth.push({
      is: 'partial',
      because: 'no password of a user is in the text: this role does not see them',
    });
  const seen = new Set(found.map(({ head }) => head));
  const listed = [...(partitions ?? '').matchAll(/^auth partition (\S{1,128}) \{/gm)].map(
    ([, name = '']) => name,
  );
  const hidden = listed.filter((name) => !seen.has(`auth partition ${name}`));
  // Gathered in one pass: looking for each of them would read the text once for each.
  const inPaths = new Set(
    hidden.length === 0 ? [] : [...config.matchAll(/ \/?([^\s/]{1,128})(?=\/)/g)].map(([, name]) => name),
  );
  const missing = hidden.filter((name) => !inPaths.has(name));
  if (missing.length > 0)
    worth.push({
      is: 'partial',
      because: `restoring this would leave out the partitions ${missing.slice(0, 8).join(', ')}: nothing of them is in it`,
    });
  return worth;
}

function stateOf(seen: Seen): StateReport {
  const config = seen.text('running-config') ?? '';
  const objects = objectsIn(config);
  const devices = objects?.filter(({ head }) => /^cm device \S+$/.test(head)) ?? [];
  const self = devices.find(({ text }) => attributeOf(text, 'self-device') === 'true');
  const partners = devices.filter((device) => self !== undefined && device !== self);
  const partnerSerials = partners.flatMap(({ text }) => attributeOf(text, 'chassis-id') ?? []);
  const sync = statusIn(seen.text('sync'));
  const isMember = devices.length > 1 || (sync !== null && !/^standalone$/i.test(sync));
  const ha = statusIn(seen.text('failover')) ?? attributeOf(self?.text ?? '', 'failover-state');
  const saved = seen.text('saved');
  // Of a text without a clear end nothing is told.
  const told = config === '' ? null : objects;
  const unsaved = saved === null || told === null ? undefined : isUnsaved(told, saved);
  const worth = told === null ? [] : narrowness(config, told, seen.text('partitions'));
  return {
    ...(isMember && ha !== null ? { ha, standby: /^standby$/i.test(ha) } : {}),
    ...(isMember && sync !== null ? { sync } : {}),
    ...(unsaved === undefined ? {} : { unsaved }),
    ...(partnerSerials.length === 0 ? {} : { partnerSerials }),
    ...(worth.length === 0 ? {} : { worth }),
  };
}

/* ── Files: under bash alone ──────────────────────────────────────────────────────────────── */

const underBash = ({ dialogue }: Seen): boolean => dialogue === 'bash';
/** bash runs the line itself. */
const inBash = { when: underBash, execLine: '{commands}' } as const;

/** Route domains with dynamic routing, by number. */
function routeDomains(listing: string): readonly Item[] {
  const numbers = [...listing.matchAll(/^\/config\/zebos\/rd(\d{1,5})\/ZebOS\.conf\r?$/gm)].map(([, rd]) =>
    Number(rd),
  );
  return [...new Set(numbers)].sort((a, b) => a - b).map((rd) => ({ rd: `${rd}` }));
}

const anArchive = {
  ...inBash,
  keep: 'archive',
  by: 'sftp',
  /** Collecting and compressing takes minutes, and says nothing meanwhile. */
  idleMs: 600_000,
  needs:
    'it takes bash: an Administrator or Resource Administrator with this login shell, and no appliance mode',
} as const;

/** Prints the names of what it packs. */
const packScf =
  'tar -C /var/local/scf -cvf /var/local/scf/roundsman-backup.tar roundsman-backup.scf roundsman-backup.scf.tar';

/** Why a file is not for every account. */
const needsFiles = 'not there where nothing of the kind is configured; files can be read under bash alone';

/* ── Rules ────────────────────────────────────────────────────────────────────────────────── */

function notReady(line: RegExp, example: string): Refusal {
  return { line, means: 'collect.not-ready', example };
}

const bookkeeping = 'kept by the system itself, and different on the units of a pair';
const state = 'a state that was measured, not a setting';

/** No settings, wherever they stand. */
const unsettled: readonly VolatileRule[] = [
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
  drop(/^\s+errors \d+\s*$/, state, '    errors 12'),
  drop(/^\s+bandwidth-(?:bps|cps|pps) \S+\s*$/, state, '    bandwidth-bps 12345'),
];

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

/** Dynamic routing has a syntax of its own: passwords of neighbours, keys of OSPF, RIP and IS-IS, of the shell. */
const routingSecrets: readonly SecretRule[] = [
  {
    kind: 'password',
    line: /^\s*neighbor \S+ password (?:\d )?(?<secret>\S+)\s*$/,
    example: ' neighbor 192.0.2.1 password n0tr3al',
  },
  {
    kind: 'password',
    line: /^enable (?:password|secret) (?:\d )?(?<secret>\S+)\s*$/,
    example: 'enable password 8 n0tr3al',
  },
  {
    kind: 'password',
    line: /^\s*username \S+ (?:privilege \d+ )?(?:password|secret) (?:\d )?(?<secret>\S+)\s*$/,
    example: 'username ops password 8 n0tr3al',
  },
  {
    kind: 'password',
    line: /^\s+password (?:\d )?(?!["{])(?<secret>\S+)\s*$/,
    inSection: /^line (?:con|vty) \d/,
    example: ' password n0tr3al',
  },
  {
    kind: 'shared-key',
    line: /^\s*(?:ip ospf|area|neighbor|ip rip|isis|ip isis) (?:\S+ ){0,4}?(?:authentication-key|md5|authentication string|password) (?:\d )?(?<secret>\S+)\s*$/,
    example: ' ip ospf message-digest-key 1 md5 n0tr3al',
  },
  {
    kind: 'shared-key',
    line: /^\s*(?:area|domain)-password (?:clear |md5 )?(?<secret>\S+)\s*$/,
    example: ' area-password clear n0tr3al',
  },
  { kind: 'shared-key', line: /^\s+key-string (?<secret>\S.*?)\s*$/, example: '  key-string n0tr3al' },
];

/** Whole declarations of AS3 and FAST, compressed: passwords in them are seen by no other rule. */
const declarations = /^ltm data-group internal \S*appsvcs\S* \{\s*$/;

/* ── Changes ──────────────────────────────────────────────────────────────────────────────── */

/** What tmsh logs of a command that was carried out, reads included; `cd` may stand in front. */
const tmshDid =
  '^(?:(?!\\]: )[\\s\\S])*?(?:\\]: )?01420002:\\d: AUDIT - pid=\\d+ user=(?<user>\\S+) folder=\\S* module=\\([^)\\s]*\\)# status=\\[Command OK\\] cmd_data=\\s*(?:cd [^;\\n]*;\\s*)*';

const changeMessages: readonly ChangeMessage[] = [
  // A configuration that came from another unit is the work of `%cmi`; other users with `%` are daemons.
  {
    // Right behind the process: further back it may be a user name that somebody made up.
    line: /^(?:(?!\]: )[\s\S])*?(?:\]: )?01070417:\d: AUDIT - (?:client (?:(?<from>\d[\d.]{6,14}|[0-9a-f]{0,4}:[0-9a-f:.]{2,43})|[^,\n]{0,128}), )?user (?<user>\S{1,128}) - transaction #/i,
    butNot:
      /\b(?:pam_audit|mod_auth_pam)\)?(?:\[\d+\])?: 01070417|\[Status=(?!Command OK\])|\buser %(?!cmi)\S* - transaction #/,
    means: 'changed',
    example:
      '<133>Mar  3 09:12:44 lb1 notice mcpd[5832]: 01070417:5: AUDIT - client Unknown, user admin - transaction #29194914-3 - object 0 - modify { pool { pool_name "/Common/web" pool_lb_mode 3 } } [Status=Command OK]',
  },
  {
    line: new RegExp(`${tmshDid}(?:create|modify|delete|load|mv|move|cp|copy|edit|install) \\S`),
    butNot:
      /cmd_data=[^\n]*?\b(?:modify \/?cli preference|delete \/?sys (?:ucs|config)|(?:cp|mv) \/?sys ucs)\b/,
    means: 'changed',
    example:
      '<133>Mar  3 09:12:44 lb1 notice tmsh[16322]: 01420002:5: AUDIT - pid=16322 user=root folder=/Common module=(tmos)# status=[Command OK] cmd_data=modify ltm pool web members add { 192.0.2.80:80 }',
  },
  {
    // With `file` it is an archive, and nothing is saved.
    line: new RegExp(`${tmshDid}save \\/?sys config(?![^\\n;]* file )`),
    means: 'saved',
    example:
      '<133>Mar  3 09:12:44 lb1 notice tmsh[16322]: 01420002:5: AUDIT - pid=16322 user=root folder=/Common module=(tmos)# status=[Command OK] cmd_data=save sys config partitions all',
  },
];

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
    source('the fields of "show cm sync-status field-fmt"', 'simonkowallik/tcl-smock'),
    source(
      'an archive is saved, told to be saved, digested by sha256sum, fetched and removed',
      'netfishers-onl/Netshot/blob/acd6f4d0/src/main/resources/drivers/F5_TMOS.js',
    ),
    source('dynamic routing lies in /config/zebos', 'ytti/oxidized/blob/687ed426/lib/oxidized/model/tmos.rb'),
    source('which lines are no change', 'haussli/rancid/blob/fb9019c3/lib/bigip.pm.in'),
  ],

  dialogues: [
    {
      channel: 'exec',
      name: 'bash',
      line: "tmsh -q -c '{commands}'",
      // An expired password is asked for in a terminal, which then says so.
      otherShellWhen: /unexpected argument "tmsh"|Password change required but no TTY available/,
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
          line: /^(?:You are required to change your password immediately|(?:WARNING: )?Your password has expired|You must change your password now|Changing password for |\(current\) (?:UNIX|BIG-IP) password:|Current password:|New (?:BIG-IP )?password:)/i,
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
    {
      name: 'mcp-state',
      keep: 'facts',
      send: 'show sys mcp-state field-fmt',
      mayBeRefusedBecause: 'not every role may read it; a unit that is starting says so in other answers too',
    },
    { name: 'hostname', keep: 'facts', send: 'list sys global-settings hostname' },
    {
      name: 'hardware',
      keep: 'facts',
      send: 'show sys hardware',
      mayBeRefusedBecause: 'not every role may read the hardware; model and serial number stay unknown then',
    },
    {
      name: 'failover',
      keep: 'facts',
      send: 'show cm failover-status field-fmt',
      mayBeRefusedBecause: 'not every role may read it; the configuration tells the state of the unit too',
    },
    {
      name: 'sync',
      keep: 'facts',
      send: 'show cm sync-status field-fmt',
      mayBeRefusedBecause: 'not every role may read it; whether the units agree stays unknown then',
    },
    {
      name: 'partitions',
      keep: 'facts',
      send: 'list auth partition',
      mayBeRefusedBecause: 'not every role may list them; that partitions are missing is not noticed then',
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
    {
      name: 'saved',
      keep: 'facts',
      ...inBash,
      send: 'find /config -maxdepth 3 -type f -name bigip\\*.conf -exec cat {} +',
      mayBeRefusedBecause: 'whether everything is saved stays unknown then',
    },
    {
      name: 'route-domains',
      keep: 'facts',
      ...inBash,
      send: 'find /config/zebos -maxdepth 2 -name ZebOS.conf -size +0',
      mayBeRefusedBecause: needsFiles,
    },
    {
      name: 'zebos-rd{rd}',
      keep: 'artefact',
      ...inBash,
      forEach: { over: 'route-domains', items: routeDomains },
      firstOf: [{ send: 'cat /config/zebos/rd{rd}/ZebOS.conf', restorable: 'yes', because: null }],
      // `end` is its last line on every unit that was seen, but it may be written by hand: see the outline.
      wholeWhen: { atLeastLines: 1, proof: 'structure' },
    },
    {
      name: 'ucs',
      ...anArchive,
      remove: ['rm -f /var/local/ucs/roundsman-backup.ucs'],
      make: "tmsh -q save sys ucs roundsman-backup.ucs passphrase '{passphrase}'",
      makeOpen: 'tmsh -q save sys ucs roundsman-backup.ucs',
      madeWhen: /\/roundsman-backup\.ucs is saved/,
      digest: 'sha256sum /var/local/ucs/roundsman-backup.ucs',
      file: '/var/local/ucs/roundsman-backup.ucs',
      extension: 'ucs',
    },
    {
      name: 'scf',
      ...anArchive,
      // Two files are made: the text, and what it refers to.
      remove: [
        'rm -f /var/local/scf/roundsman-backup.scf /var/local/scf/roundsman-backup.scf.tar /var/local/scf/roundsman-backup.tar',
      ],
      make: `tmsh -q save sys config file roundsman-backup.scf passphrase '{passphrase}' && ${packScf}`,
      makeOpen: `tmsh -q save sys config file roundsman-backup.scf no-passphrase && ${packScf}`,
      madeWhen: /^roundsman-backup\.scf\.tar$/m,
      digest: 'sha256sum /var/local/scf/roundsman-backup.tar',
      file: '/var/local/scf/roundsman-backup.tar',
      extension: 'scf.tar',
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
    notReady(/^ {4}phase (?!running\s*$)\S/, '    phase platform'),
    notReady(/^ {4}last-load \S+-failed\s*$/, '    last-load base-config-load-failed'),
    refused(/^Syntax Error: /, 'Syntax Error: unexpected argument "tmsh"'),
    refused(/^(?:Data Input|Unexpected) Error: /, 'Data Input Error: "recursive" is not allowed here'),
    refused(/^command authorization failed/i, 'command authorization failed'),
    refused(/^[0-9a-f]{8}:\d: /, '01070822:3: Access Denied: user (guest) may not run this command'),
    refused(
      /^(?:-?(?:ba)?sh: )?(?:line \d{1,6}: )?tmsh: (?:command )?not found/,
      'bash: tmsh: command not found',
    ),
  ],

  volatile: [
    ...unsettled,
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
        /^(?:cli script|ltm data-group internal) (?:\/?Common\/)?__appsvcs_update \{/,
        'left behind by a deployment of AS3',
        'cli script /Common/__appsvcs_update {\nproc script::run {} {\n}\n}',
      ),
    ].map((rule) => ({ ...rule, act: 'drop-block' as const })),
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
    ...routingSecrets,
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

  state: stateOf,

  changes: {
    messages: changeMessages,
    device: [
      /(?:^|\s)(?:slot\d+\/)?(?<name>[A-Za-z0-9][\w.-]{0,254}) (?:(?:emerg|alert|crit|err|warning|notice|info|debug) )?[\w-]{1,32}\[\d+\]: (?:01070417|01420002):\d: AUDIT /,
    ],
  },

  outline,
});
