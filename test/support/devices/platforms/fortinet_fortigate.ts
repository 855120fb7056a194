import type { FakePlatform, Machine, Reply, State } from '../machine.ts';
import type { DeviceSpec } from '../spec.ts';

/**
 * A FortiGate. The echo of a command ends CR CR LF, an empty line stands before each prompt, and any
 * answer longer than a screen stops at `--More-- `, erased by CR, nine blanks, CR (bytes as in the
 * recorded sessions of Oxidized's FortiGate model). A screen has 24 lines whatever the terminal says.
 */
function fortigateMachine(spec: DeviceSpec): Machine {
  const { version = 'v7.4.8,build2795,250523 (GA.M)', model = 'FortiGate-91G' } = spec.facts ?? {};
  const serial = spec.facts?.serial ?? 'FGT91GTK00000001';
  const leave: Reply = { on: /^(exit|quit)$/, ends: true };
  const header = spec.config.slice(0, 200);
  const vdoms = spec.vdoms ?? (/:vdom=1/.test(header) ? 'multiple' : 'disable');
  // An account of one VDOM: it begins inside of it, and the whole unit is out of its reach.
  const ofOneVdom = /^#global_vdom=0/m.test(header);
  const ha = spec.haMode ?? (spec.prompt?.includes('(Primary)') ? 'a-p, primary' : 'standalone');
  const status = spec.answers?.['get system status'] ?? statusText(version, model, serial, vdoms, ha);
  const haStatus: Reply = { on: /^get system ha status$/, text: spec.haStatus ?? haText(ha, model, serial) };

  const prompt = spec.prompt ?? '{{host}} # ';
  const scopes: readonly Reply[] =
    vdoms === 'disable' || ofOneVdom || spec.globalRefused === true
      ? [
          {
            on: /^config (global|vdom)$/,
            text: "command parse error before '{{word}}'\nCommand fail. Return code -61\n",
          },
        ]
      : [{ on: /^config global$/, to: 'global' }];
  const states: { readonly [name: string]: State } = {
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
        { on: /^show full-configuration$/, text: spec.fullConfig ?? '{{config}}' },
        // With VDOMs the cluster belongs to the global part.
        ...(vdoms === 'disable' ? [haStatus] : []),
        { on: /^get$/, text: 'Command fail. Return code -160\n' },
        ...scopes,
        leave,
      ],
      unknown: 'Unknown action 0\n',
    },
    global: {
      kind: 'prompt',
      prompt: prompt.replace(/ [#$] $/, ' (global)$&'),
      replies: [
        { on: /^show$/, text: spec.globalConfig ?? globalPart(spec.config) },
        haStatus,
        { on: /^(end|exit)$/, to: 'top' },
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

/** What stands between `config global` and its `end`. */
function globalPart(config: string): string {
  const [, part = ''] = /^config global\n([\s\S]*?)^end\n\n/m.exec(config) ?? [];
  return part;
}

/** As 7.x prints it (recorded sessions in the templates of NTC and in Oxidized). */
function haText(mode: string, model: string, serial: string): string {
  if (mode === 'standalone')
    return `HA Health Status: OK\nModel: ${model}\nMode: Standalone\nGroup: 0\nDebug: 0\nnumber of vcluster: 0\n`;
  const other = `${serial.slice(0, -1)}X`;
  const [first, second] = /secondary/.test(mode) ? [other, serial] : [serial, other];
  return `HA Health Status: OK
Model: ${model}
Mode: HA A-P
Group Name: example
Group ID: 7
Debug: 0
Cluster Uptime: 12 days 1:31:39
Cluster state change time: {{now}}
Primary selected using:
    <{{now}}> vcluster-1: ${first} is selected as the primary because its uptime is larger than peer member ${second}.
ses_pickup: enable, ses_pickup_delay=disable
override: disable
Configuration Status:
    ${first}(updated 1 seconds ago): in-sync
    ${first} chksum dump: fe 55 7c e1 08 00 00 00 00 00 00 00 00 00 00 00
    ${second}(updated 2 seconds ago): in-sync
    ${second} chksum dump: fe 55 7c e1 08 00 00 00 00 00 00 00 00 00 00 00
System Usage stats:
    ${first}(updated 1 seconds ago):
        sessions=196, average-cpu-user/nice/system/idle=0%/0%/0%/100%, memory=34%
    ${second}(updated 2 seconds ago):
        sessions=43, average-cpu-user/nice/system/idle=0%/0%/0%/99%, memory=31%
HBDEV stats:
    ${first}(updated 1 seconds ago):
        ha1: physical/1000auto, up, rx-bytes/packets/dropped/errors={{digits:9}}/{{digits:6}}/0/0, tx={{digits:9}}/{{digits:6}}/0/0
Primary     : one              , ${first}, HA cluster index = 0
Secondary   : two              , ${second}, HA cluster index = 1
number of vcluster: 1
vcluster 1: work 169.254.0.1
Primary: ${first}, HA operating index = 0
Secondary: ${second}, HA operating index = 1
`;
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

export const platform: FakePlatform = {
  machine: fortigateMachine,
  ident: 'FortiSSH_2.5',
  methods: ['publickey', 'password'],
  attempts: 3,
  locksOut: true,
};
