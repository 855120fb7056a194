import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ask, type Opened, open } from './fake-sources.ts';

let opened: Opened;
const sockets: Socket[] = [];

beforeEach(async () => {
  opened = await open({}, { limits: { headersMs: 1_500, requestMs: 2_000, checkEveryMs: 100 } });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await opened[Symbol.asyncDispose]();
});

/** Connections from one address; each resolves when the server closed it. */
function flood(
  count: number,
  localAddress: string,
  begin: string,
): { readonly closed: Promise<void>[]; open(): number } {
  const left = new Set<Socket>();
  const closed = Array.from({ length: count }, () => {
    const socket = connect({ host: '127.0.0.1', port: opened.port, localAddress });
    sockets.push(socket);
    left.add(socket);
    socket.on('connect', () => socket.write(begin));
    socket.on('error', () => {});
    socket.resume();
    return new Promise<void>((resolve) => {
      socket.on('close', () => {
        left.delete(socket);
        resolve();
      });
    });
  });
  return { closed, open: () => left.size };
}

const healthy = (localAddress: string) =>
  ask({ host: '127.0.0.1', port: opened.port }, '/-/healthy', { localAddress });

it('one address has 64 connections, and another one its own', async () => {
  await opened[Symbol.asyncDispose]();
  opened = await open();
  const { open: stillOpen } = flood(70, '127.0.0.1', 'GET /metrics HTTP/1.1\r\nX-Slow: ');
  await expect.poll(() => stillOpen()).toBe(64);
  await expect(healthy('127.0.0.1')).rejects.toThrow();
  expect((await healthy('127.0.0.5')).status).toBe(200);
  expect(stillOpen()).toBe(64);
});

it.each([
  ['that say nothing', ''],
  ['that say half of a request', 'GET /metrics HTTP/1.1\r\nX-Slow: '],
  [
    'that announce a body and do not send it',
    'POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{',
  ],
])('a thousand connections %s keep no other address out, and are all cut off', async (_what, begin) => {
  const { closed, open: stillOpen } = flood(1_000, '127.0.0.1', begin);
  const answers = [];
  do answers.push((await healthy('127.0.0.5')).status);
  while (stillOpen() > 0);
  expect(new Set(answers)).toEqual(new Set([200]));
  expect(answers.length).toBeGreaterThan(1);
  await Promise.all(closed);
  expect((await healthy('127.0.0.1')).status).toBe(200);
});

/** Which part of the time somebody has something to do while one client asks again and again. */
async function utilization(): Promise<number> {
  const before = performance.eventLoopUtilization();
  for (let answered = 0; answered < 50; answered++) {
    expect((await healthy('127.0.0.6')).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return performance.eventLoopUtilization(before).utilization;
}

it('the event loop stays free: connections that wait cost next to nothing', async () => {
  const { closed, open: stillOpen } = flood(1_000, '127.0.0.1', 'GET /metrics HTTP/1.1\r\nX-Slow: ');
  // The system's own queue is shorter: some of them come a second later.
  await expect.poll(() => stillOpen(), { timeout: 20_000 }).toBeLessThanOrEqual(64);
  const flooded = await utilization();
  await Promise.all(closed);
  // Both ends are in this process: what the same requests cost without a flood is what can be compared.
  expect(flooded).toBeLessThan((await utilization()) * 2 + 0.2);
});

it('a dribble, a byte at a time, ends like silence', async () => {
  const socket = connect({ host: '127.0.0.1', port: opened.port });
  sockets.push(socket);
  socket.on('error', () => {});
  let said = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    said += piece;
  });
  const timer = setInterval(() => socket.writable && socket.write('X'), 20);
  socket.write('GET /-/healthy HTTP/1.1\r\nX-Slow: ');
  await new Promise((resolve) => socket.on('close', resolve));
  clearInterval(timer);
  expect(said).toContain(' 408 ');
  expect(JSON.parse(said.split('\r\n\r\n')[1] ?? '')).toMatchObject({ error: { code: 'too-slow' } });
});

it.each([
  ['one header of a megabyte', `X-Long: ${'a'.repeat(1024 * 1024)}`],
  ['ten thousand headers', Array.from({ length: 10_000 }, (_, n) => `X-${n}: 1`).join('\r\n')],
  ['a cookie of 16 KiB', `Cookie: ${'a'.repeat(16 * 1024)}`],
])('%s is refused before it is read to its end', async (_what, headers) => {
  const socket = connect({ host: '127.0.0.1', port: opened.port });
  sockets.push(socket);
  let said = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    said += piece;
  });
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.write(`GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1:${opened.port}\r\n${headers}\r\n\r\n`);
  await closed;
  // Where the rest was still on its way the answer can be lost with the connection.
  expect(said === '' || said.includes(' 431 ')).toBe(true);
  expect((await healthy('127.0.0.1')).status).toBe(200);
});

it('many requests on one connection, without waiting for answers, are answered in order', async () => {
  const socket = connect({ host: '127.0.0.1', port: opened.port });
  sockets.push(socket);
  let said = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    said += piece;
  });
  const head = `GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1:${opened.port}\r\n`;
  socket.write(`${`${head}\r\n`.repeat(500)}${head}Connection: close\r\n\r\n`);
  await new Promise((resolve) => socket.on('close', resolve));
  expect(said.match(/HTTP\/1\.1 200/g)).toHaveLength(501);
});
