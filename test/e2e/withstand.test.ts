import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import type { DeviceSpec, Faults } from '../support/devices/spec.ts';
import { asaConfig, bigipConfig, fortigateConfig } from '../support/samples.ts';
import { type BackupLine, credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

interface Victim {
  readonly name: string;
  readonly platform: keyof typeof configs;
  readonly what: string;
  readonly spec?: Partial<DeviceSpec>;
  /** Set after the first, good backup. */
  readonly faults: Faults;
  /** Keys of the inventory besides the usual ones. */
  readonly yaml?: readonly string[];
  readonly outcome: BackupLine['outcome'];
  readonly code?: string;
  readonly detail?: Readonly<Record<string, unknown>>;
}

const configs = {
  cisco_asa: { config: asaConfig, hostname: 'fw-asa' },
  fortinet_fortigate: { config: fortigateConfig, hostname: 'fw-fgt' },
  f5_bigip: { config: bigipConfig, hostname: 'lb1' },
} as const;

const short = 'timeouts: { connect: 5s, login: 4s, idle: 2s }';

const victims: readonly Victim[] = [
  {
    name: 'fgt-nothing',
    platform: 'fortinet_fortigate',
    what: 'a FortiGate whose show answers nothing',
    faults: { nothingTo: 'show' },
    outcome: 'failed',
    code: 'verify.incomplete',
    detail: { artefact: 'running-config' },
  },
  {
    name: 'fgt-half',
    platform: 'fortinet_fortigate',
    what: 'output that stops half-way and returns to the prompt',
    faults: { stopAfter: { command: 'show', lines: 30 } },
    outcome: 'failed',
    code: 'verify.incomplete',
    detail: { artefact: 'running-config' },
  },
  {
    name: 'fgt-boundary',
    platform: 'fortinet_fortigate',
    what: 'output that stops on the boundary of an object',
    faults: { stopAfter: { command: 'show', lines: 46 } },
    outcome: 'quarantined',
    code: 'verify.shrunk',
    detail: { lostSections: ['config router multicast'] },
  },
  {
    name: 'fgt-comment',
    platform: 'fortinet_fortigate',
    what: 'a pause right after a comment that holds the prompt',
    faults: { pauseAfter: { text: 'fw-fgt # ', ms: 700 } },
    outcome: 'unchanged',
  },
  {
    name: 'asa-no-end',
    platform: 'cisco_asa',
    what: 'an ASA without `: end`',
    faults: { dropLast: { command: 'more system:running-config', lines: 1 } },
    outcome: 'failed',
    code: 'verify.incomplete',
    detail: { artefact: 'running-config' },
  },
  {
    name: 'fgt-61',
    platform: 'fortinet_fortigate',
    what: '`Command fail. Return code -61`',
    faults: {
      replace: {
        command: 'show',
        with: "command parse error before 'show'\nCommand fail. Return code -61\n",
      },
    },
    outcome: 'failed',
    code: 'collect.command-refused',
    detail: { command: 'show' },
  },
  {
    name: 'asa-invalid',
    platform: 'cisco_asa',
    what: "`% Invalid input detected at '^' marker.`",
    faults: {
      replace: {
        // To every command: each of the others may be refused.
        command: '',
        with: "       ^\nERROR: % Invalid input detected at '^' marker.\n",
      },
    },
    outcome: 'failed',
    code: 'collect.command-refused',
    detail: { command: 'show running-config' },
  },
  {
    name: 'asa-author',
    platform: 'cisco_asa',
    what: '`Command authorization failed` for the copy with keys, so that only the masked one is left',
    faults: { replace: { command: 'more', with: 'Command authorization failed\n' } },
    outcome: 'quarantined',
    code: 'verify.downgraded',
    detail: { was: 'yes', is: 'no' },
  },
  {
    name: 'lb-no-tmsh',
    platform: 'f5_bigip',
    what: '`tmsh: command not found`',
    faults: { tmsh: 'missing' },
    outcome: 'failed',
    code: 'collect.command-refused',
  },
  {
    name: 'lb-mcpd',
    platform: 'f5_bigip',
    what: '`The connection to mcpd has been lost`',
    faults: { tmsh: 'mcpd-lost' },
    outcome: 'failed',
    code: 'collect.not-ready',
  },
  {
    name: 'fgt-cut',
    platform: 'fortinet_fortigate',
    what: 'a connection cut in mid-output',
    faults: { cutAt: { command: 'show', byte: 700 } },
    outcome: 'failed',
    code: 'collect.connection-lost',
    detail: { command: 'show' },
  },
  {
    name: 'asa-cut-early',
    platform: 'cisco_asa',
    what: 'a connection cut before the first prompt',
    faults: { cutAt: { byte: 5 } },
    outcome: 'failed',
    code: 'connect.lost-before-login',
  },
  {
    name: 'asa-silence',
    platform: 'cisco_asa',
    what: 'silence in mid-output',
    faults: { silentAt: { command: 'more', byte: 500 } },
    yaml: [short],
    outcome: 'failed',
    code: 'collect.stalled',
    detail: { command: 'more system:running-config', idleMs: 2000 },
  },
  {
    name: 'fgt-password',
    platform: 'fortinet_fortigate',
    what: 'a wrong password',
    faults: { wrongPassword: true },
    outcome: 'failed',
    code: 'login.rejected',
    detail: { username: 'backup' },
  },
  {
    name: 'asa-enable',
    platform: 'cisco_asa',
    what: 'a refused enable password',
    faults: { enableRefused: true },
    outcome: 'failed',
    code: 'login.enable-rejected',
    detail: { username: 'backup' },
  },
  {
    name: 'asa-host-key',
    platform: 'cisco_asa',
    what: 'a changed host key',
    faults: { otherHostKey: true },
    outcome: 'failed',
    code: 'connect.host-key-changed',
  },
  {
    name: 'asa-old',
    platform: 'cisco_asa',
    what: 'a device that offers old algorithms only',
    faults: { oldAlgorithms: true },
    outcome: 'failed',
    code: 'connect.no-common-algorithm',
    detail: { kind: 'kex' },
  },
  {
    name: 'fgt-disclaimer',
    platform: 'fortinet_fortigate',
    what: 'a disclaimer that has to be accepted',
    spec: { disclaimer: 'Authorised use only. Prompt-like: fw-fgt # \n' },
    faults: {},
    outcome: 'unchanged',
  },
  {
    name: 'asa-pager',
    platform: 'cisco_asa',
    what: 'a pager that cannot be turned off',
    spec: { pagerStays: true },
    faults: {},
    outcome: 'unchanged',
  },
  {
    name: 'fgt-endless',
    platform: 'fortinet_fortigate',
    what: 'an endless output',
    faults: { endless: { command: 'show', line: 'set comment "on and on and on"' } },
    yaml: ['max_runtime: 6s'],
    outcome: 'failed',
    code: 'collect.too-l',
  },
];

const workspace = new Workspace();
const devices = new Map<string, FakeDevice>();
let before: Map<string, BackupLine>;
let after: { code: number | null; lines: Map<string, BackupLine>; stderr: string };
const good = new Map<string, { tree: string; history: string }>();

beforeAll(async () => {
  await workspace.init();
  workspace.env.TEST_PASSWORD = 'hunter2-canary-login';
  workspace.env.TEST_ENABLE = 'hunter3-canary-enable';
  let inventory = `${credentialsYaml}devices:\n`;
  for (const { name, platform, spec, yaml } of victims) {
    const device = await startFakeDevice({
      platform,
      ...configs[platform],
      username: 'backup',
      password: 'hunter2-canary-login',
      enable: 'hunter3-canary-enable',
      ...spec,
    });
    devices.set(name, device);
    inventory += deviceYaml({ name, platform, port: device.port }, ...(yaml ?? []));
  }
  workspace.inventory(inventory);
  const trusted = await workspace.run(['trust', '--all', '--yes']);
  expect(trusted.stderr + trusted.stdout, 'trust').toBeDefined();
  expect(trusted.code, trusted.stderr).toBe(0);
  const first = await workspace.backup();
  before = first.lines;
  expect(first.code, first.stderr).toBe(0);
  for (const { name } of victims) good.set(name, await kept(name));
  for (const { name, faults } of victims) devices.get(name)?.setFaults(faults);
  workspace.inventory(
    inventory +
      deviceYaml({ name: 'unresolved', platform: 'cisco_asa', port: 22, host: 'no-such-host.invalid' }),
  );
  for (const device of devices.values()) loginsBefore.set(device, device.logins);
  after = await workspace.backup();
}, 180_000);

const loginsBefore = new Map<FakeDevice, number>();

/** The stored file and the commits that touched it. */
async function kept(name: string): Promise<{ tree: string; history: string }> {
  const path = before.get(name)?.artefacts[0]?.path ?? '';
  return {
    tree: await workspace.git('rev-parse', `main:${path}`),
    history: await workspace.git('log', '--format=%H', 'main', '--', path),
  };
}

afterAll(async () => {
  for (const device of devices.values()) {
    expect(device.sessions).toBe(0);
    await device.stop();
  }
  workspace[Symbol.dispose]();
});

describe('what a backup must withstand', () => {
  it('reads every device when nothing is wrong', () => {
    expect([...before.values()].map(({ outcome }) => outcome)).toEqual(victims.map(() => 'changed'));
  });

  it('ends with exit code 3 and a line for every device', () => {
    expect(after.code).toBe(3);
    expect([...after.lines.keys()].sort()).toEqual([...victims.map(({ name }) => name), 'unresolved'].sort());
  });

  it.each(victims.map((victim) => [victim.what, victim] as const))('%s', async (_what, victim) => {
    const line = after.lines.get(victim.name);
    expect(line?.outcome, JSON.stringify(line)).toBe(victim.outcome);
    if (victim.code === undefined) expect(line?.error).toBeNull();
    else {
      expect(line?.error?.code).toContain(victim.code);
      expect(line?.error?.detail).toMatchObject(victim.detail ?? {});
      expect(line?.error?.message).toMatch(/\S/);
      expect(line?.error?.todo).toMatch(/\S/);
    }
    expect(await kept(victim.name), 'the last good file and its history').toEqual(good.get(victim.name));
  });

  it('says that a name does not resolve', () => {
    expect(after.lines.get('unresolved')?.error).toMatchObject({
      code: 'connect.unresolved',
      stage: 'connect',
      detail: { host: 'no-such-host.invalid' },
    });
  });

  it('tries a wrong password exactly once', () => {
    const device = devices.get('fgt-password');
    expect((device?.logins ?? 0) - (loginsBefore.get(device as FakeDevice) ?? 0)).toBe(1);
  });

  it('sends no password to a device whose host key changed', () => {
    const device = devices.get('asa-host-key');
    expect(device?.logins).toBe(loginsBefore.get(device as FakeDevice));
  });

  it('names the algorithm that would help, and works when it is allowed', async () => {
    const detail = after.lines.get('asa-old')?.error?.detail ?? {};
    expect(detail.allowable).toContain('diffie-hellman-group14-sha1');
    expect(after.lines.get('asa-old')?.error?.todo).toContain('diffie-hellman-group14-sha1');
  });

  it('logs a line with the words `backup failure` for each of them and for no other', () => {
    const lines = after.stderr.split('\n').filter((line) => line.includes('backup failure'));
    const bad = [...after.lines.values()].filter(({ error }) => error !== null);
    expect(lines).toHaveLength(bad.length);
    for (const { device } of bad) expect(lines.some((line) => line.includes(device))).toBe(true);
  });

  it('leaves the canaries of both passwords nowhere', async () => {
    const everything = JSON.stringify([...after.lines.values()]) + after.stderr;
    expect(everything).not.toContain('canary');
    const grep = await workspace.git('grep', '-c', 'canary', 'main').catch(() => '');
    expect(grep).toBe('');
  });

  it('records every run in the ledger', async () => {
    const { stdout } = await workspace.run(['runs', '--json']);
    const rows = JSON.parse(stdout) as { device: string; state: string }[];
    expect(rows).toHaveLength(victims.length * 2 + 1);
    expect(rows.filter(({ state }) => state === 'running')).toEqual([]);
  });
});
