import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { bigipConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

/* Archives of a BIG-IP through the whole program: made, checked, fetched, sealed, restored. */

const workspace = new Workspace();
const passphrase = 'c4n4ryPassphrase';
let lb1: FakeDevice;
let lb2: FakeDevice;

beforeAll(async () => {
  const login = { platform: 'f5_bigip', username: 'backup', password: 'pass', files: {} } as const;
  [lb1, lb2] = await Promise.all([
    startFakeDevice({ ...login, hostname: 'lb1.example.net', config: bigipConfig }),
    startFakeDevice({
      ...login,
      hostname: 'lb2.example.net',
      config: bigipConfig,
      bigip: { diskFull: true },
    }),
  ]);
  await workspace.init();
  workspace.env.TEST_PASSWORD = 'pass';
  workspace.env.TEST_ENABLE = 'pass';
  writeFileSync(join(workspace.dir, 'phrase'), `${passphrase}\n`, { mode: 0o600 });
  const yaml = (name: string, { port, fingerprint }: FakeDevice) =>
    deviceYaml(
      { name, platform: 'f5_bigip', port, hostKey: fingerprint },
      'options: { ucs: { schedule: "0 3 * * 0", passphrase: { file: ./phrase } } }',
    );
  workspace.inventory(`${credentialsYaml}devices:\n${yaml('lb1', lb1)}${yaml('lb2', lb2)}`);
});

afterAll(async () => {
  await Promise.all([lb1, lb2].map((device) => device?.stop()));
  workspace[Symbol.dispose]();
});

it('a UCS is stored beside the text, once for each time of its schedule, and comes back octet by octet', async () => {
  const first = await workspace.backup('lb1');
  expect(first.lines.get('lb1')?.outcome, first.stderr).toBe('changed');
  expect(first.stderr).toContain('archive stored');
  const output = join(workspace.dir, 'lb1.ucs');
  const argv = ['restore', 'lb1', '--artefact', 'ucs', '--identity', workspace.identity, '--output', output];
  const { code, stderr } = await workspace.run(argv);
  expect(code, stderr).toBe(0);
  const octets = readFileSync(output, 'latin1');
  expect(octets.startsWith('\x1f\x8b\x08\x00')).toBe(true);
  expect(octets).toHaveLength((bigipConfig.replace(/\{\{|\}\}/g, '').length + 6) * 3);

  const second = await workspace.backup('lb1');
  expect(second.lines.get('lb1')?.outcome, second.stderr).toBe('unchanged');
  expect(second.stderr).not.toContain('archive');
  const status = await workspace.run(['status', 'lb1', '--json']);
  const [one] = JSON.parse(status.stdout) as {
    archives: { name: string; error: null; last_success: string }[];
  }[];
  expect(one?.archives).toMatchObject([{ name: 'ucs', error: null, last_success: expect.any(String) }]);
});

it('one that fails leaves the text a good backup, is a failure of its own, and is tried again by a person', async () => {
  for (const outcome of ['changed', 'unchanged']) {
    const { lines, code, stderr } = await workspace.backup('lb2');
    expect([code, lines.get('lb2')?.outcome], stderr).toEqual([0, outcome]);
    const failures = stderr.split('\n').filter((line) => line.includes('backup failure'));
    expect(failures).toHaveLength(1);
    expect(failures[0]).toContain('archive failed');
    expect(failures[0]).toContain('collect.archive-failed');
  }
  const status = await workspace.run(['status', 'lb2']);
  expect(status.code).toBe(0);
  expect(status.stdout).toMatch(/archive ucs +none stored; failed /);
});

it('nothing of it is in git, and the passphrase is nowhere', async () => {
  expect(await workspace.git('ls-tree', '-r', '--name-only', 'main')).not.toContain('ucs');
  const files = readdirSync(workspace.state, { recursive: true, withFileTypes: true });
  for (const file of files) {
    if (!file.isFile()) continue;
    expect(readFileSync(join(file.parentPath, file.name)).includes(passphrase), file.name).toBe(false);
  }
});
