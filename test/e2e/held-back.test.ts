import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { fortigateConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const workspace = new Workspace();
const devices: FakeDevice[] = [];

beforeAll(async () => {
  await workspace.init();
  workspace.env.TEST_PASSWORD = 'stale';
  workspace.env.TEST_ENABLE = 'stale';
  let inventory = `${credentialsYaml}devices:\n`;
  for (let n = 0; n < 6; n++) {
    const account = { username: 'backup', password: 'fresh' };
    const device = await startFakeDevice({
      platform: 'fortinet_fortigate',
      hostname: 'fw-fgt',
      config: fortigateConfig,
      ...account,
    });
    devices.push(device);
    inventory += deviceYaml({
      name: `fw${n}`,
      platform: 'fortinet_fortigate',
      port: device.port,
      hostKey: device.fingerprint,
    });
  }
  workspace.inventory(inventory);
}, 60_000);

afterAll(async () => {
  for (const device of devices) await device.stop();
  workspace[Symbol.dispose]();
});

const logins = (): number => devices.reduce((sum, device) => sum + device.logins, 0);

describe('a credential that devices reject', () => {
  it('is held back after three of them, and nothing more is sent to the fleet', async () => {
    const { code, lines } = await workspace.backup();
    expect(code).toBe(3);
    const codes = [...lines.values()].map(({ error }) => error?.code);
    expect(codes.filter((one) => one === 'login.rejected')).toHaveLength(3);
    expect(codes.filter((one) => one === 'credentials.held-back')).toHaveLength(3);
    expect(logins()).toBe(3);
    const held = [...lines.values()].find(({ error }) => error?.code === 'credentials.held-back');
    expect(held?.error?.todo).toContain('roundsman release readonly');
  });

  it('stays held in the next process', async () => {
    const { lines } = await workspace.backup();
    expect([...lines.values()].every(({ error }) => error?.code === 'credentials.held-back')).toBe(true);
    expect(logins()).toBe(3);
  });

  it('can be released by an operator, who is told the name when it is misspelt', async () => {
    const misspelt = await workspace.run(['release', 'readnly']);
    expect(misspelt.code).toBe(2);
    expect(misspelt.stderr).toContain('readonly');
    expect((await workspace.run(['release', 'readonly'])).code).toBe(0);
    await workspace.backup('fw0');
    expect(logins()).toBe(4);
  });

  it('is used again by itself once its value is another one', async () => {
    // Not fw0 once more: a FortiGate locks out whoever is wrong three times.
    await workspace.backup('fw1', 'fw2');
    workspace.env.TEST_PASSWORD = 'fresh';
    const { code, lines } = await workspace.backup();
    expect([...lines.values()].map(({ error }) => error?.code ?? null)).toEqual(Array(6).fill(null));
    expect(code).toBe(0);
  });
});
