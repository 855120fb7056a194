import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { publicKeyLine } from '../../src/core/ssh-signature.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import type { CommitRequest, Repository } from '../../src/gitstore/repository.ts';
import { parseSigningKey } from '../../src/transport/signing-key.ts';
import { generateKey, type HostKeyType } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';

const atMs = Date.UTC(2025, 0, 2, 3, 4, 5);
const types: readonly HostKeyType[] = ['ed25519', 'ecdsa', 'rsa'];

describeWith('ssh-keygen', 'signed commits', () => {
  let root: string;
  let dir: string;
  /** What main was at before each batch. */
  let tips: (string | null)[];

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-sign-'));
    dir = join(root, 'configs.git');
    tips = [];
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function git(...args: string[]): string {
    return execFileSync('git', ['--git-dir', dir, ...args], {
      env: { PATH: process.env.PATH ?? '', HOME: root, GIT_CONFIG_NOSYSTEM: '1' },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  }

  async function open(type: HostKeyType | null, gitProgram = 'git'): Promise<Repository> {
    const key = join(root, String(type));
    if (type !== null && !existsSync(key)) await generateKey(key, type);
    const signer = type === null ? null : await parseSigningKey(readFileSync(key, 'latin1'), { file: key });
    if (signer !== null)
      writeFileSync(join(root, 'allowed'), `roundsman@localhost ${publicKeyLine(signer.publicKey)}\n`);
    return openRepository({
      ...{ dir, gitProgram },
      signing: { signer: () => signer, onBatch: (tip) => void tips.push(tip) },
    });
  }

  const requestFor = (device: string, text: string): CommitRequest => ({
    subject: ({ addedLines }) => `${device}: Ümläut (+${addedLines})`,
    body: '',
    trailers: [['Device', device]],
    atMs,
    files: [{ path: artefactPath('default', device, 'running-config'), text }],
    remove: [],
  });

  /** Throws where git does not find them good. */
  const verified = (...commits: string[]): string =>
    git('-c', `gpg.ssh.allowedSignersFile=${join(root, 'allowed')}`, 'verify-commit', '-v', ...commits);
  /** What no ref leads to. */
  const unreachable = (): string => git('fsck', '--full', '--strict', '--unreachable', '--no-progress');
  const refs = (): string => git('for-each-ref', '--format=%(refname)');

  /** A git that stops where it is told to, until it is healed. */
  function gitThat(subcommand: string, does: string): string {
    const program = join(root, 'git-wrapper');
    writeFileSync(
      program,
      `#!/bin/bash\ncase " $* " in *" ${subcommand} "*)\nif [ ! -e ${root}/healed ]; then\n${does}\nfi;; esac\nexec git "$@"\n`,
    );
    chmodSync(program, 0o700);
    return program;
  }

  it.each(types)('by a key of type %s are good for git, alone and in a batch', async (type) => {
    const repository = await open(type);
    const { commit } = await repository.commit(requestFor('fw1', 'a\n'));
    const more = await Promise.all(
      Array.from({ length: 40 }, (_, index) => repository.commit(requestFor(`fw${index}`, `b ${index}\n`))),
    );
    const all = [commit, ...more.map((one) => one.commit)];
    expect(git('rev-list', '--reverse', 'main').split('\n')).toEqual(all);
    expect(() => verified(...all)).not.toThrow();
    expect(git('log', '-1', '--format=%B|%an %ae %aI|%cn', commit)).toBe(
      'fw1: Ümläut (+1)\n\nDevice: fw1\n|Roundsman roundsman@localhost 2025-01-02T03:04:05+00:00|Roundsman',
    );
    expect(await repository.read(commit, artefactPath('default', 'fw1', 'running-config'))).toBe('a\n');
    expect(refs()).toBe('refs/heads/main');
    expect(tips).toEqual([null, commit]);
    expect(git('reflog', 'show', 'main', '--format=%H').split('\n')).toEqual([all.at(-1), commit]);
  });

  it('leave nothing else behind, and are the same commits but for the signature', async () => {
    const { commit } = await (await open('ed25519')).commit(requestFor('fw1', 'a\n'));
    expect(unreachable()).toBe('');
    const signed = git('cat-file', 'commit', commit);
    rmSync(dir, { recursive: true });
    const plain = await (await open(null)).commit(requestFor('fw1', 'a\n'));
    expect(git('cat-file', 'commit', plain.commit)).toBe(signed.replace(/^gpgsig .*\n(?: .*\n)*/m, ''));
  });

  it('keep the commit of somebody else as a parent, and what they replaced', async () => {
    const repository = await open('ed25519');
    const { commit } = await repository.commit(requestFor('fw1', 'a\n'));
    const foreign = git(
      ...['-c', 'user.name=x', '-c', 'user.email=x@y'],
      ...['commit-tree', `${commit}^{tree}`, '-m', 'by hand'],
    );
    git('update-ref', 'refs/heads/main', foreign);
    const next = await repository.commit(requestFor('fw1', 'b\n'));
    expect(next.foreignTip).toBe(foreign);
    expect(git('rev-parse', `${next.commit}^`)).toBe(foreign);
    expect(refs()).toBe(`refs/heads/main\nrefs/roundsman/replaced/${commit}`);
    expect(() => verified(next.commit)).not.toThrow();
    expect(() => verified(foreign)).toThrow();
  });

  it.each(['fast-import', 'rev-parse', 'unpack-objects', 'update-ref'])(
    'a git that is killed at %s moves nothing, and the next try succeeds',
    async (subcommand) => {
      const { commit } = await (await open('ed25519')).commit(requestFor('fw1', 'a\n'));
      const repository = await open('ed25519', gitThat(subcommand, 'kill -9 $$'));
      await expect(repository.commit(requestFor('fw1', 'b\n'))).rejects.toMatchObject({
        code: 'store.git-failed',
      });
      expect(git('rev-parse', 'main')).toBe(commit);
      expect(refs()).toBe('refs/heads/main');
      writeFileSync(join(root, 'healed'), '');
      const again = await repository.commit(requestFor('fw1', 'b\n'));
      expect(git('rev-list', 'main').split('\n')).toEqual([again.commit, commit]);
      expect(again.foreignTip).toBeNull();
      expect(() => verified(again.commit)).not.toThrow();
      expect(unreachable()).toBe('');
    },
  );

  it('a git that is killed once it moved main leaves a commit of ours, not of somebody else', async () => {
    const { commit } = await (await open('ed25519')).commit(requestFor('fw1', 'a\n'));
    const repository = await open(
      'ed25519',
      gitThat('update-ref', `touch ${root}/healed; git "$@"; kill -9 $$`),
    );
    await expect(repository.commit(requestFor('fw1', 'b\n'))).rejects.toMatchObject({
      code: 'store.git-failed',
    });
    const moved = git('rev-parse', 'main');
    expect(git('rev-parse', `${moved}^`)).toBe(commit);
    const again = await repository.commit(requestFor('fw1', 'c\n'));
    expect(again.foreignTip).toBeNull();
    expect(git('rev-parse', `${again.commit}^`)).toBe(moved);
    expect(() => verified(commit, moved, again.commit)).not.toThrow();
  });

  it('a commit whose file a power cut emptied before main moved is written again', async () => {
    await (await open('ed25519')).commit(requestFor('fw1', 'a\n'));
    const repository = await open('ed25519', gitThat('update-ref', 'kill -9 $$'));
    await expect(repository.commit(requestFor('fw1', 'b\n'))).rejects.toThrow();
    const [, pending = ''] = readFileSync(join(dir, 'roundsman-tip'), 'latin1').split('\n');
    const file = join(dir, 'objects', pending.slice(0, 2), pending.slice(2));
    chmodSync(file, 0o600);
    writeFileSync(file, '');
    writeFileSync(join(root, 'healed'), '');
    const again = await repository.commit(requestFor('fw1', 'b\n'));
    expect(again.commit).toBe(pending);
    expect(() => verified(pending)).not.toThrow();
  });

  it('a main that somebody moves in between is not overwritten', async () => {
    const { commit } = await (await open('ed25519')).commit(requestFor('fw1', 'a\n'));
    const foreign = git(
      ...['-c', 'user.name=x', '-c', 'user.email=x@y'],
      ...['commit-tree', `${commit}^{tree}`, '-p', commit, '-m', 'by hand'],
    );
    const move = `touch ${root}/healed; git --git-dir ${dir} update-ref refs/heads/main ${foreign}`;
    const repository = await open('ed25519', gitThat('update-ref', move));
    await expect(repository.commit(requestFor('fw1', 'b\n'))).rejects.toMatchObject({
      code: expect.any(String),
    });
    expect(git('rev-parse', 'main')).toBe(foreign);
    const again = await repository.commit(requestFor('fw1', 'b\n'));
    expect(again.foreignTip).toBe(foreign);
    expect(git('rev-parse', `${again.commit}^`)).toBe(foreign);
  });
});
