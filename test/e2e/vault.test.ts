import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { VaultStub } from '../support/vault.ts';
import { deviceYaml, Workspace } from '../support/workspace.ts';

const password = 'CANARY-password';
const token = 'hvs.CANARY-token';
const path = 'secret/data/network/asa';
const names = ['fw0', 'fw1', 'fw2', 'fw3'];
const workspace = new Workspace();
const devices: FakeDevice[] = [];
let vault: VaultStub;

beforeAll(async () => {
  await workspace.init();
  vault = await VaultStub.listen();
  vault.grant(token);
  vault.secrets.set(path, { password, enable: 'CANARY-enable' });
  workspace.env.VAULT_TOKEN = token;
  const settings = readFileSync(workspace.config, 'utf8');
  const section = `vault: { address: "${vault.address}", auth: { token: { env: VAULT_TOKEN } } }`;
  writeFileSync(workspace.config, `${settings}\ntranscripts: failed\n${section}\n`);
  const entries: string[] = [];
  for (const name of names) {
    const account = { username: 'backup', password, enable: 'CANARY-enable' };
    const one = await startFakeDevice({
      platform: 'cisco_asa',
      hostname: name,
      config: asaConfig,
      ...account,
    });
    devices.push(one);
    entries.push(deviceYaml({ name, platform: 'cisco_asa', port: one.port, hostKey: one.fingerprint }));
  }
  const login = `credentials:
  readonly:
    username: backup
    password: { vault: { path: network/asa, key: password } }
    enable: { vault: { path: network/asa, key: enable } }
    logins_per_second: 100
`;
  workspace.inventory(`${login}devices:\n${entries.join('')}`);
}, 60_000);
afterAll(async () => {
  for (const one of devices) await one.stop();
  await vault[Symbol.asyncDispose]();
  workspace[Symbol.dispose]();
});

/** Everything that lies in the state directory, as text. */
function state(): string {
  return readdirSync(workspace.state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n');
}

it('a fleet whose login lies in Vault is backed up with one question to Vault', async () => {
  const { lines, stderr } = await workspace.backup();
  expect(
    [...lines.values()].map(({ outcome }) => outcome),
    stderr,
  ).toEqual(names.map(() => 'changed'));
  expect(vault.asked.filter((one) => one === `GET ${path}`)).toHaveLength(1);
  expect(stderr).not.toContain('CANARY');
});

it('a sealed Vault fails the runs before a device is asked for anything, with the next step and without a secret', async () => {
  vault.sealed = true;
  const { code, lines, stderr } = await workspace.backup();
  vault.sealed = false;
  expect(code).toBe(3);
  for (const { error } of lines.values()) {
    expect(error).toMatchObject({
      code: 'inventory.secret-unavailable',
      message: `the secret at key password of ${path} in Vault cannot be read: Vault is sealed or in maintenance (503)`,
      todo: expect.stringContaining('unseal Vault'),
    });
  }
  expect(JSON.stringify([...lines.values()]) + stderr + state()).not.toContain('CANARY');
});

it('a wrong password in Vault is sent once a run, and the right one works as soon as it lies there', async () => {
  vault.secrets.set(path, { password: 'CANARY-wrong', enable: 'CANARY-enable' });
  const first = await workspace.backup('fw0');
  expect(first.lines.get('fw0')?.error?.code).toBe('login.rejected');
  vault.secrets.set(path, { password, enable: 'CANARY-enable' });
  const second = await workspace.backup('fw0');
  expect(second.lines.get('fw0')?.outcome).toBe('unchanged');
  expect(first.stderr + second.stderr + JSON.stringify([...first.lines.values()]) + state()).not.toContain(
    'CANARY',
  );
});
