import type { Machine, Reply, State } from './machine.ts';
import type { DeviceSpec } from './spec.ts';

/**
 * A classic ASA. The prompt comes as CR and `HOST# `, the enable password echoes as asterisks, the
 * pager prints `<--- More --->` and erases it with CR, blanks, CR; `terminal pager 0` is refused
 * below privileged mode (Oxidized issue 486). There is no usable exec channel (paramiko issue 360).
 */
export function asaMachine(spec: DeviceSpec): Machine {
  const { version = '9.16(4)57', model = 'ASA5516', serial = 'JAD22480001' } = spec.facts ?? {};
  const refused = 'Command authorization failed\n';
  const invalid = "{{caret}}ERROR: % Invalid input detected at '^' marker.\n";
  const leave: Reply = { on: /^(exit|quit|logout)$/, text: '\nLogoff\n\n', ends: true };
  const pager: Reply = spec.pagerStays
    ? { on: /^terminal pager 0$/, text: refused }
    : { on: /^terminal pager 0$/, pagerOff: true };
  const showVersion = spec.answers?.['show version'] ?? versionText(version, model, serial);
  const config = spec.moreRefused === true ? refused : '{{config}}\n';

  const states: { [name: string]: State } = {
    user: {
      kind: 'prompt',
      prompt: '{{host}}{{status}}> ',
      replies: [
        { on: /^en(able)?$/, to: 'password' },
        { on: /^terminal pager 0$/, text: `${invalid}ERROR: Command authorization failed\n` },
        { on: /^show version$/, text: showVersion },
        leave,
      ],
      unknown: invalid,
    },
    password: {
      kind: 'secret',
      prompt: 'Password: ',
      echo: '*',
      expects: spec.faults?.enableRefused === true ? null : (spec.enable ?? spec.password ?? ''),
      right: 'privileged',
      wrong: { attempts: 3, text: 'Invalid password\n', to: 'user' },
    },
    privileged: {
      kind: 'prompt',
      prompt: '{{host}}{{status}}# ',
      replies: [
        pager,
        { on: /^show version$/, text: showVersion },
        { on: /^show mode$/, text: 'Security context mode: single \n' },
        { on: /^show inventory$/, text: inventoryText(model, serial) },
        { on: /^show failover$/, text: 'Failover Off \nFailover unit Secondary\n' },
        { on: /^show checksum$/, text: 'Cryptochecksum: {{hex:8}} {{hex:8}} {{hex:8}} {{hex:8}} \n' },
        { on: /^more system:running-config$/, text: config },
        { on: /^show running-config$/, text: '{{masked}}\n' },
        leave,
      ],
      unknown: invalid,
    },
  };
  return {
    habits: {
      enter: '\r\n',
      beforePrompt: '\r',
      scrollsLongLines: true,
      pager: {
        opens: '',
        closes: '',
        marker: () => '<--- More --->',
        erase: `\r${' '.repeat(14)}\r`,
        rows: 24,
        atEnd: null,
        wraps: false,
        pagesGreeting: true,
      },
    },
    greeting:
      spec.greeting ??
      `User ${spec.username ?? 'backup'} logged in to ${spec.hostname}\n` +
        'Logins over the last 42 days: 17.  Last login: {{asa-now}} from 192.0.2.9\n' +
        'Failed logins since the last login: 0.  \n' +
        "Type help or '?' for a list of available commands.\n",
    start: spec.autoEnable === true ? 'privileged' : 'user',
    states,
    exec: () => ({
      stdout: "Type help or '?' for a list of available commands.\r\n",
      stderr: '',
      exitStatus: null,
    }),
  };
}

/** What `show running-config` makes of the full text: every key is five asterisks. */
export function starred(config: string): string {
  return config
    .replace(
      /((?:pre-shared-key|ikev1 pre-shared-key|failover key|ldap-login-password) )(?:hex )?\S+/g,
      '$1*****',
    )
    .replace(/^( key )\S+$/gm, '$1*****')
    .replace(/(community )\S+/g, '$1*****')
    .replace(/(md5 )\S+$/gm, '$1*****')
    .replace(/(authentication-key )\S+$/gm, '$1*****');
}

function versionText(version: string, model: string, serial: string): string {
  return `
Cisco Adaptive Security Appliance Software Version ${version} 
SSP Operating System Version 2.10(1.217)
Device Manager Version 7.18(1)

Compiled on Mon 11-Mar-24 15:46 GMT by builders
System image file is "disk0:/asa-image-smp-k8.bin"
Config file at boot was "startup-config"

{{host}} up {{uptime}}
Start-up time 3 secs

Hardware:   ${model}, 8192 MB RAM, CPU Atom C2000 series 2416 MHz, 1 CPU (8 cores)
Internal ATA Compact Flash, 8000MB
BIOS Flash M25P64 @ 0xfed01000, 16384KB

 1: Ext: GigabitEthernet1/1  : address is 0011.2233.4401, irq 255
 2: Ext: GigabitEthernet1/2  : address is 0011.2233.4402, irq 255
 3: Int: Internal-Data1/1    : address is 0011.2233.4400, irq 255
 4: Ext: Management1/1       : address is 0011.2233.4400, irq 0

Licensed features for this platform:
Maximum Physical Interfaces       : Unlimited      perpetual
Maximum VLANs                     : 150            perpetual
Inside Hosts                      : Unlimited      perpetual
Failover                          : Active/Active  perpetual
Encryption-DES                    : Enabled        perpetual
Encryption-3DES-AES               : Enabled        perpetual
Security Contexts                 : 2              perpetual

This platform has a Base license.

Serial Number: ${serial}
Running Permanent Activation Key: 0x00112233 0x44556677 0x8899aabb 0xccddeeff 0x00112233 
Configuration register is 0x1

Image type                : Release
Key Version               : A

Configuration last modified by netops at 09:12:44.871 UTC Tue Mar 3 2026
`;
}

function inventoryText(model: string, serial: string): string {
  return `Name: "Chassis", DESCR: "${model} w/ FirePOWER services, 8GE, AC"
PID: ${model.padEnd(17)}, VID: V05     , SN: ${serial}

`;
}
