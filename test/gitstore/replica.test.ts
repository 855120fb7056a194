import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { gitIn } from '../../src/gitstore/git.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { usualLimits } from '../../src/gitstore/push.ts';
import { openReplica } from '../../src/gitstore/replica.ts';
import type { Repository } from '../../src/gitstore/repository.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { describeWith } from '../support/system.ts';

describeWith('git', 'what is known of a remote', () => {
  let root: string;
  let dir: string;
  let there: string;
  let repository: Repository;
  const never = new AbortController().signal;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-replica-'));
    [dir, there] = [join(root, 'configs.git'), join(root, 'there.git')];
    execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', there]);
    repository = await openRepository({ dir });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const replicaAt = (url = `file://${there}`, onUnwritable: (error: unknown) => void = () => {}) => {
    const clock = new FakeClock();
    const remote = { name: 'mirror', url, access: async () => ({ way: 'file' }) as const };
    return { clock, replica: openReplica(gitIn(dir, 'git'), remote, clock, onUnwritable) };
  };

  async function commits(...devices: string[]): Promise<void> {
    for (const device of devices)
      await repository.commit({
        ...{ subject: () => device, body: '', trailers: [], atMs: 0, remove: [] },
        files: [{ path: artefactPath('default', device, 'running-config'), text: `${device}\n` }],
      });
  }

  it('is nothing before the first push, and then how many commits it lacks', async () => {
    const { replica, clock } = replicaAt();
    expect(await replica.status()).toMatchObject({ unpushed: 0, lastSuccessMs: null, failure: null });
    await commits('fw1', 'fw2');
    expect(await replica.status()).toMatchObject({ unpushed: 2, lastSuccessMs: null });
    const pushed = await replica.push(usualLimits, never);
    expect(pushed).toMatchObject({ unpushed: 0, lastSuccessMs: clock.nowMs(), failure: null });
    await commits('fw3');
    expect(await replica.status()).toMatchObject({ unpushed: 1, lastSuccessMs: clock.nowMs() });
  });

  it('outlives the process, and a failure keeps what was true before', async () => {
    await commits('fw1');
    const { lastSuccessMs } = await replicaAt().replica.push(usualLimits, never);
    expect(lastSuccessMs).not.toBeNull();
    await commits('fw2', 'fw3');
    rmSync(there, { recursive: true });
    await replicaAt().replica.push(usualLimits, never);
    expect(await replicaAt().replica.status()).toMatchObject({
      ...{ unpushed: 2, lastSuccessMs, failure: { reason: 'unreachable' } },
    });
  });

  it('is forgotten where the URL is another one, and where the file is damaged', async () => {
    await commits('fw1');
    await replicaAt().replica.push(usualLimits, never);
    expect(await replicaAt(`file://${root}/other.git`).replica.status()).toMatchObject({
      ...{ unpushed: 1, lastSuccessMs: null },
    });
    const file = join(dir, 'roundsman-remotes/mirror.json');
    for (const text of [
      '',
      '{',
      '[]',
      'null',
      `{"url":"file://${there}","tip":"--all"}`,
      '\u0000'.repeat(100),
    ]) {
      writeFileSync(file, text);
      expect(await replicaAt().replica.status()).toMatchObject({ unpushed: 1, lastSuccessMs: null });
    }
  });

  it('counts everything where the commit that was pushed is not here any more', async () => {
    await commits('fw1', 'fw2');
    const gone = { url: `file://${there}`, tip: 'f'.repeat(40), lastSuccessMs: 1, failure: null };
    await replicaAt().replica.push(usualLimits, never);
    writeFileSync(join(dir, 'roundsman-remotes/mirror.json'), JSON.stringify(gone));
    expect(await replicaAt().replica.status()).toMatchObject({ unpushed: 2, lastSuccessMs: 1 });
  });

  it('cannot be told where the repository is broken, which is no reason to fail', async () => {
    await commits('fw1');
    const { replica } = replicaAt();
    rmSync(dir, { recursive: true });
    expect(await replica.status()).toMatchObject({ unpushed: null });
    expect(await replica.push(usualLimits, never)).toMatchObject({ unpushed: null });
  });

  it('that cannot be kept is said, and counts until the end of the process', async () => {
    await commits('fw1');
    const said: unknown[] = [];
    const { replica } = replicaAt(undefined, (error) => said.push(error));
    // A file where the directory would be: rights do not hold root back.
    writeFileSync(join(dir, 'roundsman-remotes'), '');
    expect(await replica.push(usualLimits, never)).toMatchObject({ unpushed: 0, failure: null });
    expect(said).toHaveLength(1);
    expect(await replica.status()).toMatchObject({ unpushed: 0 });
  });

  it('is not touched by a push that was interrupted', async () => {
    await commits('fw1');
    const { replica } = replicaAt();
    await replica.push(usualLimits, AbortSignal.abort());
    expect(await replica.status()).toMatchObject({ unpushed: 1, failure: null });
    expect(existsSync(join(dir, 'roundsman-remotes'))).toBe(false);
  });
});
