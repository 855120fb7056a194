import type { ExecAnswer, Machine, Reply, State } from './machine.ts';
import type { DeviceSpec } from './spec.ts';

/**
 * A BIG-IP: OpenSSH in front of bash, or of tmsh for accounts without bash. As exec, bash runs
 * `tmsh -q -c '…'` without pager and question; a tmsh account parses the line itself and refuses the
 * word `tmsh` (Oxidized issue 3500). Interactive tmsh pages through less in reverse video and asks
 * before it displays many items (Oxidized issue 352).
 */
export function bigipMachine(spec: DeviceSpec): Machine {
  const answers = tmshAnswers(spec);
  const threshold = spec.displayThreshold ?? 0;
  const user = spec.username ?? 'backup';
  // Prompts hold the host name without its domain.
  const [short] = spec.hostname.split('.');
  const tmsh: State = {
    kind: 'prompt',
    prompt: `${user}@(${short}){{status}}({{folder}})(tmos)# `,
    replies: [
      { on: /^cd (\/\S*)$/, folder: '$1' },
      ...answers.map(
        ([command, text]): Reply => ({
          on: exactly(command),
          text,
          confirm: { over: threshold, question: 'Display all {{count}} items? (y/n) ' },
        }),
      ),
      { on: /^(quit|exit)$/, ends: true },
    ],
    unknown: 'Syntax Error: unexpected argument "{{word}}"\n',
  };
  const bash: State = {
    kind: 'prompt',
    prompt: `[${user}@${short}:Active:Standalone] ~ # `,
    replies: [
      { on: /^tmsh$/, to: 'tmsh' },
      { on: /^(exit|logout)$/, text: 'logout\n', ends: true },
    ],
    unknown: '-bash: {{word}}: command not found\n',
  };
  return {
    habits: {
      enter: '\r\n',
      beforePrompt: '',
      scrollsLongLines: false,
      pager: {
        // What less sends to a vt100, recorded: keypad on and off, reverse video, erase to the end of the line.
        opens: spec.pagerSetsKeypad === true ? '\x1b[?1h\x1b=\r' : '',
        closes: spec.pagerSetsKeypad === true ? '\r\x1b[K\x1b[?1l\x1b>' : '',
        marker: (percent) => `\x1b[7m---(less ${percent}%)---\x1b[m\x1b[K`,
        erase: '\r\x1b[K',
        rows: 'terminal',
        atEnd: '\x1b[7m(END)\x1b[m\x1b[K',
        wraps: true,
        pagesGreeting: false,
      },
    },
    greeting: spec.greeting ?? 'Last login: Tue Mar  3 09:12:44 2026 from 192.0.2.9\n',
    start: spec.shell === 'tmsh' ? 'tmsh' : 'bash',
    states: { tmsh, bash },
    exec: (line) => (spec.shell === 'tmsh' ? runTmsh(spec, line) : runBash(spec, line)),
  };
}

/** What tmsh displays, by command. The first answer wins. */
function tmshAnswers(spec: DeviceSpec): readonly (readonly [string, string])[] {
  const { version = '16.1.4.1', model = 'BIG-IP Virtual Edition' } = spec.facts ?? {};
  const serial = spec.facts?.serial ?? '4a5b6c7d-1122-3344-5566778899aa';
  return [
    ...Object.entries(spec.answers ?? {}),
    ['show running-config recursive', '{{config}}'],
    ['list recursive', '{{config}}'],
    ['show sys version', versionText(version)],
    ['show sys mcp-state field-fmt', mcpText],
    ['list sys global-settings hostname', 'sys global-settings {\n    hostname {{host}}\n}\n'],
    ['show sys hardware', hardwareText(model, serial)],
  ];
}

/** One line under bash: `tmsh`, with -q and -c, and nothing else. */
function runBash(spec: DeviceSpec, line: string): ExecAnswer {
  const words = shellWords(line);
  if (words === null)
    return {
      stdout: '',
      stderr: 'bash: -c: line 0: unexpected EOF while looking for matching quote\n',
      exitStatus: 2,
    };
  const [program = '', ...rest] = words;
  if (program !== 'tmsh' || spec.faults?.tmsh === 'missing')
    return { stdout: '', stderr: `bash: ${program}: command not found\n`, exitStatus: 127 };
  const args = rest.filter((word) => word !== '-q');
  if (args[0] === '-c') return runTmsh(spec, args[1] ?? '');
  return runTmsh(spec, args.join(' '));
}

/** Commands as tmsh takes them from `-c` or from an exec request: separated by `;`, the first mistake stops. */
function runTmsh(spec: DeviceSpec, line: string): ExecAnswer {
  if (spec.faults?.tmsh === 'mcpd-lost') return refusal(spec, 'The connection to mcpd has been lost\n');
  let stdout = '';
  for (const command of line.split(';').map((part) => part.trim())) {
    if (command === '' || /^cd \/\S*$/.test(command)) continue;
    const answer = tmshAnswers(spec).find(([known]) => known === command);
    if (answer === undefined) {
      const [word = ''] = command.split(' ');
      const failed = refusal(spec, `Syntax Error: unexpected argument "${word}"\n`);
      return { ...failed, stdout: stdout + failed.stdout };
    }
    stdout += answer[1];
  }
  return { stdout, stderr: '', exitStatus: 0 };
}

function refusal(spec: DeviceSpec, text: string): ExecAnswer {
  return spec.errorsTo === 'stdout'
    ? { stdout: text, stderr: '', exitStatus: 1 }
    : { stdout: '', stderr: text, exitStatus: 1 };
}

/** Words of a POSIX shell line with single and double quotes; null where a quote is not closed. */
function shellWords(line: string): readonly string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? '';
    if (quote !== null) {
      if (character === quote) quote = null;
      else word = (word ?? '') + character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= '';
    } else if (character === ' ') {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? '') + character;
  }
  if (quote !== null) return null;
  if (word !== null) words.push(word);
  return words;
}

function exactly(command: string): RegExp {
  return new RegExp(`^${command.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
}

const mcpText = `
Sys::mcpd State:
----------------
Running Phase                   running
Last Configuration Load Status  full-config-load-succeed
End Platform ID Received        true
`;

function versionText(version: string): string {
  return `
Sys::Version
Main Package
  Product     BIG-IP
  Version     ${version}
  Build       0.0.5
  Edition     Point Release 1
  Date        Fri Sep 15 09:36:16 PDT 2023

`;
}

function hardwareText(model: string, serial: string): string {
  return `
Sys::Hardware
Platform
  Name           ${model}
  BIOS Revision
  Base MAC       00:50:56:00:00:01

System Information
  Type                       Z100
  Chassis Serial             ${serial}
  Level 200/400 Part
  Switchboard Serial
  Host Board Serial

`;
}
