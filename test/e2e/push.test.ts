import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));

describeWith('sshd', 'remotes of the repository', () => {
  const workspace = new Workspace();
  const there = join(workspace.dir, 'there.git');
  let device: FakeDevice;
  let sshd: Sshd;
  let port = 0;
  let settings = '';
  let daemon: ChildProcess | null = null;
  let change = 0;

  beforeAll(async () => {
    await workspace.init();
    Object.assign(workspace.env, { TEST_PASSWORD: 'hunter2', TEST_ENABLE: 'hunter3' });
    const account = { username: 'backup', password: 'hunter2', enable: 'hunter3' };
    device = await startFakeDevice({
      ...{ platform: 'cisco_asa', hostname: 'fw-asa', config: asaConfig },
      ...account,
    });
    const { port: at, fingerprint: hostKey } = device;
    workspace.inventory(
      `${credentialsYaml}devices:\n${deviceYaml({ name: 'fw1', platform: 'cisco_asa', port: at, hostKey })}`,
    );
    sshd = await startSshd();
    const key = join(workspace.dir, 'push-key');
    writeFileSync(key, readFileSync(sshd.userKeyPath), { mode: 0o600 });
    port = await freePort();
    settings = `${readFileSync(workspace.config, 'utf8')}
http: { listen: 127.0.0.1:${port} }
git:
  remotes:
    - name: mirror
      url: ssh://${sshd.username}@127.0.0.1:${sshd.port}${there}
      private_key: { file: push-key }
      host_key: ${sshd.hostKeyLines[0]}
`;
    writeFileSync(workspace.config, settings);
    makeRemote();
  }, 60_000);

  afterEach(async () => {
    rmSync(join(there, 'hooks/pre-receive'), { force: true });
    await stop();
  });

  afterAll(async () => {
    await device.stop();
    await sshd.stop();
    workspace[Symbol.dispose]();
  });

  function makeRemote(): void {
    rmSync(there, { recursive: true, force: true });
    execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', there]);
    execFileSync('git', ['--git-dir', there, 'config', 'receive.denyNonFastForwards', 'true']);
  }

  function changed(): void {
    change += 1;
    device.change(asaConfig.replace('host 198.51.100.80', `host 198.51.100.${100 + change}`));
  }

  const gitThere = (...args: string[]): string => {
    const person = { GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: 'x', GIT_COMMITTER_NAME: 'x' };
    const env = { PATH: process.env.PATH, HOME: '/nonexistent', ...person, GIT_COMMITTER_EMAIL: 'x' };
    return execFileSync('git', ['--git-dir', there, ...args], { encoding: 'utf8', env, input: '' }).trim();
  };
  const tipHere = async () => (await workspace.git('rev-parse', 'main')).trim();
  const tipThere = () => {
    try {
      return gitThere('rev-parse', '--quiet', '--verify', 'main');
    } catch {
      return null;
    }
  };

  async function start(): Promise<void> {
    const { PATH = '', HOME = '' } = process.env;
    daemon = spawn(process.execPath, [program, 'daemon'], {
      env: { PATH, HOME, ...workspace.env, ROUNDSMAN_CONFIG: workspace.config },
      stdio: 'ignore',
    });
    const ready = () =>
      fetch(`http://127.0.0.1:${port}/-/ready`).then(
        (answer) => answer.status,
        () => 0,
      );
    await expect.poll(ready, { timeout: 30_000, interval: 50 }).toBe(200);
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = daemon;
    daemon = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async function metric(series: string): Promise<number | null> {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const line = text.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? null : Number(line.slice(series.length + 1));
  }
  const unpushed = () => metric('roundsman_git_unpushed_commits{remote="mirror"}');

  it('without a daemon, a backup pushes at its end', async () => {
    const before = await workspace.run(['status']);
    expect(before.stdout).toContain('remote mirror: nothing pushed yet');
    expect((await workspace.backup('fw1')).code).toBe(0);
    expect(tipThere()).toBe(await tipHere());
    const { stdout } = await workspace.run(['status']);
    expect(stdout).toMatch(/^remote mirror: up to date, last push 20\d\d-/m);
  });

  it('a remote that refuses fails no backup, and is told of with what to do', async () => {
    const before = tipThere();
    writeFileSync(join(there, 'hooks/pre-receive'), '#!/bin/sh\necho frozen >&2; exit 1\n', { mode: 0o755 });
    changed();
    const { code, stderr } = await workspace.run(['backup']);
    expect(code).toBe(0);
    expect(stderr).toContain('remote mirror: 1 commit not pushed: refs/heads/main: [remote rejected]');
    expect(stderr).toContain('frozen');
    expect(stderr).toContain(' let the user of the push create and move refs/heads/main');
    expect(tipThere()).toBe(before);
    expect((await workspace.run(['status'])).stdout).toContain('remote mirror: 1 commit not pushed');
  });

  it('a remote with other commits stays as it is', async () => {
    const other = gitThere('commit-tree', gitThere('mktree'), '-m', 'by hand');
    const before = tipThere() ?? '';
    gitThere('update-ref', 'refs/heads/main', other);
    changed();
    const { code, stderr } = await workspace.run(['backup']);
    expect(code).toBe(0);
    expect(stderr).toContain(
      '2 commits not pushed: refs/heads/main of the remote has commits that are not here',
    );
    expect(tipThere()).toBe(other);
    gitThere('update-ref', 'refs/heads/main', before);
    expect((await workspace.run(['backup'])).stderr).not.toContain('not pushed');
    expect(tipThere()).toBe(await tipHere());
  });

  it('a backup that is killed while it pushes leaves two whole repositories and no key, and the next one brings all', async () => {
    writeFileSync(join(there, 'hooks/pre-receive'), '#!/bin/sh\ntouch in-hook; sleep 1\n', { mode: 0o755 });
    const inHook = join(there, 'in-hook');
    const secret = readFileSync(sshd.userKeyPath, 'utf8').split('\n')[3] ?? 'no such line';
    for (let round = 0; round < 3; round++) {
      rmSync(inHook, { force: true });
      changed();
      let pid = 0;
      const running = workspace.run(['backup'], (spawned) => {
        pid = spawned;
      });
      await expect.poll(() => existsSync(inHook), { timeout: 20_000, interval: 10 }).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, round * 400));
      process.kill(pid, 'SIGKILL');
      await running;
      expect(() => execFileSync('grep', ['-rqF', secret, workspace.state])).toThrow();
    }
    rmSync(join(there, 'hooks/pre-receive'));
    // What the server was in the middle of, it may still end.
    await expect
      .poll(async () => [(await workspace.run(['backup'])).code, tipThere()], { timeout: 30_000 })
      .toEqual([0, await tipHere()]);
    await workspace.git('fsck', '--full', '--strict');
    expect(gitThere('fsck', '--full', '--no-dangling')).toBe('');
    expect(readdirSync(workspace.state)).not.toContain('run');
  }, 90_000);

  it('with a daemon, commits follow by themselves; what is missing is a metric, and a kill in the middle loses none', async () => {
    writeFileSync(join(there, 'hooks/pre-receive'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    await start();
    changed();
    expect((await workspace.run(['backup'])).code).toBe(0);
    await expect.poll(unpushed, { timeout: 5_000 }).toBe(1);
    const refused = 'roundsman_git_last_push_failure_info{remote="mirror",reason="rejected"}';
    await expect.poll(() => metric(refused), { timeout: 30_000 }).toBe(1);
    expect(
      await metric('roundsman_git_last_push_success_timestamp_seconds{remote="mirror"}'),
    ).toBeGreaterThan(0);
    expect((await workspace.run(['status'])).stdout).toContain('remote mirror: 1 commit not pushed');
    expect(tipThere()).not.toBe(await tipHere());

    // Killed, and the remote is well again: the next life begins with what is missing.
    await stop('SIGKILL');
    rmSync(join(there, 'hooks/pre-receive'));
    await start();
    await expect.poll(tipThere, { timeout: 30_000 }).toBe(await tipHere());
    await expect.poll(unpushed, { timeout: 5_000 }).toBe(0);
    expect(await metric(refused)).toBeNull();
  }, 120_000);

  it('a reload takes remotes away and adds them', async () => {
    await start();
    await expect.poll(unpushed, { timeout: 10_000 }).toBe(0);
    const reload = () => {
      daemon?.kill('SIGHUP');
    };
    writeFileSync(workspace.config, settings.slice(0, settings.indexOf('\ngit:')));
    reload();
    await expect.poll(unpushed, { timeout: 10_000 }).toBeNull();
    writeFileSync(workspace.config, settings);
    reload();
    await expect.poll(unpushed, { timeout: 10_000 }).toBe(0);
  }, 60_000);

  it('the history comes back from a remote: a new collector begins where the old one was', async () => {
    const tip = await tipHere();
    const [state, old] = [workspace.state, `${workspace.state}.old`];
    execFileSync('mv', [state, old]);
    mkdirSync(state, { mode: 0o700 });
    execFileSync('git', ['clone', '--quiet', '--mirror', there, workspace.repository]);
    const { lines } = await workspace.backup('fw1');
    expect(lines.get('fw1')?.error ?? null).toBeNull();
    await workspace.git('merge-base', '--is-ancestor', tip, 'main');
    const log = await workspace.run(['log', 'fw1', '--json']);
    expect(JSON.parse(log.stdout).length).toBeGreaterThan(1);
    expect(tipThere()).toBe(await tipHere());
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
