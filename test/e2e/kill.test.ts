import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const workspace = new Workspace();
const devices: FakeDevice[] = [];

beforeAll(async () => {
  await workspace.init();
  workspace.env.TEST_PASSWORD = 'hunter2';
  workspace.env.TEST_ENABLE = 'hunter3';
  const account = { username: 'backup', password: 'hunter2', enable: 'hunter3' };
  devices.push(
    await startFakeDevice({ platform: 'cisco_asa', hostname: 'fw-asa', config: asaConfig, ...account }),
    await startFakeDevice({
      platform: 'fortinet_fortigate',
      hostname: 'fw-fgt',
      config: fortigateConfig,
      ...account,
    }),
  );
  const [asa, fortigate] = devices as [FakeDevice, FakeDevice];
  workspace.inventory(
    `${credentialsYaml}devices:\n${deviceYaml({ name: 'fw1', platform: 'cisco_asa', port: asa.port })}${deviceYaml({ name: 'fw2', platform: 'fortinet_fortigate', port: fortigate.port })}`,
  );
  expect((await workspace.run(['trust', '--all', '--yes'])).code).toBe(0);
}, 60_000);

afterAll(async () => {
  for (const device of devices) await device.stop();
  workspace[Symbol.dispose]();
});

interface Run {
  readonly run_id: string;
  readonly state: string;
  readonly commit: string | null;
}

describe('a backup that is killed at any moment', () => {
  it('leaves a repository without damage, and a ledger that tells the truth', async () => {
    // Spread over the whole life of a backup: start, login, reading, storing, end.
    const moments = Array.from({ length: 12 }, (_, index) => 250 + index * 150);
    for (const [index, afterMs] of moments.entries()) {
      devices[0]?.change(asaConfig.replace('host 198.51.100.80', `host 198.51.100.${100 + index}`));
      await workspace.run(['backup'], (pid) => {
        setTimeout(() => {
          try {
            process.kill(pid, 'SIGKILL');
          } catch {
            // It was faster.
          }
        }, afterMs);
      });
    }
    const { code, lines } = await workspace.backup();
    expect(code).toBe(0);
    expect([...lines.values()].every(({ error }) => error === null)).toBe(true);

    await workspace.git('fsck', '--full', '--strict');
    const { stdout } = await workspace.run(['runs', '--json']);
    const runs = JSON.parse(stdout) as Run[];
    expect(runs.filter(({ state }) => state === 'running')).toEqual([]);
    // Every success has its commit and every commit its success, once.
    const committed = (
      await workspace.git('log', '--format=%H %(trailers:key=Run-Id,valueonly,separator=%x20)', 'main')
    )
      .trim()
      .split('\n');
    const changed = runs
      .filter(({ state }) => state === 'changed')
      .map((run) => `${run.commit} ${run.run_id}`);
    expect(changed.sort()).toEqual(committed.sort());
  }, 120_000);

  it('keeps a second backup out while one is at work, and says who holds the state', async () => {
    devices[0]?.setFaults({ bytesPerSecond: 400 });
    const first = workspace.run(['backup', 'fw1']);
    const note = join(workspace.state, 'lock.json');
    await expect.poll(() => existsSync(note), { timeout: 20_000, interval: 20 }).toBe(true);
    const second = await workspace.run(['backup', 'fw2']);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/pid|process/i);
    expect((await first).code).toBe(0);
    devices[0]?.setFaults({});
  }, 60_000);
});
