import type { Machine, Reply, State } from './machine.ts';
import type { DeviceSpec } from './spec.ts';

/**
 * A FortiGate. The echo of a command ends CR CR LF, an empty line stands before each prompt, and any
 * answer longer than a screen stops at `--More-- `, erased by CR, nine blanks, CR (bytes as in the
 * recorded sessions of Oxidized's FortiGate model). A screen has 24 lines whatever the terminal says.
 */
export function fortigateMachine(spec: DeviceSpec): Machine {
  const { version = 'v7.4.8,build2795,250523 (GA.M)', model = 'FortiGate-91G' } = spec.facts ?? {};
  const serial = spec.facts?.serial ?? 'FGT91GTK00000001';
  const leave: Reply = { on: /^(exit|quit)$/, ends: true };
  const vdoms = /vdom=1/.test(spec.config.slice(0, 200)) ? 'multiple' : 'disable';
  const ha = spec.prompt?.includes('(Primary)') ? 'a-p, primary' : 'standalone';
  const status = spec.answers?.['get system status'] ?? statusText(version, model, serial, vdoms, ha);

  const prompt = spec.prompt ?? '{{host}} # ';

  const states: { [name: string]: State } = {
    ...(spec.disclaimer === undefined
      ? {}
      : {
          disclaimer: {
            kind: 'key',
            prompt: `${spec.disclaimer}\n(Press 'a' to accept):`,
            keys: { a: { echo: '\r\n', to: 'top' } },
          } satisfies State,
        }),
    top: {
      kind: 'prompt',
      prompt,
      replies: [
        { on: /^get system status$/, text: status },
        { on: /^show$/, text: '{{config}}' },
        { on: /^show full-configuration$/, text: '{{config}}' },
        { on: /^get system ha status$/, text: 'HA Health Status: OK\nModel: {{model}}\nMode: Standalone\n' },
        { on: /^get$/, text: 'Command fail. Return code -160\n' },
        leave,
      ],
      unknown: 'Unknown action 0\n',
    },
  };
  return {
    habits: {
      enter: '\r\r\n',
      beforePrompt: '\r\n',
      scrollsLongLines: false,
      pager: {
        opens: '',
        closes: '',
        marker: () => '--More-- ',
        erase: `\r${' '.repeat(9)}\r`,
        rows: 24,
        atEnd: null,
        wraps: false,
        pagesGreeting: false,
      },
    },
    greeting: spec.greeting ?? '',
    start: spec.disclaimer === undefined ? 'top' : 'disclaimer',
    states,
    // An exec request is accepted, and its output comes between two prompts (reported for Ansible and paramiko).
    exec: (line) => ({
      stdout: `${prompt}${line === 'show' ? '{{config}}' : line === 'get system status' ? status : 'Unknown action 0\n'}\n${prompt}`,
      stderr: '',
      exitStatus: 0,
    }),
  };
}

function statusText(version: string, model: string, serial: string, vdoms: string, ha: string): string {
  return `Version: ${model} ${version}
First GA patch build date: 230509
Security Level: High
Firmware Signature: certified
Virus-DB: 93.{{digits:5}}({{now}})
Extended DB: 93.{{digits:5}}({{now}})
AV AI/ML Model: 4.03476(2025-11-26 19:45)
IPS-DB: 34.00122(2025-11-20 01:21)
IPS-ETDB: 0.00000(2001-01-01 00:00)
APP-DB: 34.00124(2025-11-25 00:56)
FMWP-DB: 25.00090(2025-09-15 13:20)
IPS Malicious URL Database: 5.00603(2025-11-21 01:46)
IoT-Detect: 35.00125(2025-11-25 16:28)
OT-Detect-DB: 34.00123(2025-11-21 15:16)
OT-Patch-DB: 34.00123(2025-11-21 13:21)
OT-Threat-DB: 34.00122(2025-11-20 01:20)
IPS-Engine: 7.00575(2025-07-03 18:00)
Serial-Number: ${serial}
BIOS version: 06000100
System Part-Number: P28792-06
Log hard disk: Available
Hostname: {{host}}
Private Encryption: Disable
Operation Mode: NAT
Current virtual domain: root
Max number of virtual domains: 10
Virtual domains status: 1 in NAT mode, 0 in TP mode
Virtual domain configuration: ${vdoms}
FIPS-CC mode: disable
Current HA mode: ${ha}
Branch point: 2795
Release Version Information: GA
System time: {{now}}
Last reboot reason: warm reboot
`;
}
