import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import type { RemoteSettings } from '../../src/daemon/git-remotes.ts';
import { openReplication, type Replication } from '../../src/daemon/replication.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import type { Repository } from '../../src/gitstore/repository.ts';
import { createSecretReader } from '../../src/inventory/secrets.ts';
import { startSshd } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';
import { keptLog } from './support.ts';

/** Time that runs fifty times as fast: what waits for seconds waits for hundredths. */
const hurried: Clock = {
  ...systemClock,
  after: (delayMs, then) => systemClock.after(delayMs / 50, then),
};

describeWith('git', 'the pushes of a daemon', () => {
  let root: string;
  let repository: Repository;
  let replication: Replication;
  let lines: string[];
  const path = (name: string) => join(root, `${name}.git`);
  const near = (name: string): RemoteSettings => ({
    ...{ name, url: `file://${path(name)}` },
    access: { way: 'file' },
  });

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-replication-'));
    for (const name of ['a', 'b'])
      execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', path(name)]);
    repository = await openRepository({ dir: join(root, 'configs.git') });
    const kept = keptLog();
    lines = kept.lines;
    const readSecret = createSecretReader({});
    replication = openReplication({ readSecret, clock: hurried, stateDir: root, log: kept.log });
  });
  afterEach(async () => {
    await replication[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  async function commit(device: string): Promise<string> {
    const { commit: made } = await repository.commit({
      ...{ subject: () => device, body: '', trailers: [], atMs: 0, remove: [] },
      files: [{ path: artefactPath('default', device, 'running-config'), text: `${device}\n` }],
    });
    replication.committed();
    return made;
  }

  function tip(name: string): string | null {
    try {
      const args = ['--git-dir', path(name), 'rev-parse', '--quiet', '--verify', 'main'];
      return execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' }).trim();
    } catch {
      return null;
    }
  }
  const reached = (name: string, wanted: string) =>
    expect.poll(() => tip(name), { timeout: 20_000, interval: 20 }).toBe(wanted);
  const status = (name: string) => replication.status().find((one) => one.name === name);
  const failing = (name: string) =>
    expect.poll(() => status(name)?.failure?.reason ?? null, { timeout: 20_000, interval: 20 });

  it('reach every remote, of which one that is down holds none of the others back', async () => {
    rmSync(path('b'), { recursive: true });
    replication.configure([near('a'), near('b')]);
    await reached('a', await commit('fw1'));
    await failing('b').toBe('unreachable');
    await reached('a', await commit('fw2'));
    await expect.poll(() => status('a')?.unpushed).toBe(0);
    await expect.poll(() => status('b')?.unpushed).toBe(2);
  });

  it('to a remote that was down bring everything once it is back, and that is said once each', async () => {
    renameSync(path('a'), path('gone'));
    replication.configure([near('a')]);
    await commit('fw1');
    await failing('a').toBe('unreachable');
    const newest = await commit('fw2');
    // Several attempts: each back-off is some hundredths of a second here.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    renameSync(path('gone'), path('a'));
    await reached('a', newest);
    await failing('a').toBeNull();
    expect(status('a')).toMatchObject({ unpushed: 0, lastSuccessMs: expect.any(Number) });
    expect(lines.map((line) => line.split(' {')[0])).toEqual([
      'warn commits are not pushed',
      'info commits are pushed again',
    ]);
    expect(lines[0]).toContain('"reason":"unreachable"');
    expect(lines[0]).toContain('"todo":"check the URL');
  });

  it('to a remote that diverged change nothing there, and that is told', async () => {
    const mine = execFileSync('git', ['--git-dir', path('a'), 'hash-object', '-t', 'tree', '-w', '--stdin'], {
      input: '',
    });
    const person = { GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: 'x', GIT_COMMITTER_NAME: 'x' };
    const other = execFileSync(
      'git',
      ['--git-dir', path('a'), 'commit-tree', mine.toString().trim(), '-m', 'by hand'],
      { env: { PATH: process.env.PATH, ...person, GIT_COMMITTER_EMAIL: 'x' }, encoding: 'utf8' },
    ).trim();
    execFileSync('git', ['--git-dir', path('a'), 'update-ref', 'refs/heads/main', other]);
    replication.configure([near('a')]);
    await commit('fw1');
    await failing('a').toBe('diverged');
    expect(tip('a')).toBe(other);
    expect(lines[0]).toContain('nothing is ever forced');
  });

  it('begin anew with other settings, at once, and leave a remote alone that is no longer named', async () => {
    replication.configure([near('a')]);
    const first = await commit('fw1');
    await reached('a', first);
    replication.configure([near('b')]);
    expect(status('a')).toBeUndefined();
    const second = await commit('fw2');
    await reached('b', second);
    expect(tip('a')).toBe(first);
    // Named again, it goes on from where it was.
    replication.configure([near('b'), near('a')]);
    await reached('a', second);
  });

  it('go on with the commits that an earlier process left', async () => {
    const tipOfMain = await commit('fw1');
    replication.configure([near('a')]);
    await reached('a', tipOfMain);
  });

  it('end with the daemon, also where the remote hangs', async () => {
    await using stack = new AsyncDisposableStack();
    const sshd = await startSshd({ forceCommand: 'sleep 600' });
    stack.defer(() => sshd.stop());
    const key = join(root, 'push.key');
    writeFileSync(key, readFileSync(sshd.userKeyPath), { mode: 0o600 });
    await commit('fw1');
    const hung: RemoteSettings = {
      ...{ name: 'hung', url: `ssh://${sshd.username}@127.0.0.1:${sshd.port}/x.git` },
      access: { way: 'ssh', privateKey: { file: key }, hostKeys: sshd.hostKeyLines },
    };
    replication.configure([hung, near('a')]);
    await expect.poll(() => sshd.log(), { timeout: 10_000 }).toContain('Accepted publickey');
    // A commit is not delayed by it, nor the other remote.
    await reached('a', await commit('fw2'));
    await replication[Symbol.asyncDispose]();
    expect(lines.filter((line) => !line.startsWith('warn commits are not pushed'))).toEqual([]);
  });
});
