import type { FakePlatform, Machine, State } from '../machine.ts';
import type { DeviceSpec } from '../spec.ts';

/**
 * A firewall with PAN-OS. In configuration mode every answer is followed by `[edit]` before the prompt comes; `show`
 * prints the candidate configuration there. The pager is `less`. `pendingChanges`: somebody did not commit.
 * `answers` may say that it is one of a pair, or that Panorama manages it.
 */
function panosMachine(spec: DeviceSpec): Machine {
  const { version = '10.2.9-h1', model = 'PA-3220', serial = '016301000001' } = spec.facts ?? {};
  const user = spec.username ?? 'backup';
  const unknown = 'Unknown command: {{line}}\n';
  const edited = (text: string): string => `${text}[edit]\n`;
  const pending = spec.pendingChanges === true ? 'yes' : 'no';
  const answer = (command: string, otherwise: string): string => spec.answers?.[command] ?? otherwise;

  const states: { [name: string]: State } = {
    operational: {
      kind: 'prompt',
      prompt: `${user}@{{host}}{{status}}> `,
      replies: [
        {
          on: /^set cli pager off$/,
          ...(spec.pagerStays === true ? { text: unknown } : { pagerOff: true as const }),
        },
        { on: /^set cli (?:terminal width \d+|config-output-format set)$/, text: '' },
        { on: /^show system info$/, text: answer('show system info', systemText(version, model, serial)) },
        {
          on: /^show high-availability state$/,
          text: answer('show high-availability state', '\nHA not enabled\n\n'),
        },
        { on: /^show panorama-status$/, text: answer('show panorama-status', '\n') },
        { on: /^configure$/, text: edited('Entering configuration mode\n'), to: 'configuration' },
        { on: /^(?:exit|quit)$/, text: '', ends: true },
      ],
      unknown,
    },
    configuration: {
      kind: 'prompt',
      prompt: `${user}@{{host}}{{status}}# `,
      replies: [
        { on: /^check pending-changes$/, text: edited(`${pending}\n\n`) },
        { on: /^show$/, text: edited('{{config}}') },
        { on: /^(?:exit|quit)$/, text: 'Exiting configuration mode\n', to: 'operational' },
      ],
      unknown: edited(unknown),
    },
  };
  return {
    habits: {
      enter: '\r\n',
      beforePrompt: '',
      scrollsLongLines: false,
      pager: {
        opens: '',
        closes: '',
        marker: () => 'lines 1-23 ',
        erase: '\r\x1b[K',
        rows: 24,
        atEnd: null,
        wraps: false,
        pagesGreeting: false,
      },
    },
    greeting:
      spec.greeting ??
      `Last login: Tue Mar  3 09:10:01 2026 from 192.0.2.9\n\nNumber of failed attempts since last successful login: 0\n\n\n`,
    start: 'operational',
    states,
    exec: () => ({ stdout: '', stderr: '', exitStatus: null }),
  };
}

function systemText(version: string, model: string, serial: string): string {
  return `
hostname: {{host}}
ip-address: 192.0.2.31
netmask: 255.255.255.0
default-gateway: 192.0.2.1
time: {{now}}
uptime: {{uptime}}, 3:11:05
family: 3200
model: ${model}
serial: ${serial}
sw-version: ${version}
app-version: 8800-{{digits:4}}
av-version: 4700-{{digits:4}}
multi-vsys: off
operational-mode: normal

`;
}

export const platform: FakePlatform = {
  machine: panosMachine,
  ident: 'OpenSSH_12.1',
  methods: ['publickey', 'password', 'keyboard-interactive'],
  attempts: 6,
};
