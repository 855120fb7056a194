import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { flushRepository } from '../../src/gitstore/flush-repository.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import type { Repository } from '../../src/gitstore/repository.ts';
import { describeWith } from '../support/system.ts';

describeWith('git', 'maintenance of the repository', () => {
  let dir = '';
  let repository: Repository;
  beforeEach(async () => {
    dir = join(mkdtempSync(join(tmpdir(), 'roundsman-maintenance-')), 'configs.git');
    repository = await openRepository({ dir });
  });
  afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }));

  const path = artefactPath('default', 'fw1', 'running-config');
  const commit = (index: number) =>
    repository.commit({
      subject: () => `fw1: ${index}`,
      ...{ body: '', trailers: [['Run-Id', `run-${index}`]], remove: [], atMs: 1_000 * index },
      files: [{ path, text: `hostname fw1\nversion ${index}\n` }],
    });
  const git = (...args: string[]) => execFileSync('git', ['-C', dir, ...args], { encoding: 'utf8' });
  const counted = () =>
    Object.fromEntries(
      git('count-objects', '-v')
        .trim()
        .split('\n')
        .map((line) => line.split(': ')),
    );

  it('leaves every version as it was, in a pack and not in files of its own', async () => {
    const commits: string[] = [];
    for (let index = 1; index <= 5; index++) commits.push((await commit(index)).commit);
    expect(Number(counted().count)).toBeGreaterThan(0);
    await repository.maintain(null);
    expect(counted()).toMatchObject({ count: '0', packs: '1', garbage: '0' });
    for (const [index, each] of commits.entries())
      expect(await repository.read(each, path)).toContain(`version ${index + 1}\n`);
    expect(git('fsck', '--full', '--strict')).toBe('');
  });

  it('does nothing to an empty repository, and nothing twice', async () => {
    await repository.maintain(null);
    await commit(1);
    await repository.maintain(null);
    const packs = readdirSync(join(dir, 'objects/pack'));
    await repository.maintain(null);
    expect(readdirSync(join(dir, 'objects/pack'))).toEqual(packs);
  });

  it('keeps the number of packs small, however many nights there were', async () => {
    for (let night = 1; night <= 12; night++) {
      await commit(2 * night);
      await commit(2 * night + 1);
      await repository.maintain(null);
    }
    expect(Number(counted().packs)).toBeLessThanOrEqual(4);
  }, 60_000);

  it('goes on beside commits, and loses none of them', async () => {
    for (let index = 1; index <= 5; index++) await commit(index);
    const wanted = Array.from({ length: 10 }, (_, index) => commit(10 + index));
    const made = await Promise.all([...wanted, repository.maintain(null)]);
    const { commit: last } = await commit(99);
    expect(git('rev-list', '--count', last).trim()).toBe('16');
    for (const one of made)
      if (one !== undefined) expect(git('cat-file', '-t', one.commit).trim()).toBe('commit');
    expect(git('fsck', '--full', '--strict')).toBe('');
  });

  it('may take an empty directory away while a commit is made durable', async () => {
    const objects = join(dir, 'objects');
    let over = false;
    const churn = (async () => {
      while (!over) {
        await mkdir(join(objects, 'ab'), { recursive: true });
        await rmdir(join(objects, 'ab'));
      }
    })();
    const flushed = Promise.all(Array.from({ length: 300 }, () => flushRepository(dir, 0)));
    await flushed.finally(() => {
      over = true;
    });
    await churn;
  }, 60_000);

  it('that was told to end does not fail', async () => {
    await commit(1);
    await expect(repository.maintain(AbortSignal.abort())).resolves.toBeUndefined();
    const stop = new AbortController();
    const under = repository.maintain(stop.signal);
    stop.abort();
    await expect(under).resolves.toBeUndefined();
    expect(git('fsck', '--full', '--strict')).toBe('');
  });

  it('removes what a packing that was killed left, and leaves what another process writes now', async () => {
    await commit(1);
    await repository.maintain(null);
    const left = join(dir, 'objects/pack/tmp_pack_left');
    const written = join(dir, 'objects/pack/tmp_pack_now');
    writeFileSync(left, 'half a pack');
    writeFileSync(written, 'half a pack');
    const longAgo = Date.now() / 1_000 - 2 * 3_600;
    utimesSync(left, longAgo, longAgo);
    await repository.maintain(null);
    const names = readdirSync(join(dir, 'objects/pack'));
    expect(names).not.toContain('tmp_pack_left');
    expect(names).toContain('tmp_pack_now');
  });

  it('removes half-written objects of a commit that was killed, and no object', async () => {
    const { commit: made } = await commit(1);
    const of = join(dir, 'objects', made.slice(0, 2));
    const longAgo = Date.now() / 1_000 - 2 * 3_600;
    // An object that no ref leads to is kept: a commit under way may be about to name it.
    const loose = git('hash-object', '-w', '--stdin').trim();
    const object = join(dir, 'objects', loose.slice(0, 2), loose.slice(2));
    for (const [name, at] of [
      ['tmp_obj_left', longAgo],
      ['tmp_obj_now', Date.now() / 1_000],
    ] as const) {
      writeFileSync(join(of, name), 'half an object');
      utimesSync(join(of, name), at, at);
    }
    utimesSync(object, longAgo, longAgo);
    await repository.maintain(null);
    const names = readdirSync(join(dir, 'objects'), { recursive: true, encoding: 'utf8' }).join(' ');
    expect(names).not.toContain('tmp_obj_left');
    expect(names).toContain('tmp_obj_now');
    expect(git('cat-file', '-t', loose).trim()).toBe('blob');
  });

  it('that git cannot carry out says so', async () => {
    await commit(1);
    writeFileSync(join(dir, 'config'), 'this is no configuration [');
    await expect(repository.maintain(null)).rejects.toMatchObject({ code: 'store.git-failed' });
  });
});
