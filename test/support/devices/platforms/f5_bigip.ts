import { failed, runBash } from '../bigip-bash.ts';
import type { ExecAnswer, FakePlatform, Machine, Reply, State } from '../machine.ts';
import type { DeviceSpec } from '../spec.ts';

/**
 * A BIG-IP: OpenSSH in front of bash, or of tmsh for accounts without bash. As exec, bash runs
 * `tmsh -q -c '…'` without pager and question; a tmsh account parses the line itself and refuses the
 * word `tmsh` (Oxidized issue 3500). Interactive tmsh pages through less in reverse video and asks
 * before it displays many items (Oxidized issue 352). With an expired password, OpenSSH runs no command
 * without a terminal, and `passwd` in place of the shell with one (do_pwchange in its session.c).
 */
function bigipMachine(spec: DeviceSpec): Machine {
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
  const passwd: State = {
    kind: 'secret',
    prompt: '(current) UNIX password: ',
    echo: '',
    expects: null,
    right: 'passwd',
    wrong: { attempts: 1, text: 'passwd: Authentication token manipulation error\n', to: 'passwd' },
  };
  const expired = spec.faults?.passwordExpired === true;
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
    greeting: expired
      ? `${expiredText}You must change your password now and login again!\nChanging password for user ${user}.\n`
      : (spec.greeting ?? 'Last login: Tue Mar  3 09:12:44 2026 from 192.0.2.9\n'),
    start: expired ? 'passwd' : spec.shell === 'tmsh' ? 'tmsh' : 'bash',
    states: { tmsh, bash, passwd },
    exec: (line) => {
      if (expired) return failed(`${expiredText}Password change required but no TTY available.\n`);
      return spec.shell === 'tmsh'
        ? runTmsh(spec, line)
        : runBash(spec, line, (commands) => runTmsh(spec, commands));
    },
  };
}

/** What tmsh displays, by command. The first answer wins. */
function tmshAnswers(spec: DeviceSpec): readonly (readonly [string, string])[] {
  const { version = '16.1.4.1', model = 'BIG-IP Virtual Edition' } = spec.facts ?? {};
  const serial = spec.facts?.serial ?? '4a5b6c7d-1122-3344-5566778899aa';
  const { failover = 'ACTIVE', sync = 'Standalone', phase = 'running', load = 'succeed' } = spec.bigip ?? {};
  return [
    ...Object.entries(spec.answers ?? {}),
    ['show running-config recursive', '{{config}}'],
    ['list recursive', '{{config}}'],
    ['show sys version', versionText(version)],
    [
      'show sys mcp-state field-fmt',
      `sys mcp-state {\n    end-platform-id-received true\n    last-load full-config-load-${load}\n    phase ${phase}\n}\n`,
    ],
    ['show cm failover-status field-fmt', failoverText(failover)],
    ['show cm sync-status field-fmt', syncText(sync, spec.hostname)],
    ['list auth partition', partitionsIn(spec.config)],
    ['list sys global-settings hostname', 'sys global-settings {\n    hostname {{host}}\n}\n'],
    ['show sys hardware', hardwareText(model, serial)],
  ];
}

/** Commands as tmsh takes them from `-c` or from an exec request: separated by `;`, the first mistake stops. */
function runTmsh(spec: DeviceSpec, line: string): ExecAnswer {
  if (spec.faults?.tmsh === 'mcpd-lost') return refusal(spec, 'The connection to mcpd has been lost\n');
  let stdout = '';
  for (const command of line.split(';').map((part) => part.trim())) {
    if (command === '' || /^cd \/\S*$/.test(command)) continue;
    const archive = /^save sys (ucs|config file) (\S+) ?(?:passphrase \S+|no-passphrase)?$/.exec(command);
    if (archive !== null) return saveArchive(spec, archive[1] === 'ucs' ? 'ucs' : 'scf', archive[2] ?? '');
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

/** A UCS is one file; a single configuration file has a second one beside it. */
function saveArchive(spec: DeviceSpec, kind: 'ucs' | 'scf', name: string): ExecAnswer {
  if (spec.shell === 'tmsh')
    return refusal(spec, '01070822:3: Access Denied: the user may not save archives\n');
  if (spec.bigip?.diskFull === true)
    return refusal(
      spec,
      'Error during config save.\ntar: Error is not recoverable: No space left on device\n',
    );
  const path = `/var/local/${kind}/${name}`;
  // A file is displayed as it is: without what is filled in at each display.
  const text = spec.config.replace(/\{\{|\}\}/g, '');
  const octets = `\x1f\x8b\x08\x00${text}\x00\xff`.repeat(3);
  return kind === 'ucs'
    ? {
        stdout: `Saving active configuration...\n${path} is saved.\n`,
        stderr: '',
        exitStatus: 0,
        files: { [path]: octets },
      }
    : {
        stdout: `Saving running configuration...\n  ${path}\n  ${path}.tar\n`,
        stderr: '',
        exitStatus: 0,
        files: { [path]: text, [`${path}.tar`]: octets },
      };
}

function refusal(spec: DeviceSpec, text: string): ExecAnswer {
  return spec.errorsTo === 'stdout' ? { stdout: text, stderr: '', exitStatus: 1 } : failed(text);
}

function exactly(command: string): RegExp {
  return new RegExp(`^${command.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
}

const expiredText = 'WARNING: Your password has expired.\n';

/** As the objects of the configuration show them. */
function partitionsIn(config: string): string {
  return [...config.matchAll(/^auth partition \S+ \{(?: \}|\n(?: .*\n)*\})$/gm)]
    .map(([text]) => `${text}\n`)
    .join('');
}

/** As `show cm sync-status field-fmt` prints it (README of simonkowallik/tcl-smock); this one by analogy. */
function failoverText(status: string): string {
  return `cm failover-status {
    color ${status === 'ACTIVE' ? 'green' : 'gray'}
    status ${status}
    summary ${status === 'ACTIVE' ? '1/1 active' : '1/1 standby'}
}
`;
}

function syncText(status: string, host: string): string {
  const standalone = status === 'Standalone';
  return `cm cmi-sync-status {
    color ${standalone || status === 'In Sync' ? 'green' : 'yellow'}
    details.0.details ${standalone ? `${host}: standalone` : `/Common/pair (${status}): status of the group`}
    mode ${standalone ? 'standalone' : 'high-availability'}
    status ${status}
    summary
}
`;
}

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

export const platform: FakePlatform = {
  machine: bigipMachine,
  ident: 'OpenSSH_7.4',
  methods: ['publickey', 'keyboard-interactive'],
  attempts: 6,
};
