import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath, isArtefactPath } from '../../src/gitstore/paths.ts';
import type { CommitRequest, Repository } from '../../src/gitstore/repository.ts';
import { describeWith } from '../support/system.ts';

const atMs = Date.UTC(2025, 0, 2, 3, 4, 5);
const environment = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' };

describeWith('git', 'the repository', (gitPath) => {
  let root: string;
  let dir: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-git-'));
    dir = join(root, 'configs.git');
  });
  afterEach(() => {
    if (existsSync(join(dir, 'HEAD')))
      expect(git('fsck', '--full', '--strict')).not.toMatch(/error|missing|corrupt/);
    expect(existsSync(dir) ? readdirSync(dir).filter((name) => /tmp|diff-|crash/.test(name)) : []).toEqual(
      [],
    );
    rmSync(root, { recursive: true, force: true });
  });

  function git(...args: string[]): string {
    return execFileSync(gitPath, ['-c', `safe.directory=${dir}`, ...args], {
      cwd: dir,
      env: {
        ...environment,
        GIT_AUTHOR_NAME: 'x',
        GIT_AUTHOR_EMAIL: 'x@y',
        GIT_COMMITTER_NAME: 'x',
        GIT_COMMITTER_EMAIL: 'x@y',
      },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trimEnd();
  }

  const requestFor = (device: string, text: string, runId = `run-${device}`): CommitRequest => ({
    subject: ({ addedLines, removedLines }) =>
      `${device}: running-config changed (+${addedLines} -${removedLines})`,
    body: '',
    trailers: [
      ['Device', device],
      ['Run-Id', runId],
    ],
    atMs,
    files: [{ path: artefactPath('default', device, 'running-config'), text }],
    remove: [],
  });
  const pathOf = (device: string) => artefactPath('default', device, 'running-config');

  /** Somebody else's commit on main, or beside it. */
  function foreignCommit(parent: string | null): string {
    const tree = parent === null ? git('mktree') : git('rev-parse', `${parent}^{tree}`);
    return git('commit-tree', tree, '-m', 'by hand', ...(parent === null ? [] : ['-p', parent]));
  }

  const messageOf = async (repository: Repository, commit: string): Promise<string> =>
    (await repository.messages([commit])).get(commit) ?? '';
  /** A git that behaves until it is told to import, or whatever `command` is. */
  function gitThat(then: string, command = 'fast-import'): string {
    const program = join(root, 'git-wrapper');
    const real = `exec ${gitPath} "$@"`;
    writeFileSync(
      program,
      `#!/bin/bash\ncase " $* " in *" ${command} "*)\nif [ ! -e ${root}/healed ]; then\n${then}\nfi;; esac\n${real}\n`,
    );
    chmodSync(program, 0o700);
    return program;
  }
  const heal = () => writeFileSync(join(root, 'healed'), '');

  it('keeps every byte, NUL and 0xFF and a missing last line feed included', async () => {
    const repository = await openRepository({ dir });
    const text = `${Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('')}\r\nlast`;
    const { commit } = await repository.commit(requestFor('fw1', text));
    expect(await repository.read(commit, pathOf('fw1'))).toBe(text);
    expect(execFileSync(gitPath, ['--git-dir', dir, 'show', `main:${pathOf('fw1')}`])).toEqual(
      Buffer.from(text, 'latin1'),
    );
  });

  it('is bare, for its owner alone, on main, and tells nothing where it is empty', async () => {
    const repository = await openRepository({ dir });
    expect(git('rev-parse', '--is-bare-repository')).toBe('true');
    expect(git('symbolic-ref', 'HEAD')).toBe('refs/heads/main');
    expect(git('config', 'core.fsync')).toBe('all');
    expect(await repository.findRun('run-fw1')).toBeNull();
    expect(await repository.read('a'.repeat(40), pathOf('fw1'))).toBeNull();
    // Opening it again finds what is there.
    const { commit } = await repository.commit(requestFor('fw1', 'a\n'));
    expect(await (await openRepository({ dir })).read(commit, pathOf('fw1'))).toBe('a\n');
  });

  it('gives each of 50 concurrent requests a commit of its own, in a few batches', async () => {
    const calls = join(root, 'calls');
    const program = gitThat(`echo import >> ${calls}`);
    const repository = await openRepository({ dir, gitProgram: program });
    const made = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        // A few of them come while the first batch is being written.
        if (index >= 20) await new Promise((resolve) => setImmediate(resolve));
        return repository.commit(requestFor(`fw${index}`, `hostname fw${index}\n`));
      }),
    );
    expect(new Set(made.map(({ commit }) => commit)).size).toBe(50);
    expect(git('rev-list', '--count', 'main')).toBe('50');
    expect(readFileSync(calls, 'utf8').split('\n').length - 1).toBe(2);
    for (const [index, { commit }] of made.entries()) {
      expect(git('diff-tree', '--root', '--no-commit-id', '--name-only', '-r', commit)).toBe(
        pathOf(`fw${index}`),
      );
      expect(await repository.read(commit, pathOf(`fw${index}`))).toBe(`hostname fw${index}\n`);
    }
    expect(git('log', '-1', '--format=%an <%ae> %aI|%cn %cI', made[0]?.commit ?? '')).toBe(
      'Roundsman <roundsman@localhost> 2025-01-02T03:04:05Z|Roundsman 2025-01-02T03:04:05Z'.replaceAll(
        'Z',
        '+00:00',
      ),
    );
  });

  it('counts lines against main as it is when the turn of a request comes', async () => {
    const repository = await openRepository({ dir });
    const [first, second] = await Promise.all([
      repository.commit(requestFor('fw1', 'a\nb\nc\n', 'r1')),
      repository.commit(requestFor('fw1', 'a\nB\nc\nd\n', 'r2')),
    ]);
    expect(first).toMatchObject({ addedLines: 3, removedLines: 0 });
    expect(second).toMatchObject({ addedLines: 2, removedLines: 1 });
    const third = await repository.commit(requestFor('fw1', 'a\n\0\nc\nd\n', 'r3'));
    expect(third).toMatchObject({ addedLines: 1, removedLines: 1 });
    expect((await messageOf(repository, third.commit)).split('\n')[0]).toBe(
      'fw1: running-config changed (+1 -1)',
    );
  });

  it('a move to another group is one commit that counts only what differs', async () => {
    const repository = await openRepository({ dir });
    await repository.commit(requestFor('fw1', 'a\nb\n'));
    const moved = await repository.commit({
      ...requestFor('fw1', 'a\nb\nc\n', 'r2'),
      files: [{ path: 'hq/fw1/running-config.cfg', text: 'a\nb\nc\n' }],
      remove: [pathOf('fw1')],
    });
    expect(moved).toMatchObject({ addedLines: 1, removedLines: 0 });
    expect(git('ls-tree', '-r', '--name-only', 'main')).toBe('hq/fw1/running-config.cfg');
  });

  it('words of a device cannot add a line, a trailer or a subject', async () => {
    const repository = await openRepository({ dir });
    const { commit } = await repository.commit({
      ...requestFor('fw1', 'a\n'),
      subject: () => 'fw1: x\n\nRun-Id: forged\0\u2028y',
      body: 'said\n\nRun-Id: forged',
      trailers: [
        ['Changed-By', 'eve\nRun-Id: forged\r\n\r\nRun-Id: forged\0\x1b[2J'],
        ['Model', ''],
        ['Run-Id', 'true-one'],
      ],
    });
    expect(await repository.findRun('forged')).toBeNull();
    expect(await repository.findRun('true-one')).toBe(commit);
    const message = await messageOf(repository, commit);
    expect(message).not.toMatch(/[\0\x1b\r]/);
    expect(git('log', '-1', '--format=%(trailers:only)', commit).trim().split('\n')).toHaveLength(2);
    expect(git('log', '-1', '--format=%s', commit)).toContain('fw1: x');
  });

  it('finds a run by its whole id and no other', async () => {
    const repository = await openRepository({ dir });
    const a = await repository.commit(requestFor('fw1', 'a\n', '01JABC'));
    const b = await repository.commit(requestFor('fw2', 'b\n', '01JABC2'));
    expect(await repository.findRun('01JABC')).toBe(a.commit);
    expect(await repository.findRun('01JABC2')).toBe(b.commit);
    expect(await repository.findRun('01JAB')).toBeNull();
    expect(await repository.findRun('.*')).toBeNull();
    expect(await repository.read(a.commit, pathOf('fw2'))).toBeNull();
  });

  it('a look for a run whose git is killed finds out nothing, instead of finding none', async () => {
    const { commit } = await (await openRepository({ dir })).commit(requestFor('fw1', 'a\n', 'r1'));
    const repository = await openRepository({ dir, gitProgram: gitThat('kill -9 $$', 'log') });
    await expect(repository.findRun('r1')).rejects.toMatchObject({ code: 'store.git-failed' });
    await expect(repository.messages([commit])).rejects.toMatchObject({ code: 'store.git-failed' });
    heal();
    expect(await repository.findRun('r1')).toBe(commit);
  });

  it('a path outside the layout is refused, and the others of the batch are written', async () => {
    const repository = await openRepository({ dir });
    const bad = ['../x/y.cfg', 'a/b/c\nd.cfg', 'a/.git/c.cfg', 'a/b.cfg', 'a/b/"c.cfg', '/a/b/c.cfg'];
    const results = await Promise.allSettled([
      ...bad.map((path) => repository.commit({ ...requestFor('fw1', 'x'), files: [{ path, text: 'x' }] })),
      repository.commit({
        ...requestFor('fw1', 'x'),
        subject: () => {
          throw new Error('no subject');
        },
      }),
      repository.commit(requestFor('fw2', 'x\n')),
    ]);
    expect(results.map(({ status }) => status)).toEqual([...Array(7).fill('rejected'), 'fulfilled']);
    expect(git('rev-list', '--count', 'main')).toBe('1');
  });

  it('a killed git child acknowledges nothing, and the same requests go through afterwards', async () => {
    // It takes part of the stream, leaves a half-written pack and the lock of main, and dies.
    const program = gitThat(
      `head -c 300 >/dev/null; touch ${join(root, 'configs.git')}/refs/heads/main.lock ${join(root, 'configs.git')}/objects/pack/tmp_pack_x; kill -9 $$`,
    );
    const repository = await openRepository({ dir, gitProgram: program });
    const requests = ['fw1', 'fw2', 'fw3'].map((device) => requestFor(device, `${device}\n`.repeat(50_000)));
    const results = await Promise.allSettled(requests.map((request) => repository.commit(request)));
    for (const result of results) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: { code: 'store.git-failed', detail: { command: 'fast-import', exitCode: 137 } },
      });
    }
    expect(git('for-each-ref')).toBe('');
    expect(readdirSync(join(dir, 'objects/pack'))).toEqual([]);
    heal();
    await Promise.all(requests.map((request) => repository.commit(request)));
    expect(git('rev-list', '--count', 'main')).toBe('3');
    expect(existsSync(join(dir, 'refs/heads/main.lock'))).toBe(false);
  });

  it('an import that only warns is a failure, whatever it answered', async () => {
    const program = gitThat(`${gitPath} "$@"; code=$?; echo 'warning: something' >&2; exit $code`);
    const repository = await openRepository({ dir, gitProgram: program });
    await expect(repository.commit(requestFor('fw1', 'a\n'))).rejects.toMatchObject({
      code: 'store.git-failed',
      detail: { exitCode: 0, stderr: 'warning: something' },
    });
  });

  it('an answer without a moved ref is a failure', async () => {
    const program = gitThat(`cat >/dev/null & sed -u -n 's/^get-mark :.*/${'a'.repeat(40)}/p'; exit 0`);
    const repository = await openRepository({ dir, gitProgram: program });
    await expect(repository.commit(requestFor('fw1', 'a\n'))).rejects.toMatchObject({ name: 'BackupError' });
    expect(git('for-each-ref')).toBe('');
  });

  it.each([
    ['No space left on device', 'store.disk-full'],
    ['Read-only file system', 'store.read-only'],
    ['Permission denied', 'store.permission'],
    ['Input/output error', 'store.io'],
    ['error: \x1b[2Jodd', 'store.git-failed'],
  ])('what git says (%j) becomes a code that names the remedy', async (said, code) => {
    const program = gitThat(`printf '%s\\n' 'fatal: x: ${said}' >&2; exit 128`);
    const repository = await openRepository({ dir, gitProgram: program });
    const failure = await repository.commit(requestFor('fw1', 'a\n')).catch((error) => error);
    expect(failure.code).toBe(code);
    expect(JSON.stringify(failure.detail)).not.toContain('\\u001b');
  });

  it('a git that is not installed, and a file where the directory should be, are told apart', async () => {
    await expect(openRepository({ dir, gitProgram: join(root, 'absent') })).rejects.toMatchObject({
      code: 'store.git-failed',
      detail: { exitCode: 127 },
    });
    writeFileSync(join(root, 'file'), '');
    await expect(openRepository({ dir: join(root, 'file', 'configs.git') })).rejects.toMatchObject({
      code: 'store.io',
    });
  });

  it('a lock older than this process is removed, a younger one is not ours to remove', async () => {
    const repository = await openRepository({ dir });
    await repository.commit(requestFor('fw1', 'a\n', 'r1'));
    const lock = join(dir, 'refs/heads/main.lock');
    writeFileSync(lock, '');
    await expect(repository.commit(requestFor('fw1', 'b\n', 'r2'))).rejects.toMatchObject({
      code: 'store.locked',
      detail: { lockFile: lock },
    });
    expect(existsSync(lock)).toBe(true);
    utimesSync(lock, new Date(0), new Date(0));
    await repository.commit(requestFor('fw1', 'b\n', 'r2'));
    expect(existsSync(lock)).toBe(false);
    expect(git('rev-list', '--count', 'main')).toBe('2');
  });

  it('an old lock stays while a git process works in the repository', async () => {
    const repository = await openRepository({ dir });
    await repository.commit(requestFor('fw1', 'a\n', 'r1'));
    const lock = join(dir, 'HEAD.lock');
    writeFileSync(lock, '');
    utimesSync(lock, new Date(0), new Date(0));
    const { spawn } = await import('node:child_process');
    const writer = spawn(gitPath, ['fast-import', '--quiet'], {
      cwd: dir,
      env: environment,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    await new Promise((resolve) => writer.once('spawn', resolve));
    await expect(repository.commit(requestFor('fw1', 'b\n', 'r2'))).rejects.toMatchObject({
      code: 'store.locked',
    });
    const ended = new Promise((resolve) => writer.once('close', resolve));
    writer.stdin.end();
    await ended;
    await repository.commit(requestFor('fw1', 'b\n', 'r2'));
  });

  it("somebody else's commit on main stays, is built upon and told once", async () => {
    const repository = await openRepository({ dir });
    const first = await repository.commit(requestFor('fw1', 'a\n', 'r1'));
    expect(first.foreignTip).toBeNull();
    const foreign = foreignCommit(first.commit);
    git('update-ref', 'refs/heads/main', foreign);
    const second = await repository.commit(requestFor('fw1', 'b\n', 'r2'));
    expect(second.foreignTip).toBe(foreign);
    expect(git('rev-parse', `${second.commit}^`)).toBe(foreign);
    expect((await repository.commit(requestFor('fw1', 'c\n', 'r3'))).foreignTip).toBeNull();
  });

  it('a main that moves while a batch is written acknowledges nothing and is not overwritten', async () => {
    const honest = await openRepository({ dir });
    const first = await honest.commit(requestFor('fw1', 'a\n', 'r1'));
    const foreign = foreignCommit(first.commit);
    const program = gitThat(`${gitPath} -C ${dir} update-ref refs/heads/main ${foreign}`);
    const repository = await openRepository({ dir, gitProgram: program });
    await expect(repository.commit(requestFor('fw1', 'b\n', 'r2'))).rejects.toMatchObject({
      code: 'store.git-failed',
    });
    expect(git('rev-parse', 'main')).toBe(foreign);
    heal();
    expect((await repository.commit(requestFor('fw1', 'b\n', 'r2'))).foreignTip).toBe(foreign);
  });

  it('a rewritten main loses neither history: ours is kept by a ref', async () => {
    const repository = await openRepository({ dir });
    await repository.commit(requestFor('fw1', 'a\n', 'r1'));
    const ours = await repository.commit(requestFor('fw1', 'b\n', 'r2'));
    const foreign = git('commit-tree', git('mktree'), '-m', 'rewritten');
    git('update-ref', 'refs/heads/main', foreign);
    const next = await repository.commit(requestFor('fw1', 'c\n', 'r3'));
    expect(next.foreignTip).toBe(foreign);
    expect(git('for-each-ref', '--format=%(objectname)', 'refs/roundsman')).toBe(ours.commit);
    git('gc', '--quiet', '--prune=now');
    expect(await repository.read(ours.commit, pathOf('fw1'))).toBe('b\n');
  });

  it('a main that was set back or removed loses no acknowledged commit', async () => {
    const repository = await openRepository({ dir });
    const first = await repository.commit(requestFor('fw1', 'a\n', 'r1'));
    const second = await repository.commit(requestFor('fw1', 'b\n', 'r2'));
    git('update-ref', 'refs/heads/main', first.commit);
    const third = await repository.commit(requestFor('fw1', 'c\n', 'r3'));
    expect(third.foreignTip).toBe(first.commit);
    expect(git('for-each-ref', '--format=%(objectname)', 'refs/roundsman')).toBe(second.commit);
    git('update-ref', '-d', 'refs/heads/main');
    const fourth = await repository.commit(requestFor('fw1', 'd\n', 'r4'));
    expect(git('rev-parse', `${fourth.commit}^`)).toBe(third.commit);
  });

  it('a crash between the move of main and its acknowledgement is no work of somebody else', async () => {
    const program = gitThat(`${gitPath} "$@"; kill -9 $$`);
    const repository = await openRepository({ dir, gitProgram: program });
    await expect(repository.commit(requestFor('fw1', 'a\n', 'r1'))).rejects.toMatchObject({
      code: 'store.git-failed',
    });
    const made = await repository.findRun('r1');
    expect(made).not.toBeNull();
    heal();
    const next = await repository.commit(requestFor('fw1', 'b\n', 'r2'));
    expect(next.foreignTip).toBeNull();
    expect(git('rev-parse', `${next.commit}^`)).toBe(made);
  });

  it('settings and hooks of a person do not reach our git', async () => {
    const repository: Repository = await openRepository({ dir });
    const hook = join(root, 'hooks');
    const touched = join(root, 'touched');
    spawnSync('mkdir', [hook]);
    writeFileSync(join(hook, 'reference-transaction'), `#!/bin/sh\ntouch ${touched}\n`, { mode: 0o700 });
    git('config', '--file', 'config', 'core.hooksPath', hook);
    await repository.commit(requestFor('fw1', 'a\n'));
    expect(existsSync(touched)).toBe(false);
  });
});

it('different names of artefacts never share a path, and every path is safe', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, unit: 'binary', maxLength: 40 }),
      fc.string({ minLength: 1, unit: 'binary', maxLength: 40 }),
      (a, b) => {
        const wellFormed = a.isWellFormed() && b.isWellFormed();
        fc.pre(wellFormed);
        const paths = [a, b].map((name) => artefactPath('default', 'fw1', name));
        expect(paths.every((path) => path.length > 250 || isArtefactPath(path))).toBe(true);
        expect(paths[0] === paths[1]).toBe(a === b);
      },
    ),
  );
  expect(artefactPath('default', 'fw1', 'running-config')).toBe('default/fw1/running-config.cfg');
  expect(artefactPath('hq', 'fw1', '../x y')).toBe('hq/fw1/%2E.%2Fx%20y.cfg');
});
