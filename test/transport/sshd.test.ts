import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { Channel } from '../../src/transport/channel.ts';
import { fingerprint } from '../../src/transport/host-keys.ts';
import { type Connection, connect, presentedKeys } from '../../src/transport/ssh.ts';
import { failure, requestFor, testDevice } from '../support/ssh-server.ts';
import { generateKey, type Sshd, startSshd } from '../support/sshd.ts';
import { describeWith, programPath } from '../support/system.ts';

const run = promisify(execFile);
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function sshd(options: Parameters<typeof startSshd>[0] = {}): Promise<Sshd> {
  const server = await startSshd(options);
  cleanups.push(() => server.stop());
  return server;
}

type Change = NonNullable<Parameters<typeof testDevice>[1]>;

async function device(server: Sshd, change: Change = {}) {
  return testDevice(server.port, {
    hostKeys: server.hostFingerprints,
    ...change,
    credentials: {
      username: server.username,
      privateKey: { literal: await readFile(server.userKeyPath, 'utf8') },
      password: null,
      ...change.credentials,
    },
  });
}

async function open(server: Sshd, change: Change = {}): Promise<Connection> {
  const connection = await connect(requestFor(await device(server, change)));
  cleanups.push(() => connection.end());
  return connection;
}

async function output(channel: Channel) {
  let stdout = '';
  let stderr = '';
  channel.onData((text, source) => {
    if (source === 'stdout') stdout += text;
    else stderr += text;
  });
  const end = await new Promise<Parameters<Parameters<Channel['onEnd']>[0]>[0]>((done) =>
    channel.onEnd(done),
  );
  return { stdout, stderr, ...end };
}

describeWith('sshd', 'a real OpenSSH server', () => {
  it('output, errors and exit status of a command arrive, byte for byte', async () => {
    const connection = await open(await sshd());
    const result = await output(await connection.exec("printf 'a\\377\\000b'; printf oops >&2; exit 7"));
    expect(result).toMatchObject({
      stdout: 'a\xff\0b',
      stderr: 'oops',
      exitStatus: 7,
      connectionLost: false,
    });
  });

  it('a terminal is 511 wide and 1000 tall', async () => {
    const connection = await open(await sshd({ forceCommand: 'stty size; echo $TERM' }));
    expect((await output(await connection.shell())).stdout).toBe('1000 511\r\nvt100\r\n');
  });

  it('several megabytes arrive whole', async () => {
    const connection = await open(await sshd());
    const result = await output(await connection.exec('head -c 5000000 /dev/zero | tr "\\0" x'));
    expect(result.stdout).toBe('x'.repeat(5_000_000));
    expect(result.exitStatus).toBe(0);
  });

  it('a session survives a new key exchange in the middle', async () => {
    const connection = await open(await sshd({ extraConfig: 'RekeyLimit 1M' }));
    const result = await output(await connection.exec('head -c 6000000 /dev/zero | tr "\\0" x'));
    expect(result).toMatchObject({ exitStatus: 0, connectionLost: false });
    expect(result.stdout.length).toBe(6_000_000);
  });

  it('a command that is killed has no exit status', async () => {
    const connection = await open(await sshd());
    expect(await output(await connection.exec('kill -TERM $$'))).toMatchObject({
      exitStatus: null,
      signal: 'TERM',
    });
  });

  it('an encrypted key of ssh-keygen works with its passphrase', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'roundsman-key-'));
    cleanups.push(() => rm(dir, { recursive: true, force: true }));
    await generateKey(join(dir, 'key'), 'rsa', 'a passphrase');
    const server = await sshd();
    // Where this server looks for the keys that may log in.
    await run('cp', [join(dir, 'key.pub'), `${server.userKeyPath}.pub`]);
    await open(server, {
      credentials: {
        privateKey: { literal: await readFile(join(dir, 'key'), 'utf8') },
        passphrase: { literal: 'a passphrase' },
      },
    });
  });

  it('a key that the server does not know is rejected', async () => {
    const server = await sshd();
    const dir = await mkdtemp(join(tmpdir(), 'roundsman-key-'));
    cleanups.push(() => rm(dir, { recursive: true, force: true }));
    await generateKey(join(dir, 'key'), 'ed25519');
    const other = await device(server, {
      credentials: { privateKey: { literal: await readFile(join(dir, 'key'), 'utf8') } },
    });
    expect(await failure(connect(requestFor(other)))).toMatchObject({
      code: 'login.rejected',
      detail: { methods: ['publickey'] },
    });
  });

  it('with a wrong host key the server logs no attempt to log in', async () => {
    const server = await sshd();
    const wrong = await device(server, { hostKeys: [`SHA256:${'A'.repeat(43)}`] });
    expect((await failure(connect(requestFor(wrong)))).code).toBe('connect.host-key-changed');
    await server.stop();
    expect(server.log()).not.toMatch(/userauth|Accepted|Failed/);
  });

  it('all host keys are shown, whatever their type', async () => {
    const server = await sshd({ hostKeys: ['rsa', 'ecdsa', 'ed25519'] });
    const shown = (await presentedKeys(requestFor(testDevice(server.port)))).map((key) =>
      fingerprint(key.blob),
    );
    expect([...shown].sort()).toEqual([...server.hostFingerprints].sort());
    for (const pinned of server.hostFingerprints) await open(server, { hostKeys: [pinned] });
  });

  it.each([
    ['a cipher', 'Ciphers aes128-cbc', 'cipher', 'aes128-cbc'],
    ['a MAC', 'Ciphers aes128-ctr\nMACs hmac-sha1', 'mac', 'hmac-sha1'],
    ['a key exchange', 'KexAlgorithms diffie-hellman-group14-sha1', 'kex', 'diffie-hellman-group14-sha1'],
  ])('%s that has to be allowed is named, and works when it is', async (_what, extraConfig, kind, name) => {
    const server = await sshd({ extraConfig });
    const error = await failure(connect(requestFor(await device(server))));
    expect(error).toMatchObject({
      code: 'connect.no-common-algorithm',
      detail: { kind, allowable: [name], offered: expect.arrayContaining([name]) },
    });
    const connection = await open(server, { ssh: { profile: 'modern', allow: [name] } });
    expect((await output(await connection.exec('true'))).exitStatus).toBe(0);
  });

  it('a server that kills the session is seen as a lost connection', async () => {
    const server = await sshd();
    const connection = await open(server);
    const channel = await connection.exec('echo begin; kill -KILL $PPID; sleep 5');
    const result = await output(channel);
    expect(result).toMatchObject({ exitStatus: null, connectionLost: true });
  });

  describe('with an SSH agent', () => {
    it.skipIf(programPath('ssh-agent') === null)('a key of the agent logs in', async () => {
      const server = await sshd();
      const dir = await mkdtemp(join(tmpdir(), 'roundsman-agent-'));
      const path = join(dir, 'agent');
      const agent = spawn('ssh-agent', ['-D', '-a', path], { stdio: ['ignore', 'pipe', 'inherit'] });
      const before = process.env.SSH_AUTH_SOCK;
      cleanups.push(async () => {
        const exited = once(agent, 'exit');
        agent.kill();
        await exited;
        if (before === undefined) delete process.env.SSH_AUTH_SOCK;
        else process.env.SSH_AUTH_SOCK = before;
        await rm(dir, { recursive: true, force: true });
      });
      await once(agent.stdout, 'data');
      process.env.SSH_AUTH_SOCK = path;
      const change: Change = { credentials: { privateKey: null, agent: true } };

      const empty = await failure(connect(requestFor(await device(server, change))));
      expect(empty).toMatchObject({
        code: 'inventory.secret-unavailable',
        detail: { problem: expect.stringContaining('no key') },
      });
      await run('ssh-add', ['-q', server.userKeyPath], { env: { ...process.env, SSH_AUTH_SOCK: path } });
      const connection = await open(server, change);
      expect((await output(await connection.exec('echo $SSH_AUTH_SOCK'))).stdout).toBe('\n');
    });

    it('an agent that is not there fails before the device is touched', async () => {
      const server = await sshd();
      const before = process.env.SSH_AUTH_SOCK;
      cleanups.push(async () => {
        if (before === undefined) delete process.env.SSH_AUTH_SOCK;
        else process.env.SSH_AUTH_SOCK = before;
      });
      const change: Change = { credentials: { privateKey: null, agent: true } };
      for (const path of ['', '/nonexistent/agent']) {
        process.env.SSH_AUTH_SOCK = path;
        const error = await failure(connect(requestFor(await device(server, change))));
        expect(error.code).toBe('inventory.secret-unavailable');
      }
    });
  });
});
