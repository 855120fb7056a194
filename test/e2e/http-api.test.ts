import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Certificates } from '../http/certificates.ts';
import type { Answered } from '../http/fake-sources.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const password = 'hunter2-canary';
/** Of the device's configuration: none of it may come out. */
const secrets = ['s3cretPeerKey77', 'monitoringRO', 'aGFzaGhhc2hoYXNo', password];
/** Its password is test. */
const hash = '$2y$05$abcdefghijklmnopqrstuuMceFj4VbmHOj8C7PetMxzZkwre/z.Ri';

interface Made {
  readonly name: string;
  readonly token: string;
  readonly sha256: string;
  readonly scopes: readonly string[];
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

describeWith('openssl', 'the HTTP API of a daemon that others reach', () => {
  const workspace = new Workspace();
  let certificates: Certificates;
  let device: FakeDevice;
  let daemon: ChildProcess | null = null;
  let log = '';
  let port = 0;
  let settings = '';
  const tokens: Record<string, Made> = {};
  const answers: string[] = [];

  const https = (made: readonly Made[]) => {
    const lines = made.map(
      ({ name, sha256, scopes }) => `{ name: ${name}, sha256: "${sha256}", scopes: [${scopes.join(', ')}] }`,
    );
    return `http:
  listen: 0.0.0.0:${port}
  web_config_file: web-config.yml
  tokens: [${lines.join(', ')}]
`;
  };

  beforeAll(async () => {
    certificates = new Certificates();
    await workspace.init();
    Object.assign(workspace.env, { TEST_PASSWORD: password, TEST_ENABLE: password });
    device = await startFakeDevice({
      platform: 'cisco_asa',
      hostname: 'fw-asa',
      config: asaConfig,
      username: 'backup',
      password,
    });
    const about = { name: 'fw1', platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint };
    workspace.inventory(`${credentialsYaml}devices:\n${deviceYaml(about)}`);
    use('server');
    writeFileSync(
      `${workspace.dir}/web-config.yml`,
      `tls_server_config: { cert_file: http.pem, key_file: http.key }\nbasic_auth_users: { prometheus: "${hash}" }\n`,
    );
    for (const [name, scope] of [
      ['reader', 'read'],
      ['operator', 'operate'],
      ['chief', 'admin'],
    ] as const) {
      const { stdout } = await workspace.run(['token', name, '--scope', scope, '--json']);
      tokens[name] = JSON.parse(stdout) as Made;
    }
    port = await freePort();
    settings = readFileSync(workspace.config, 'utf8');
    writeFileSync(workspace.config, settings + https(Object.values(tokens)));
    await start();
  }, 60_000);

  afterAll(async () => {
    await stop();
    await device.stop();
    certificates[Symbol.dispose]();
    workspace[Symbol.dispose]();
  });

  function use(name: string): void {
    const key = `${workspace.dir}/http.key`;
    copyFileSync(certificates.file(`${name}.pem`), `${workspace.dir}/http.pem`);
    rmSync(key, { force: true });
    writeFileSync(key, certificates.text(`${name}.key`), { mode: 0o400 });
  }

  async function start(): Promise<void> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, 'daemon'], {
      env: { PATH, HOME, ...workspace.env, ROUNDSMAN_CONFIG: workspace.config },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      log += piece;
    });
    daemon = child;
    const deadline = performance.now() + 40_000;
    for (;;) {
      const answer = await get('/-/ready', bearer('reader')).catch(() => null);
      if (answer?.status === 200) return;
      if (child.exitCode !== null || performance.now() > deadline)
        throw new Error(`it did not start: ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  function stop(): Promise<void> {
    const child = daemon;
    daemon = null;
    if (child === null || child.exitCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      child.on('exit', () => resolve());
      child.kill('SIGKILL');
    });
  }

  function get(
    path: string,
    headers: Record<string, string> = {},
    method = 'GET',
    body?: object,
  ): Promise<Answered & { readonly certificate: string }> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const type = text === undefined ? {} : { 'content-type': 'application/json' };
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          ...{ host: '127.0.0.1', port, path, method, agent: false, ca: certificates.text('ca.pem') },
          headers: { ...type, ...headers },
        },
        (response) => {
          let said = '';
          const { socket } = response;
          const certificate =
            'getPeerCertificate' in socket
              ? String((socket as import('node:tls').TLSSocket).getPeerCertificate().subject.CN)
              : '';
          response.setEncoding('utf8').on('data', (piece: string) => {
            said += piece;
          });
          response.on('end', () => {
            answers.push(JSON.stringify(response.headers) + said);
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: said, certificate });
          });
        },
      );
      sent.on('error', reject);
      sent.end(text);
    });
  }

  const bearer = (name: string) => ({ authorization: `Bearer ${tokens[name]?.token}` });

  it('shows metrics to Prometheus, and nothing to nobody', async () => {
    const authorization = `Basic ${Buffer.from('prometheus:test').toString('base64')}`;
    const { status, body } = await get('/metrics', { authorization });
    expect(status).toBe(200);
    expect(body).toContain('roundsman_http_auth_failures_total{endpoint="read"} 0');
    expect((await get('/metrics')).status).toBe(401);
    expect((await get('/api/v1/status', { authorization })).status).toBe(403);
    expect((await get('/metrics', { authorization })).body).toContain(
      'roundsman_http_auth_failures_total{endpoint="read"} 1',
    );
    expect(log).toContain('requests with wrong or insufficient credentials');
  });

  it('backs up when it is asked to, by its operator alone', async () => {
    const body = { devices: ['fw1'] };
    expect((await get('/api/v1/backups', bearer('reader'), 'POST', body)).status).toBe(403);
    const asked = await get('/api/v1/backups', bearer('operator'), 'POST', body);
    expect({ status: asked.status, body: JSON.parse(asked.body) }).toEqual({
      status: 202,
      body: { queued: ['fw1'], already_queued: [] },
    });
    await expect
      .poll(
        async () => JSON.parse((await get('/api/v1/runs?devices=fw1', bearer('reader'))).body)[0]?.state,
        {
          timeout: 30_000,
        },
      )
      .toBe('changed');
    expect(log).toContain('a backup was asked for by="token operator over HTTP"');
  });

  it('answers what the commands print', async () => {
    const same = async (path: string, ...argv: string[]) => {
      const { status, body } = await get(path, bearer('reader'));
      expect(status).toBe(200);
      expect(JSON.parse(body)).toEqual(JSON.parse((await workspace.run([...argv, '--json'])).stdout));
    };
    await same('/api/v1/runs', 'runs');
    await same('/api/v1/runs?states=failed', 'runs', '--failed');
    await same('/api/v1/devices/fw1/versions', 'log', 'fw1');
    await same('/api/v1/devices/fw1/text', 'show', 'fw1');
    const [{ state }] = JSON.parse((await get('/api/v1/status?devices=fw1', bearer('reader'))).body);
    expect(state).toBe('ok');
    const { body } = await get('/api/v1/devices/fw1/text', bearer('reader'));
    expect(JSON.parse(body).text).toContain('hostname fw-asa');
  });

  it('says what is wrong in one form', async () => {
    const wrong = await get('/api/v1/devices/fw2/text', bearer('reader'));
    expect({ status: wrong.status, body: JSON.parse(wrong.body) }).toEqual({
      status: 400,
      body: {
        error: { code: 'usage', message: 'there is no device "fw2"', todo: expect.stringContaining('fw1') },
      },
    });
    const since = await get('/api/v1/runs?since=yesterday', bearer('reader'));
    expect(JSON.parse(since.body).error).toMatchObject({ code: 'usage' });
    const nothing = await get('/api/v1/devices/fw1/accept', bearer('chief'), 'POST', { run_id: 'x' });
    expect(nothing.status).toBeGreaterThanOrEqual(400);
    expect(nothing.status).toBeLessThan(500);
    const credential = await get('/api/v1/credentials/nobody/release', bearer('chief'), 'POST');
    expect(JSON.parse(credential.body).error).toMatchObject({ code: 'usage' });
    expect((await get('/api/v1/credentials/readonly/release', bearer('chief'), 'POST')).status).toBe(200);
  });

  it('takes a new certificate, a new token and the end of an old one with a reload', async () => {
    use('server2');
    const { reader, operator } = tokens;
    writeFileSync(workspace.config, settings + https([operator as Made]));
    expect((await get('/-/healthy', bearer('reader'))).certificate).toBe('server');
    const { status, body } = await get('/-/reload', bearer('operator'), 'POST');
    expect({ status, body: JSON.parse(body) }).toEqual({
      status: 200,
      body: { devices: 1, added: 0, removed: 0 },
    });
    expect((await get('/-/healthy', bearer('operator'))).certificate).toBe('server2');
    expect((await get('/api/v1/status', bearer('reader'))).status).toBe(401);
    writeFileSync(workspace.config, settings + https([reader as Made, operator as Made]));
    await get('/-/reload', bearer('operator'), 'POST');
    expect((await get('/api/v1/status', bearer('reader'))).status).toBe(200);
  });

  it('refuses a reload whose certificate cannot be used, and goes on as before', async () => {
    copyFileSync(certificates.file('client.pem'), `${workspace.dir}/http.pem`);
    writeFileSync(workspace.config, settings + https([]));
    const refused = await get('/-/reload', bearer('operator'), 'POST');
    expect(JSON.parse(refused.body).error).toMatchObject({
      code: 'operation',
      message: expect.stringContaining('cannot be used'),
    });
    use('server2');
    writeFileSync(workspace.config, settings + https([]).replace('web-config.yml', 'null'));
    const unsafe = await get('/-/reload', bearer('operator'), 'POST');
    expect(unsafe.status).toBe(422);
    expect(JSON.parse(unsafe.body).error.problems).toMatchObject([{ path: 'http.listen' }]);
    expect((await get('/api/v1/status', bearer('reader'))).status).toBe(200);
    writeFileSync(workspace.config, settings + https(Object.values(tokens)));
  });

  it('with secrets kept in git gives no text', async () => {
    await stop();
    writeFileSync(
      workspace.config,
      settings.replace(/^secrets:/m, 'secrets:\n  in_git: keep') + https(Object.values(tokens)),
    );
    await start();
    for (const what of ['text', 'diff']) {
      const { status, body } = await get(`/api/v1/devices/fw1/${what}`, bearer('reader'));
      expect({ status, error: JSON.parse(body).error.code }).toEqual({ status: 409, error: 'operation' });
    }
  }, 60_000);

  it('never said a secret, of the device or of its own', () => {
    const own = Object.values(tokens).map(({ token }) => token);
    for (const secret of [...secrets, ...own, hash]) {
      expect(answers.filter((answer) => answer.includes(secret))).toEqual([]);
      expect(log).not.toContain(secret);
    }
    expect(answers.length).toBeGreaterThan(20);
  });

  it('does not start on an address that others reach without TLS', async () => {
    writeFileSync(workspace.config, `${settings}http: { listen: 0.0.0.0:${port} }\n`);
    const { code, stderr } = await workspace.run(['daemon']);
    expect(code).toBe(2);
    expect(stderr).toContain('web_config_file');
  });
});
