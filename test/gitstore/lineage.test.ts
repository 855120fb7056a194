import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactAt, artefactPath } from '../../src/gitstore/paths.ts';
import type { Repository, StoredCommit } from '../../src/gitstore/repository.ts';
import { describeWith } from '../support/system.ts';

describeWith('git', 'the commits of main', (gitPath) => {
  let dir: string;
  let repository: Repository;
  let atMs = Date.UTC(2026, 2, 1);

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'roundsman-lineage-'));
    repository = await openRepository({ dir });
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function git(...args: string[]): string {
    return execFileSync(gitPath, ['--git-dir', dir, ...args], { encoding: 'utf8' });
  }

  async function commit(name: string, text: string, over: object = {}): Promise<string> {
    atMs += 1_000;
    const { commit: id } = await repository.commit({
      subject: () => `${name}: changed`,
      body: 'a body\n\nRun-Id: not-a-trailer',
      trailers: [
        ['Device', name],
        ['Run-Id', `run-${name}`],
        ['Changed-By', 'Jürgen'],
      ],
      atMs,
      files: [{ path: artefactPath('hq', name, 'running-config'), text }],
      remove: [],
      ...over,
    });
    return id;
  }

  async function since(isKnown: (commit: string, runId: string) => boolean): Promise<StoredCommit[]> {
    const found: StoredCommit[] = [];
    for await (const one of repository.commitsSince(isKnown)) found.push(one);
    return found;
  }

  it('are told with trailers and paths, oldest first; none before the first commit', async () => {
    expect(await since(() => false)).toEqual([]);
    const first = await commit('fw1', 'a\n');
    const second = await commit('fw2', 'b\n', { remove: [artefactPath('hq', 'fw1', 'running-config')] });
    expect(await since(() => false)).toMatchObject([
      {
        ...{ commit: first, atMs: atMs - 1_000, isOurs: true, removed: [] },
        trailers: [
          ['Device', 'fw1'],
          ['Run-Id', 'run-fw1'],
          ['Changed-By', 'Jürgen'],
        ],
        written: ['hq/fw1/running-config.cfg'],
      },
      { commit: second, written: ['hq/fw2/running-config.cfg'], removed: ['hq/fw1/running-config.cfg'] },
    ]);
  });

  it('are not looked at where the newest one is known', async () => {
    await commit('fw1', 'a\n');
    const newest = await commit('fw2', 'b\n');
    const asked: string[] = [];
    expect(await since((id, runId) => asked.push(`${id} ${runId}`) > 0)).toEqual([]);
    expect(asked).toEqual([`${newest} run-fw2`]);
  });

  it('that are newer than the known one come with those of its own moment', async () => {
    const ids: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) ids.push(await commit(name, 'x\n'));
    expect((await since((id) => id === ids[1])).map(({ commit: id }) => id)).toEqual(ids);
  });

  it('of somebody else are told apart, whatever they say', async () => {
    await commit('fw1', 'a\n');
    const person = ['-c', 'user.name=x', '-c', 'user.email=x@y'];
    const tree = git('rev-parse', 'main^{tree}').trim();
    const message = 'by hand\n\nDevice: fw1\nX: \u0001aaaa 1 roundsman@localhost\nRun-Id: r\n';
    const id = git(...person, 'commit-tree', tree, '-p', 'main', '-m', message).trim();
    git('update-ref', 'refs/heads/main', id);
    const found = await since(() => false);
    expect(found.map(({ isOurs }) => isOurs)).toEqual([true, false]);
  });

  it('can put a text that git has at another place, and name it', async () => {
    const from = artefactPath('hq', 'fw1', 'running-config');
    const first = await commit('fw1', 'text\n');
    const [blob] = await repository.blobs([{ commit: first, path: from }]);
    const to = artefactPath('berlin', 'fw1', 'running-config');
    await commit('fw1', '', { files: [], remove: [from], blobs: [{ path: to, blob }] });
    expect(git('ls-tree', '-r', '--name-only', 'main').trim()).toBe(to);
    expect(git('show', `main:${to}`)).toBe('text\n');
    expect(await repository.blobs([])).toEqual([]);
    expect(
      await repository.blobs([
        { commit: null, path: to },
        { commit: null, path: from },
        { commit: 'none', path: to },
        { commit: null, path: '../x' },
      ]),
    ).toEqual([blob, null, null, null]);
    await expect(commit('fw1', '', { files: [], blobs: [{ path: '../x', blob }] })).rejects.toThrow(
      'not the path',
    );
  });

  it('name artefacts by paths that can be taken apart again', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (artefact) => {
        const path = artefactPath('hq', 'fw1', artefact);
        // A lone surrogate is no text that a device can have.
        fc.pre(artefact.isWellFormed());
        expect(artefactAt(path)).toEqual({ group: 'hq', device: 'fw1', artefact });
      }),
    );
    for (const path of ['', 'a', 'hq/fw1/%2e.cfg', 'hq/fw1/a', 'hq/fw1/a/b.cfg', 'hq/fw1/%ZZ.cfg'])
      expect(artefactAt(path)).toBeNull();
  });
});
