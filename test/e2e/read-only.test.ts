import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { describeMounting, Tmpfs } from '../support/mount.ts';
import { fortigateConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml, type Said, Workspace } from '../support/workspace.ts';

const next = fortigateConfig.replace('Europe/Berlin', 'Europe/Paris');

describeMounting('a state directory on a disk that can only be read', () => {
  let workspace: Workspace;
  let device: FakeDevice;
  let settings: string;

  beforeAll(async () => {
    workspace = new Workspace();
    await workspace.init();
    settings = readFileSync(workspace.config, 'utf8');
    device = await startFakeDevice({
      ...{ platform: 'fortinet_fortigate', config: fortigateConfig, hostname: 'fw-fgt' },
      ...{ username: 'backup', password: 'c4n4ry-password' },
    });
    const fw1 = {
      name: 'fw1',
      platform: 'fortinet_fortigate',
      port: device.port,
      hostKey: device.fingerprint,
    };
    workspace.inventory(`${credentialsYaml}devices:\n${deviceYaml(fw1)}`);
    Object.assign(workspace.env, { TEST_PASSWORD: 'c4n4ry-password', TEST_ENABLE: 'x' });
    for (const config of [fortigateConfig, next]) {
      device.change(config);
      const { code, stderr } = await workspace.backup();
      expect(code, stderr).toBe(0);
    }
    // What a write that was cut off left behind; only whoever may write puts it aside.
    writeFileSync(join(workspace.state, 'spool/quarantine/r1.json'), '{"runId":');
    writeFileSync(join(workspace.state, 'spool/quarantine/.r2.json.4194305.tmp'), '{');
  }, 60_000);
  afterAll(async () => {
    await device.stop();
    workspace[Symbol.dispose]();
  });

  /** The state without some of its parts, on a disk of its own; the settings name it. */
  function rescued(...without: readonly string[]): Tmpfs {
    const disk = new Tmpfs();
    cpSync(workspace.state, disk.dir, { recursive: true });
    for (const name of without) rmSync(join(disk.dir, name), { recursive: true });
    disk.makeReadOnly();
    writeFileSync(workspace.config, settings.replace(/^state_dir:.*$/m, `state_dir: ${disk.dir}`));
    return disk;
  }

  /** The standard output of a command that ends well. */
  async function well(...args: readonly string[]): Promise<string> {
    const said: Said = await workspace.run(args);
    expect(said.code, `${args.join(' ')}: ${said.stderr}`).toBe(0);
    return said.stdout;
  }

  it('shows everything that was recorded, and gives back what was sealed', async () => {
    using disk = rescued();
    const before = readdirSync(disk.dir, { recursive: true }).sort();
    const [newest] = device.displayed.filter(({ command }) => command === 'show').slice(-1);
    expect(await well('status')).toContain('fw1');
    expect((await well('runs', 'fw1')).match(/changed/g)).toHaveLength(2);
    expect(await well('log', 'fw1')).toContain('running-config');
    expect(await well('show', 'fw1')).toContain('set timezone "Europe/Paris"');
    expect(await well('diff', 'fw1')).toMatch(/^\+ *set timezone "Europe\/Paris"$/m);
    expect(await well('restore', 'fw1', '--identity', workspace.identity)).toBe(newest?.text);
    expect(await well('check')).toContain('as measured');
    expect(readdirSync(disk.dir, { recursive: true }).sort()).toEqual(before);
  });

  it('is not written to: a backup says why', async () => {
    using disk = rescued();
    const said = await workspace.run(['backup', 'fw1']);
    expect(said.code).toBe(1);
    expect(said.stderr).toContain(`roundsman: ${disk.dir}/lock.`);
    expect(said.stderr).toContain('lies on a file system that is read-only');
  });

  it('shows what is left where the spool and the repository were lost', async () => {
    using _disk = rescued('spool', 'configs.git');
    expect(await well('status')).toContain('fw1');
    expect(await well('runs', 'fw1')).toContain('changed');
    expect(await well('restore', 'fw1', '--identity', workspace.identity)).toContain('Europe/Paris');
    const said = await workspace.run(['show', 'fw1']);
    expect({ code: said.code, stderr: said.stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^roundsman: .+ is not in commit [0-9a-f]{40}\n/),
    });
  });
});
