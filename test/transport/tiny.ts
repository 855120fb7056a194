import type { Device } from '../../src/core/device.ts';
import type { ArchiveCommand, Driver } from '../../src/drivers/driver.ts';
import { type Collected, type CollectRequest, collect } from '../../src/transport/collect.ts';
import type { Connection } from '../../src/transport/ssh.ts';
import { createTranscript, type KeptTranscript } from '../../src/transport/transcript.ts';
import { plainDevice } from '../support/device.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { type Feed, type Script, ScriptedChannel, whole } from '../support/scripted-channel.ts';

/** Drivers with the modes and the wire habits of the three platforms, and nothing else. */

const host = '(?<host>[A-Za-z0-9][\\w.-]*)';
const nothing = { sources: [], volatile: [], secrets: [], restorable: [], facts: [], outline: () => [] };

export const asaDriver: Driver = {
  ...nothing,
  id: 'tiny_asa',
  title: 'ASA-like',
  dialogues: [
    {
      channel: 'shell',
      name: 'terminal',
      modes: {
        user: {
          kind: 'prompt',
          line: new RegExp(`^${host}(?:/\\w+)*> ?$`),
          moves: { privileged: { send: 'enable', leadsTo: ['enable', 'privileged', 'denied'] } },
        },
        privileged: { kind: 'prompt', line: new RegExp(`^${host}(?:/\\w+)*# ?$`) },
        enable: {
          kind: 'question',
          line: /^Password: ?$/,
          answer: { credential: 'enable' },
          leadsTo: ['privileged', 'again', 'denied'],
        },
        again: { kind: 'dead-end', line: /^Password: ?$/, failsWith: 'login.enable-rejected' },
        denied: {
          kind: 'dead-end',
          line: new RegExp(`^${host}(?:/\\w+)*> ?$`),
          failsWith: 'login.enable-rejected',
        },
        expired: { kind: 'dead-end', line: /^New password: ?$/, failsWith: 'login.password-expired' },
      },
      greetedBy: ['user', 'privileged', 'expired'],
      worksIn: ['privileged'],
      prepare: ['terminal pager 0'],
      pagers: [{ line: /<--- More --->\s?$/, press: ' ' }],
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
        { send: 'show running-config', restorable: 'no', because: 'keys are masked' },
      ],
      wholeWhen: { lastLine: /^: end$/, atLeastLines: 3, proof: 'end-marker' },
    },
  ],
  refusals: [
    {
      line: /^(?:ERROR: )?% Invalid input/,
      means: 'collect.command-refused',
      example: "ERROR: % Invalid input detected at '^' marker.",
    },
    {
      line: /^Command authorization failed/,
      means: 'collect.command-refused',
      example: 'Command authorization failed',
    },
    { line: /^The system is starting/, means: 'collect.not-ready', example: 'The system is starting' },
  ],
};

/** Balanced outside of quotes, with something in it. */
function balanced(text: string): { whole: true } | { whole: false; because: string } {
  let depth = 0;
  let quoted = false;
  for (const line of text.split('\n')) {
    if (!quoted && /^\s*(?:config|edit) /.test(line)) depth++;
    if (!quoted && /^\s*(?:end|next)$/.test(line)) depth--;
    if ((line.split('"').length - 1) % 2 === 1) quoted = !quoted;
  }
  if (quoted) return { whole: false, because: 'a quote is open' };
  return depth === 0 ? { whole: true } : { whole: false, because: 'a block is open' };
}

export const fortiDriver: Driver = {
  ...nothing,
  id: 'tiny_forti',
  title: 'FortiGate-like',
  dialogues: [
    {
      channel: 'shell',
      name: 'terminal',
      modes: {
        admin: { kind: 'prompt', line: /^(?<host>[\w.-]+~?)(?: \([\w.-]+\))? # ?$/ },
        limited: {
          kind: 'prompt',
          line: /^(?<host>[\w.-]+~?)(?: \([\w.-]+\))? \$ ?$/,
          restorable: { is: 'partial', because: 'the account is limited' },
        },
        disclaimer: {
          kind: 'question',
          line: /\(Press 'a' to accept\): ?$/,
          answer: { text: 'a', enter: false },
          leadsTo: ['admin', 'limited'],
        },
      },
      greetedBy: ['admin', 'limited', 'disclaimer'],
      worksIn: ['admin', 'limited'],
      prepare: [],
      pagers: [{ line: /--More-- ?$/, press: ' ' }],
      leave: ['exit'],
    },
  ],
  commands: [
    { name: 'status', keep: 'facts', send: 'get system status' },
    { name: 'ha', keep: 'facts', send: 'get system ha status', mayBeRefusedBecause: 'some accounts may not' },
    {
      name: 'running-config',
      keep: 'artefact',
      firstOf: [{ send: 'show', restorable: 'yes', because: null }],
      wholeWhen: { firstLine: /^#config/, atLeastLines: 2, structure: balanced, proof: 'structure' },
    },
  ],
  refusals: [
    { line: /^Unknown action/, means: 'collect.command-refused', example: 'Unknown action 0' },
    { line: /^Command fail/, means: 'collect.command-refused', example: 'Command fail. Return code -61' },
  ],
};

export const bigipDriver: Driver = {
  ...nothing,
  id: 'tiny_bigip',
  title: 'BIG-IP-like',
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
        tmsh: {
          kind: 'prompt',
          line: /^\S*@\((?<host>[^()]+)\)(?:\([^()]*\)){1,3}\(tmos\)# ?$/,
        },
        password: {
          kind: 'question',
          line: /^Password: ?$/,
          answer: { credential: 'password' },
          leadsTo: ['tmsh', 'password'],
        },
      },
      greetedBy: ['tmsh', 'password'],
      worksIn: ['tmsh'],
      prepare: [],
      pagers: [
        { line: /^---\(less \d+%\)---$/, press: ' ' },
        { line: /^\(END\)$/, press: 'q' },
        { line: /^Display all \d+ items\? \(y\/n\) ?$/, press: 'y' },
      ],
      leave: ['quit'],
    },
  ],
  commands: [
    { name: 'version', keep: 'facts', send: 'show sys version' },
    {
      name: 'running-config',
      keep: 'artefact',
      before: ['cd /'],
      firstOf: [{ send: 'list recursive', restorable: 'partial', because: 'keys are not in the text' }],
      wholeWhen: { atLeastLines: 2, proof: 'structure' },
    },
  ],
  refusals: [
    { line: /^Syntax Error/, means: 'collect.command-refused', example: 'Syntax Error: x' },
    {
      line: /^The connection to mcpd has been lost/,
      means: 'collect.not-ready',
      example: 'The connection to mcpd has been lost',
    },
  ],
};

export function deviceOf(driver: Driver, change: Partial<Device> = {}): Device {
  const credentials = {
    password: { literal: 'pässword-1' },
    enable: { literal: 'enable-secret-1' },
  };
  return plainDevice({ platform: driver.id, credentials, ...change });
}

/** What one reading of a scripted device came to. */
export interface Played {
  readonly collected: Collected | null;
  /** BackupError or whatever was thrown; null where nothing was. */
  readonly failure: { readonly code?: string; readonly detail?: Record<string, unknown> } | null;
  /** Everything that was typed, over all channels. */
  readonly typed: readonly string[];
  /** The command lines of exec channels. */
  readonly executed: readonly string[];
  readonly transcript: KeptTranscript;
  readonly clock: FakeClock;
  readonly tookMs: number;
  /** How often the connection was ended. */
  readonly ended: number;
}

export interface Play {
  readonly driver: Driver;
  /** The terminal; absent: the device has none to give. */
  readonly shell?: Script;
  /** By command line; absent: the device has no exec. */
  readonly exec?: (line: string) => Script;
  /** What SFTP gives; by path. */
  readonly files?: Readonly<Record<string, Buffer>>;
  readonly feed?: Feed;
  readonly cutAfterBytes?: number;
  readonly device?: Partial<Device>;
  readonly request?: Partial<CollectRequest>;
  /** Called with the clock before anything happens. */
  readonly arrange?: (clock: FakeClock) => void;
}

export function requestFor(play: Play, clock: FakeClock, transcript: KeptTranscript): CollectRequest {
  return {
    device: deviceOf(play.driver, play.device),
    driver: play.driver,
    readSecret: async (ref) => ('literal' in ref ? ref.literal : ''),
    hostKeys: { of: () => [], pin: async () => {}, replace: async () => {} },
    clock,
    signal: new AbortController().signal,
    readTwice: false,
    maxBytes: 64 * 1024 * 1024,
    onProgress: () => {},
    transcript,
    ...play.request,
  };
}

/** A connection to a scripted device that is logged in already. */
export function connectionTo(
  play: Play,
  clock: FakeClock,
  channels: ScriptedChannel[],
  executed: string[],
): Connection & { ends: number } {
  const channel = async (script: Script | undefined, command: string) => {
    const { BackupError } = await import('../../src/core/errors.ts');
    if (script === undefined)
      throw new BackupError('collect.command-refused', { command, reply: 'no such channel' });
    const opened = new ScriptedChannel(clock, script, play.feed ?? whole, play.cutAfterBytes);
    channels.push(opened);
    return opened;
  };
  return {
    connectedAtMs: clock.monotonicMs(),
    ident: 'Test',
    ends: 0,
    shell: () => channel(play.shell, 'shell'),
    exec(line) {
      executed.push(line);
      return channel(play.exec?.(line), line);
    },
    async sftp(path) {
      executed.push(`sftp ${path}`);
      const { BackupError } = await import('../../src/core/errors.ts');
      const file = play.files?.[path];
      if (file === undefined)
        throw new BackupError('collect.command-refused', { command: `sftp ${path}`, reply: 'No such file' });
      return {
        sizeBytes: file.length,
        close: () => {},
        read: async (offset, length) => file.subarray(offset, offset + length),
      };
    },
    async end() {
      this.ends++;
      for (const opened of channels) opened.close();
    },
  };
}

export async function play(plan: Play): Promise<Played> {
  const clock = new FakeClock();
  const transcript = createTranscript({ limitBytes: 1024 * 1024 });
  const channels: ScriptedChannel[] = [];
  const executed: string[] = [];
  const connection = connectionTo(plan, clock, channels, executed);
  plan.arrange?.(clock);
  let collected: Collected | null = null;
  let failure: Played['failure'] = null;
  try {
    const reading = collect(requestFor(plan, clock, transcript), async (request) => {
      // As the real one does: the login password is read before the first packet.
      const { password } = request.device.credentials;
      if (password !== null && password !== undefined) await request.readSecret(password);
      return connection;
    });
    collected = await clock.until(reading);
  } catch (thrown) {
    failure = thrown as Played['failure'];
  }
  return {
    collected,
    failure,
    typed: channels.flatMap((channel) => channel.typed),
    executed,
    transcript,
    clock,
    tookMs: clock.monotonicMs(),
    ended: connection.ends,
  };
}

/* ── Devices ──────────────────────────────────────────────────────────────────────────────── */

export interface AsaOptions {
  readonly banner?: string;
  readonly enable?: string;
  /** Prompts, one per command; the last one stays. */
  readonly prompts?: readonly string[];
  readonly answers?: Readonly<Record<string, string>>;
}

export const asaText =
  ': Saved\n:\nASA Version 9.16(4)\nhostname fw-asa\nbanner motd fw-asa# is here\n caf\xe9 \x00 \x1b[31mred\n: end\n';

const crlf = (text: string) => text.replaceAll('\n', '\r\n');

/** Echoes, stars for the enable password, a lone CR before every prompt. */
export function asa({
  banner = '',
  enable = 'enable-secret-1',
  prompts = ['fw-asa'],
  answers = {},
}: AsaOptions = {}): Script {
  let mode: 'user' | 'asked' | 'enabled' = 'user';
  let asked = 0;
  let at = 0;
  const prompt = () => `\r${prompts[Math.min(at++, prompts.length - 1)]}# `;
  const known: Record<string, string> = {
    'terminal pager 0': '',
    'show version': 'Cisco Adaptive Security Appliance Software Version 9.16(4)\n\nfw-asa up 3 days\n',
    'more system:running-config': asaText,
    ...answers,
  };
  return {
    greeting: [
      `${crlf(banner)}User backup logged in to fw-asa\r\nType help or '?' for a list of available commands.\r\n\rfw-asa> `,
    ],
    typed(text) {
      const line = text.replace(/\n$/, '');
      if (mode === 'asked') {
        mode = line === enable ? 'enabled' : 'asked';
        const stars = `${'*'.repeat(line.length)}\r\n`;
        if (mode === 'enabled') return [stars, prompt()];
        return [`${stars}${++asked < 3 ? 'Password: ' : 'Access denied.\r\n\rfw-asa> '}`];
      }
      if (mode === 'user' && line === 'enable') {
        mode = 'asked';
        return ['enable\r\nPassword: '];
      }
      if (line === 'exit') return ['exit\r\n\r\nLogoff\r\n\r\n', { end: {} }];
      const answer = known[line] ?? "       ^\nERROR: % Invalid input detected at '^' marker.\n";
      return [`${line}\r\n`, crlf(answer), prompt()];
    },
  };
}

export interface FortiOptions {
  readonly prompt?: string;
  readonly greeting?: string;
  readonly answers?: Readonly<Record<string, string>>;
  readonly pageLines?: number;
  /** What takes the pager off the screen. */
  readonly erase?: string;
  readonly marker?: string;
}

export const fortiText = [
  '#config-version=FGT60F-7.2.8:opmode=1:vdom=0:user=backup',
  'config system global',
  '    set hostname "fw-fgt"',
  'end',
  'config firewall address',
  '    edit "web"',
  '        set comment "a prompt and a pager:',
  'fw-fgt # ',
  '--More-- ',
  'and on"',
  '        set subnet 198.51.100.80 255.255.255.255',
  '    next',
  'end',
  '',
].join('\n');

/** Echo with CR CR LF, a pager that is never off, an empty line before the prompt. A key that no pager took is echoed there. */
export function forti({
  prompt = 'fw-fgt # ',
  greeting = prompt,
  answers = {},
  pageLines = 4,
  erase = '\r         \r',
  marker = '--More-- ',
}: FortiOptions = {}): Script {
  const known: Record<string, string> = {
    'get system status': 'Version: FortiGate-60F v7.2.8\nHostname: fw-fgt\n',
    'get system ha status': 'HA Health Status: OK\n',
    show: fortiText,
    ...answers,
  };
  let pages: string[] = [];
  const next = (): string => {
    const page = pages.shift() ?? '';
    return pages.length > 0 ? `${page}${marker}` : `${page}\r\n${prompt}`;
  };
  return {
    greeting: [greeting],
    typed(text) {
      if (text === 'a') return [`\r\n${prompt}`];
      if (text === ' ') return [pages.length > 0 ? `${erase}${next()}` : ' '];
      const line = text.replace(/\n$/, '');
      if (line === 'exit') return ['exit\r\r\n', { end: {} }];
      const lines = crlf(known[line] ?? 'Unknown action 0\n').match(/[^\n]*\n/g) ?? [];
      pages = [];
      for (let from = 0; from < lines.length; from += pageLines)
        pages.push(lines.slice(from, from + pageLines).join(''));
      return [`${line}\r\r\n${next()}`];
    },
  };
}

/** An archive as a BIG-IP gives one. */
export const ucs: ArchiveCommand = {
  name: 'ucs',
  keep: 'archive',
  execLine: '{commands}',
  remove: ['rm -f /var/a.ucs'],
  make: 'save ucs a.ucs passphrase {passphrase}',
  makeOpen: 'save ucs a.ucs',
  madeWhen: /a\.ucs is saved/,
  digest: 'sha256sum /var/a.ucs',
  file: '/var/a.ucs',
  by: 'sftp',
  extension: 'ucs',
};
