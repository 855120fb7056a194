import { createHash } from 'node:crypto';
import { request } from 'node:https';
import { connect } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Access } from '../../src/http/access.ts';
import type { ServerTls } from '../../src/http/tls.ts';
import { describeWith } from '../support/system.ts';
import { Certificates } from './certificates.ts';
import { type Answered, nobody, type Opened, open, raw } from './fake-sources.ts';

describeWith('openssl', 'over TLS', () => {
  let certificates: Certificates;
  let opened: Opened | null = null;

  beforeAll(() => {
    certificates = new Certificates();
  });
  afterAll(() => certificates[Symbol.dispose]());
  afterEach(async () => {
    await opened?.[Symbol.asyncDispose]();
    opened = null;
  });

  const tls = (more: Partial<ServerTls> = {}, name = 'server'): ServerTls => ({
    certificate: certificates.text(`${name}.pem`),
    key: certificates.text(`${name}.key`),
    clientCa: null,
    clients: 'any',
    minVersion: 'TLSv1.2',
    ...more,
  });
  const token = 'rm_reader';
  const access: Access = {
    ...nobody,
    tokens: [{ name: 'r', sha256: createHash('sha256').update(token).digest('hex'), scopes: ['read'] }],
  };

  async function listen(given: ServerTls, allowed: Access = access, host = '127.0.0.1'): Promise<Opened> {
    opened = await open(
      {},
      {
        tls: given,
        access: allowed,
        listen: { host, port: 0 },
        limits: { headersMs: 300, requestMs: 400, checkEveryMs: 50 },
      },
    );
    return opened;
  }

  function get(
    path: string,
    said: ConnectionOptions = {},
    headers: Record<string, string> = {},
  ): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: opened?.port,
          path,
          agent: false,
          ca: certificates.text('ca.pem'),
          headers,
          ...said,
        },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (piece: string) => {
            body += piece;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
          );
        },
      );
      sent.on('error', reject);
      sent.end();
    });
  }
  const as = (name: string) => ({
    cert: certificates.text(`${name}.pem`),
    key: certificates.text(`${name}.key`),
  });
  const bearer = { authorization: `Bearer ${token}` };

  it('metrics come on loopback, and the API to a token', async () => {
    await listen(tls());
    expect((await get('/metrics')).status).toBe(200);
    expect((await get('/api/v1/status')).status).toBe(401);
    expect((await get('/api/v1/status', {}, bearer)).status).toBe(200);
  });

  it('what speaks clear text is cut off, and so is half a handshake', async () => {
    const { port } = await listen(tls());
    expect(await raw({ port }, `GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)).not.toContain(
      ' 200 ',
    );
    expect(await raw({ port }, Buffer.from('160301', 'hex'))).not.toContain(' 200 ');
    expect(await raw({ port }, '')).toBe('');
    expect((await get('/metrics')).status).toBe(200);
  });

  it('older versions are refused, and 1.2 where 1.3 is demanded', async () => {
    await listen(tls());
    const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(get('/metrics', old)).rejects.toThrow(/version|protocol/i);
    expect((await get('/metrics', { maxVersion: 'TLSv1.2' })).status).toBe(200);
    await opened?.[Symbol.asyncDispose]();
    await listen(tls({ minVersion: 'TLSv1.3' }));
    await expect(get('/metrics', { maxVersion: 'TLSv1.2' })).rejects.toThrow(/version|protocol/i);
  });

  it('where a client certificate is required, who has none or one of a stranger does not get in', async () => {
    await listen(tls({ clients: 'required', clientCa: certificates.text('ca.pem') }), access, '0.0.0.0');
    await expect(get('/metrics')).rejects.toThrow();
    await expect(get('/metrics', as('stranger'))).rejects.toThrow();
    expect((await get('/metrics', as('client'))).status).toBe(200);
    // It shows who scrapes; what reads configurations or changes something has a token.
    expect((await get('/api/v1/status', as('client'))).status).toBe(401);
    expect((await get('/api/v1/status', as('client'), bearer)).status).toBe(200);
  });

  it("where one may be given, a stranger's is worse than none", async () => {
    await listen(tls({ clients: 'if-given', clientCa: certificates.text('ca.pem') }), access, '0.0.0.0');
    expect((await get('/metrics')).status).toBe(401);
    expect((await get('/metrics', {}, bearer)).status).toBe(200);
    await expect(get('/metrics', as('stranger'), bearer)).rejects.toThrow();
    expect((await get('/metrics', as('client'))).status).toBe(200);
  });

  it('a certificate is no user where users are asked for', async () => {
    const users = new Map([['prometheus', '$2y$05$abcdefghijklmnopqrstuuMceFj4VbmHOj8C7PetMxzZkwre/z.Ri']]);
    await listen(tls({ clients: 'required', clientCa: certificates.text('ca.pem') }), { ...nobody, users });
    expect((await get('/metrics', as('client'))).status).toBe(401);
    const basic = { authorization: `Basic ${Buffer.from('prometheus:test').toString('base64')}` };
    expect((await get('/metrics', as('client'), basic)).status).toBe(200);
  });

  it('a new certificate is shown from the next connection on, and one that cannot be used changes nothing', async () => {
    const { server, port } = await listen(tls());
    const name = () =>
      new Promise<string>((resolve, reject) => {
        const socket = connectTls({ host: '127.0.0.1', port, ca: certificates.text('ca.pem') }, () => {
          resolve(String(socket.getPeerCertificate().subject.CN));
          socket.destroy();
        });
        socket.on('error', reject);
      });
    expect(await name()).toBe('server');
    server.configure(access, tls({}, 'server2'));
    expect(await name()).toBe('server2');
    const mixed = tls({ key: certificates.text('server.key') }, 'server2');
    expect(() => server.configure(nobody, mixed)).toThrow(/cannot be used/);
    const noCa = tls({ clients: 'required', clientCa: 'nothing' });
    expect(() => server.configure(nobody, noCa)).toThrow(/cannot be used/);
    expect(await name()).toBe('server2');
    expect((await get('/api/v1/status', {}, bearer)).status).toBe(200);
  });

  it('headers of the web configuration are on every answer', async () => {
    const headers = { 'Strict-Transport-Security': 'max-age=31536000' };
    await listen(tls(), { ...access, headers });
    for (const path of ['/metrics', '/nothing', '/api/v1/status'])
      expect((await get(path)).headers['strict-transport-security']).toBe('max-age=31536000');
  });

  it('closing does not wait for handshakes that never end', async () => {
    const { port } = await listen(tls());
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    await opened?.[Symbol.asyncDispose]();
    opened = null;
    socket.destroy();
  });
});
