import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { generateKey, type HostKeyType } from '../support/sshd.ts';
import { describeWith, programPath } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const slow = { timeout: 120_000 };

describeWith('ssh-keygen', 'git.sign_key', () => {
  let workspace: Workspace;
  let device: FakeDevice;
  let changes = 0;

  beforeEach(async () => {
    workspace = new Workspace();
    device = await startFakeDevice({
      ...{ platform: 'cisco_asa', hostname: 'fw-asa', config: asaConfig },
      ...{ username: 'backup', password: 'pw' },
    });
    await workspace.init();
    Object.assign(workspace.env, { TEST_PASSWORD: 'pw', TEST_ENABLE: 'pw' });
    inventory('fw1', 'fw2');
  });
  afterEach(async () => {
    await device.stop();
    workspace[Symbol.dispose]();
  });

  const entry = (name: string, ...more: string[]): string =>
    deviceYaml({ name, platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint }, ...more);
  function inventory(...names: string[]): void {
    workspace.inventory(`${credentialsYaml}devices:\n${names.map((name) => entry(name)).join('')}`);
  }

  /** Signs with a new key of this name from now on; null: with none. */
  async function signWith(
    name: string | null,
    type: HostKeyType = 'ed25519',
    passphrase = '',
  ): Promise<void> {
    const settings = readFileSync(workspace.config, 'utf8').replace(/\ngit: .*\n/, '\n');
    const key = name === null ? null : join(workspace.dir, name);
    writeFileSync(
      workspace.config,
      `${settings}\ngit: { sign_key: ${key === null ? null : `{ file: ${key} }`} }\n`,
    );
    if (key === null) return;
    await generateKey(key, type, passphrase);
    appendFileSync(
      join(workspace.dir, 'allowed'),
      `roundsman@localhost ${readFileSync(`${key}.pub`, 'latin1')}`,
    );
  }

  async function backup(...names: string[]): Promise<(string | undefined)[]> {
    device.change(asaConfig.replace('hostname fw-asa', `hostname fw-asa\nname 10.0.0.1 change${++changes}`));
    const { lines } = await workspace.backup(...names);
    return [...lines.values()].map(({ outcome }) => outcome);
  }

  const main = async (): Promise<string[]> =>
    (await workspace.git('rev-list', '--reverse', 'main')).trim().split('\n');
  /** As git sees each commit, oldest first: G good, N none, U by a key that it does not know. */
  const signatures = async (): Promise<string> =>
    (
      await workspace.git(
        ...['-c', `gpg.ssh.allowedSignersFile=${join(workspace.dir, 'allowed')}`],
        ...['log', '--reverse', '--format=%G?', 'main'],
      )
    ).replaceAll('\n', '');
  const refs = async (): Promise<string> =>
    (await workspace.git('for-each-ref', '--format=%(refname)')).trim();

  async function verify(): Promise<{ code: number | null; kinds: string[]; stdout: string }> {
    const { code, stdout } = await workspace.run(['verify', '--json']);
    const { findings } = JSON.parse(stdout) as { findings: { kind: string }[] };
    return { code, kinds: findings.map(({ kind }) => kind), stdout };
  }

  /** From now on a `git` that runs `does` where it is told to do `subcommand`, once; "$real" "$@" is git itself. */
  function gitThat(subcommand: string, does: string): void {
    const bin = join(workspace.dir, 'bin');
    mkdirSync(bin, { recursive: true });
    const done = join(workspace.dir, `done-${subcommand}`);
    const once = `*" ${subcommand} "*) if [ ! -e ${done} ]; then touch ${done}; ${does}; fi;;`;
    writeFileSync(
      join(bin, 'git'),
      `#!/bin/bash\nreal=${programPath('git')}\ncase " $* " in ${once} esac\nexec "$real" "$@"\n`,
    );
    chmodSync(join(bin, 'git'), 0o700);
    workspace.env.PATH = `${bin}:${process.env.PATH}`;
  }

  it('signs every commit from then on, also moves, and git and verify find them good', slow, async () => {
    expect(await backup('fw1')).toEqual(['changed']);
    await signWith('first');
    expect(await backup()).toEqual(['changed', 'changed']);
    workspace.inventory(`${credentialsYaml}devices:\n${entry('fw1', 'group: edge')}${entry('fw2')}`);
    expect(await backup()).toEqual(['changed', 'changed']);
    expect(await workspace.git('log', '--format=%s', 'main')).toMatch(/^fw1: moved to edge$/m);
    expect(await signatures()).toMatch(/^NG{5}$/);
    expect(await verify()).toMatchObject({ code: 0, kinds: [] });
    expect((await workspace.run(['check'])).code).toBe(0);
    expect((await workspace.git('fsck', '--strict', '--unreachable')).trim()).toBe('');
  });

  it('takes another key, or none, and verify asks for each where it was in force', slow, async () => {
    await signWith('first');
    await backup('fw1');
    await signWith('second', 'rsa');
    await backup('fw1');
    await signWith(null);
    await backup('fw1');
    await signWith('third', 'ecdsa');
    await backup('fw1');
    expect(await signatures()).toBe('GGNG');
    expect(await verify()).toMatchObject({ code: 0, kinds: [] });
  });

  it('verify is red for a commit that was not signed, and says what to do', slow, async () => {
    await signWith('first');
    await backup('fw1');
    const who = ['-c', 'user.name=Roundsman', '-c', 'user.email=roundsman@localhost'];
    const made = await workspace.git(
      ...who,
      'commit-tree',
      'main^{tree}',
      '-p',
      'main',
      '-m',
      'fw1: x\n\nDevice: fw1',
    );
    await workspace.git('update-ref', 'refs/heads/main', made.trim());
    const { code, stdout } = await workspace.run(['verify']);
    expect(code).toBe(1);
    expect(stdout).toContain(`commit.unsigned: commit ${made.trim()}`);
    expect(stdout).toContain('of device fw1, run none');
    expect(await backup('fw1')).toEqual(['changed']);
    expect(await verify()).toMatchObject({ code: 1, kinds: ['commit.unsigned'] });
  });

  it.each([
    ['unpack-objects', 'kill -9 $PPID; exit 1'],
    ['update-ref', 'kill -9 $PPID; exit 1'],
    ['update-ref', '"$real" "$@"; kill -9 $PPID; exit 1'],
  ])(
    'a program that is killed at %s (%s) loses no reading and leaves no ref',
    slow,
    async (subcommand, does) => {
      await signWith('first');
      await backup('fw1');
      gitThat(subcommand, does);
      expect(await backup('fw1')).toEqual([]);
      expect((await main()).length).toBe(subcommand === 'update-ref' && does.startsWith('"$real"') ? 2 : 1);
      // The reading of the spool, and one that is new.
      expect(await backup('fw1')).toEqual(['changed']);
      expect((await main()).length).toBe(3);
      expect(await workspace.git('show', 'main^:default/fw1/running-config.cfg')).toContain(
        `change${changes - 1}\n`,
      );
      expect(await signatures()).toBe('GGG');
      expect(await refs()).toBe('refs/heads/main');
      expect(await verify()).toMatchObject({ code: 0, kinds: [] });
    },
  );

  it('a key with a passphrase, a public key or none is refused before anything is done', slow, async () => {
    await signWith('locked', 'ed25519', 'secret');
    for (const command of [['backup'], ['check']]) {
      const { code, stderr } = await workspace.run(command);
      expect(code).not.toBe(0);
      expect(stderr).toContain('the private key is encrypted, and nobody is there to type its passphrase');
      expect(stderr).toContain('ssh-keygen -t ed25519 -N ""');
    }
    writeFileSync(join(workspace.dir, 'locked'), readFileSync(join(workspace.dir, 'locked.pub')));
    expect((await workspace.run(['backup'])).stderr).toContain('this is a public key');
    execFileSync('rm', [join(workspace.dir, 'locked')]);
    const { code, stderr } = await workspace.run(['backup']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/git\.sign_key: .*locked/);
  });
});
