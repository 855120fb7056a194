import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateIdentity, unseal } from '../../src/artefacts/unseal.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { fortigateConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

/* Sealed copies through the whole program, over changes of whom they are sealed to. */

let workspace: Workspace;
let device: FakeDevice;

beforeEach(async () => {
  workspace = new Workspace();
  device = await startFakeDevice({
    ...{ platform: 'fortinet_fortigate', username: 'backup', password: 'pass', hostname: 'fw-fgt' },
    config: fortigateConfig,
  });
  await workspace.init();
  workspace.env.TEST_PASSWORD = 'pass';
  workspace.env.TEST_ENABLE = 'pass';
  workspace.inventory(
    `${credentialsYaml}devices:\n${deviceYaml({ name: 'fgt', platform: 'fortinet_fortigate', port: device.port, hostKey: device.fingerprint })}`,
  );
});
afterEach(async () => {
  await device.stop();
  workspace[Symbol.dispose]();
});

const artefacts = (): string => join(workspace.state, 'artefacts');
const sealedFiles = (): readonly string[] =>
  readdirSync(artefacts(), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.age'))
    .sort();
const settings = (edit: (text: string) => string): void =>
  writeFileSync(workspace.config, edit(readFileSync(workspace.config, 'utf8')));
const outcome = async (): Promise<string | undefined> => {
  const { lines, stderr } = await workspace.backup();
  return lines.get('fgt')?.outcome ?? stderr;
};
/** How many of the sealed files an identity opens. */
const opens = async (identity: string): Promise<number> => {
  const tried = await Promise.all(
    sealedFiles().map((name) =>
      unseal(readFileSync(join(artefacts(), name)), identity).then(
        () => 1,
        () => 0,
      ),
    ),
  );
  return tried.reduce<number>((sum, one) => sum + one, 0);
};

describe('sealed copies', () => {
  it('go to new recipients with the next reading, also of a device that did not change; old ones stay as they are', async () => {
    const before = readFileSync(workspace.identity, 'latin1');
    expect(await outcome()).toBe('changed');
    const [first] = sealedFiles();
    const after = await generateIdentity();
    settings((text) => text.replace(/- age1\S+/, `- ${after.recipient}`));
    expect(await outcome()).toBe('unchanged');
    expect(sealedFiles()).toHaveLength(2);
    expect(sealedFiles()).toContain(first);
    expect([await opens(before), await opens(after.identity)]).toEqual([1, 1]);
    const identity = join(workspace.dir, 'after.txt');
    writeFileSync(identity, `${after.identity}\n`, { mode: 0o600 });
    const newest = await workspace.run(['restore', 'fgt', '--identity', identity]);
    const shown = device.displayed.filter(({ command }) => command === 'show').map(({ text }) => text);
    expect([newest.code, newest.stdout]).toEqual([0, shown.at(-1)]);
    const tooOld = await workspace.run(['restore', 'fgt', '--identity', workspace.identity]);
    expect(tooOld.code).toBe(1);
    expect(tooOld.stderr).toContain('try the identities of the recipients that stood in secrets.recipients');
  }, 120_000);

  it('are renewed in place where a device encrypts anew at every display: two of them, however often it is read', async () => {
    expect(await outcome()).toBe('changed');
    const [ofCommit = ''] = sealedFiles();
    const renewed = new Set<string>();
    for (const _night of [1, 2, 3]) {
      expect(await outcome()).toBe('unchanged');
      const files = sealedFiles();
      expect(files).toHaveLength(2);
      expect(files).toContain(ofCommit);
      for (const file of files) renewed.add(file);
    }
    expect(renewed.size).toBe(4);
    expect(await workspace.git('rev-list', '--count', 'main')).toBe('1\n');
    expect((await workspace.run(['verify'])).code).toBe(0);
  }, 120_000);
});

describe('secrets.in_git: keep', () => {
  beforeEach(() => settings((text) => text.replace('secrets:', 'secrets:\n  in_git: keep')));
  const clear = async (): Promise<string> => workspace.git('show', 'main:default/fgt/running-config.cfg');

  it('is said at each start and by check, and what is read is sealed all the same', async () => {
    const { lines, stderr } = await workspace.backup();
    expect(lines.get('fgt')?.outcome, stderr).toBe('changed');
    expect(stderr).toContain('secrets go to git unmasked');
    expect(await clear()).toMatch(/set password ENC \S+/);
    expect(await clear()).not.toContain('<secret:');
    expect(await opens(readFileSync(workspace.identity, 'latin1'))).toBe(1);
    const { stdout } = await workspace.run(['check']);
    expect(stdout).toContain('keep: secrets of the devices go to git in clear');
  }, 120_000);

  it('seals nothing without recipients, and says so; masked again, the text is read under new rules', async () => {
    settings((text) => text.replace(/ {2}recipients:\n {4}- age1\S+\n/, ''));
    const { lines, stderr } = await workspace.backup();
    expect(lines.get('fgt')?.outcome, stderr).toBe('changed');
    expect(stderr).toContain('nothing is sealed');
    expect(readdirSync(workspace.state)).not.toContain('artefacts');
    const { recipient } = await generateIdentity();
    settings((text) => text.replace('in_git: keep', `recipients: [${recipient}]`));
    const masked = (await workspace.backup()).lines.get('fgt');
    expect(masked).toMatchObject({ outcome: 'changed', under_new_rules: true });
    expect(await clear()).toContain('<secret:');
    expect(await clear()).not.toMatch(/ENC (?!<secret)/);
  }, 120_000);
});
