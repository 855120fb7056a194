import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { programPath } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

/*
 * People who browse history: a group may read configs.git, and nothing else. Tried as other users of this system, so it
 * needs root.
 */

const nobody = 65_534;
const group = 'users';
const groupId = Number(
  /^[^:]*:[^:]*:(\d+)/.exec(spawnSync('getent', ['group', group], { encoding: 'utf8' }).stdout ?? '')?.[1] ??
    -1,
);
const able = process.getuid?.() === 0 && groupId > 0 && programPath('setpriv') !== null;

describe.runIf(able)('git.readers_group', () => {
  let workspace: Workspace;
  let device: FakeDevice;

  beforeEach(async () => {
    workspace = new Workspace();
    device = await startFakeDevice({
      ...{
        platform: 'cisco_asa',
        hostname: 'fw-asa',
        username: 'backup',
        password: 'pass',
        config: asaConfig,
      },
    });
    await workspace.init();
    workspace.env.TEST_PASSWORD = 'pass';
    workspace.env.TEST_ENABLE = 'pass';
    workspace.inventory(
      `${credentialsYaml}devices:\n${deviceYaml({ name: 'fw1', platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint })}`,
    );
    // The way to state_dir is the operator's.
    chmodSync(workspace.dir, 0o711);
  });
  afterEach(async () => {
    await device.stop();
    workspace[Symbol.dispose]();
  });

  const readers = (name: string | null): void => {
    const settings = readFileSync(workspace.config, 'utf8').replace(/\ngit: .*\n/, '\n');
    writeFileSync(workspace.config, `${settings}\ngit: { readers_group: ${name} }\n`);
  };
  const outcome = async (): Promise<string | undefined> => {
    const { lines, stderr } = await workspace.backup();
    return lines.get('fw1')?.outcome ?? stderr;
  };
  /** As a user without a name, in this group. */
  const as = (gid: number, ...command: string[]): { code: number | null; said: string } => {
    const who = ['--reuid', '54321', '--regid', String(gid), '--clear-groups', '--'];
    const { status, stdout, stderr } = spawnSync('setpriv', [...who, ...command], {
      ...{ encoding: 'latin1', cwd: '/', env: { PATH: process.env.PATH ?? '', HOME: '/' } },
    });
    return { code: status, said: stdout + stderr };
  };
  const git = (gid: number, ...args: string[]) => {
    const { repository } = workspace;
    return as(gid, 'git', '-c', `safe.directory=${repository}`, '-C', repository, ...args);
  };

  it('lets its members read the history as it grows, and nothing else; others read nothing', async () => {
    readers(group);
    expect(await outcome()).toBe('changed');
    device.change(asaConfig.replace('hostname fw-asa', 'hostname fw-asa\nno ip source-route'));
    expect(await outcome()).toBe('changed');
    expect(git(groupId, 'log', '--format=%s', 'main').said.split('\n')).toHaveLength(3);
    expect(git(groupId, 'show', 'main:default/fw1/running-config.cfg').said).toContain('no ip source-route');
    expect(git(groupId, 'fsck', '--full')).toMatchObject({ code: 0 });

    for (const name of readdirSync(workspace.state))
      if (name !== 'configs.git')
        expect(
          as(groupId, 'sh', '-c', `ls "$0" && cat "$0"`, join(workspace.state, name)),
          name,
        ).toMatchObject({
          said: expect.stringMatching(/Permission denied/),
        });
    const [shard = ''] = readdirSync(join(workspace.state, 'artefacts'));
    expect(as(groupId, 'ls', join(workspace.state, 'artefacts', shard)).said).toContain('Permission denied');
    expect(as(groupId, 'ls', workspace.state).said).toContain('Permission denied');
    expect(as(groupId, 'touch', join(workspace.repository, 'x')).said).toContain('Permission denied');
    expect(git(nobody, 'log').said).toMatch(/Permission denied|not a git repository/);
    const unreadable = as(groupId, 'find', workspace.repository, '!', '-readable').said.trim().split('\n');
    expect(unreadable.filter((path) => !path.includes('/roundsman-'))).toEqual([]);
    expect(unreadable.length).toBeGreaterThan(0);
    const modes = readdirSync(workspace.repository, { recursive: true, encoding: 'utf8' }).map(
      (name) => lstatSync(join(workspace.repository, name)).mode & 0o027,
    );
    expect(modes.filter((mode) => (mode & 0o022) !== 0 || (mode & 0o007) !== 0)).toEqual([]);
  }, 120_000);

  it('opens a history that was there before, and closes it again', async () => {
    expect(await outcome()).toBe('changed');
    expect(git(groupId, 'log').code).not.toBe(0);
    readers(group);
    expect(await outcome()).toBe('unchanged');
    expect(git(groupId, 'log', '--format=%s').code).toBe(0);
    readers(null);
    expect(await outcome()).toBe('unchanged');
    expect(git(groupId, 'log').code).not.toBe(0);
    expect(lstatSync(workspace.state).mode & 0o777).toBe(0o700);
  }, 120_000);

  it('says at check that there is no such group', async () => {
    readers('nobody-has-this');
    const { code, stderr } = await workspace.run(['check']);
    expect(code).toBe(2);
    expect(stderr).toContain('there is no group nobody-has-this');
  }, 60_000);

  it('works for a service that is no member, once root has done what it asks for', async () => {
    readers(group);
    expect(spawnSync('chown', ['-R', `${nobody}:${nobody}`, workspace.dir]).status).toBe(0);
    const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
    const { PATH = '' } = process.env;
    const env = { PATH, HOME: '/', ROUNDSMAN_CONFIG: workspace.config, ...workspace.env };
    const who = ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups', '--'];
    const service = () =>
      new Promise<string>((resolve) => {
        const argv = [...who, process.execPath, program, 'backup'];
        execFile('setpriv', argv, { cwd: workspace.dir, env }, (_error, stdout, stderr) =>
          resolve(stdout + stderr),
        );
      });
    const refused = await service();
    expect(refused).toContain('cannot be given to the group users by this user');
    const [, commands = ''] = /as root: (.*)/.exec(refused) ?? [];
    expect(spawnSync('sh', ['-c', commands]).status).toBe(0);
    expect(await service()).toContain('1 changed');
    expect(git(groupId, 'show', 'main:default/fw1/running-config.cfg').said).toContain('hostname fw-asa');
    expect(as(groupId, 'cat', join(workspace.state, 'ledger.db')).said).toContain('Permission denied');
  }, 120_000);
});
