import type { FakePlatform, Machine, Reply, State } from '../machine.ts';
import type { AsaContext, DeviceSpec } from '../spec.ts';

const refused = 'Command authorization failed\n';
const invalid = "{{caret}}ERROR: % Invalid input detected at '^' marker.\n";
const leave: Reply = { on: /^(exit|quit|logout)$/, text: '\nLogoff\n\n', ends: true };

/**
 * A classic ASA. The prompt comes as CR and `HOST# `, the enable password echoes as asterisks, the
 * pager prints `<--- More --->` and erases it with CR, blanks, CR; `terminal pager 0` is refused
 * below privileged mode (Oxidized issue 486). There is no usable exec channel (paramiko issue 360).
 *
 * In multiple mode a login ends in a context. The admin context changes to the system execution space, which alone
 * sees files and the text with keys in clear (Oxidized issue 388), and to the other contexts. A context without
 * `config-url` cannot be entered.
 */
function asaMachine(spec: DeviceSpec): Machine {
  const start = landing(spec);
  const first = start?.name ?? null;
  const home = stateOf(first);
  const path = first === null ? '' : `/${first}`;
  const password = spec.faults?.enableRefused === true ? null : (spec.enable ?? spec.password ?? '');
  const wrong = { attempts: 3, text: 'Invalid password\n', to: 'user' };
  const states: { [name: string]: State } = {
    user: {
      kind: 'prompt',
      prompt: `{{host}}${path}{{status}}> `,
      replies: [
        { on: /^en(able)?( \d+)?$/, to: 'password' },
        { on: /^login$/, to: 'username' },
        { on: /^terminal pager 0$/, text: `${invalid}ERROR: Command authorization failed\n` },
        { on: /^show version$/, text: versionOf(spec, first === null ? '' : '<context>') },
        leave,
      ],
      unknown: invalid,
    },
    password: { kind: 'secret', prompt: 'Password: ', echo: '*', expects: password, right: home, wrong },
    username: {
      kind: 'secret',
      prompt: 'Username: ',
      echo: null,
      expects: spec.username ?? 'backup',
      right: 'loginPassword',
      wrong: { ...wrong, text: 'Login failed\n' },
    },
    loginPassword: {
      kind: 'secret',
      prompt: 'Password: ',
      echo: '*',
      expects: spec.faults?.enableRefused === true ? null : (spec.password ?? ''),
      right: home,
      wrong: { ...wrong, text: 'Login failed\n' },
    },
    ...(spec.contexts === undefined ? { privileged: single(spec) } : multiple(spec, spec.contexts)),
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
    start: spec.autoEnable === true ? home : 'user',
    states,
    exec: () => ({
      stdout: "Type help or '?' for a list of available commands.\r\n",
      stderr: '',
      exitStatus: null,
    }),
  };
}

/** What every privileged prompt answers; what the case says comes first. */
function replies(spec: DeviceSpec, own: readonly Reply[], show: string): readonly Reply[] {
  const { model = 'ASA5516', serial = 'JAD22480001' } = spec.facts ?? {};
  const pager: Reply = spec.pagerStays
    ? { on: /^terminal pager 0$/, text: refused }
    : { on: /^terminal pager 0$/, pagerOff: true };
  return [
    pager,
    ...Object.entries(spec.answers ?? {}).map(([command, text]) => ({ on: exactly(command), text })),
    ...Object.entries(spec.files ?? {}).map(([path, text]) => ({ on: exactly(`more ${path}`), text })),
    ...own,
    { on: /^show mode$/, text: `Security context mode: ${spec.contexts ? 'multiple' : 'single'} \n` },
    { on: /^show inventory$/, text: inventoryText(model, serial) },
    { on: /^show failover$/, text: 'Failover Off \nFailover unit Secondary\n' },
    { on: /^show checksum$/, text: 'Cryptochecksum: {{hex:8}} {{hex:8}} {{hex:8}} {{hex:8}} \n' },
    {
      on: /^show startup-config \| include \^: Written$/,
      text: ': Written by netops at 09:13:02.120 UTC Tue Mar 3 2026\n',
    },
    { on: /^show running-config$/, text: show },
    leave,
  ];
}

function single(spec: DeviceSpec): State {
  const config = spec.moreRefused === true ? refused : '{{config}}\n';
  return {
    kind: 'prompt',
    prompt: '{{host}}{{status}}# ',
    replies: replies(
      spec,
      [
        { on: /^show version$/, text: versionOf(spec, '') },
        { on: /^more system:running-config$/, text: config },
        { on: /^changeto\b/, text: invalid },
        noFile,
      ],
      `${starred(spec.config)}\n`,
    ),
    unknown: invalid,
  };
}

const noFile: Reply = { on: /^more disk\d:/, text: '%Error opening disk0:/ (No such file or directory)\n' };

/** The system execution space, before and after something was deleted, and every context. */
function multiple(spec: DeviceSpec, contexts: readonly AsaContext[]): { [name: string]: State } {
  const states: { [name: string]: State } = {
    system: system(spec, contexts),
    systemLater: system(
      spec,
      contexts.filter(({ vanishes }) => vanishes !== true),
    ),
  };
  const guest = landing(spec)?.admin !== true;
  for (const context of contexts) {
    const ways: readonly Reply[] = guest
      ? [{ on: /^changeto\b/, text: invalid }]
      : [{ on: /^changeto system$/, to: 'system' }, ...entrances(contexts)];
    states[stateOf(context.name)] = {
      kind: 'prompt',
      prompt: `{{host}}/${context.name}{{status}}# `,
      replies: replies(
        spec,
        [
          { on: /^show version$/, text: versionOf(spec, '<context>') },
          { on: /^more\b/, text: invalid },
          ...ways,
        ],
        `${starred(textOf(context))}\n`,
      ),
      unknown: invalid,
    };
  }
  return states;
}

function system(spec: DeviceSpec, contexts: readonly AsaContext[]): State {
  return {
    kind: 'prompt',
    prompt: '{{host}}{{status}}# ',
    replies: replies(
      spec,
      [
        { on: /^show version$/, text: versionOf(spec, '<system>') },
        { on: /^show context$/, text: contextTable(contexts) },
        {
          on: /^more system:running-config$/,
          text: spec.moreRefused === true ? refused : '{{config}}\n',
        },
        ...contexts.flatMap((context): Reply[] => {
          const { url, saved } = context;
          if (url === undefined || saved === null) return [];
          return [{ on: exactly(`more ${url}`), text: `${saved ?? textOf(context)}\n` }];
        }),
        noFile,
        { on: /^changeto system$/, to: 'system' },
        ...entrances(contexts),
      ],
      `${starred(spec.config)}\n`,
    ),
    unknown: invalid,
  };
}

/** The ways into contexts. */
function entrances(contexts: readonly AsaContext[]): readonly Reply[] {
  return contexts.map(({ name, url, vanishes }): Reply => {
    const on = exactly(`changeto context ${name}`);
    if (vanishes === true) return { on, text: `ERROR: '${name}' is not valid.\n`, to: 'systemLater' };
    if (url === undefined) return { on, text: "ERROR: Context hasn't been initialized with 'config-url'\n" };
    return { on, to: stateOf(name) };
  });
}

function landing({ contexts, landsIn }: DeviceSpec): AsaContext | undefined {
  return contexts?.find(({ name, admin }) => (landsIn === undefined ? admin === true : name === landsIn));
}

function stateOf(context: string | null): string {
  return context === null ? 'privileged' : `in ${context}`;
}

function exactly(command: string): RegExp {
  return new RegExp(`^${command.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
}

/** As `show context` prints it: two interfaces a line, the rest below in the same column. */
function contextTable(contexts: readonly AsaContext[]): string {
  const rows = contexts.flatMap(({ name, admin, interfaces = '', url = '' }) => {
    const [first = '', ...more] = interfaces.match(/[^,]+(?:,[^,]+)?,?/g) ?? [];
    const mark = `${admin === true ? '*' : ''}${name}`;
    return [
      `${mark.padEnd(17)} ${'default'.padEnd(20)} ${first.padEnd(20)} Routed       ${url}`.trimEnd(),
      ...more.map((line) => `${' '.repeat(39)}${line}`),
    ];
  });
  const head = 'Context Name      Class                Interfaces           Mode         URL';
  return `${[head, ...rows].join('\n')}\nTotal active Security Contexts: ${contexts.length}\n`;
}

/** What runs in a context. */
function textOf({ name, config }: AsaContext): string {
  return (
    config ??
    `: Saved
: Written by netops at 09:13:02.120 UTC Tue Mar 3 2026
!
ASA Version 9.16(4)57 <context>
!
hostname ${name}
names
!
interface inside
 nameif inside
 security-level 100
!
Cryptochecksum:0123456789abcdef0123456789abcdef
: end`
  );
}

/** What `show running-config` makes of the full text: every key is five asterisks. */
function starred(config: string): string {
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

/** `where`: `<system>` or `<context>`, in multiple mode. A context does not know the unit's serial number. */
function versionOf(spec: DeviceSpec, where: string): string {
  const { version = '9.16(4)57', model = 'ASA5516', serial = 'JAD22480001' } = spec.facts ?? {};
  const told = spec.answers?.['show version'];
  if (told !== undefined) return told;
  const text = versionText(`${version} ${where}`, model, serial);
  return where === '<context>' ? text.replace(/^Serial Number: .*\n/m, '') : text;
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

export const platform: FakePlatform = {
  machine: asaMachine,
  ident: 'Cisco-1.25',
  methods: ['password', 'publickey'],
  attempts: 3,
};
