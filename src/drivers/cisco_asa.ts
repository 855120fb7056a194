import {
  type Block,
  type Completeness,
  defineDriver,
  drop,
  type Item,
  refused,
  type Seen,
  type StateReport,
  secret,
  source,
  type Verdict,
} from './driver.ts';
import { indentedBlocks } from './grammar/indented.ts';

/*
 * Cisco ASA over a terminal: its exec channel hangs or answers with a hint (paramiko issue 360). What is typed stays
 * below 60 characters: at 80 columns a longer line is redrawn with a `$` (netmiko issues 281 and 2039).
 *
 * In multiple mode the session changes to the system execution space, which has the files and the list of contexts,
 * and from there into every context and back. A context never shows its keys; its saved file does (Oxidized issue 388).
 */

/** Fields of the prompt that a failover changes. They may stand before the hostname or behind it. */
const unitState = '(?:act|stby|actNoFailover|stbyNoFailover|pri|sec|master|slave|control|data|disabled)';

/** The hostname is the first field that is no state; context, domain or state may follow it. */
const fields = `(?:${unitState}/){0,4}(?<host>[A-Za-z0-9][\\w.-]{0,63})(?:/[\\w.-]{1,64}){0,6}`;

const keysAreMasked = 'keys are printed as *****: a device restored from this copy has no working VPNs';

/** What lines of free text begin with: their words are no message, no key and no end. */
const freeText = /^(?:banner |access-list \S+ (?:line \d+ )?remark |name |command-alias | *description )/;

/** Messages that land on every terminal. They can tear a line apart: a key would lie in two pieces. */
const intruders: readonly { readonly line: RegExp; readonly is: string }[] = [
  {
    line: /(?:Beginning|End) configuration replication(?:: Sending to| (?:to|from)) mate/i,
    is: 'a message of the failover pair',
  },
  { line: /(?:^|\t)Switching to (?:Active|Standby|Failed|Ok)\b/, is: 'a message of the failover pair' },
  { line: /%(?:ASA|PIX|FTD)-(?:\w{1,32}-)?[0-7]-\d{6}: /, is: 'a log message' },
  { line: /^\*{3} --- (?:START GRACEFUL )?SHUTDOWN/, is: 'a message that the unit shuts down' },
];
/** Finds the places that are worth a look, in one pass. */
const intruderWords = /configuration replication|Switching to |%(?:ASA|PIX|FTD)-|SHUTDOWN/gi;

/** The message that was printed into `text`; null where there is none. */
function intruderIn(text: string): string | null {
  // The line that is looked at: both ends only move forward, because one line may hold all the words.
  let from = 0;
  let end = -1;
  for (const { index } of text.matchAll(intruderWords)) {
    if (index > end) {
      from = text.lastIndexOf('\n', index) + 1;
      const feed = text.indexOf('\n', index);
      end = feed === -1 ? text.length : feed;
    }
    const line = text.slice(Math.max(from, index - 200), Math.min(end, index + 200));
    if (freeText.test(text.slice(from, from + 300))) continue;
    const found = intruders.find((intruder) => intruder.line.test(line));
    if (found !== undefined) return found.is;
  }
  return null;
}

/** The head; the tail is the last line `: end`. A checksum stands before it on most versions and proves no more. */
function isWhole(text: string): Verdict {
  if (!/^ASA Version \S/m.test(text.slice(0, 4096))) {
    return { whole: false, because: 'no line "ASA Version" near the beginning' };
  }
  const intruder = intruderIn(text);
  return intruder === null
    ? { whole: true }
    : { whole: false, because: `${intruder} was printed into the text` };
}

/** The words of a context that could not be entered are not all known: its text has to be no other one's. */
function isWholeContext(text: string): Verdict {
  if (spaceOf(text) !== 'system') return isWhole(text);
  return { whole: false, because: 'it is the configuration of the <system>: the context was not entered' };
}

/** The element that a document begins with has to be the one that it ends with. */
function isWholeXml(text: string): Verdict {
  const root = /<([A-Za-z_][\w:.-]{0,127})[\s/>]/.exec(text.slice(0, 16_384))?.[1];
  if (root === undefined) return { whole: false, because: 'no element near the beginning' };
  return text.trimEnd().endsWith(`</${root}>`)
    ? { whole: true }
    : { whole: false, because: `the element ${root} is not closed at the end` };
}

/** Kinds of blocks that take more than one word to name. */
const kind =
  /^(?:object(?:-group)? [a-z-]+|router [a-z0-9]+|dns server-group|crypto (?:ca (?:certificate (?:chain|map)|trustpoint|trustpool|server)|(?:ikev[12]|isakmp) policy|ipsec (?:ikev[12] )?(?:ipsec-proposal|profile|transform-set)|(?:dynamic-)?map))(?= )/;

function outline(text: string): Block[] {
  return indentedBlocks(text, { kind, separators: '!:' });
}

/* ── Contexts ─────────────────────────────────────────────────────────────────────────────── */

/** Letters, digits and hyphens by the manual; an underscore does no harm. */
const contextName = '[A-Za-z0-9][\\w-]{0,31}';

/** Files on the unit itself. What lies on a server is not fetched: its URL may hold a password. */
const localFile = /^(?:disk[01]|flash):\/{0,2}[A-Za-z0-9._/+~-]{1,100}$/;

function isMultiple({ text }: Seen): boolean {
  return /mode: +multiple/i.test(text('mode') ?? '');
}

/** What a configuration names itself in its head: that of the `system`, or of a `context`; null in single mode. */
function spaceOf(config: string): string | null {
  return /^ASA Version \S+ <(system|context)>/m.exec(config.slice(0, 4096))?.[1] ?? null;
}

/** Whether the session stands in the system execution space: nothing was refused, and no text says otherwise. */
function inSystem(seen: Seen): boolean {
  return seen.text('system') !== null && spaceOf(seen.text('running-config') ?? '') !== 'context';
}

/** The file of each context, by its name, from the blocks of the system configuration; null where it has none. */
function filesOf(config: string): ReadonlyMap<string, string | null> {
  const files = new Map<string, string | null>();
  let context: string | null = null;
  for (const line of config.split('\n')) {
    const [, name] = contextLine.exec(line) ?? [];
    if (name !== undefined) files.set(name, null);
    if (/^\S/.test(line)) context = name ?? null;
    const [, url] = /^ +config-url (\S+)/.exec(line) ?? [];
    if (context !== null && url !== undefined) files.set(context, url);
  }
  return files;
}
const contextLine = new RegExp(`^context (${contextName})\\s*$`);

/** A line of `show context`: `*` marks the admin context; interfaces that do not fit stand below, far to the right. */
const contextRow = new RegExp(`^ ?(\\*?) ?(${contextName})(?=\\s|$)`);

interface Row {
  readonly context: string;
  readonly admin: boolean;
}

function rowsOf(listing: string): readonly Row[] {
  return listing.split('\n').flatMap((line): Row[] => {
    if (/^ ?(?:Context Name\b|Total active\b)/.test(line)) return [];
    const [, star, context] = contextRow.exec(line) ?? [];
    return context === undefined ? [] : [{ context, admin: star === '*' }];
  });
}

/** The contexts that can be entered: without a file the unit has never initialised one, and it holds nothing. */
function contexts(listing: string, seen: Seen): readonly Item[] {
  const files = filesOf(seen.text('running-config') ?? '');
  return rowsOf(listing).flatMap(({ context }) => (files.get(context) === null ? [] : [{ context }]));
}

/** Of the contexts that were read, those whose file lies on the unit. */
function savedContexts(listing: string, seen: Seen): readonly Item[] {
  const files = filesOf(seen.text('running-config') ?? '');
  return rowsOf(listing).flatMap(({ context }): Item[] => {
    const file = files.get(context) ?? null;
    const wasRead = seen.text(`context-${context}.running-config`) !== null;
    return wasRead && file !== null && localFile.test(file) ? [{ context, file }] : [];
  });
}

function adminContext(listing: string): readonly Item[] {
  return rowsOf(listing).flatMap(({ context, admin }) => (admin ? [{ context }] : []));
}

/* ── Files that a configuration refers to ─────────────────────────────────────────────────── */

/** AnyConnect profiles, and dap.xml where a record of its own exists. */
function profiles(config: string): readonly Item[] {
  const paths = new Set<string>();
  for (const line of config.split('\n')) {
    const [, path] = /^ +(?:anyconnect|svc) profiles \S+ (\S+\.\S+)\s*$/.exec(line) ?? [];
    if (path !== undefined && localFile.test(path)) paths.add(path);
    if (/^dynamic-access-policy-record (?!DfltAccessPolicy\s*$)\S/.test(line)) paths.add('disk0:/dap.xml');
  }
  // `flash:` is another word for `disk0:`.
  const named = [...paths].map((path) => {
    const file = path.replace(/^(?:disk0|flash):\/*/, '').replace(/:?\/+/g, '-');
    return [file, { file, path }] as const;
  });
  return [...new Map(named).values()];
}

/* ── State ────────────────────────────────────────────────────────────────────────────────── */

const masked =
  /^(?!banner |access-list \S+ (?:line \d+ )?remark | *description ).*?(?:key|passw(?:or)?d|pw|community|md5|sha\d*|3des|des|aes|aes \d+|hex|encrypted) (?:[0-9] )?(?:\*{5}|<removed>)(?: |$)/;

/** Such as `18:56:48.410 UTC Wed Apr 5 2017`. */
const instant = /(\d\d):(\d\d):(\d\d)\.?\d* (\S{1,32}) \w{3} (\w{3}) {1,2}(\d{1,2}) (\d{4})/;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const dayMs = 86_400_000;

function timeIn(line: string | undefined): { readonly zone: string; readonly atMs: number } | null {
  const [, hours, minutes, seconds, zone, month, day, year] = instant.exec(line ?? '') ?? [];
  const index = months.indexOf(month ?? '');
  if (zone === undefined || index === -1) return null;
  const clock = [Number(hours), Number(minutes), Number(seconds)] as const;
  return { zone, atMs: Date.UTC(Number(year), index, Number(day), ...clock) };
}

/** Whether the last change is later than the last save; undefined where it cannot be told. */
function changedAfterSave(version: string | null, saved: string | null): boolean | undefined {
  if (version === null) return undefined;
  if (/^Configuration has not been modified since last system restart/m.test(version)) return false;
  const change = timeIn(/^Configuration last modified by .*/m.exec(version)?.[0]);
  const save = timeIn(/^: Written by .*/m.exec(saved ?? '')?.[0]);
  if (change === null || save === null) return undefined;
  // The name of a zone says no offset: across a change of the clocks only days count.
  const slackMs = change.zone === save.zone ? 0 : dayMs;
  const laterMs = change.atMs - save.atMs;
  return Math.abs(laterMs) < slackMs ? undefined : laterMs > 0;
}

/** The unit computes it over the text with keys in clear, so it is alike in a masked display and in the file. */
function checksumOf(config: string): string | undefined {
  return /^Cryptochecksum:([0-9a-f]{32})\s*$/m.exec(config.slice(-400))?.[1];
}

/** The same by checksums, for a context that was read in both forms. */
function differs(running: string, saved: string): boolean | undefined {
  const [one, other] = [checksumOf(running), checksumOf(saved)];
  return one === undefined || other === undefined ? undefined : one !== other;
}

function unsavedIn(seen: Seen, names: readonly string[]): Pick<StateReport, 'unsaved'> {
  const verdicts = [changedAfterSave(seen.text('version'), seen.text('saved'))];
  for (const name of names) {
    const running = seen.text(`context-${name}.running-config`);
    const saved = seen.text(`context-${name}.startup-config`);
    if (running !== null) verdicts.push(saved === null ? undefined : differs(running, saved));
  }
  if (verdicts.includes(true)) return { unsaved: true };
  return verdicts.includes(undefined) ? {} : { unsaved: false };
}

/** Role and states of this unit: one state, or with active/active one for each group. */
function thisUnit(failover: string): { readonly role: string; readonly states: readonly string[] } | null {
  const lines = failover.split('\n').map((line) => line.trim());
  const start = lines.findIndex((line) => line.startsWith('This host:'));
  const [, role, only] = /^This host: +(\w+)(?: +- +(\S.*))?$/.exec(lines[start] ?? '') ?? [];
  if (role === undefined) return null;
  if (only !== undefined) return { role, states: [only] };
  const end = lines.findIndex((line, index) => index > start && /^(?:slot|Other host:)/.test(line));
  const states = lines.slice(start, end === -1 ? undefined : end).flatMap((line) => {
    const [, group, value] = /^(Group \d+) State: +(\S.*)$/.exec(line) ?? [];
    return group === undefined ? [] : [`${group} ${value}`];
  });
  return states.length === 0 ? null : { role, states };
}

/** What `show failover` says of the pair. */
function pairIn(failover: string): StateReport {
  const [, on, how] = /^Failover (On|Off)(?: +\((\S+)\))?\s*$/m.exec(failover) ?? [];
  if (on === 'Off' && how === 'pseudo-Standby') return { ha: `Failover Off (${how})`, standby: true };
  if (on !== 'On') return {};
  const unit = thisUnit(failover);
  const [, mate] = /^[ \t]*Serial Number: Ours \S+, Mate (?=\S{0,63}\d)(\S{1,64})\s*$/m.exec(failover) ?? [];
  const partner = mate === undefined ? {} : { partnerSerials: [mate] };
  if (unit === null) return partner;
  return { ha: `${unit.role} - ${unit.states.join(', ')}`, standby: standsBy(unit.states), ...partner };
}

/** Of several groups one that is active here is enough to be read here. */
function standsBy(states: readonly string[]): boolean {
  const active = states.some((one) => /\bActive\b/.test(one));
  return !active && states.some((one) => /\b(?:Standby|Sync)\b/.test(one));
}

/** Few enough for a line of a table; a unit has up to 250 contexts. */
function some(names: readonly string[]): string {
  return names.length <= 3
    ? names.join(', ')
    : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;
}

const partial = (because: string) => ({ is: 'partial' as const, because });

/** What the lines of the texts do not tell of a unit with several contexts. */
function worthOfContexts(seen: Seen, files: ReadonlyMap<string, string | null>): readonly Short[] {
  if (seen.text('contexts') === null)
    return [partial('its contexts were not listed: only the system configuration is here')];
  const missing: string[] = [];
  const keyless: string[] = [];
  for (const [name, file] of files) {
    const running = seen.text(`context-${name}.running-config`);
    const saved = seen.text(`context-${name}.startup-config`);
    if (running === null && file !== null) missing.push(name);
    const hidesKeys = running?.split('\n').some((line) => masked.test(line)) ?? false;
    if (saved === null && hidesKeys) keyless.push(name);
  }
  const unread = partial(`contexts that were not read: ${some(missing)}`);
  const hidden = partial(`contexts with masked keys and no saved file: ${some(keyless)}`);
  return [...(missing.length === 0 ? [] : [unread]), ...(keyless.length === 0 ? [] : [hidden])];
}
type Short = NonNullable<StateReport['worth']>[number];

function state(seen: Seen): StateReport {
  const config = seen.text('running-config') ?? '';
  const files = inSystem(seen) ? filesOf(config) : new Map<string, string | null>();
  const worth = inSystem(seen) ? [...worthOfContexts(seen, files)] : [];
  if (!inSystem(seen) && (isMultiple(seen) || spaceOf(config) !== null))
    worth.push(partial('the device runs several security contexts and only the one of the login is here'));
  const referred = seen.options.profiles === true ? profiles(config) : [];
  const absent = referred.flatMap(({ file, path = '' }) =>
    seen.text(`file-${file}`) === null ? [path] : [],
  );
  if (absent.length > 0) worth.push(partial(`files that were not read: ${some(absent)}`));
  return {
    ...pairIn(seen.text('failover') ?? ''),
    ...unsavedIn(seen, [...files.keys()]),
    ...(worth.length === 0 ? {} : { worth }),
  };
}

/* ── Messages ─────────────────────────────────────────────────────────────────────────────── */

/** The first of a message: one behind it may be a user name that somebody made up. */
const id = (numbers: string): string =>
  `^(?:(?!%(?:ASA|FTD|PIX)-)[\\s\\S])*?%(?:ASA|FTD|PIX)-(?:\\w{1,32}-)?[0-7]-(?:${numbers}):? +`;

/** What is typed at a privileged prompt and leaves the configuration as it is; saves have messages of their own. */
const noChange =
  /(?:executed|executed the) '(?:sh(?:ow?)?|ter(?:m\w*)?|en(?:a\w*)?(?! +passw)|disable|log(?:in|out)|ex(?:it)?|quit|end|changeto|more|dir|pwd|cd|ping|trace\w*|packet-tracer|cap(?:ture)?|(?:un)?debug|no (?:debug|capture)|help|perfmon|session|test|verify|wr(?:i\w*)?|copy|reload|conf\w* t\w*|clear (?!conf)\S+|(?:no )?failover active)(?:[ ']|$)/;

/** Of every text that is a configuration: of the unit, of a context, and of a saved file. */
const configuration: Completeness = {
  firstLine: /^(?::(?: |$)|ASA Version |Cryptochecksum:)/,
  lastLine: /^: end\s*$/,
  atLeastLines: 6,
  structure: isWhole,
  proof: 'end-marker',
};
const configurationOfContext: Completeness = { ...configuration, structure: isWholeContext };

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
      'a context shows its keys in its saved file alone, and files are read from the system execution space',
      'ytti/oxidized/issues/388',
    ),
    source('a context without config-url is listed all the same', 'ytti/oxidized/issues/562'),
    source(
      'the table of contexts and its wrapped lists of interfaces',
      'CiscoTestAutomation/genieparser/tree/master/src/genie/libs/parser/asa',
    ),
    source(
      '"show failover" names role, state, groups and both serial numbers',
      'networktocode/ntc-templates/tree/d0bc5a48/tests/cisco_asa/show_failover',
    ),
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
              send: '{elevate}',
              leadsTo: [
                'privileged',
                'enablePassword',
                'loginUsername',
                'enableUnset',
                'enableRefused',
                'enableDenied',
              ],
            },
          },
        },
        privileged: { kind: 'prompt', line: new RegExp(`^${fields}# ?$`) },
        /** Named so that a session which lands here stops: nothing is ever typed in configuration mode. */
        configuration: { kind: 'prompt', line: new RegExp(`^${fields}\\([\\w-]{1,64}\\)# ?$`) },
        enablePassword: {
          kind: 'question',
          line: /^Password: ?$/,
          when: ({ elevate }) => elevate !== 'login',
          answer: { credential: 'enable' },
          leadsTo: ['privileged', 'reporting', 'replication', 'enableAgain', 'enableRefused', 'enableDenied'],
        },
        loginUsername: {
          kind: 'question',
          line: /^Username: ?$/,
          when: ({ elevate }) => elevate === 'login',
          answer: { credential: 'username' },
          leadsTo: ['loginPassword', 'enableRefused', 'enableDenied'],
        },
        loginPassword: {
          kind: 'question',
          line: /^Password: ?$/,
          answer: { credential: 'password' },
          leadsTo: [
            'privileged',
            'reporting',
            'replication',
            'enableAgain',
            'loginAgain',
            'enableRefused',
            'enableDenied',
          ],
        },
        loginAgain: { kind: 'dead-end', line: /^Username: ?$/, failsWith: 'login.enable-rejected' },
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
          line: /^(?:% ?)?(?:Access denied|Invalid password|Login (?:failed|incorrect|denied)|Error in authentication|Command authorization failed)/,
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
    {
      name: 'mode',
      keep: 'facts',
      send: 'show mode',
      mayBeRefusedBecause:
        'command authorization may withhold it; the head of the copy tells of contexts then',
    },
    {
      name: 'system',
      keep: 'facts',
      send: 'changeto system',
      when: isMultiple,
      mayBeRefusedBecause: 'only a login in the admin context may leave it',
    },
    {
      name: 'version',
      keep: 'facts',
      send: 'show version',
      mayBeRefusedBecause:
        'command authorization may withhold it; the head of the copy names unit and version too',
    },
    {
      name: 'failover',
      keep: 'facts',
      send: 'show failover',
      mayBeRefusedBecause: 'a context and a narrow account do not have it',
    },
    {
      name: 'saved',
      keep: 'facts',
      send: 'show startup-config | include ^: Written',
      mayBeRefusedBecause: 'a narrow account does not have it',
    },
    {
      name: 'running-config',
      keep: 'artefact',
      firstOf: [
        { send: 'more system:running-config', restorable: 'yes', because: null },
        { send: 'show running-config', restorable: 'no', because: keysAreMasked },
      ],
      wholeWhen: configuration,
    },
    {
      name: 'contexts',
      keep: 'facts',
      send: 'show context',
      when: inSystem,
      mayBeRefusedBecause: 'command authorization may withhold it; the copy is partial then',
    },
    {
      name: 'context-{context}.running-config',
      keep: 'artefact',
      when: inSystem,
      forEach: { over: 'contexts', items: contexts },
      before: ['changeto context {context}'],
      firstOf: [{ send: 'show running-config', restorable: 'yes', because: null }],
      after: ['changeto system'],
      besides: true,
      wholeWhen: configurationOfContext,
    },
    {
      name: 'context-{context}.startup-config',
      keep: 'artefact',
      when: inSystem,
      forEach: { over: 'contexts', items: savedContexts },
      firstOf: [{ send: 'more {file}', restorable: 'yes', because: null }],
      mayBeRefusedBecause: 'a context that was never saved has no file',
      wholeWhen: configurationOfContext,
    },
    {
      name: 'back-to-{context}',
      keep: 'facts',
      when: inSystem,
      forEach: { over: 'contexts', items: adminContext },
      send: 'changeto context {context}',
      mayBeRefusedBecause: 'the session ends here anyway',
    },
    {
      name: 'file-{file}',
      keep: 'artefact',
      when: (seen) => seen.options.profiles === true && !isMultiple(seen),
      forEach: { over: 'running-config', items: profiles },
      firstOf: [{ send: 'more {path}', restorable: 'yes', because: null }],
      mayBeRefusedBecause: 'a file that the configuration refers to may be missing; the copy is partial then',
      wholeWhen: {
        firstLine: /^(?:\xef\xbb\xbf)?</,
        lastLine: />\s*$/,
        atLeastLines: 1,
        structure: isWholeXml,
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
    refused(/^Command not valid in current execution space/, 'Command not valid in current execution space'),
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
    {
      line: /^failover lan unit (?<volatile>primary|secondary)\s*$/,
      act: 'mask',
      inHa: true,
      because: 'the units of a pair differ in it alone: whichever is active is read',
      example: 'failover lan unit primary',
    },
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
    secret(
      'password',
      /<[\w:.-]{0,64}(?:[Pp]assword|[Pp]asswd|[Pp]assphrase|[Ss]ecret|[Ss]haredKey|PSK)(?: [^<>]{0,200})?>(?<secret>(?!(?:true|false)<)[^<>]{1,512})<\//,
      '      <ProxyPassword>n0tr3al</ProxyPassword>',
    ),
    {
      kind: 'private-key',
      line: /(?<secret>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)\s*$/,
      until: /(?<secret>-----END [A-Z ]{0,40}PRIVATE KEY-----)/,
      example: '-----BEGIN RSA PRIVATE KEY-----\nbm90LXJlYWw=\n-----END RSA PRIVATE KEY-----',
    },
  ],

  restorable: [{ line: masked, is: 'no', because: keysAreMasked, example: ' ikev1 pre-shared-key *****' }],

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
      fact: 'version',
      from: 'running-config',
      line: /^ASA Version (?<value>[\d.()]+\S*)/,
      example: 'ASA Version 9.12(4)67 ',
    },
    {
      fact: 'model',
      from: 'running-config',
      line: /^: Hardware: +(?<value>[^\s,]+)/,
      example: ': Hardware:   ASA5512, 4096 MB RAM, CPU Clarkdale 2800 MHz, 1 CPU (2 cores)',
    },
    {
      fact: 'serial',
      from: 'running-config',
      line: /^: Serial Number: (?<value>\S+)/,
      example: ': Serial Number: FCH0000AAAA',
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

  options: [
    {
      name: 'elevate',
      takes: {
        matching: /^(?:enable(?: (?:[1-9]|1[0-5]))?|login)$/,
        expected: '"enable", "enable 1" to "enable 15", or "login"',
      },
      standard: 'enable',
      says: 'What is typed at the prompt ">" to reach "#".',
    },
    {
      name: 'on_standby',
      takes: ['store', 'skip'],
      standard: 'store',
      says: 'What becomes of a copy that was read from the standby unit of a pair.',
    },
    {
      name: 'profiles',
      takes: 'flag',
      standard: false,
      says: 'Also read the AnyConnect profiles and the dap.xml that the configuration refers to.',
    },
  ],

  state,

  changes: {
    messages: [
      {
        line: new RegExp(
          `${id('111010')}User '(?<user>[^']{1,128})', running '[^']{0,64}' from IP (?:0\\.0\\.0\\.0|(?<from>[\\da-fA-F.:]{2,45})), executed '`,
        ),
        butNot: noChange,
        means: 'changed',
        example:
          "<165>Oct 06 2021 15:02:30 192.0.2.10 : %ASA-5-111010: User 'netops', running 'CLI' from IP 192.0.2.77, executed 'object network web-02'",
      },
      {
        line: new RegExp(`${id('111008')}User '(?<user>[^']{1,128})' executed the '`),
        butNot: noChange,
        means: 'changed',
        example: "fw-hq : %ASA-5-111008: User 'enable_15' executed the 'no access-list OUT' command.",
      },
      {
        line: new RegExp(
          `${id('11100[27]')}(?:Begin configuration: )?(?<from>[\\da-fA-F.:]{2,45})? ?.{0,64}?reading from `,
        ),
        means: 'changed',
        example:
          '<165>Nov 08 2013 10:18:30: %ASA-5-111007: Begin configuration: 192.0.2.77 reading from http [POST]',
      },
      {
        line: new RegExp(`${id('111003')}(?<from>[\\da-fA-F.:]{2,45})? ?.{0,64}?[Ee]rase configuration`),
        means: 'changed',
        example: '<165>Nov 08 2013 10:18:30: %ASA-5-111003: 192.0.2.77 Erase configuration',
      },
      {
        line: new RegExp(`${id('11100[45]')}(?<from>[\\da-fA-F.:]{2,45})? ?.{0,64}?end configuration: OK`),
        means: 'saved',
        example: 'Mar 09 2017 10:25:04 fw-hq : %ASA-5-111005: 192.0.2.77 end configuration: OK',
      },
    ],
    device: [
      /(?:^|[\s>])(?<name>[A-Za-z0-9][\w.-]{0,62}) : %(?:ASA|FTD|PIX)-/,
      // Behind a time; three or four capitals there are its zone.
      /\d\d:\d\d:\d\d (?![A-Z]{3,4}[: ])(?<name>[A-Za-z][\w.-]{0,62}):? %(?:ASA|FTD|PIX)-/,
    ],
  },

  outline,
});
