import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Mended } from '../../src/gitstore/mending.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import type { CommitRequest, Repository } from '../../src/gitstore/repository.ts';
import { describeWith } from '../support/system.ts';

describeWith('git', 'a repository that a power cut or a disk damaged', (gitPath) => {
  let root: string;
  let dir: string;
  let repository: Repository;
  let remembered: string[];
  let mended: Mended[];
  let locked: boolean;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-mend-'));
    dir = join(root, 'configs.git');
    [remembered, mended, locked] = [[], [], true];
    const mending = {
      allowed: () => locked,
      remembered: () => remembered,
      onMended: (one: Mended) => void mended.push(one),
    };
    repository = await openRepository({ dir, mending });
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function git(...args: string[]): string {
    const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' };
    const safe = ['-c', `safe.directory=${dir}`, '-c', 'user.name=x', '-c', 'user.email=x@y'];
    return execFileSync(gitPath, [...safe, ...args], {
      ...{ cwd: dir, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
    }).trimEnd();
  }

  const pathOf = (device: string) => artefactPath('default', device, 'running-config');
  let nth = 0;
  async function commit(device: string, text: string): Promise<string> {
    const request: CommitRequest = {
      ...{ subject: () => device, body: '', atMs: Date.UTC(2025, 0, 2), remove: [] },
      trailers: [['Run-Id', `run-${++nth}`]],
      files: [{ path: pathOf(device), text }],
    };
    return (await repository.commit(request)).commit;
  }

  const mainFile = () => join(dir, 'refs/heads/main');
  const objectFile = (id: string) => join(dir, 'objects', id.slice(0, 2), id.slice(2));
  function damage(id: string, content = ''): void {
    chmodSync(objectFile(id), 0o600);
    writeFileSync(objectFile(id), content);
  }
  const whole = () => git('fsck', '--full', '--strict', '--no-dangling');

  it.each([
    ['of no byte', () => writeFileSync(mainFile(), '')],
    ['of zeros', () => writeFileSync(mainFile(), Buffer.alloc(41))],
    ['cut short', () => writeFileSync(mainFile(), readFileSync(mainFile()).subarray(0, 20))],
    ['that names what is not there', () => writeFileSync(mainFile(), `${'5'.repeat(40)}\n`)],
  ])('a main %s goes back to what was acknowledged, and says so', async (_what, breakMain) => {
    const first = await commit('fw1', 'a\n');
    const second = await commit('fw1', 'b\n');
    breakMain();
    const third = await commit('fw2', 'c\n');
    expect(git('rev-list', 'main').split('\n')).toEqual([third, second, first]);
    expect(mended).toEqual([expect.objectContaining({ what: 'main', commit: second })]);
    whole();
  });

  it('a main without our note comes back from the log of git, and without that from the ledger', async () => {
    const first = await commit('fw1', 'a\n');
    const second = await commit('fw1', 'b\n');
    writeFileSync(mainFile(), '');
    writeFileSync(join(dir, 'roundsman-tip'), '');
    await repository.ready();
    expect(mended).toEqual([{ what: 'main', commit: second, from: 'reflog', found: '' }]);
    writeFileSync(mainFile(), '');
    writeFileSync(join(dir, 'roundsman-tip'), '');
    writeFileSync(join(dir, 'logs/refs/heads/main'), '');
    remembered = ['6'.repeat(40), second, first];
    await repository.ready();
    expect(mended.at(-1)).toEqual({ what: 'main', commit: second, from: 'ledger', found: '' });
    expect(git('rev-parse', 'main')).toBe(second);
  });

  it('a main that is lost with every memory of it fails with what is wrong, and nothing is made up', async () => {
    await commit('fw1', 'a\n');
    for (const name of ['refs/heads/main', 'roundsman-tip', 'logs/refs/heads/main'])
      writeFileSync(join(dir, name), '');
    await expect(repository.ready()).rejects.toMatchObject({ code: 'store.git-failed' });
    expect(readFileSync(mainFile(), 'utf8')).toBe('');
  });

  it('somebody else’s commit that was on main when it was emptied stays', async () => {
    const ours = await commit('fw1', 'a\n');
    const foreign = git('commit-tree', `${ours}^{tree}`, '-m', 'by hand', '-p', ours);
    git('update-ref', 'refs/heads/main', foreign);
    writeFileSync(mainFile(), '');
    const next = await commit('fw1', 'b\n');
    expect(git('rev-list', 'main').split('\n')).toEqual([next, foreign, ours]);
  });

  it('a HEAD of no byte is written again', async () => {
    await commit('fw1', 'a\n');
    writeFileSync(join(dir, 'HEAD'), '');
    await commit('fw1', 'b\n');
    expect(git('symbolic-ref', 'HEAD')).toBe('refs/heads/main');
    expect(mended).toEqual([{ what: 'head', found: '' }]);
  });

  it('whoever only reads repairs nothing', async () => {
    await commit('fw1', 'a\n');
    writeFileSync(mainFile(), '');
    locked = false;
    await expect(repository.findRun('run-1')).rejects.toMatchObject({ code: 'store.git-failed' });
    expect(readFileSync(mainFile(), 'utf8')).toBe('');
  });

  it.each([
    ['empty', ''],
    ['of something else', 'garbage'],
  ])(
    'a text whose object is %s is not there any more, and is stored again by the next reading',
    async (_what, content) => {
      await commit('fw1', 'a\n');
      const blob = git('rev-parse', `main:${pathOf('fw1')}`);
      damage(blob, content);
      expect(await repository.read(null, pathOf('fw1'))).toBeNull();
      expect(mended).toEqual([{ what: 'object', object: blob }]);
      const again = await commit('fw1', 'a\n');
      expect(await repository.read(again, pathOf('fw1'))).toBe('a\n');
      whole();
    },
  );

  it('a text that comes back is stored although a damaged file of its name lies there', async () => {
    await commit('fw1', 'a\n');
    const blob = git('rev-parse', `main:${pathOf('fw1')}`);
    await commit('fw1', 'b\n');
    damage(blob);
    const again = await commit('fw1', 'a\n');
    expect(await repository.read(again, pathOf('fw1'))).toBe('a\n');
    whole();
  });

  it('a damaged text of one device is in no other’s way', async () => {
    await commit('fw1', 'a\n');
    await commit('fw2', 'b\n');
    damage(git('rev-parse', `main:${pathOf('fw1')}`));
    await Promise.all([commit('fw1', 'c\n'), commit('fw2', 'd\n')]);
    expect(git('show', `main:${pathOf('fw1')}`)).toBe('c');
    expect(git('show', `main:${pathOf('fw2')}`)).toBe('d');
  });

  it('a tree of main that is damaged costs the commit that made it, which is told, and none before it', async () => {
    const first = await commit('fw1', 'a\n');
    const second = await commit('fw2', 'b\n');
    damage(git('rev-parse', `${second}^{tree}`));
    const third = await commit('fw2', 'b\n');
    expect(git('rev-list', 'main').split('\n')).toEqual([third, first]);
    expect(mended).toContainEqual(expect.objectContaining({ what: 'main', commit: first, found: second }));
    expect(git('show', `main:${pathOf('fw2')}`)).toBe('b');
  });

  it('a look at every object names what is wrong and which texts are lost, and is clean after the next reading', async () => {
    expect(await repository.inspected()).toBeNull();
    expect(await repository.inspect(1_000)).toEqual({ problems: [], lostPaths: [] });
    await commit('fw1', 'a\n');
    await commit('fw2', 'b\n');
    expect(await repository.inspect(2_000)).toEqual({ problems: [], lostPaths: [] });
    const blob = git('rev-parse', `main:${pathOf('fw1')}`);
    damage(blob);
    const { problems, lostPaths } = await repository.inspect(3_000);
    expect(await repository.inspected()).toEqual({
      ...{ atMs: 3_000, problems: problems.length, lastCleanMs: 2_000 },
    });
    expect(problems.join('\n')).toContain(blob);
    expect(lostPaths).toEqual([pathOf('fw1')]);
    expect(readdirSync(join(dir, 'damaged'))).toEqual([blob]);
    await commit('fw1', 'a\n');
    expect(await repository.inspect(4_000)).toEqual({ problems: [], lostPaths: [] });
    expect(await repository.inspected()).toEqual({ atMs: 4_000, problems: 0, lastCleanMs: 4_000 });
  });

  it('whether a commit could be made is told without making one', async () => {
    await repository.ready();
    expect(existsSync(mainFile())).toBe(false);
    const first = await commit('fw1', 'a\n');
    writeFileSync(join(dir, 'refs/heads/main.lock'), '');
    await expect(repository.ready()).rejects.toMatchObject({ code: 'store.locked' });
    rmSync(join(dir, 'refs/heads/main.lock'));
    await repository.ready();
    expect(git('rev-parse', 'main')).toBe(first);
  });

  it('a look at whether a commit could be made does not hide somebody else’s commit', async () => {
    const ours = await commit('fw1', 'a\n');
    const foreign = git('commit-tree', `${ours}^{tree}`, '-m', 'by hand', '-p', ours);
    git('update-ref', 'refs/heads/main', foreign);
    await repository.ready();
    const request: CommitRequest = {
      ...{ subject: () => 'x', body: '', atMs: 0, remove: [], trailers: [] },
      files: [{ path: pathOf('fw1'), text: 'b\n' }],
    };
    expect((await repository.commit(request)).foreignTip).toBe(foreign);
  });
});
