import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCase } from '../support/devices/cases.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import type { DeviceSpec } from '../support/devices/spec.ts';
import { fortigateConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

/* A FortiGate through the whole program: SSH, git, the ledger and sealed copies are the real ones. */

const workspace = new Workspace();
const platform = 'fortinet_fortigate';

const [first, second, scp] = ['ha-pair-primary', 'ha-pair-secondary', 'scp'].map((name) => {
  const { device } = loadCase(platform, name);
  return { ...device, password: 'pass', username: 'backup' };
}) as [DeviceSpec, DeviceSpec, DeviceSpec];

let rotating: FakeDevice;
let pair: FakeDevice;
let byFile: FakeDevice;
let withoutFile: FakeDevice;

const outcomeOf = async (name: string): Promise<string> => {
  const { lines, stderr } = await workspace.backup(name);
  const line = lines.get(name);
  return line?.error == null
    ? (line?.outcome ?? stderr)
    : `${line.outcome}: ${line.error.code} ${line.error.message}`;
};

const commits = async (name: string): Promise<number> =>
  Number(await workspace.git('rev-list', '--count', 'main', '--', `default/${name}/running-config.cfg`));

const restored = async (name: string): Promise<string> => {
  const { code, stdout, stderr } = await workspace.run(['restore', name, '--identity', workspace.identity]);
  expect(code, stderr).toBe(0);
  return stdout;
};

beforeAll(async () => {
  const login = { platform, username: 'backup', password: 'pass' } as const;
  [rotating, pair, byFile, withoutFile] = await Promise.all([
    startFakeDevice({ ...login, hostname: 'fw-fgt', config: fortigateConfig }),
    startFakeDevice(first),
    startFakeDevice(scp),
    startFakeDevice({ ...login, hostname: 'fw-fgt', config: fortigateConfig }),
  ]);
  await workspace.init();
  workspace.env.TEST_PASSWORD = 'pass';
  workspace.env.TEST_ENABLE = 'pass';
  const yaml = (name: string, { port, fingerprint }: FakeDevice, ...more: string[]) =>
    deviceYaml({ name, platform, port, hostKey: fingerprint }, ...more);
  workspace.inventory(
    `${credentialsYaml}devices:\n${[
      yaml('rotating', rotating),
      yaml('pair', pair),
      yaml('by-file', byFile, 'options: { method: scp }'),
      yaml('no-file', withoutFile, 'options: { method: scp }'),
    ].join('')}`,
  );
});

afterAll(async () => {
  await Promise.all([rotating, pair, byFile, withoutFile].map((device) => device?.stop()));
  workspace[Symbol.dispose]();
});

describe('a FortiGate that encrypts its passwords anew at every display', () => {
  it('makes no commit by that, and the newest full text is what is restored', async () => {
    expect(await outcomeOf('rotating')).toBe('changed');
    const before = await restored('rotating');
    for (const _again of [1, 2]) expect(await outcomeOf('rotating')).toBe('unchanged');
    expect(await commits('rotating')).toBe(1);
    const after = await restored('rotating');
    const shows = rotating.displayed.filter(({ command }) => command === 'show').map(({ text }) => text);
    expect(after).toBe(shows.at(-1));
    expect(after).not.toBe(before);
    const secrets = (text: string) => /set password ENC (\S+)/.exec(text)?.[1];
    expect(secrets(after)).not.toBe(secrets(before));
    expect(await workspace.git('show', 'main:default/rotating/running-config.cfg')).not.toContain(
      secrets(after) ?? 'nothing',
    );
  }, 120_000);
});

describe('a FortiGate cluster', () => {
  it('makes no commit and no alarm when the other unit takes over, and back', async () => {
    expect(await outcomeOf('pair')).toBe('changed');
    for (const unit of [second, first]) {
      const { port } = pair;
      await pair.stop();
      pair = await startFakeDevice(unit, port);
      expect(await outcomeOf('pair')).toBe('unchanged');
      expect(await restored('pair')).toContain(`set hostname "${unit.hostname}"`);
    }
    expect(await commits('pair')).toBe(1);
  }, 120_000);
});

describe('a FortiGate whose file is fetched', () => {
  it('gives the file octet by octet for a restore, and lines without CR to git', async () => {
    expect(await outcomeOf('by-file')).toBe('changed');
    expect(byFile.received).not.toContain('show');
    const text = await restored('by-file');
    expect(text).toContain('\r\n--More-- \r\nend of it"\r\n');
    expect(await workspace.git('show', 'main:default/by-file/running-config.cfg')).not.toContain('\r');
  }, 120_000);

  it('is refused where there is no such file, and not read in another way', async () => {
    expect(await outcomeOf('no-file')).toMatch(/^failed: collect\.command-refused .*sys_config/);
    expect(withoutFile.received).not.toContain('show');
  }, 120_000);
});
