import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidConfiguration, OperationError } from '../../src/core/errors.ts';
import { calls } from '../../src/http/calls.ts';
import type { HttpSources } from '../../src/http/sources.ts';
import { ask, type Opened, open, raw } from './fake-sources.ts';

let opened: Opened;

async function reopen(
  sources: Partial<HttpSources>,
  options: Parameters<typeof open>[1] = {},
): Promise<void> {
  await opened[Symbol.asyncDispose]();
  opened = await open(sources, options);
}

beforeEach(async () => {
  opened = await open();
});

afterEach(async () => {
  await opened[Symbol.asyncDispose]();
});

/** How the system sees the daemon's end of a connection. */
function stateOf(port: number, clientPort: number): 'established' | 'closing' {
  const hex = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0');
  const ends = `0100007F:${hex(port)} 0100007F:${hex(clientPort)}`;
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((row) => row.includes(ends));
  return line?.includes(`${ends} 01 `) === true ? 'established' : 'closing';
}

const tcp = () => ({ host: '127.0.0.1', port: opened.port });
const unix = () => ({ socketPath: opened.socket });
const both = [
  ['TCP', tcp],
  ['the socket', unix],
] as const;

describe.each(both)('on %s', (_name, where) => {
  it('metrics come in the text format that Prometheus asks for', async () => {
    const { status, headers, body } = await ask(where(), '/metrics');
    expect({ status, type: headers['content-type'], body }).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: 'up 1\n',
    });
  });

  it('the process is healthy when it answers', async () => {
    expect(await ask(where(), '/-/healthy')).toMatchObject({ status: 200, body: '{"healthy":true}' });
  });

  it('readiness is what the daemon says, with every reason', async () => {
    expect(await ask(where(), '/-/ready')).toMatchObject({ status: 200 });
    const reasons = ['the scheduler has not passed for 2 min', 'draining'];
    await reopen({ readiness: () => ({ ready: false, reasons }) });
    const { status, body } = await ask(where(), '/-/ready');
    expect({ status, body: JSON.parse(body) }).toEqual({ status: 503, body: { ready: false, reasons } });
  });

  it('no answer names the server, and none may be kept', async () => {
    for (const path of ['/metrics', '/-/ready', '/nothing']) {
      const { headers } = await ask(where(), path);
      expect(Object.keys(headers)).not.toContain('server');
      expect(Object.keys(headers)).not.toContain('x-powered-by');
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });

  it('an unknown path is 404, as JSON', async () => {
    const { status, headers, body } = await ask(where(), '/etc/passwd');
    expect(status).toBe(404);
    expect(headers['content-type']).toContain('application/json');
    expect(JSON.parse(body)).toMatchObject({
      error: { message: expect.any(String), todo: expect.any(String) },
    });
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])(
    '%s of something that can only be read is 405 and says what may be done',
    async (method) => {
      const { status, headers } = await ask(where(), '/metrics', { method });
      expect({ status, allow: headers.allow }).toEqual({ status: 405, allow: 'GET, HEAD' });
    },
  );

  it('HEAD is answered like GET, without the body', async () => {
    expect(await ask(where(), '/metrics', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  });

  it('a failure is told to the log alone', async () => {
    const failure = new Error('secret detail in /var/lib/roundsman');
    await reopen({ metrics: { contentType: 'text/plain', render: () => Promise.reject(failure) } });
    const { status, body } = await ask(where(), '/metrics');
    expect(status).toBe(500);
    expect(body).not.toContain('secret');
    expect(body).not.toContain('server.test');
    expect(opened.unexpected).toEqual([failure]);
  });

  it('metrics are rendered once for all that ask at the same time, and anew afterwards', async () => {
    let renderings = 0;
    let finish = (): void => {};
    await reopen({
      metrics: {
        contentType: 'text/plain',
        render: () =>
          new Promise((resolve) => {
            renderings++;
            finish = () => resolve('up 1\n');
          }),
      },
    });
    const asked = Array.from({ length: 5 }, () => ask(where(), '/metrics'));
    // All five are in before the first is answered: this one came after them.
    await ask(where(), '/-/healthy');
    finish();
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(renderings).toBe(1);
    const later = ask(where(), '/metrics');
    while (renderings < 2) await ask(where(), '/-/healthy');
    finish();
    expect((await later).status).toBe(200);
  });

  it('headers without end are refused', async () => {
    const { status } = await ask(where(), '/-/healthy', { headers: { 'x-long': 'a'.repeat(20_000) } });
    expect(status).toBe(431);
  });

  it('a client that sends its headers slowly is cut off', async () => {
    await reopen({}, { limits: { headersMs: 100, requestMs: 200, checkEveryMs: 50 } });
    const target = where === tcp ? { port: opened.port } : { path: opened.socket };
    expect(await raw(target, 'GET /-/healthy HTTP/1.1\r\nHost: local')).toContain('408');
    // The others are served all the time.
    expect((await ask(where(), '/-/healthy')).status).toBe(200);
  });

  it('a client that announces a body and does not send it is cut off', async () => {
    await reopen({}, { limits: { headersMs: 100, requestMs: 200, checkEveryMs: 50 } });
    const target = where === tcp ? { port: opened.port } : { path: opened.socket };
    const host = where === tcp ? `127.0.0.1:${opened.port}` : 'localhost';
    const head = `POST /-/reload HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`;
    expect(await raw(target, head)).toMatch(/^HTTP\/1\.1 4\d\d/);
    expect(opened.told).toEqual([]);
  });

  it.each([
    ['no HTTP at all', 'hello\r\n\r\n'],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['two lengths', 'POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}'],
    [
      'a length and chunks',
      'POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['NUL in a header', 'GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n'],
    ['no Host', 'GET /-/healthy HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['a broken escape in the path', 'GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
  ])('%s is refused and harms nothing', async (_what, bytes) => {
    const target = where === tcp ? { port: opened.port } : { path: opened.socket };
    expect(await raw(target, Buffer.from(bytes, 'latin1'))).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(opened.told).toEqual([]);
    expect((await ask(where(), '/-/healthy')).status).toBe(200);
  });
});

describe('TCP', () => {
  it.each([
    'evil.example',
    'evil.example:PORT',
    'localhost',
    '127.0.0.1',
    '127.0.0.1:1',
    '10.0.0.1:PORT',
    'localhost.:PORT',
    '127.0.0.1.evil.example:PORT',
  ])('a request for %j is refused: its name was pointed here from outside', async (name) => {
    const host = name.replace('PORT', String(opened.port));
    for (const path of ['/metrics', '/-/healthy', '/-/ready', '/nothing'])
      expect((await ask(tcp(), path, { headers: { host } })).status).toBe(421);
  });

  it.each(['127.0.0.1', 'localhost', '[::1]', 'LOCALHOST'])('a request for %s is answered', async (name) => {
    const headers = { host: `${name}:${opened.port}` };
    expect((await ask(tcp(), '/metrics', { headers })).status).toBe(200);
  });

  it('a request for no name at all is refused', async () => {
    const head = 'GET /metrics HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n';
    expect(await raw({ port: opened.port }, head)).toContain(' 421 ');
  });

  it('a request without Host is refused in HTTP/1.0 too', async () => {
    expect(await raw({ port: opened.port }, 'GET /metrics HTTP/1.0\r\n\r\n')).toContain(' 421 ');
  });

  it.each(['/api/v1/call/fleet', '/api/v1/abort/x'])(
    'POST %s is not there: only the rights of the socket decide who may',
    async (path) => {
      const { status, body } = await ask(tcp(), path, { method: 'POST', body: '{}' });
      expect(status).toBe(404);
      expect(body).toContain('control socket');
      expect(opened.told).toEqual([]);
    },
  );

  it('a body that nobody asked for is not read to its end', async () => {
    const body = `"${'a'.repeat(70_000)}"`;
    expect((await ask(tcp(), '/nothing', { method: 'POST', body })).status).toBe(413);
  });

  it('a client that does not read is cut off', async () => {
    const big = 'x'.repeat(64 * 1024 * 1024);
    await reopen(
      { metrics: { contentType: 'text/plain', render: () => Promise.resolve(big) } },
      { limits: { silenceMs: 200 } },
    );
    const socket = connect({ host: '127.0.0.1', port: opened.port });
    socket.on('error', () => {});
    socket.write(`GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:${opened.port}\r\n\r\n`);
    socket.pause();
    await expect.poll(() => stateOf(opened.port, socket.localPort ?? 0)).toBe('established');
    await expect.poll(() => stateOf(opened.port, socket.localPort ?? 0), { timeout: 20_000 }).toBe('closing');
    socket.resume();
    let received = 0;
    socket.on('data', (piece: Buffer) => {
      received += piece.length;
    });
    await once(socket, 'close');
    expect(received).toBeLessThan(big.length);
  });

  it('is left alone where it is not wanted', async () => {
    await reopen({}, { listen: null });
    expect(opened.server.tcp).toBeNull();
    expect((await ask(unix(), '/metrics')).status).toBe(200);
  });

  it('a port that is taken is named, and the socket is given back', async () => {
    const listen = { host: '127.0.0.1', port: opened.port };
    const refused = await open({}, { listen }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(OperationError);
    expect(String(refused)).toContain(`127.0.0.1:${opened.port} cannot be listened on`);
  });

  it('listens on the address that it was told, with its name', async () => {
    await reopen({}, { listen: { host: '127.0.0.2', port: 0 } });
    const { port } = opened;
    expect(opened.server.tcp).toEqual({ host: '127.0.0.2', port });
    expect((await ask({ host: '127.0.0.2', port }, '/metrics')).status).toBe(200);
    await expect(ask({ host: '127.0.0.1', port }, '/metrics')).rejects.toThrow('ECONNREFUSED');
  });
});

describe('the control socket', () => {
  const post = (path: string, body?: string) =>
    ask(unix(), path, { method: 'POST', ...(body === undefined ? {} : { body }) });

  it('reloads, and confirms only where that was said', async () => {
    expect(await post('/-/reload')).toMatchObject({ status: 200, body: '{"devices":3}' });
    await post('/-/reload', '{}');
    await post('/-/reload', '{"confirm": false}');
    await post('/-/reload', '{"confirm": true}');
    const by = 'by somebody via socket';
    expect(opened.told).toEqual([
      `reload false ${by}`,
      `reload false ${by}`,
      `reload false ${by}`,
      `reload true ${by}`,
    ]);
  });

  it('pauses and resumes', async () => {
    expect(JSON.parse((await post('/-/pause')).body)).toEqual({ paused: true });
    expect(JSON.parse((await post('/-/resume')).body)).toEqual({ paused: false });
    expect(opened.told).toEqual(['pause by somebody via socket', 'resume by somebody via socket']);
  });

  it.each(['/-/reload', '/-/pause', '/-/resume', '/api/v1/call/fleet'])(
    'GET %s changes nothing: it is 405',
    async (path) => {
      const { status, headers } = await ask(unix(), path);
      expect({ status, allow: headers.allow }).toEqual({ status: 405, allow: 'POST' });
      expect(opened.told).toEqual([]);
    },
  );

  it.each([
    '{"confirm": "true"}',
    '{"confirm": 1}',
    '{"force": true}',
    '[]',
    '"x"',
    '1',
    '{',
    '{"confirm": true} x',
  ])('a reload with %s is refused', async (body) => {
    expect((await post('/-/reload', body)).status).toBe(400);
    expect(opened.told).toEqual([]);
  });

  it('a body of another type is refused', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'nonsense'])
      expect(
        (
          await ask(unix(), '/-/reload', {
            method: 'POST',
            body: '{"confirm":true}',
            headers: { 'content-type': type },
          })
        ).status,
      ).toBe(415);
    expect(opened.told).toEqual([]);
  });

  it('a reload that is refused says why and what to do', async () => {
    const error = new OperationError('4 of 10 devices would go', 'confirm it');
    await reopen({ reload: () => Promise.reject(error) });
    const { status, body } = await post('/-/reload');
    expect({ status, body: JSON.parse(body) }).toEqual({
      status: 409,
      body: { error: { code: 'operation', message: '4 of 10 devices would go', todo: 'confirm it' } },
    });
    expect(opened.unexpected).toEqual([]);
  });

  it('a configuration that cannot be used is answered with every mistake', async () => {
    const problem = { file: 'devices.yaml', path: 'devices', line: 3, message: 'is wrong', nearest: null };
    await reopen({ reload: () => Promise.reject(new InvalidConfiguration([problem, problem])) });
    const { status, body } = await post('/-/reload');
    expect(status).toBe(422);
    expect(JSON.parse(body).error.problems).toEqual([problem, problem]);
  });

  it('a defect is logged with its stack and answered without it', async () => {
    const defect = new TypeError('x is not a function');
    await reopen({ reload: () => Promise.reject(defect) });
    const { status, body } = await post('/-/reload');
    expect(status).toBe(500);
    expect(body).not.toContain('server.test');
    expect(opened.unexpected).toEqual([defect]);
  });

  it('closing does not wait for a connection that says nothing', async () => {
    const idle = connect({ path: opened.socket });
    await once(idle, 'connect');
    const ended = once(idle, 'close');
    idle.resume();
    await opened[Symbol.asyncDispose]();
    await ended;
    opened = await open();
  });
});

describe('malformed requests', () => {
  const paths = [
    '/metrics',
    '/-/healthy',
    '/-/ready',
    '/-/reload',
    '/-/pause',
    '/-/resume',
    '/api/v1/abort/x',
    ...Object.keys(calls).map((name) => `/api/v1/call/${name}`),
  ];

  it('of every route are answered 4xx, call nothing and leave no trace in the log', async () => {
    const request = fc.record({
      path: fc.oneof(fc.constantFrom(...paths), fc.webPath()),
      query: fc.oneof(
        fc.constant(''),
        fc.webQueryParameters().map((query) => `?${query}`),
      ),
      method: fc.constantFrom('POST', 'PUT', 'DELETE', 'PATCH'),
      body: fc.oneof(
        fc.string(),
        fc.json(),
        // Of the right shape and with too much in it.
        fc.array(fc.jsonValue(), { minLength: 4 }).map((values) => JSON.stringify(values)),
        fc.constantFrom(
          'null',
          '{"$map":1}',
          '[{"$bytes":"%"}]',
          '[["__proto__"]]',
          '[{"__proto__":1}]',
          '[["../../x"]]',
        ),
      ),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ path, query, method, body }) => {
        // An empty object is a whole request for these three, and an empty array for `fleet`.
        fc.pre(!/^\s*(\{\s*\}|\[\s*\])?\s*$/.test(body) && !/^\s*\{\s*"confirm"/.test(body));
        for (const where of [tcp(), unix()]) {
          const { status } = await ask(where, encodeURI(path) + query, { method, body });
          expect(status).toBeGreaterThanOrEqual(400);
          expect(status).toBeLessThan(500);
        }
      }),
      { numRuns: 150 },
    );
    expect(opened.told).toEqual([]);
    expect(opened.unexpected).toEqual([]);
    expect((await ask(unix(), '/-/healthy')).status).toBe(200);
  });

  it('of random bytes do not end the daemon', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 300 }), async (bytes) => {
        const end = Buffer.concat([Buffer.from(bytes), Buffer.from('\r\n\r\n')]);
        expect(await raw({ path: opened.socket }, end)).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
      }),
      { numRuns: 100 },
    );
    expect((await ask(unix(), '/-/healthy')).status).toBe(200);
  });
});
