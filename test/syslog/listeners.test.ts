import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { OperationError } from '../../src/core/errors.ts';
import { idleMs, mostStreamsOfOneAddress, partialMs } from '../../src/syslog/limits.ts';
import { listenTcp, type StreamOptions } from '../../src/syslog/tcp.ts';
import { listenUdp } from '../../src/syslog/udp.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { describeWith } from '../support/system.ts';
import { pass } from './support.ts';

const here = { host: '127.0.0.1', port: 0 };
const open: AsyncDisposable[] = [];
const clients: Socket[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  for (const listener of open.splice(0).reverse()) await listener[Symbol.asyncDispose]();
});

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('it never came true');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function streams(said: Partial<StreamOptions> = {}) {
  const heard: string[] = [];
  let refused = 0;
  const listener = await listenTcp({
    at: here,
    tls: null,
    clock: systemClock,
    receive: (text, address) => void heard.push(`${address} ${text}`),
    onRefused: () => {
      refused++;
    },
    onError: () => {},
    ...said,
  });
  open.push(listener);
  return { heard, port: listener.port, refused: () => refused };
}

function client(port: number, localAddress = '127.0.0.1'): Socket & { gone: () => boolean } {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  let closed = false;
  socket
    .on('error', () => {})
    .on('close', () => {
      closed = true;
    });
  socket.resume();
  clients.push(socket);
  return Object.assign(socket, { gone: () => closed });
}

describe('datagrams', () => {
  it('are messages, whatever is in them, with the address of their sender', async () => {
    const heard: string[] = [];
    const listener = await listenUdp(
      here,
      (text, address) => void heard.push(`${address} ${text}`),
      () => {},
    );
    open.push(listener);
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.2', resolve));
    const bytes = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), 50);
    const sent = [
      '<13>a',
      '\0\x80\xff\n',
      'b'.repeat(60_000),
      ...bytes.map((each) => Buffer.from(each).toString('latin1')),
    ];
    for (const text of sent) {
      socket.send(Buffer.from(text, 'latin1'), listener.port, '127.0.0.1');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => heard.length === sent.length);
    socket.close();
    expect(heard).toEqual(sent.map((text) => `127.0.0.2 ${text.slice(0, 4_096)}`));
    expect(await listener.dropped()).toBe(0);
  });

  it('of which the kernel dropped some are counted', async () => {
    const listener = await listenUdp(
      here,
      () => {},
      () => {},
    );
    open.push(listener);
    const script = `const s=require('node:dgram').createSocket('udp4');let n=0;const b=Buffer.alloc(60000,97);const go=()=>{for(let i=0;i<100;i++)s.send(b,${listener.port},'127.0.0.1');if(++n<20)setImmediate(go);else setTimeout(()=>s.close(),100)};go()`;
    // We do not get to reading while that runs.
    execFileSync(process.execPath, ['-e', script]);
    expect(await listener.dropped()).toBeGreaterThan(0);
  });

  it('an address that is taken is a failure that says what to do', async () => {
    const first = await listenUdp(
      here,
      () => {},
      () => {},
    );
    open.push(first);
    const failure = await listenUdp(
      { ...here, port: first.port },
      () => {},
      () => {},
    ).catch((error) => error);
    expect(failure).toBeInstanceOf(OperationError);
    expect(failure.message).toContain(`syslog over udp cannot listen on 127.0.0.1:${first.port}`);
    expect(failure.todo).toContain('syslog.udp');
  });
});

describe('streams', () => {
  it('carry messages, however they are cut', async () => {
    const { heard, port } = await streams();
    const socket = client(port, '127.0.0.3');
    socket.setNoDelay(true);
    for (const piece of ['<13>o', 'ne\n7 <13>t', 'wo5 <1', '>ab']) {
      socket.write(piece);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    socket.end('<13>last');
    await until(() => heard.length === 4);
    expect(heard).toEqual([
      '127.0.0.3 <13>one',
      '127.0.0.3 <13>two',
      '127.0.0.3 <1>ab',
      '127.0.0.3 <13>last',
    ]);
  });

  it('of one address are few, and of all together the silent one makes room', async () => {
    const { heard, port, refused } = await streams();
    const mine = Array.from({ length: mostStreamsOfOneAddress + 3 }, () => client(port));
    await until(() => refused() === 3);
    expect(mine.filter((socket) => socket.gone())).toHaveLength(3);
    const others = Array.from({ length: 300 }, (_, n) => client(port, `127.0.1.${1 + (n % 200)}`));
    await until(() => refused() === 3 + 60);
    const newest = others.at(-1);
    newest?.write('<13>here\n');
    await until(() => heard.length === 1);
  });

  it('with a message that does not end are cut', async () => {
    const { port, refused, heard } = await streams();
    const socket = client(port);
    socket.write('a'.repeat(200_000));
    await until(() => socket.gone());
    expect([refused(), heard]).toEqual([1, []]);
  });

  it('with half a message and no more are cut after a minute; a silent one stays for a day', async () => {
    const clock = new FakeClock();
    const { port, heard, refused } = await streams({ clock });
    const [slow, silent] = [client(port), client(port)];
    slow.write('<13>whole\n<13>ha');
    silent.write('<13>whole\n');
    await until(() => heard.length === 2);
    await pass(clock, partialMs + 10_000);
    await until(() => slow.gone());
    expect(refused()).toBe(1);
    await pass(clock, idleMs - partialMs - 30_000);
    expect(silent.gone()).toBe(false);
    await pass(clock, 60_000);
    await until(() => silent.gone());
  });

  it('that drip whole messages are no slow ones', async () => {
    const clock = new FakeClock();
    const { port, heard, refused } = await streams({ clock });
    const socket = client(port);
    socket.setNoDelay(true);
    for (let n = 0; n < 6; n++) {
      socket.write(n === 0 ? '<13>be' : 'gun\n<13>be');
      await until(() => heard.length === n);
      await pass(clock, partialMs / 2);
    }
    expect(refused()).toBe(0);
  });

  it('an address that is taken is a failure that says what to do', async () => {
    const { port } = await streams();
    await expect(streams({ at: { ...here, port } })).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`);
  });

  it('are over when the listener is closed', async () => {
    const { port } = await streams();
    const socket = client(port);
    socket.write('<13>half');
    await new Promise((resolve) => socket.once('connect', resolve));
    await open.pop()?.[Symbol.asyncDispose]();
    await until(() => socket.gone());
  });
});

describeWith('openssl', 'streams over TLS', () => {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-tls-'));
  const file = (name: string): string => readFileSync(join(dir, name), 'latin1');

  beforeAll(() => {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    openssl('req', '-x509', ...key, '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.pem');
    for (const name of ['server', 'device']) {
      const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
      openssl(
        'req',
        '-x509',
        ...key,
        ...signed,
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.pem`,
      );
    }
    openssl(
      'req',
      '-x509',
      ...key,
      '-subj',
      '/CN=stranger',
      '-keyout',
      'stranger.key',
      '-out',
      'stranger.pem',
    );
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const server = (clientCa: string | null = null) => ({
    certificate: file('server.pem'),
    key: file('server.key'),
    clientCa,
  });

  async function secure(port: number, said: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connectTls({
      port,
      host: '127.0.0.1',
      ca: file('ca.pem'),
      checkServerIdentity: () => undefined,
      ...said,
    });
    clients.push(socket);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
    return socket;
  }

  it('carry messages', async () => {
    const { heard, port } = await streams({ tls: server() });
    const socket = await secure(port);
    expect(socket.authorized).toBe(true);
    socket.write('7 <13>one');
    await until(() => heard.length === 1);
    expect(heard).toEqual(['127.0.0.1 <13>one']);
  });

  it('only from those whose certificate the CA signed, where one is named', async () => {
    const { heard, port, refused } = await streams({ tls: server(file('ca.pem')) });
    const stranger = await secure(port, { cert: file('stranger.pem'), key: file('stranger.key') });
    stranger.write('<13>stranger\n');
    (await secure(port)).write('<13>nobody\n');
    const device = await secure(port, { cert: file('device.pem'), key: file('device.key') });
    device.write('<13>device\n');
    await until(() => heard.length === 1 && refused() === 2);
    expect(heard).toEqual(['127.0.0.1 <13>device']);
  });

  it('clear text is refused', async () => {
    const { heard, port, refused } = await streams({ tls: server() });
    const socket = client(port);
    socket.write('<13>clear\n');
    await until(() => socket.gone());
    expect([heard, refused()]).toEqual([[], 1]);
  });

  it('a key that does not belong to the certificate is a failure that says what to do, and shows nothing of it', async () => {
    const wrong = { ...server(), key: file('ca.key') };
    const failure = await streams({ tls: wrong }).catch((error) => error);
    expect(failure).toBeInstanceOf(OperationError);
    expect(failure.message).toContain('certificate');
    expect(failure.message).not.toContain('PRIVATE');
  });
});
