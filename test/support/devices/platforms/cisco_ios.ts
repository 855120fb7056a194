import type { FakePlatform, Machine, Reply, State } from '../machine.ts';
import type { DeviceSpec } from '../spec.ts';

/**
 * A switch with IOS-XE. The enable password does not echo; the pager prints ` --More-- ` and takes it back with
 * backspaces. `show privilege` tells the level of the login (`privilegeLevel`). An exec request is answered as on a
 * terminal, one command a connection; it is not used.
 */
function iosMachine(spec: DeviceSpec): Machine {
  const { version = '17.09.04a', model = 'C9200L-24P-4G', serial = 'JAE24000001' } = spec.facts ?? {};
  const invalid = "{{caret}}% Invalid input detected at '^' marker.\n\n";
  const leave: Reply = { on: /^(exit|quit|logout)$/, text: '', ends: true };
  const showVersion: Reply = {
    on: /^show version$/,
    text: spec.answers?.['show version'] ?? versionText(version, model, serial),
  };
  const level = spec.privilegeLevel ?? 15;
  const privilege: Reply = {
    on: /^show privilege$/,
    text: spec.answers?.['show privilege'] ?? `Current privilege level is ${level}\n`,
  };

  const states: { [name: string]: State } = {
    user: {
      kind: 'prompt',
      prompt: '{{host}}>',
      replies: [{ on: /^en(able)?$/, to: 'password' }, showVersion, leave],
      unknown: invalid,
    },
    password: {
      kind: 'secret',
      prompt: 'Password: ',
      echo: '',
      expects: spec.faults?.enableRefused === true ? null : (spec.enable ?? spec.password ?? ''),
      right: 'privileged',
      wrong: { attempts: 3, text: '% Bad secrets\n\n', to: 'user' },
    },
    privileged: {
      kind: 'prompt',
      prompt: '{{host}}#',
      replies: [
        ...(spec.pagerStays === true ? [] : [{ on: /^terminal length 0$/, pagerOff: true as const }]),
        { on: /^terminal width \d+$/, text: '' },
        showVersion,
        privilege,
        { on: /^show running-config$/, text: '{{config}}\n' },
        leave,
      ],
      unknown: invalid,
    },
  };
  return {
    habits: {
      enter: '\r\n',
      beforePrompt: '',
      scrollsLongLines: true,
      pager: {
        opens: '',
        closes: '',
        marker: () => ' --More-- ',
        erase: `${'\b'.repeat(9)}${' '.repeat(8)}${'\b'.repeat(9)}`,
        rows: 24,
        atEnd: null,
        wraps: false,
        pagesGreeting: false,
      },
    },
    greeting: spec.greeting ?? '\n',
    start: spec.autoEnable === true ? 'privileged' : 'user',
    states,
    exec: () => ({ stdout: '', stderr: '', exitStatus: null }),
  };
}

function versionText(version: string, model: string, serial: string): string {
  return `Cisco IOS XE Software, Version ${version}
Cisco IOS Software [Cupertino], Catalyst L3 Switch Software (CAT9K_LITE_IOSXE), Version 17.9.4a, RELEASE SOFTWARE (fc3)
Technical Support: http://www.cisco.com/techsupport
Compiled Fri 20-Oct-23 10:33 by mcpre

ROM: IOS-XE ROMMON
BOOTLDR: System Bootstrap, Version 17.9.1r [FC13], RELEASE SOFTWARE (P) 

{{host}} uptime is {{uptime}}, 1 hour, 16 minutes
Uptime for this control processor is {{uptime}}, 1 hour, 17 minutes
System returned to ROM by Reload Command
System image file is "flash:cat9k_lite_iosxe.17.09.04a.SPA.bin"
Last reload reason: Reload Command

cisco ${model} (ARM64) processor with 519464K/3071K bytes of memory.
Processor board ID ${serial}
2048K bytes of non-volatile configuration memory.

Base Ethernet MAC Address          : 00:11:22:33:44:00
Motherboard Serial Number          : ${serial}
Model Number                       : ${model}
System Serial Number               : ${serial}

Configuration register is 0x102

`;
}

export const platform: FakePlatform = {
  machine: iosMachine,
  ident: 'Cisco-1.25',
  methods: ['publickey', 'keyboard-interactive', 'password'],
  attempts: 3,
};
