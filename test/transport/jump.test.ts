import type { Socket } from 'node:net';
import type ssh2 from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import { describe as describeFailure } from '../../src/core/catalogue.ts';
import { type BackupError, failureOf } from '../../src/core/errors.ts';
import type { Channel, ChannelEnd } from '../../src/transport/channel.ts';
import { type Connection, type ConnectRequest, connect, presentedKeys } from '../../src/transport/ssh.ts';
import { type JumpServer, jumpHost, type Refusal, startJumpHost } from '../support/jump-host.ts';
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
} from '../support/ssh-server.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function jump(options: Parameters<typeof startJumpHost>[0] = {}): Promise<JumpServer> {
  const started = await startJumpHost(options);
  cleanups.push(started.stop);
  return started;
}

/** A device that answers a command with its own text, and `large` with 20 MB. */
async function target(options: ServerOptions = {}): Promise<SshServer> {
  const started = await startServer({
    session(session) {
      session.on('exec', (accept, _reject, info) => {
        const stream = accept();
        stream.on('error', () => {});
        if (info.command === 'hang') stream.write('begin');
        else {
          stream.write(info.command === 'large' ? Buffer.alloc(20_000_000, 'x') : info.command);
          stream.exit(0);
          stream.end();
        }
      });
    },
    ...options,
  });
  cleanups.push(started.stop);
  return started;
}

async function open(request: ConnectRequest): Promise<Connection> {
  const connection = await connect(request);
  cleanups.push(() => connection.end());
  return connection;
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000 && !condition(); turn++) await new Promise((done) => setTimeout(done, 2));
  if (!condition()) throw new Error('did not come about');
}

function read(channel: Channel): { stdout: string; end: Promise<ChannelEnd> } {
  const heard = { stdout: '', end: new Promise<ChannelEnd>((done) => channel.onEnd(done)) };
  channel.onData((text) => {
    heard.stdout += text;
  });
  return heard;
}

const said = (error: BackupError) => describeFailure(failureOf(error), { device: 'fw1' });
const rejecting: ServerOptions = { authenticate: (context) => context.reject(['password']) };

describe('a device behind jump hosts', () => {
  it('is reached through two of them, each with one password of its own in one request', async () => {
    const passwords: string[] = [];
    const accepting = (right: string): ServerOptions => ({
      authenticate(context) {
        if (context.method === 'password') passwords.push(context.password);
        if (context.method === 'password' && context.password === right) context.accept();
        else context.reject(['password']);
      },
    });
    const outer = await jump(accepting('outer-secret'));
    const inner = await jump(accepting('inner-secret'));
    const there = await target(accepting('device-secret'));
    const passed: string[] = [];
    const stages: string[] = [];
    const connection = await open(
      requestFor(
        testDevice(there.port, {
          jump: [
            jumpHost('outer', outer.port, { credentials: { password: { literal: 'outer-secret' } } }),
            jumpHost('inner', inner.port, { credentials: { password: { literal: 'inner-secret' } } }),
          ],
          credentials: { password: { literal: 'device-secret' } },
        }),
        { onPassed: (hop) => passed.push(hop), onStage: (stage) => stages.push(stage) },
      ),
    );
    const heard = read(await connection.exec('show version'));
    expect((await heard.end).exitStatus).toBe(0);
    expect(heard.stdout).toBe('show version');
    expect(passwords).toEqual(['outer-secret', 'inner-secret', 'device-secret']);
    for (const one of [outer, inner, there]) expect(one.requests).toEqual(['none', 'password']);
    expect(outer.asked).toEqual([`127.0.0.1:${inner.port}`]);
    expect(inner.asked).toEqual([`127.0.0.1:${there.port}`]);
    expect(passed).toEqual(['outer', 'inner']);
    expect(stages).toEqual(['login']);
    await connection.end();
    await until(() => outer.open + inner.open + there.open + outer.passing + inner.passing === 0);
  });

  it('is connected to from the source address at the first jump host only', async () => {
    const from: string[] = [];
    const note = (client: ssh2.Connection) => {
      from.push((client as unknown as { _sock: Socket })._sock.remoteAddress ?? '');
    };
    const outer = await jump({ onConnection: note });
    const there = await target({ onConnection: note });
    await open(
      requestFor(
        testDevice(there.port, { sourceAddress: '127.0.0.2', jump: [jumpHost('outer', outer.port)] }),
      ),
    );
    expect(from).toEqual(['127.0.0.2', '127.0.0.1']);
  });

  it('is read no faster than we take it: what waits on the way stays small', async () => {
    const outer = await jump();
    const there = await target();
    const connection = await open(
      requestFor(testDevice(there.port, { jump: [jumpHost('outer', outer.port)] })),
    );
    const channel = await connection.exec('large');
    let got = 0;
    channel.onData((text) => {
      got += text.length;
    });
    channel.pause();
    await new Promise((done) => setTimeout(done, 400));
    const before = got;
    await new Promise((done) => setTimeout(done, 100));
    // Two windows of SSH (2 MB each) and the buffers between; not the twenty megabytes.
    expect(got).toBe(before);
    expect(outer.mostWaitingBytes).toBeLessThan(8_000_000);
    const ended = new Promise<ChannelEnd>((done) => channel.onEnd(done));
    channel.resume();
    expect((await ended).exitStatus).toBe(0);
    expect(got).toBe(20_000_000);
  });

  it('keeps its own failures: a wrong password there is the device’s', async () => {
    const outer = await jump();
    const there = await target(rejecting);
    const device = testDevice(there.port, { jump: [jumpHost('outer', outer.port)] });
    expect((await failure(connect(requestFor(device)))).code).toBe('login.rejected');
    await until(() => outer.open + there.open === 0);
  });

  it('that goes away in the middle takes nothing else with it, and all is closed', async () => {
    const outer = await jump();
    const there = await target();
    const connection = await open(
      requestFor(testDevice(there.port, { jump: [jumpHost('outer', outer.port)] })),
    );
    const heard = read(await connection.exec('hang'));
    await until(() => heard.stdout === 'begin');
    there.cut();
    expect(await heard.end).toMatchObject({ exitStatus: null, connectionLost: true });
    await connection.end();
    await until(() => outer.open === 0);
  });

  it('is ended by an abort, with every jump host', async () => {
    const stop = new AbortController();
    const outer = await jump();
    const inner = await jump();
    const there = await target();
    const hops = [jumpHost('outer', outer.port), jumpHost('inner', inner.port)];
    const connection = await open(
      requestFor(testDevice(there.port, { jump: hops }), { signal: stop.signal }),
    );
    const heard = read(await connection.exec('hang'));
    await until(() => heard.stdout === 'begin');
    stop.abort();
    expect((await heard.end).error).toMatchObject({ code: 'run.interrupted' });
    await until(() => outer.open + inner.open + there.open === 0);
  });

  it('whose last jump host falls silent ends a second later for each of them at the most', async () => {
    const clock = stoppedClock();
    const sockets: Socket[] = [];
    const socketOf = (client: ssh2.Connection) => (client as unknown as { _sock: Socket })._sock;
    const outer = await jump({ onConnection: (client) => sockets.push(socketOf(client)) });
    const there = await target();
    const device = testDevice(there.port, { jump: [jumpHost('outer', outer.port)] });
    const connection = await connect(requestFor(device, { clock }));
    for (const socket of sockets) socket.pause();
    let closed = false;
    const ended = connection.end().then(() => {
      closed = true;
    });
    await until(() => clock.timers() === 1);
    clock.advance(1_000);
    await until(() => clock.timers() === 1);
    expect(closed).toBe(false);
    clock.advance(1_000);
    await ended;
  });
});

describe('a jump host that cannot be passed', () => {
  async function through(
    hops: readonly ReturnType<typeof jumpHost>[],
    change: Partial<ConnectRequest> = {},
    port = 22,
  ): Promise<BackupError> {
    return failure(connect(requestFor(testDevice(port, { jump: hops }), change)));
  }

  it('with a wrong password at the second one is named, after one attempt, and nothing is sent beyond', async () => {
    const outer = await jump();
    const inner = await jump(rejecting);
    const there = await target();
    const hops = [jumpHost('outer', outer.port), jumpHost('inner', inner.port)];
    const error = await through(hops, {}, there.port);
    expect(error).toMatchObject({
      code: 'connect.jump',
      detail: { hop: 'inner', host: '127.0.0.1', port: inner.port, code: 'login.rejected' },
    });
    expect(inner.requests).toEqual(['none', 'password']);
    expect(there.connections).toBe(0);
    const { message, todo } = said(error);
    expect(message).toContain(`jump host inner (127.0.0.1 port ${inner.port}): the jump host rejected`);
    expect(todo).toContain('correct the password or key');
    expect(JSON.stringify(error.detail)).not.toContain(password);
    await until(() => outer.open + inner.open + outer.passing === 0);
  });

  it('with an unknown key gets no password, and the next step is to trust it', async () => {
    const outer = await jump();
    const error = await through([jumpHost('outer', outer.port, { firstUse: false })]);
    expect(error).toMatchObject({ code: 'connect.jump', detail: { code: 'connect.host-key-unknown' } });
    expect(outer.requests).toEqual([]);
    expect(said(error).todo).toContain('`roundsman trust fw1`');
  });

  it('with a changed key gets no password, also where it is the second one', async () => {
    const outer = await jump();
    const inner = await jump();
    const hops = [
      jumpHost('outer', outer.port),
      jumpHost('inner', inner.port, { hostKeys: [`SHA256:${'A'.repeat(43)}`] }),
    ];
    const error = await through(hops);
    expect(error).toMatchObject({
      code: 'connect.jump',
      detail: { hop: 'inner', code: 'connect.host-key-changed' },
    });
    expect(inner.requests).toEqual([]);
    await until(() => outer.open + inner.open === 0);
  });

  it('pins its first key under its own address where the inventory says so', async () => {
    const outer = await jump();
    const there = await target();
    const hostKeys = memoryHostKeys([pinOf(there.port, there.hostKeys[0] as { blob: Buffer })]);
    const device = testDevice(there.port, { firstUse: false, jump: [jumpHost('outer', outer.port)] });
    await open(requestFor(device, { hostKeys }));
    expect(hostKeys.of('127.0.0.1', outer.port)).toHaveLength(1);
    expect(hostKeys.all).toHaveLength(2);
  });

  it('that is not there is refused, or a time-out, in words about it', async () => {
    const gone = await startTcp(() => {});
    await gone.stop();
    const error = await through([jumpHost('outer', gone.port)]);
    expect(error).toMatchObject({ code: 'connect.jump', detail: { hop: 'outer', code: 'connect.refused' } });
    expect(said(error).message).toContain(`127.0.0.1 refuses connections on port ${gone.port}`);
  });

  it('that accepts and says nothing is a time-out there', async () => {
    const mute = await startTcp(() => {});
    cleanups.push(mute.stop);
    const clock = stoppedClock();
    const attempt = through([jumpHost('outer', mute.port)], { clock });
    await until(() => mute.open() === 1 && clock.timers() === 1);
    clock.advance(30_000);
    expect(await attempt).toMatchObject({
      code: 'connect.jump',
      detail: { hop: 'outer', code: 'connect.timeout' },
    });
    await until(() => mute.open() === 0);
  });

  it('that offers only old algorithms names the one to allow for it', async () => {
    const algorithms = { kex: ['diffie-hellman-group14-sha1'] } as ssh2.Algorithms;
    const outer = await jump({ algorithms });
    const error = await through([jumpHost('outer', outer.port)]);
    expect(said(error).todo).toBe(
      'add `ssh: { allow: [diffie-hellman-group14-sha1] }` to the jump host, or upgrade its software',
    );
    const there = await target();
    const ssh = { profile: 'modern', allow: ['diffie-hellman-group14-sha1'] } as const;
    await open(requestFor(testDevice(there.port, { jump: [jumpHost('outer', outer.port, { ssh })] })));
  });

  it('whose password cannot be read fails before the first packet, as what it is', async () => {
    const outer = await jump();
    const hops = [jumpHost('outer', outer.port, { credentials: { privateKey: { literal: 'no key' } } })];
    expect((await through(hops)).code).toBe('inventory.secret-unavailable');
    expect(outer.connections).toBe(0);
  });

  it('that is cut while we log in to the device is to blame for it', async () => {
    const outer = await jump();
    const there = await target({
      authenticate(context) {
        if (context.method === 'none') context.reject(['password']);
        else outer.cut();
      },
    });
    expect(await through([jumpHost('outer', outer.port)], {}, there.port)).toMatchObject({
      code: 'connect.jump',
      detail: { hop: 'outer', code: 'connect.lost-before-login', credentialSent: true },
    });
  });

  it('that dies in the middle of a session is a lost connection', async () => {
    const outer = await jump();
    const there = await target();
    const connection = await open(
      requestFor(testDevice(there.port, { jump: [jumpHost('outer', outer.port)] })),
    );
    const heard = read(await connection.exec('hang'));
    await until(() => heard.stdout === 'begin');
    outer.cut();
    expect(await heard.end).toMatchObject({ exitStatus: null, connectionLost: true });
    expect((await failure(connection.exec('more'))).code).toBe('collect.connection-lost');
    await connection.end();
    await until(() => there.open === 0);
  });

  it.each<[string, Refusal, object]>([
    ['prohibited', 'prohibited', { code: 'connect.jump', detail: { hop: 'outer', code: 'not-forwarded' } }],
    ['unknown to it', 'unknown', { code: 'connect.jump', detail: { code: 'not-forwarded' } }],
    ['too much for it', 'resources', { code: 'connect.jump', detail: { code: 'not-forwarded' } }],
    [
      'refused by the device',
      { connectFailed: 'Connection refused' },
      { code: 'connect.refused', detail: { via: 'outer', host: '127.0.0.1' } },
    ],
    [
      'without a route',
      { connectFailed: 'No route to host' },
      { code: 'connect.unreachable', detail: { via: 'outer', errno: 'No route to host' } },
    ],
    [
      'too slow',
      { connectFailed: 'Connection timed out' },
      { code: 'connect.timeout', detail: { via: 'outer' } },
    ],
    [
      'to no name',
      { connectFailed: 'Name or service not known' },
      { code: 'connect.unresolved', detail: { via: 'outer' } },
    ],
    ['without words', { connectFailed: '' }, { code: 'connect.unreachable', detail: { via: 'outer' } }],
  ])('where the connection beyond is %s says whose fault it is', async (_what, refusal, expected) => {
    const outer = await jump({ refuse: () => refusal });
    const error = await through([jumpHost('outer', outer.port)]);
    expect(error).toMatchObject(expected);
    expect(said(error).message).toContain('outer');
    await until(() => outer.open === 0);
  });

  it('that could not reach the next one blames the next one', async () => {
    const outer = await jump({ refuse: () => ({ connectFailed: 'Connection refused' }) });
    const error = await through([jumpHost('outer', outer.port), jumpHost('inner', 2222)]);
    expect(error).toMatchObject({ code: 'connect.jump', detail: { hop: 'inner', code: 'connect.refused' } });
    expect(said(error).message).toContain('tried from the jump host outer');
  });

  it('that never answers our request to go on is a time-out of the device, and a late channel is closed', async () => {
    const clock = stoppedClock();
    const outer = await jump({ refuse: () => 'silence' });
    const attempt = through([jumpHost('outer', outer.port)], { clock });
    await until(() => outer.asked.length === 1 && clock.timers() === 1);
    clock.advance(15_000);
    expect(await attempt).toMatchObject({
      code: 'connect.timeout',
      detail: { via: 'outer', afterMs: 15_000 },
    });
    expect(clock.timers()).toBe(0);
    await until(() => outer.open === 0);
  });

  it('is left by an abort at every step of the way', async () => {
    const steps: ((stop: AbortController) => Promise<JumpServer>)[] = [
      (stop) => jump({ onConnection: () => stop.abort() }),
      (stop) => jump({ authenticate: () => stop.abort() }),
      (stop) =>
        jump({
          refuse: () => {
            stop.abort();
            return 'silence';
          },
        }),
      (stop) => jump({ onPassed: () => stop.abort() }),
    ];
    for (const step of steps) {
      const stop = new AbortController();
      const there = await target();
      const outer = await step(stop);
      const error = await through([jumpHost('outer', outer.port)], { signal: stop.signal }, there.port);
      expect(error.code).toBe('run.interrupted');
      await until(() => outer.open + there.open === 0);
    }
  });
});

describe('the host keys behind a jump host', () => {
  it('are shown without a login to the device, and with one to each jump host a connection', async () => {
    const outer = await jump();
    const keys = [hostKey('ed25519'), hostKey('rsa')];
    const there = await target({ hostKeys: keys });
    const device = testDevice(there.port, { jump: [jumpHost('outer', outer.port)] });
    const shown = await presentedKeys(requestFor(device));
    expect(shown).toEqual(keys.map((key) => pinOf(there.port, key)));
    expect(there.requests).toEqual([]);
    expect(outer.requests).toEqual(['none', 'password']);
    await until(() => outer.open + there.open === 0);
  });

  it('a fingerprint of any key of the device is enough, over the same connection to the jump host', async () => {
    const outer = await jump();
    const keys = [hostKey('ed25519'), hostKey('rsa')];
    const there = await target({ hostKeys: keys });
    const device = testDevice(there.port, {
      hostKeys: [keys[1]?.fingerprint ?? ''],
      jump: [jumpHost('outer', outer.port)],
    });
    await open(requestFor(device));
    expect(outer.connections).toBe(1);
    expect(there.connections).toBe(2);
  });
});
