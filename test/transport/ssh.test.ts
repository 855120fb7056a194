import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import ssh2 from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import type { Device } from '../../src/core/device.ts';
import { BackupError } from '../../src/core/errors.ts';
import type { Channel, ChannelEnd } from '../../src/transport/channel.ts';
import { openHostKeys } from '../../src/transport/known-hosts.ts';
import { parsePrivateKey } from '../../src/transport/private-key.ts';
import { type Connection, type ConnectRequest, connect, presentedKeys } from '../../src/transport/ssh.ts';
import {
  failure,
  hostKey,
  memoryHostKeys,
  password,
  pinOf,
  requestFor,
  type ServerOptions,
  type SshServer,
  startServer,
  startTcp,
  stoppedClock,
  testDevice,
  username,
} from '../support/ssh-server.ts';

const addresses = Object.entries(networkInterfaces()).flatMap(([name, found]) =>
  (found ?? []).map(({ address }) => [address, name] as const),
);
const hasIpv6 = addresses.some(([address]) => address === '::1');
/** Of this machine itself, with the interface that it belongs to. */
const linkLocal = addresses.find(([address]) => address.startsWith('fe80:'));

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function server(options: ServerOptions = {}): Promise<SshServer> {
  const started = await startServer(options);
  cleanups.push(started.stop);
  return started;
}

async function tcp(serve: Parameters<typeof startTcp>[0]) {
  const started = await startTcp(serve);
  cleanups.push(started.stop);
  return started;
}

async function open(request: ConnectRequest): Promise<Connection> {
  const connection = await connect(request);
  cleanups.push(() => connection.end());
  return connection;
}

/** What a login to this port fails with. */
function login(
  port: number,
  change: Parameters<typeof testDevice>[1] = {},
  more: Partial<ConnectRequest> = {},
) {
  return failure(connect(requestFor(testDevice(port, change), more)));
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000 && !condition(); turn++) await new Promise((done) => setTimeout(done, 2));
  if (!condition()) throw new Error('did not come about');
}

/** Everything that a channel says, and its end. */
function read(channel: Channel): { stdout: string; stderr: string; end: Promise<ChannelEnd> } {
  const heard = { stdout: '', stderr: '', end: new Promise<ChannelEnd>((done) => channel.onEnd(done)) };
  channel.onData((text, source) => {
    heard[source] += text;
  });
  return heard;
}

/** A server that asks by keyboard-interactive; `ask` gets what was answered. */
function asking(ask: (context: ssh2.KeyboardAuthContext) => void): ServerOptions {
  return {
    authenticate(context) {
      if (context.method === 'keyboard-interactive') ask(context);
      else context.reject(['publickey', 'keyboard-interactive'] as ssh2.AuthenticationType[]);
    },
  };
}

const prompt = (text: string, echo = false): ssh2.Prompt => ({ prompt: text, echo });

describe('reaching a device', () => {
  it('a name that does not resolve is told as that', async () => {
    const error = await login(22, { host: 'no-such-host.invalid' });
    expect(error.code).toBe('connect.unresolved');
    expect(error.detail).toEqual({ host: 'no-such-host.invalid' });
  });

  it('a closed port is a refused connection', async () => {
    const gone = await startTcp(() => {});
    await gone.stop();
    const error = await login(gone.port);
    expect(error).toMatchObject({ code: 'connect.refused', detail: { host: '127.0.0.1', port: gone.port } });
  });

  it('a source address that this machine does not have makes the device unreachable', async () => {
    const there = await server();
    const error = await login(there.port, { sourceAddress: '192.0.2.1' });
    expect(error).toMatchObject({ code: 'connect.unreachable', detail: { errno: 'EADDRNOTAVAIL' } });
  });

  it('a source address of the other family makes the device unreachable', async () => {
    const there = await server();
    const error = await login(there.port, { sourceAddress: '::1' });
    expect(error.code).toBe('connect.unreachable');
  });

  it('a source address of this machine is used', async () => {
    let from = '';
    const seen = await tcp((socket) => {
      from = socket.remoteAddress ?? '';
      socket.end('HTTP\r\n');
    });
    await login(seen.port, { sourceAddress: '127.0.0.2' });
    expect(from).toBe('127.0.0.2');
  });

  it.skipIf(!hasIpv6)(
    'an IPv6 address is reached, from a source address too, and pinned in brackets',
    async () => {
      const from: string[] = [];
      const there = await server({
        host: '::1',
        onConnection: (client) =>
          from.push((client as unknown as { _sock: Socket })._sock.remoteAddress ?? ''),
      });
      const dir = await mkdtemp(join(tmpdir(), 'roundsman-ssh-'));
      cleanups.push(() => rm(dir, { recursive: true, force: true }));
      const hostKeys = openHostKeys(join(dir, 'known_hosts'));
      const device = testDevice(there.port, { host: '::1', sourceAddress: '::1' });
      await open(requestFor(device, { hostKeys }));
      expect(from).toEqual(['::1']);
      expect(await readFile(join(dir, 'known_hosts'), 'latin1')).toMatch(
        new RegExp(`^\\[::1\\]:${there.port} ssh-ed25519 `),
      );
      await open(requestFor({ ...device, firstUse: false }, { hostKeys }));
    },
  );

  it.skipIf(linkLocal === undefined)('a link-local address is reached and pinned with its zone', async () => {
    const there = await server({ host: '::' });
    const [address, zone] = linkLocal ?? ['', ''];
    const hostKeys = memoryHostKeys();
    await open(requestFor(testDevice(there.port, { host: `${address}%${zone}` }), { hostKeys }));
    expect(hostKeys.of(`${address}%${zone}`, there.port)).toHaveLength(1);
  });

  it('an address that does not answer is a time-out after connectMs, by our clock', async () => {
    const port = await deafPort();
    const clock = stoppedClock();
    let done = false;
    const attempt = login(port, {}, { clock }).finally(() => {
      done = true;
    });
    await until(() => clock.timers() === 1);
    clock.advance(14_999);
    await new Promise((later) => setTimeout(later, 50));
    expect(done).toBe(false);
    clock.advance(1);
    expect(await attempt).toMatchObject({ code: 'connect.timeout', detail: { afterMs: 15_000 } });
    expect(clock.timers()).toBe(0);
  });

  it('a run that was stopped before it began touches nothing', async () => {
    const there = await server();
    const error = await login(there.port, {}, { signal: AbortSignal.abort() });
    expect(error).toMatchObject({ code: 'run.interrupted', detail: { by: 'signal' } });
    expect(there.connections).toBe(0);
  });
});

describe('what answers on the port', () => {
  it('something else than SSH is shown, made harmless', async () => {
    const web = await tcp((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\x1b[31mred\r\n'));
    const error = await login(web.port);
    expect(error.code).toBe('connect.protocol');
    expect(error.detail).toEqual({ received: 'HTTP/1.1 400 Bad Request\\x0d\\x0a\\x1b[31mred' });
  });

  it('a server that can speak SSH 1 alone is told by its identification', async () => {
    const old = await tcp((socket) => socket.write('SSH-1.5-Cisco-1.25\r\n'));
    expect((await login(old.port)).detail).toEqual({ received: 'SSH-1.5-Cisco-1.25' });
  });

  it('a refusal in plain words is shown', async () => {
    const full = await tcp((socket) => socket.end('Exceeded MaxStartups\r\n'));
    expect(await login(full.port)).toMatchObject({
      code: 'connect.protocol',
      detail: { received: 'Exceeded MaxStartups' },
    });
  });

  it('text without end before the identification is cut off', async () => {
    let sent = 0;
    const endless = await tcp((socket) => {
      const more = () => {
        while (!socket.destroyed && sent < 50_000_000 && socket.write('x'.repeat(8_000))) sent += 8_000;
      };
      socket.on('drain', more);
      more();
    });
    expect((await login(endless.port)).code).toBe('connect.protocol');
    await until(() => endless.open() === 0);
  });

  it('an identification line without end is cut off', async () => {
    const endless = await tcp((socket) => socket.write(`SSH-2.0-${'x'.repeat(4_000)}`));
    expect((await login(endless.port)).code).toBe('connect.protocol');
  });

  it('a port that accepts and says nothing is a time-out', async () => {
    const clock = stoppedClock();
    const silent = await tcp(() => {});
    const attempt = login(silent.port, {}, { clock });
    await until(() => silent.open() === 1 && clock.timers() === 1);
    clock.advance(30_000);
    expect(await attempt).toMatchObject({ code: 'connect.timeout', detail: { afterMs: 30_000 } });
    await until(() => silent.open() === 0);
  });

  it('an identification that comes letter by letter cannot hold us beyond the login time', async () => {
    const clock = stoppedClock();
    const slow = await tcp((socket) => {
      const timer = setInterval(() => socket.write('x'), 5);
      socket.on('close', () => clearInterval(timer));
    });
    const attempt = login(slow.port, {}, { clock });
    await until(() => slow.open() === 1 && clock.timers() === 1);
    clock.advance(30_000);
    expect((await attempt).code).toBe('connect.timeout');
    await until(() => slow.open() === 0);
  });

  it('a server that falls silent after its identification is there and does not let us in', async () => {
    const clock = stoppedClock();
    const stuck = await tcp((socket) => socket.write('SSH-2.0-Cisco-1.25\r\n'));
    const attempt = login(stuck.port, {}, { clock });
    await until(() => stuck.open() === 1 && clock.timers() === 1);
    // The identification has to have come through before time is up.
    await new Promise((done) => setTimeout(done, 100));
    clock.advance(30_000);
    expect(await attempt).toMatchObject({
      code: 'connect.lost-before-login',
      detail: { afterMs: 30_000 },
    });
    await until(() => stuck.open() === 0);
  });

  it('a connection that is closed before a word is lost before login', async () => {
    const shut = await tcp((socket) => socket.end());
    expect((await login(shut.port)).code).toBe('connect.lost-before-login');
  });

  it('a connection that is reset before a word is lost before login', async () => {
    const shut = await tcp((socket) => socket.resetAndDestroy());
    expect((await login(shut.port)).code).toBe('connect.lost-before-login');
  });

  it('a connection that is cut in the middle of the identification is lost before login', async () => {
    const shut = await tcp((socket) => socket.end('SSH-2.0-Open'));
    expect((await login(shut.port)).code).toBe('connect.lost-before-login');
  });

  it('garbage after the identification breaks the protocol', async () => {
    const liar = await tcp((socket) => socket.write(`SSH-2.0-x\r\n${'\xff'.repeat(400)}`, 'latin1'));
    const error = await login(liar.port);
    expect(error.code).toBe('connect.protocol');
    await until(() => liar.open() === 0);
  });

  it('a real server is understood whose first bytes come one at a time, after a greeting with odd line ends', async () => {
    const there = await server();
    const proxy = await tcp((socket) => {
      socket.removeAllListeners('data');
      const far = createConnection(there.port, '127.0.0.1');
      far.on('error', () => {});
      socket.pipe(far);
      socket.on('close', () => far.destroy());
      let first = Buffer.from('Authorised\rusers only\n\r\n', 'latin1');
      far.once('data', async (piece: Buffer) => {
        far.pause();
        first = Buffer.concat([first, piece]);
        for (const byte of first) {
          socket.write(Buffer.of(byte));
          await new Promise((done) => setImmediate(done));
        }
        far.pipe(socket);
      });
    });
    const connection = await open(requestFor(testDevice(proxy.port)));
    expect(connection.ident).toMatch(/^ssh2js/);
  });
});

describe('the host key', () => {
  it('a changed host key stops before any authentication request', async () => {
    const there = await server();
    const other = hostKey();
    const error = await login(
      there.port,
      { firstUse: false },
      {
        hostKeys: memoryHostKeys([pinOf(there.port, other)]),
      },
    );
    expect(error).toMatchObject({
      code: 'connect.host-key-changed',
      detail: { expected: other.fingerprint, presented: there.hostKeys[0]?.fingerprint },
    });
    await until(() => there.open === 0);
    expect(there.requests).toEqual([]);
  });

  it('a changed host key stops also where first use is allowed', async () => {
    const there = await server();
    const hostKeys = memoryHostKeys([pinOf(there.port, hostKey())]);
    expect((await login(there.port, { firstUse: true }, { hostKeys })).code).toBe('connect.host-key-changed');
    expect(there.requests).toEqual([]);
    expect(hostKeys.all).toHaveLength(1);
  });

  it('an unknown host key stops before any authentication request', async () => {
    const there = await server();
    const error = await login(there.port, { firstUse: false });
    expect(error).toMatchObject({
      code: 'connect.host-key-unknown',
      detail: { fingerprint: there.hostKeys[0]?.fingerprint },
    });
    await until(() => there.open === 0);
    expect(there.requests).toEqual([]);
  });

  it('first use pins the key before the password is sent, and trusts no other key afterwards', async () => {
    const there = await server();
    const hostKeys = memoryHostKeys();
    const pins: number[] = [];
    const watching = {
      ...hostKeys,
      pin: async (keys: Parameters<typeof hostKeys.pin>[0]) => {
        pins.push(there.requests.length);
        await hostKeys.pin(keys);
      },
    };
    await open(requestFor(testDevice(there.port), { hostKeys: watching }));
    expect(pins).toEqual([0]);
    expect(hostKeys.all).toEqual([pinOf(there.port, there.hostKeys[0] ?? hostKey())]);
  });

  it('a first key that cannot be written down ends the login before the password', async () => {
    const there = await server();
    const full = new BackupError('store.disk-full', { path: 'known_hosts', freeBytes: 0 });
    const hostKeys = { ...memoryHostKeys(), pin: () => Promise.reject(full) };
    expect(await login(there.port, {}, { hostKeys })).toBe(full);
    await until(() => there.open === 0);
    expect(there.requests).toEqual([]);
  });

  it('first use does not take a revoked key', async () => {
    const there = await server();
    const dir = await mkdtemp(join(tmpdir(), 'roundsman-ssh-'));
    cleanups.push(() => rm(dir, { recursive: true, force: true }));
    const revoked = there.hostKeys[0]?.blob.toString('base64') ?? '';
    const before = `@revoked * ssh-ed25519 ${revoked}\n`;
    await writeFile(join(dir, 'known_hosts'), before);
    const error = await login(there.port, {}, { hostKeys: openHostKeys(join(dir, 'known_hosts')) });
    expect(error.code).toBe('connect.host-key-unknown');
    expect(there.requests).toEqual([]);
    expect(await readFile(join(dir, 'known_hosts'), 'utf8')).toBe(before);
  });

  it('a server with several keys is asked for the pinned one first', async () => {
    const keys = [hostKey('ed25519'), hostKey('rsa')];
    const there = await server({ hostKeys: keys });
    const pinned = memoryHostKeys([pinOf(there.port, keys[1] ?? hostKey())]);
    await open(requestFor(testDevice(there.port, { firstUse: false }), { hostKeys: pinned }));
    expect(there.connections).toBe(1);
  });

  it('a fingerprint of any of the keys of a server is enough', async () => {
    const keys = [hostKey('ed25519'), hostKey('ecdsa'), hostKey('rsa')];
    const there = await server({ hostKeys: keys });
    for (const key of keys) {
      await open(requestFor(testDevice(there.port, { firstUse: false, hostKeys: [key.fingerprint] })));
    }
  });

  it('a fingerprint that none of the keys has is a changed key, after all of them were seen', async () => {
    const there = await server({ hostKeys: [hostKey('ed25519'), hostKey('ecdsa')] });
    const other = hostKey();
    const error = await login(there.port, { hostKeys: [other.fingerprint] });
    expect(error).toMatchObject({
      code: 'connect.host-key-changed',
      detail: { expected: other.fingerprint, presented: there.hostKeys[0]?.fingerprint },
    });
    expect(there.connections).toBe(3);
    expect(there.requests).toEqual([]);
  });

  it('a key of a type that was never pinned is unknown and not changed, and first use does not take it', async () => {
    const there = await server({ hostKeys: [hostKey('ecdsa')] });
    const hostKeys = memoryHostKeys([pinOf(there.port, hostKey('ed25519'))]);
    expect((await login(there.port, { firstUse: true }, { hostKeys })).code).toBe('connect.host-key-unknown');
    expect(hostKeys.all).toHaveLength(1);
    expect(there.requests).toEqual([]);
  });

  it('asking for the keys shows all of them and makes no authentication request', async () => {
    const keys = [hostKey('ed25519'), hostKey('ecdsa'), hostKey('rsa')];
    const there = await server({ hostKeys: keys });
    const shown = await presentedKeys(requestFor(testDevice(there.port)));
    expect(shown).toEqual(keys.map((key) => pinOf(there.port, key)));
    expect(there.requests).toEqual([]);
    expect(there.connections).toBe(3);
    await until(() => there.open === 0);
  });
});

describe('logging in', () => {
  it('the right password is sent once, after the server said what it offers', async () => {
    const there = await server();
    await open(requestFor(testDevice(there.port)));
    expect(there.requests).toEqual(['none', 'password']);
  });

  it('a wrong password is tried exactly once', async () => {
    const there = await server({
      authenticate: (context) =>
        context.reject(['password', 'keyboard-interactive'] as ssh2.AuthenticationType[]),
    });
    const error = await login(there.port);
    expect(error).toMatchObject({
      code: 'login.rejected',
      detail: { username, methods: ['password', 'keyboard-interactive'] },
    });
    await until(() => there.open === 0);
    expect(there.requests).toEqual(['none', 'password']);
  });

  it('a server that disconnects at a wrong password has rejected it', async () => {
    const there = await server({
      authenticate(context, client) {
        if (context.method === 'none') return context.reject(['password']);
        disconnect(client, 2);
      },
    });
    expect((await login(there.port)).code).toBe('login.rejected');
    expect(there.requests).toEqual(['none', 'password']);
  });

  it('a server that has no session left has not rejected the password', async () => {
    const there = await server({
      authenticate(context, client) {
        if (context.method === 'none') return context.reject(['password']);
        disconnect(client, 12);
      },
    });
    expect((await login(there.port)).code).toBe('connect.lost-before-login');
  });

  it('a server that offers nothing we have is left without an attempt', async () => {
    const there = await server({ authenticate: (context) => context.reject(['publickey', 'hostbased']) });
    expect(await login(there.port)).toMatchObject({
      code: 'login.method-unavailable',
      detail: { offered: ['publickey', 'hostbased'], wanted: ['password', 'keyboard-interactive'] },
    });
    expect(there.requests).toEqual(['none']);
  });

  it('a server that wants a second factor after the password is not asked again', async () => {
    const there = await server({
      authenticate(context) {
        if (context.method === 'none') context.reject(['password']);
        else context.reject(['keyboard-interactive'], true);
      },
    });
    expect((await login(there.port)).code).toBe('login.method-unavailable');
    expect(there.requests).toEqual(['none', 'password']);
  });

  it('a cut between password and answer is a lost connection', async () => {
    const there = await server({
      authenticate(context) {
        if (context.method === 'none') context.reject(['password']);
        else there.cut();
      },
    });
    expect((await login(there.port)).code).toBe('connect.lost-before-login');
  });

  it('a server that never answers the password is left after the login time', async () => {
    const clock = stoppedClock();
    const there = await server({
      authenticate(context) {
        if (context.method === 'none') context.reject(['password']);
      },
    });
    const attempt = login(there.port, {}, { clock });
    await until(() => there.requests.length === 2);
    clock.advance(30_000);
    expect((await attempt).code).toBe('connect.lost-before-login');
    await until(() => there.open === 0);
  });

  it('stopping the run in the middle of the login closes the connection', async () => {
    const stop = new AbortController();
    const there = await server({
      authenticate(context) {
        if (context.method === 'none') context.reject(['password']);
        else stop.abort();
      },
    });
    const error = await login(there.port, {}, { signal: stop.signal });
    expect(error.code).toBe('run.interrupted');
    await until(() => there.open === 0);
  });

  it('a password that has to be changed is told as that', async () => {
    const there = await server({
      authenticate(context) {
        if (context.method === 'none') context.reject(['password']);
        else if (context.method === 'password') context.requestChange('Your password has expired', () => {});
      },
    });
    expect(await login(there.port)).toMatchObject({ code: 'login.password-expired', detail: { username } });
    expect(there.requests).toEqual(['none', 'password']);
  });

  it('banners without end are cut off', async () => {
    let sent = 0;
    const there = await server({
      authenticate(_context, client) {
        for (; sent < 1_000 && there.open > 0; sent++) sendBanner(client, 'warning '.repeat(1_000));
      },
    });
    const error = await login(there.port);
    expect(error.code).toBe('connect.protocol');
    expect((error.detail as { received: string }).received).toMatch(/^a login banner without end: warning/);
    expect(JSON.stringify(error.detail).length).toBeLessThan(400);
    await until(() => there.open === 0);
  });

  it('one banner that is too long for a packet breaks the protocol', async () => {
    const there = await server({ banner: 'warning '.repeat(10_000) });
    expect((await login(there.port)).code).toBe('connect.protocol');
  });

  it('a banner of a common length is let pass', async () => {
    const there = await server({ banner: 'Authorised users only.\r\n'.repeat(100) });
    await open(requestFor(testDevice(there.port)));
  });
});

describe('keyboard-interactive', () => {
  it('the password is answered, and the empty second round of a BIG-IP with nothing', async () => {
    const rounds: unknown[] = [];
    const there = await server(
      asking((context) => {
        context.prompt([prompt('Password: ')], (first) => {
          rounds.push(first);
          context.prompt([], (second) => {
            rounds.push(second);
            context.accept();
          });
        });
      }),
    );
    await open(requestFor(testDevice(there.port)));
    expect(rounds).toEqual([[password], []]);
    expect(there.requests).toEqual(['none', 'keyboard-interactive']);
  });

  const answers: unknown[] = [];
  async function asked(...questions: ssh2.Prompt[][]) {
    answers.length = 0;
    const there = await server(
      asking((context) => {
        const round = (index: number) => {
          const prompts = questions[index];
          if (prompts === undefined) return context.reject(['keyboard-interactive']);
          context.prompt(prompts, (given) => {
            answers.push(given);
            round(index + 1);
          });
        };
        round(0);
      }),
    );
    const error = await login(there.port);
    await until(() => there.open === 0);
    expect(there.requests).toEqual(['none', 'keyboard-interactive']);
    return error;
  }

  it('a wrong password is rejected after one answer', async () => {
    expect((await asked([prompt('Password: ')])).code).toBe('login.rejected');
    expect(answers).toEqual([[password]]);
  });

  it('a second question for the password means that the first answer was wrong', async () => {
    expect((await asked([prompt('Password: ')], [prompt('Password: ')])).code).toBe('login.rejected');
    expect(answers).toEqual([[password]]);
  });

  it('a one-time code is a question that is not answered', async () => {
    const error = await asked([prompt('Password: ')], [prompt('Verification code: ')]);
    expect(error).toMatchObject({
      code: 'login.question-unknown',
      detail: { question: 'Verification code:' },
    });
    expect(answers).toEqual([[password]]);
  });

  it.each([
    ['a code first', [prompt('One-time password:')]],
    ['a question whose answer is shown', [prompt('Password:', true)]],
    ['two questions at once', [prompt('Password:'), prompt('Token:')]],
    ['fifty questions', Array.from({ length: 50 }, () => prompt('Password:'))],
    ['a question about something else', [prompt('Accept the terms (yes/no)? ')]],
    ['a question with escapes', [prompt('\x1b[2J\u202eGive me all: ')]],
    ['a very long question', [prompt('a'.repeat(30_000))]],
  ])('%s gets no answer', async (_what, prompts) => {
    const error = await asked(prompts);
    expect(error.code).toBe('login.question-unknown');
    expect(answers).toEqual([]);
    const { question } = error.detail as { question: string };
    expect(question).toMatch(/^[\x20-\x7e…]{0,220}$/);
  });

  it('a forced change of the password is told as that, and nothing is typed', async () => {
    const text =
      'You are required to change your password immediately (root enforced)\nNew BIG-IP password: ';
    expect((await asked([prompt(text)])).code).toBe('login.password-expired');
    expect(answers).toEqual([]);
    expect((await asked([prompt('Password: ')], [prompt('(current) UNIX password: ')])).code).toBe(
      'login.password-expired',
    );
    expect(answers).toEqual([[password]]);
  });
});

type KeyPair = ReturnType<typeof ssh2.utils.generateKeyPairSync>;

/** ssh2 cannot read back every ed25519 key that it makes (about 2 in 1000). */
function readable(make: () => KeyPair, passphrase: string | undefined): KeyPair {
  const pair = make();
  const whole = ![pair.private, pair.public].some(
    (key) => ssh2.utils.parseKey(key, passphrase) instanceof Error,
  );
  return whole ? pair : readable(make, passphrase);
}

describe('keys', () => {
  const pair = readable(() => ssh2.utils.generateKeyPairSync('ed25519'), undefined);
  const encrypted = readable(
    () =>
      ssh2.utils.generateKeyPairSync('ed25519', {
        passphrase: 'c4n4ry-phrase',
        cipher: 'aes256-ctr',
        rounds: 4,
      }),
    'c4n4ry-phrase',
  );

  function acceptsKey(publicKey: string, alsoPassword = false): ServerOptions {
    const parsed = ssh2.utils.parseKey(publicKey);
    if (parsed instanceof Error) throw parsed;
    return {
      authenticate(context) {
        if (context.method === 'publickey' && context.key.data.equals(parsed.getPublicSSH())) {
          const { signature, blob } = context;
          if (!signature || (blob && parsed.verify(blob, signature) === true)) return context.accept();
        }
        if (context.method === 'password' && context.password === password) return context.accept();
        context.reject(alsoPassword ? ['publickey', 'password'] : ['publickey']);
      },
    };
  }

  it('a key is used where it is offered, and the password stays here', async () => {
    const there = await server(acceptsKey(pair.public, true));
    await open(
      requestFor(testDevice(there.port, { credentials: { privateKey: { literal: pair.private } } })),
    );
    expect(there.requests).toEqual(['none', 'publickey', 'publickey']);
  });

  it('after a refused key the password is tried, once', async () => {
    const there = await server(acceptsKey(encrypted.public, true));
    await open(
      requestFor(testDevice(there.port, { credentials: { privateKey: { literal: pair.private } } })),
    );
    expect(there.requests).toEqual(['none', 'publickey', 'password']);
  });

  it('after a rejected password no key is tried, even if the server now offers that', async () => {
    const there = await server({
      authenticate: (context) => context.reject(context.method === 'none' ? ['password'] : ['publickey']),
    });
    const error = await login(there.port, { credentials: { privateKey: { literal: pair.private } } });
    expect(error).toMatchObject({ code: 'login.rejected', detail: { methods: ['publickey'] } });
    expect(there.requests).toEqual(['none', 'password']);
  });

  it('a refused key alone is a rejected login', async () => {
    const there = await server(acceptsKey(encrypted.public));
    const error = await login(there.port, {
      credentials: { privateKey: { literal: pair.private }, password: null },
    });
    expect(error).toMatchObject({ code: 'login.rejected', detail: { methods: ['publickey'] } });
  });

  it('an encrypted key is opened with its passphrase', async () => {
    const there = await server(acceptsKey(encrypted.public));
    const credentials = {
      privateKey: { literal: encrypted.private },
      passphrase: { literal: 'c4n4ry-phrase' },
      password: null,
    };
    await open(requestFor(testDevice(there.port, { credentials })));
  });

  it('an encrypted key is opened once: a fleet does not wait for it at every login', async () => {
    // As `ssh-keygen` makes them: the default of 24 rounds of ssh-keygen costs more still.
    const { private: text } = readable(
      () => ssh2.utils.generateKeyPairSync('ed25519', { passphrase: 'p', cipher: 'aes256-ctr', rounds: 16 }),
      'p',
    );
    const took = async (passphrase: string) => {
      const began = process.hrtime.bigint();
      const key = await parsePrivateKey(text, passphrase, { file: '/key' }).catch(() => null);
      return { key, ns: Number(process.hrtime.bigint() - began) };
    };
    const [first, second] = [await took('p'), await took('p')];
    expect(first.key?.type).toBe('ssh-ed25519');
    expect(second.key).toBe(first.key);
    expect(second.ns * 5).toBeLessThan(first.ns);
    const [wrong, again] = [await took('q'), await took('q')];
    expect(wrong.key).toBeNull();
    expect(again.ns * 5).toBeLessThan(wrong.ns);
  });

  it.each([
    ['without its passphrase', encrypted.private, null, /no `passphrase`/],
    ['with a wrong passphrase', encrypted.private, 'c4n4ry-wrong', /this `passphrase`/],
    ['that is none', 'c4n4ry, not a key', null, /not a private key/],
    ['that is the public half', pair.public, null, /public key/],
  ])('a key %s fails before the device is touched', async (_what, text, phrase, problem) => {
    const there = await server();
    const error = await login(there.port, {
      credentials: {
        privateKey: { literal: text },
        passphrase: phrase === null ? null : { literal: phrase },
      },
    });
    expect(error.code).toBe('inventory.secret-unavailable');
    expect(error.detail).toMatchObject({ problem: expect.stringMatching(problem) });
    expect(inspect(error, { depth: 9 })).not.toContain('c4n4ry');
    expect(there.connections).toBe(0);
  });
});

describe('algorithms', () => {
  const old: ssh2.Algorithms = {
    kex: ['diffie-hellman-group14-sha1'],
    serverHostKey: ['ssh-rsa'],
    cipher: ['aes256-cbc', '3des-cbc'],
    hmac: ['hmac-sha1'],
  };
  const rsa = hostKey('rsa');

  it('an old device names what would help, one kind after the other, and then works', async () => {
    const there = await server({ hostKeys: [rsa], algorithms: old });
    const allow: string[] = [];
    const kinds: string[] = [];
    for (let turn = 0; turn < 4; turn++) {
      const error = await login(there.port, { ssh: { profile: 'modern', allow } });
      expect(error.code).toBe('connect.no-common-algorithm');
      const detail = error.detail as { kind: string; offered: string[]; allowable: string[] };
      kinds.push(detail.kind);
      expect(detail.offered).toContain(detail.allowable[0]);
      allow.push(detail.allowable[0] ?? '');
    }
    expect(kinds).toEqual(['kex', 'host-key', 'cipher', 'mac']);
    await open(requestFor(testDevice(there.port, { ssh: { profile: 'modern', allow } })));
  });

  it('the legacy profile reaches an old device at once', async () => {
    const there = await server({ hostKeys: [rsa], algorithms: old });
    await open(requestFor(testDevice(there.port, { ssh: { profile: 'legacy', allow: [] } })));
  });

  it('a classic Cisco stack is not told to allow a group exchange, which would not help', async () => {
    const there = await server({
      hostKeys: [rsa],
      ident: 'Cisco-1.25',
      algorithms: {
        ...old,
        kex: ['diffie-hellman-group-exchange-sha1', 'diffie-hellman-group1-sha1'],
      },
    });
    const legacyButKex = ['ssh-rsa', 'aes256-cbc', 'hmac-sha1'];
    const error = await login(there.port, { ssh: { profile: 'modern', allow: legacyButKex } });
    expect(error).toMatchObject({
      code: 'connect.no-common-algorithm',
      detail: { kind: 'kex', allowable: ['diffie-hellman-group1-sha1'] },
    });
    const allow = [...legacyButKex, 'diffie-hellman-group1-sha1'];
    await open(requestFor(testDevice(there.port, { ssh: { profile: 'modern', allow } })));
  });

  it.each(['modern', 'legacy'] as const)(
    'a server open to Terrapin, without strict key exchange, is not spoken to in what it could cut: %s',
    async (profile) => {
      const kex: ssh2.KexAlgorithm[] = ['curve25519-sha256'];
      const chacha = await server({
        algorithms: { kex, cipher: ['chacha20-poly1305@openssh.com'] } as unknown as ssh2.Algorithms,
      });
      const etm = await server({
        algorithms: { kex, cipher: ['aes256-cbc'], hmac: ['hmac-sha2-256-etm@openssh.com'] },
      });
      for (const there of [chacha, etm]) {
        const error = await login(there.port, { ssh: { profile, allow: [] } });
        expect(error).toMatchObject({ code: 'connect.no-common-algorithm' });
        expect(there.requests).toEqual([]);
        expect(JSON.stringify(error.detail)).not.toContain('"allowable":["chacha');
      }
    },
  );

  it('a hardened FortiGate that offers one of each is reached with the modern profile', async () => {
    const there = await server({
      hostKeys: [rsa],
      algorithms: {
        kex: ['diffie-hellman-group16-sha512'],
        serverHostKey: ['rsa-sha2-512'],
        cipher: ['aes256-ctr'],
        hmac: ['hmac-sha2-256'],
      },
    });
    await open(requestFor(testDevice(there.port)));
  });
});

describe('channels', () => {
  const talking: ServerOptions = {
    session(session) {
      let size = {};
      session.on('pty', (accept, _reject, info) => {
        size = { cols: info.cols, rows: info.rows, term: (info as { term?: string }).term };
        accept();
      });
      session.on('shell', (accept) => {
        const stream = accept();
        stream.write(`${JSON.stringify(size)}\r\n`);
        stream.on('data', (piece: Buffer) => {
          stream.write(piece);
          stream.exit(0);
          stream.end();
        });
      });
      session.on('exec', (accept, reject, info) => {
        if (info.command === 'refuse') return reject();
        const stream = accept();
        if (info.command === 'both') {
          stream.write('one');
          stream.stderr.write('two');
          stream.write('three');
          stream.exit(3);
          stream.end();
        } else if (info.command === 'killed') {
          stream.exit('TERM', false, 'bye');
          stream.end();
        } else if (info.command === 'no-status') stream.end('partial');
        else if (info.command === 'large') {
          stream.write(Buffer.alloc(6_000_000, 'x'));
          stream.exit(0);
          stream.end();
        } else if (info.command === 'hang') stream.write('begin');
      });
    },
  };

  async function connected(change: Partial<ConnectRequest> = {}, device: Partial<Device> = {}) {
    const there = await server(talking);
    const connection = await open(requestFor(testDevice(there.port, device as object), change));
    return { there, connection };
  }

  it('a shell has a wide and tall terminal and carries every byte both ways', async () => {
    const { connection } = await connected();
    const channel = await connection.shell();
    const heard = read(channel);
    const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
    channel.write(bytes);
    expect(await heard.end).toEqual({ exitStatus: 0, signal: null, connectionLost: false, error: null });
    expect(heard.stdout).toBe(`{"cols":511,"rows":1000,"term":"vt100"}\r\n${bytes}`);
  });

  it('what a command writes to stderr is told apart, and its exit status is told', async () => {
    const { connection } = await connected();
    const heard = read(await connection.exec('both'));
    expect((await heard.end).exitStatus).toBe(3);
    expect(heard).toMatchObject({ stdout: 'onethree', stderr: 'two' });
  });

  it('what came before anybody listened is not lost', async () => {
    const { connection } = await connected();
    const channel = await connection.exec('both');
    await new Promise((done) => setTimeout(done, 100));
    const heard = read(channel);
    expect((await heard.end).exitStatus).toBe(3);
    expect(heard).toMatchObject({ stdout: 'onethree', stderr: 'two' });
  });

  it('a command that ends without a status, or by a signal, says so', async () => {
    const { connection } = await connected();
    const silent = read(await connection.exec('no-status'));
    expect(await silent.end).toMatchObject({ exitStatus: null, signal: null, connectionLost: false });
    expect(silent.stdout).toBe('partial');
    expect(await read(await connection.exec('killed')).end).toMatchObject({
      exitStatus: null,
      signal: 'TERM',
    });
  });

  it('six megabytes arrive whole, also when reading pauses in between', async () => {
    const { connection } = await connected();
    const channel = await connection.exec('large');
    const heard = read(channel);
    channel.pause();
    await new Promise((done) => setTimeout(done, 50));
    channel.resume();
    expect((await heard.end).exitStatus).toBe(0);
    expect(heard.stdout.length).toBe(6_000_000);
  });

  it('a refused command is told as that and leaves the connection usable', async () => {
    const { connection } = await connected();
    expect(await failure(connection.exec('refuse'))).toMatchObject({
      code: 'collect.command-refused',
      detail: { command: 'refuse' },
    });
    expect((await read(await connection.exec('both')).end).exitStatus).toBe(3);
  });

  it('a cut connection ends the channel without a status', async () => {
    const { there, connection } = await connected();
    const heard = read(await connection.exec('hang'));
    await until(() => heard.stdout === 'begin');
    there.cut();
    expect(await heard.end).toEqual({ exitStatus: null, signal: null, connectionLost: true, error: null });
    expect((await failure(connection.exec('both'))).code).toBe('collect.connection-lost');
    expect((await failure(connection.shell())).code).toBe('connect.lost-before-login');
  });

  it('stopping the run ends the channel with run.interrupted and closes the connection', async () => {
    const stop = new AbortController();
    const { there, connection } = await connected({ signal: stop.signal });
    const heard = read(await connection.exec('hang'));
    stop.abort();
    const end = await heard.end;
    expect(end.error).toMatchObject({ code: 'run.interrupted', detail: { by: 'signal' } });
    expect((await failure(connection.exec('both'))).code).toBe('run.interrupted');
    await until(() => there.open === 0);
  });

  it('a closed channel is silent and ended at once; writing to it does nothing', async () => {
    const { connection } = await connected();
    const channel = await connection.exec('hang');
    const heard = read(channel);
    await until(() => heard.stdout === 'begin');
    channel.close();
    expect(await heard.end).toMatchObject({ exitStatus: null, connectionLost: false });
    channel.write('more');
    channel.close();
  });

  it('a channel that is never opened does not hold us: a command stalls, a terminal counts as lost', async () => {
    const clock = stoppedClock();
    // Neither accepts nor rejects.
    const there = await server({ onConnection: (client) => client.on('session', () => {}) });
    const connection = await open(requestFor(testDevice(there.port), { clock }));
    const stalled = failure(connection.exec('show version'));
    clock.advance(60_000);
    expect(await stalled).toMatchObject({
      code: 'collect.stalled',
      detail: { command: 'show version', idleMs: 60_000 },
    });
    // The login time is over already.
    const shell = failure(connection.shell());
    clock.advance(0);
    expect((await shell).code).toBe('connect.lost-before-login');
  });

  it('ending closes the socket, twice as well as once', async () => {
    const { there, connection } = await connected();
    await Promise.all([connection.end(), connection.end()]);
    await connection.end();
    await until(() => there.open === 0);
  });

  it('ending waits a second at the most for a device that does not close', async () => {
    const clock = stoppedClock();
    const there = await server({
      onConnection: (client) => {
        const { _sock: socket } = client as unknown as { _sock: Socket };
        // Our goodbye is never read, so nothing is closed there.
        client.on('ready', () => setImmediate(() => socket.pause()));
      },
    });
    const connection = await connect(requestFor(testDevice(there.port), { clock }));
    await new Promise((done) => setTimeout(done, 20));
    let closed = false;
    const ended = connection.end().then(() => {
      closed = true;
    });
    await new Promise((done) => setTimeout(done, 50));
    expect(closed).toBe(false);
    clock.advance(1_000);
    await ended;
  });
});

describe('secrets', () => {
  it('the password is in no error, whatever the device does with it', async () => {
    const echoes: ServerOptions[] = [
      asking((context) => {
        context.prompt([prompt('Password: ')], ([given]) => {
          context.prompt([prompt(`Did you mean ${given}? `)], () => context.reject());
        });
      }),
      {
        authenticate(context) {
          if (context.method === 'password') context.reject([context.password as ssh2.AuthenticationType]);
          else context.reject(['password']);
        },
      },
    ];
    for (const echo of echoes) {
      const there = await server(echo);
      const error = await login(there.port);
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(password);
    }
  });
});

/** Sends SSH_MSG_DISCONNECT with this reason, which ssh2's server has no public method for. */
function disconnect(client: ssh2.Connection, reason: number): void {
  (client as unknown as { _protocol: { disconnect(reason: number): void } })._protocol.disconnect(reason);
}

/** Sends SSH_MSG_USERAUTH_BANNER, which ssh2's server does once at the most. */
function sendBanner(client: ssh2.Connection, text: string): void {
  const { _packetRW, _cipher } = (
    client as unknown as {
      _protocol: {
        _packetRW: {
          write: { allocStart: number; alloc(size: number): Buffer; finalize(packet: Buffer): Buffer };
        };
        _cipher: { encrypt(packet: Buffer): void };
      };
    }
  )._protocol;
  const { write } = _packetRW;
  const at = write.allocStart;
  const packet = write.alloc(1 + 4 + text.length + 4);
  packet[at] = 53;
  packet.writeUInt32BE(text.length, at + 1);
  packet.write(text, at + 5, 'latin1');
  packet.writeUInt32BE(0, at + 5 + text.length);
  _cipher.encrypt(write.finalize(packet));
}

/** A port whose queue is full, so that the kernel drops what tries to connect: the silence of a dead address. */
async function deafPort(): Promise<number> {
  const program = `
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      process.stdout.write(server.address().port + '\\n', () => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });
    });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(async () => {
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());
  for (;;) {
    const socket = createConnection(port, '127.0.0.1').on('error', () => {});
    cleanups.push(async () => {
      socket.destroy();
    });
    const accepted = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise<boolean>((done) => setTimeout(() => done(false), 300)),
    ]);
    if (!accepted) return port;
  }
}
