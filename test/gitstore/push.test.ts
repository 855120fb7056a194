import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { BackupError } from '../../src/core/errors.ts';
import { gitIn } from '../../src/gitstore/git.ts';
import type { NetworkLimits } from '../../src/gitstore/network.ts';
import { openRepository } from '../../src/gitstore/open-repository.ts';
import { artefactPath } from '../../src/gitstore/paths.ts';
import { push, usualLimits } from '../../src/gitstore/push.ts';
import type { Access } from '../../src/gitstore/remote.ts';
import type { Repository } from '../../src/gitstore/repository.ts';
import { startGitHost } from '../support/git-host.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { describeWith } from '../support/system.ts';

const short: NetworkLimits = { ...usualLimits, idleMs: 1_500, totalMs: 10_000 };
let root: string;
let dir: string;
let there: string;
let repository: Repository;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-push-'));
  dir = join(root, 'configs.git');
  there = join(root, 'there.git');
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', there]);
  repository = await openRepository({ dir });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function git(where: string, ...args: string[]): string {
  const name = { GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: 'x@y', GIT_COMMITTER_NAME: 'x' };
  const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...name, GIT_COMMITTER_EMAIL: 'x@y' };
  return execFileSync('git', args, { cwd: where, env, encoding: 'utf8', stdio: 'pipe' }).trimEnd();
}

async function commit(device: string, text = `hostname ${device}\n`): Promise<string> {
  const { commit: made } = await repository.commit({
    ...{ subject: () => `${device}: running-config changed`, body: '', trailers: [] },
    ...{ atMs: Date.UTC(2026, 2, 1), remove: [] },
    files: [{ path: artefactPath('default', device, 'running-config'), text }],
  });
  return made;
}

/** Somebody else's commit, in the repository `where`. */
function foreign(where: string, parent: string | null): string {
  const tree = git(where, 'mktree');
  return git(where, 'commit-tree', tree, '-m', 'by hand', ...(parent === null ? [] : ['-p', parent]));
}

/** A lock that a git process left which died before this process began. */
function leaveDeadLock(): void {
  const lock = join(dir, 'refs/heads/main.lock');
  writeFileSync(lock, '');
  const longAgo = new Date(Date.now() - process.uptime() * 1_000 - 60_000);
  utimesSync(lock, longAgo, longAgo);
}

/** The command lines of every process, argument by argument. */
function argumentsOfAll(): readonly (readonly string[])[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      } catch {
        return [];
      }
    });
}

function pushTo(
  url: string,
  access: Access | (() => Promise<Access>),
  { limits = usualLimits, signal = new AbortController().signal } = {},
) {
  const remote = {
    ...{ name: 'mirror', url },
    access: typeof access === 'function' ? access : async () => access,
  };
  return push(gitIn(dir, 'git'), remote, { clock: systemClock, limits, signal });
}

const tipThere = () => git(there, 'rev-parse', 'main');

describeWith('git', 'a push to a repository on this machine', () => {
  const pushThere = () => pushTo(`file://${there}`, { way: 'file' });

  it('brings every commit, and says which one the remote is at', async () => {
    await commit('fw1');
    const tip = await commit('fw2');
    expect(await pushThere()).toEqual({ tip, failure: null });
    expect(tipThere()).toBe(tip);
    expect(git(there, 'rev-list', '--count', 'main')).toBe('2');
  });

  it('that has nothing new succeeds, and one of an empty repository does nothing', async () => {
    expect(await pushThere()).toEqual({ tip: null, failure: null });
    expect(git(there, 'for-each-ref')).toBe('');
    const tip = await commit('fw1');
    await pushThere();
    expect(await pushThere()).toEqual({ tip, failure: null });
  });

  it('brings tips that somebody replaced, and what a rewrite of history left', async () => {
    const first = await commit('fw1');
    git(dir, 'update-ref', `refs/roundsman/replaced/${first}`, first);
    git(dir, 'update-ref', `refs/replace/${first}`, foreign(dir, null));
    git(dir, 'update-ref', 'refs/heads/private', first);
    await pushThere();
    expect(git(there, 'for-each-ref', '--format=%(refname)').split('\n')).toEqual([
      'refs/heads/main',
      `refs/replace/${first}`,
      `refs/roundsman/replaced/${first}`,
    ]);
  });

  it('never moves a remote that has other commits: with and without denyNonFastForwards', async () => {
    await commit('fw1');
    for (const deny of ['true', 'false']) {
      git(there, 'config', 'receive.denyNonFastForwards', deny);
      const other = foreign(there, null);
      git(there, 'update-ref', 'refs/heads/main', other);
      const { tip, failure } = await pushThere();
      expect(tip).toBeNull();
      expect(failure).toEqual({
        reason: 'diverged',
        problem: 'refs/heads/main of the remote has commits that are not here',
      });
      expect(tipThere()).toBe(other);
    }
  });

  it('says that it diverged where the remote is ahead, too', async () => {
    const tip = await commit('fw1');
    await pushThere();
    const ahead = foreign(there, tip);
    git(there, 'update-ref', 'refs/heads/main', ahead);
    expect((await pushThere()).failure?.reason).toBe('diverged');
    expect(tipThere()).toBe(ahead);
  });

  it('runs no hook of it: they would run with our rights', async () => {
    const tip = await commit('fw1');
    writeFileSync(join(there, 'hooks/pre-receive'), `#!/bin/sh\ntouch ${root}/ran\nexit 1\n`, {
      mode: 0o755,
    });
    expect(await pushThere()).toEqual({ tip, failure: null });
    expect(existsSync(join(root, 'ran'))).toBe(false);
  });

  it('tells of one that is gone, and of one that cannot be written', async () => {
    await commit('fw1');
    const { failure } = await pushTo(`file://${root}/nowhere.git`, { way: 'file' });
    expect(failure?.reason).toBe('unreachable');
    expect(failure?.problem).toContain('nowhere.git');
    // Rights do not hold root back.
    if (process.getuid?.() === 0) return;
    chmodSync(join(there, 'objects'), 0o500);
    expect((await pushThere()).failure).not.toBeNull();
    chmodSync(join(there, 'objects'), 0o700);
  });

  it('leaves the repository as it was, and is no reason to take a lock for somebody else’s', async () => {
    await commit('fw1');
    const before = readdirSync(dir).sort();
    await pushThere();
    expect(readdirSync(dir).sort()).toEqual(before);
    expect(git(dir, 'for-each-ref', '--format=%(refname)')).toBe('refs/heads/main');
  });
});

describeWith('sshd', 'a push over SSH', () => {
  let sshd: Sshd;
  const opened: Sshd[] = [];
  const start = async (options: Parameters<typeof startSshd>[0] = {}): Promise<Sshd> => {
    const started = await startSshd(options);
    opened.push(started);
    return started;
  };
  const accessTo = ({ userKeyPath, hostKeyLines }: Sshd): Access => ({
    ...{ way: 'ssh', hostKeys: hostKeyLines },
    // As secrets are read: without the last line feed.
    privateKey: readFileSync(userKeyPath, 'utf8').trimEnd(),
  });
  const urlOf = ({ port, username }: Sshd, path = there) => `ssh://${username}@127.0.0.1:${port}${path}`;

  beforeEach(async () => {
    sshd = await start();
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.stop();
  });

  it('brings every commit', async () => {
    const tip = await commit('fw1');
    expect(await pushTo(urlOf(sshd), accessTo(sshd))).toEqual({ tip, failure: null });
    expect(tipThere()).toBe(tip);
  });

  it('believes any of the pinned keys, and no other', async () => {
    const other = await start({ hostKeys: ['ecdsa', 'ed25519'] });
    const tip = await commit('fw1');
    const [ecdsa = '', ed25519 = ''] = other.hostKeyLines;
    for (const hostKeys of [[ecdsa], [ed25519], [...sshd.hostKeyLines, ed25519]]) {
      const access: Access = { ...accessTo(other), way: 'ssh', hostKeys } as Access;
      expect(await pushTo(urlOf(other), access)).toEqual({ tip, failure: null });
    }
    const { failure } = await pushTo(urlOf(other), accessTo(sshd));
    expect(failure?.reason).toBe('identity');
    // It ended before a login was tried.
    const { failure: again } = await pushTo(urlOf(sshd), {
      ...accessTo(sshd),
      hostKeys: other.hostKeyLines,
    } as Access);
    expect(again?.reason).toBe('identity');
    expect(sshd.log()).not.toContain('Accepted publickey');
  });

  it('says that the key is refused, or no key at all', async () => {
    await commit('fw1');
    const stranger = await start();
    const wrong = { ...accessTo(sshd), privateKey: readFileSync(stranger.userKeyPath, 'utf8') } as Access;
    expect((await pushTo(urlOf(sshd), wrong)).failure?.reason).toBe('login');
    const nonsense = { ...accessTo(sshd), privateKey: 'hunter2-canary' } as Access;
    const { failure } = await pushTo(urlOf(sshd), nonsense);
    expect(failure?.reason).toBe('login');
    expect(JSON.stringify(failure)).not.toContain('canary');
  });

  it('that a hook refuses is told with the words of the hook, and moves nothing', async () => {
    await commit('fw1');
    const hook = `#!/bin/sh\nprintf 'main is frozen \\033[31mtoday' >&2\nexit 1\n`;
    writeFileSync(join(there, 'hooks/pre-receive'), hook, { mode: 0o755 });
    const { tip, failure } = await pushTo(urlOf(sshd), accessTo(sshd));
    expect(tip).toBeNull();
    expect(failure?.reason).toBe('rejected');
    expect(failure?.problem).toContain('pre-receive hook declined');
    expect(failure?.problem).toContain('main is frozen \\x1b[31mtoday');
    expect(git(there, 'for-each-ref')).toBe('');
  });

  it('where the remote takes main and no other ref, main is there and the rest is told', async () => {
    const tip = await commit('fw1');
    git(dir, 'update-ref', `refs/roundsman/replaced/${tip}`, tip);
    const hook = '#!/bin/sh\ncase $1 in refs/heads/main) exit 0;; esac\nexit 1\n';
    writeFileSync(join(there, 'hooks/update'), hook, { mode: 0o755 });
    const pushed = await pushTo(urlOf(sshd), accessTo(sshd));
    expect(pushed.tip).toBe(tip);
    expect(pushed.failure).toMatchObject({
      reason: 'rejected',
      problem: expect.stringContaining(`refs/roundsman/replaced/${tip}`),
    });
    expect(tipThere()).toBe(tip);
  });

  it('shows no secret in a process list: neither in arguments nor in the environment', async () => {
    await commit('fw1');
    writeFileSync(join(there, 'hooks/pre-receive'), '#!/bin/sh\nsleep 1\n', { mode: 0o755 });
    const access = accessTo(sshd) as Extract<Access, { way: 'ssh' }>;
    // The first lines are alike in all keys of a kind; this one is of the private half.
    const line = access.privateKey.split('\n')[3] ?? 'no such line';
    const running = pushTo(urlOf(sshd), access);
    let seen = 0;
    let ended = false;
    void running.finally(() => {
      ended = true;
    });
    while (!ended) {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        const text = ['cmdline', 'environ'].map((name) => {
          try {
            return readFileSync(`/proc/${pid}/${name}`, 'latin1');
          } catch {
            return '';
          }
        });
        if (text[0]?.includes('UserKnownHostsFile=')) seen += 1;
        // Not the texts themselves: a failure must not print the environment of every process.
        expect(text.some((one) => one.includes(line))).toBe(false);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await running).failure).toBeNull();
    expect(seen).toBeGreaterThan(0);
  });

  it('leaves no file behind, also where the process is killed in the middle', async () => {
    const program = `
      import { namelessFile } from ${JSON.stringify(new URL('../../src/gitstore/nameless.ts', import.meta.url).href)};
      const file = await namelessFile('hunter2-canary');
      process.stdout.write(file.path);
      setInterval(() => {}, 1000);
    `;
    const empty = mkdtempSync(join(root, 'tmp-'));
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      env: { PATH: process.env.PATH ?? '', TMPDIR: empty },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = new Promise((resolve) => child.once('close', resolve));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => void child.kill('SIGKILL'));
    const path = await new Promise<string>((resolve) =>
      child.stdout.once('data', (text) => resolve(String(text))),
    );
    expect(readFileSync(path, 'utf8')).toBe('hunter2-canary');
    expect(readdirSync(empty)).toEqual([]);
    child.kill('SIGKILL');
    await gone;
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(empty)).toEqual([]);
  });

  it('to a server that lets us in and says nothing ends, with everything that it started', async () => {
    await commit('fw1');
    const silent = await start({ forceCommand: 'sleep 600' });
    const { failure } = await pushTo(urlOf(silent), accessTo(silent), { limits: short });
    expect(failure).toEqual({ reason: 'silent', problem: 'not a word for 1.5 s' });
    const port = String(silent.port);
    await expect.poll(() => argumentsOfAll().filter((one) => one.includes(port))).toEqual([]);
  });

  it('to a server that never stops talking ends, whatever the time', async () => {
    await commit('fw1');
    const endless = await start({ forceCommand: `sh -c 'tr "\\000" x < /dev/zero >&2'` });
    const limits = { ...usualLimits, bytes: 1024 * 1024 };
    const { failure } = await pushTo(urlOf(endless), accessTo(endless), { limits });
    expect(failure?.reason).toBe('other');
    expect(failure?.problem).toContain('says more than 1048576 bytes: xxx');
    expect(failure?.problem.length).toBeLessThanOrEqual(500);
  });

  it('that takes too long altogether ends, although it talks', async () => {
    await commit('fw1');
    const slow = await start({ forceCommand: `sh -c 'while sleep 0.2; do echo on it >&2; done'` });
    const limits = { ...usualLimits, idleMs: 4_000, totalMs: 6_000 };
    const { failure } = await pushTo(urlOf(slow), accessTo(slow), { limits });
    expect(failure?.reason).toBe('silent');
    expect(failure?.problem).toContain('not done within 6 s: on it');
  });

  it('that is interrupted ends at once', async () => {
    await commit('fw1');
    const silent = await start({ forceCommand: 'sleep 600' });
    const stop = new AbortController();
    const running = pushTo(urlOf(silent), accessTo(silent), { limits: usualLimits, signal: stop.signal });
    setTimeout(() => stop.abort(), 300);
    expect((await running).tip).toBeNull();
    const { failure } = await pushTo(urlOf(silent), accessTo(silent), { signal: stop.signal });
    expect(failure).toEqual({ reason: 'other', problem: 'the push was interrupted' });
  });

  it('that answers nonsense is a failure with its words, nothing worse', async () => {
    await commit('fw1');
    for (const nonsense of [
      'head -c 100000 /dev/urandom',
      `printf '0000'`,
      `printf 'ffff%s' x`,
      `sh -c 'printf "003f0000000000000000000000000000000000000000 capabilities^{}\\0 x\\n0000"; kill $$'`,
      'true',
    ]) {
      const hostile = await start({ forceCommand: nonsense });
      const { tip, failure } = await pushTo(urlOf(hostile), accessTo(hostile));
      expect([nonsense, tip, typeof failure?.problem]).toEqual([nonsense, null, 'string']);
      expect(failure?.problem).toMatch(/^[^\u0000-\u0008\u000a-\u001f\u007f-\u009f]{1,500}$/);
    }
  }, 60_000);

  it('under way keeps no commit waiting, not even one that finds the lock of a dead process', async () => {
    await commit('fw1');
    const silent = await start({ forceCommand: 'sleep 600' });
    const stop = new AbortController();
    const running = pushTo(urlOf(silent), accessTo(silent), { limits: usualLimits, signal: stop.signal });
    await expect.poll(() => silent.log(), { timeout: 5_000 }).toContain('Accepted publickey');
    leaveDeadLock();
    expect(await commit('fw2')).toMatch(/^[0-9a-f]{40}$/);
    stop.abort();
    await running;
  });

  it('reaches main as it was when the push began, whatever is committed meanwhile', async () => {
    const first = await commit('fw1');
    writeFileSync(join(there, 'hooks/pre-receive'), '#!/bin/sh\nsleep 1\n', { mode: 0o755 });
    const running = pushTo(urlOf(sshd), accessTo(sshd));
    await expect.poll(() => sshd.log(), { timeout: 5_000 }).toContain('Accepted publickey');
    await commit('fw2');
    expect(await running).toEqual({ tip: first, failure: null });
    expect(tipThere()).toBe(first);
  });
});

describeWith('openssl', 'a push over HTTPS', () => {
  const login = { username: 'roundsman', password: 'tök en:/canary' };
  const withLogin = (ca: string | null, given = login): Access => ({ way: 'https', login: given, ca });

  beforeEach(() => {
    git(there, 'config', 'http.receivepack', 'true');
  });

  it('brings every commit, logged in', async () => {
    await using host = await startGitHost(root, login);
    const tip = await commit('fw1');
    expect(await pushTo(`${host.origin}/there.git`, withLogin(host.ca))).toEqual({ tip, failure: null });
    expect(tipThere()).toBe(tip);
    expect(new Set(host.logins)).toEqual(new Set([`${login.username}:${login.password}`]));
  });

  it('gives its password to no server whose certificate is not signed by whom it trusts', async () => {
    await using host = await startGitHost(root, login);
    await commit('fw1');
    const { failure } = await pushTo(`${host.origin}/there.git`, withLogin(null));
    expect(failure?.reason).toBe('identity');
    const byAddress = host.origin.replace('localhost', '127.0.0.1');
    expect((await pushTo(`${byAddress}/there.git`, withLogin(host.ca))).failure?.reason).toBe('identity');
    expect(host.logins).toEqual([]);
  });

  it('gives its password to nobody that it is sent on to', async () => {
    await using thief = await startGitHost(root, login);
    await using host = await startGitHost(root, login, thief.origin);
    await commit('fw1');
    const both = join(root, 'both.pem');
    writeFileSync(both, readFileSync(host.ca, 'utf8') + readFileSync(thief.ca, 'utf8'));
    const { failure } = await pushTo(`${host.origin}/there.git`, withLogin(both));
    expect(failure).not.toBeNull();
    expect(thief.requests()).toBe(0);
    expect(thief.logins).toEqual([]);
  });

  it('says that the password is refused, and never what it was', async () => {
    await using host = await startGitHost(root, login);
    await commit('fw1');
    const wrong = { username: 'roundsman', password: 'wrong-canary' };
    const { failure } = await pushTo(`${host.origin}/there.git`, withLogin(host.ca, wrong));
    expect(failure?.reason).toBe('login');
    expect(failure?.problem).not.toContain('canary');
    const { failure: none } = await pushTo(`${host.origin}/there.git`, {
      way: 'https',
      login: null,
      ca: host.ca,
    });
    expect(none?.reason).toBe('login');
  });
});

describeWith('git', 'a push that cannot begin', () => {
  it('to a port where nobody listens, or where nobody speaks SSH, is told', async () => {
    await commit('fw1');
    const access: Access = { way: 'ssh', privateKey: 'x', hostKeys: ['ssh-ed25519 AAAA'] };
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const silent = await pushTo(`ssh://git@127.0.0.1:${port}/x.git`, access, { limits: short });
    expect(silent.failure?.reason).toBe('silent');
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    const refused = await pushTo(`ssh://git@127.0.0.1:${port}/x.git`, access);
    expect(refused.failure?.reason).toBe('unreachable');
  });

  it('to a server that never speaks TLS keeps no commit waiting either', async () => {
    await commit('fw1');
    const stop = new AbortController();
    const connected = Promise.withResolvers<Socket>();
    const server = createServer((socket) => connected.resolve(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/x.git`;
    const running = pushTo(url, { way: 'https', login: null, ca: null }, { signal: stop.signal });
    const socket = await connected.promise;
    leaveDeadLock();
    expect(await commit('fw2')).toMatch(/^[0-9a-f]{40}$/);
    stop.abort();
    expect((await running).tip).toBeNull();
    await expect.poll(() => argumentsOfAll().filter((one) => one.includes(url))).toEqual([]);
    socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it('because a secret cannot be read is told as that', async () => {
    await commit('fw1');
    const unavailable = async (): Promise<Access> => {
      throw new BackupError('inventory.secret-unavailable', {
        reference: 'file /push.key',
        problem: 'does not exist',
      });
    };
    const { failure } = await pushTo('ssh://git@127.0.0.1/x.git', unavailable);
    expect(failure).toEqual({
      reason: 'credentials',
      problem: 'the secret at file /push.key cannot be read: does not exist',
    });
  });

  it('because there is no repository any more is a failure, not a crash', async () => {
    rmSync(dir, { recursive: true });
    const gone = await pushTo(`file://${there}`, { way: 'file' });
    expect(gone.failure?.reason).toBe('other');
    mkdirSync(dir);
    expect((await pushTo(`file://${there}`, { way: 'file' })).failure?.reason).toBe('other');
  });

  it('by a protocol that is none of ours runs nothing', async () => {
    await commit('fw1');
    const { failure } = await pushTo(`ext::sh -c "touch% ${root}/ran"`, { way: 'file' });
    expect(failure).not.toBeNull();
    expect(existsSync(join(root, 'ran'))).toBe(false);
    const other = await pushTo(`file://${there}`, { way: 'https', login: null, ca: null });
    expect(other.failure?.problem).toContain("transport 'file' not allowed");
  });
});
