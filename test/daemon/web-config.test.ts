import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OperationError } from '../../src/core/errors.ts';
import { accessOf, readTls } from '../../src/daemon/http-access.ts';
import { loadSettings } from '../../src/daemon/settings.ts';
import { filesOf, readWebConfig } from '../../src/daemon/web-config.ts';
import { createSecretReader } from '../../src/inventory/secrets.ts';
import { Certificates } from '../http/certificates.ts';
import { problemsOf } from '../inventory/expected.ts';
import { temporaryFile } from '../inventory/support.ts';
import { describeWith } from '../support/system.ts';

const hash = '$2y$10$abcdefghijklmnopqrstuuMceFj4VbmHOj8C7PetMxzZkwre/z.Ri';
const read = (text: string) => readWebConfig(temporaryFile(text, 'web-config.yml'));
const mistakes = (text: string) =>
  read(text).problems.map(({ path, message, nearest }) => ({ path, message, nearest }));

const whole = `tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS13
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  prometheus: ${hash}
`;

describe('a web configuration file', () => {
  it('is read whole, paths from where it lies', () => {
    const file = temporaryFile(whole, 'web-config.yml');
    const { config, problems, warnings } = readWebConfig(file);
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
    expect(config).toEqual({
      file,
      tls: {
        certFile: join(file, '../server.pem'),
        keyFile: join(file, '../server.key'),
        clientCaFile: join(file, '../ca.pem'),
        clients: 'required',
        minVersion: 'TLSv1.3',
      },
      users: new Map([['prometheus', hash]]),
      headers: { 'Strict-Transport-Security': 'max-age=31536000' },
    });
    // What another host needs, too.
    const others = ['server.pem', 'server.key', 'ca.pem'].map((name) => join(file, '..', name));
    expect(config === null ? [] : filesOf(config)).toEqual([file, ...others]);
  });

  it.each(['', '# nothing yet\n', '{}', 'tls_server_config:\nbasic_auth_users:\nhttp_server_config:\n'])(
    'may say nothing: %j',
    (text) => {
      expect(read(text).config).toMatchObject({ tls: null, users: new Map(), headers: {} });
    },
  );

  it.each([
    ['tls_server_confg: {}', 'tls_server_confg', 'unknown key', 'tls_server_config'],
    ['basic_auth_user: {}', 'basic_auth_user', 'unknown key', 'basic_auth_users'],
    [
      'tls_server_config: { cert_file: a, key_file: b, min_versions: TLS12 }',
      'tls_server_config.min_versions',
      'unknown key',
      'min_version',
    ],
    ['tls_server_config: { cert_file: a }', 'tls_server_config.key_file', 'is missing', null],
    [
      'tls_server_config: { cert_file: a, key_file: b, min_version: TLS10 }',
      'tls_server_config.min_version',
      'expected TLS12 or TLS13',
      'TLS12',
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, cipher_suites: [X] }',
      'tls_server_config.cipher_suites',
      'cannot be chosen',
      null,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, client_allowed_sans: [x] }',
      'tls_server_config.client_allowed_sans',
      'is not supported',
      null,
    ],
    [
      'tls_server_config: { cert: x, key_file: b, cert_file: a }',
      'tls_server_config.cert',
      'name a file',
      null,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert }',
      'tls_server_config.client_auth_type',
      'verifies nothing',
      'RequireAndVerifyClientCert',
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, client_auth_type: NoClientCrt }',
      'tls_server_config.client_auth_type',
      'expected NoClientCert',
      'NoClientCert',
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert }',
      'tls_server_config.client_auth_type',
      'needs client_ca_file',
      null,
    ],
    [
      'tls_server_config: { cert_file: a, key_file: b, client_ca_file: c }',
      'tls_server_config.client_ca_file',
      'nobody is asked',
      null,
    ],
    ['http_server_config: { http2: true }', 'http_server_config.http2', 'only HTTP/1.1', null],
    [
      'http_server_config: { headers: { Server: x } }',
      'http_server_config.headers.Server',
      'is none of',
      null,
    ],
    [
      'http_server_config: { headers: { X-Frame-Options: "a\\nb" } }',
      'http_server_config.headers.X-Frame-Options',
      'in ASCII',
      null,
    ],
    [
      'basic_auth_users: { prometheus: CANARY }',
      'basic_auth_users.prometheus',
      'expected a bcrypt hash',
      null,
    ],
    ['basic_auth_users: { "a:b": CANARY }', 'basic_auth_users["a:b"]', 'no colon', null],
    [
      `basic_auth_users: { slow: "${hash.replace('$10$', '$15$')}" }`,
      'basic_auth_users.slow',
      'its cost is 15, and 12 is the most',
      null,
    ],
    ['basic_auth_users: [CANARY]', 'basic_auth_users', 'expected users', null],
    ['rate_limit: { burst: 1 }', 'rate_limit', 'is limited already', null],
  ])('%s is refused', (text, path, message, nearest) => {
    const found = mistakes(text);
    expect(found).toContainEqual({ path, message: expect.stringContaining(message), nearest });
    expect(JSON.stringify(found)).not.toContain('CANARY');
    expect(read(text).config).toBeNull();
  });

  it('with a hash that is cheap to guess against is warned of', () => {
    const { warnings } = read(`basic_auth_users:\n  quick: ${hash.replace('$10$', '$05$')}\n`);
    expect(warnings).toMatchObject([{ path: 'basic_auth_users.quick', line: 2 }]);
  });
});

const sha256 = 'a'.repeat(64);
const load = (text: string) => loadSettings(temporaryFile(text, 'roundsman.yaml'));

describe('http in the settings', () => {
  it('says who may do what', () => {
    const web = temporaryFile(`basic_auth_users: { prometheus: "${hash}" }`, 'web-config.yml');
    const { http } = load(`http:
  hosts: [Backup.example.net]
  web_config_file: ${web}
  tokens:
    - { name: grafana, sha256: "${'A'.repeat(64)}", scopes: [read] }
`);
    expect(accessOf(http)).toEqual({
      hosts: ['backup.example.net'],
      tokens: [{ name: 'grafana', sha256, scopes: ['read'] }],
      users: new Map([['prometheus', hash]]),
      headers: {},
    });
  });

  it('with mistakes name all of them, and never what may be a token', () => {
    const problems = problemsOf(() =>
      load(`http:
  hosts: ["evil example"]
  tokens:
    - { name: a, sha256: rm_CANARY, scopes: [read] }
    - { name: Ab, sha256: "${sha256}", scopes: [reed] }
    - { name: b, sha256: "${sha256}", scopes: [] }
    - { name: c, sha256: "${sha256}", scopes: [read], until: never }
`),
    );
    expect(problems.map(({ path, nearest }) => [path, nearest])).toEqual([
      ['http.hosts[0]', null],
      ['http.tokens[0].sha256', null],
      ['http.tokens[1].name', 'ab'],
      ['http.tokens[1].scopes[0]', 'read'],
      ['http.tokens[3].until', null],
    ]);
    expect(JSON.stringify(problems)).not.toContain('CANARY');
  });

  it('refuse tokens that cannot be told apart, or allow nothing', () => {
    const problems = problemsOf(() =>
      load(`http:
  tokens:
    - { name: a, sha256: "${sha256}", scopes: [read] }
    - { name: a, sha256: "${sha256}", scopes: [] }
`),
    );
    expect(problems.map(({ path }) => path)).toEqual([
      'http.tokens[1].scopes',
      'http.tokens[1].name',
      'http.tokens[1].sha256',
    ]);
  });

  it('pass on the mistakes of the web configuration file, with its name', () => {
    const web = temporaryFile('tls_server_confg: {}', 'web-config.yml');
    expect(problemsOf(() => load(`http: { web_config_file: ${web} }`))).toMatchObject([
      { file: web, path: 'tls_server_confg', line: 1 },
    ]);
    expect(problemsOf(() => load('http: { web_config_file: missing.yml }'))[0]?.message).toContain(
      'no such file',
    );
  });

  const tls = 'tls_server_config: { cert_file: a, key_file: b }';
  const clients =
    'tls_server_config: { cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert, client_ca_file: c }';
  const user = `basic_auth_users: { prometheus: "${hash}" }`;
  const token = `, tokens: [{ name: a, sha256: "${sha256}", scopes: [read] }]`;

  it.each([
    ['nothing', '', '', 'TLS only'],
    ['users alone', user, '', 'TLS only'],
    ['tokens alone', '', token, 'TLS only'],
    ['TLS alone', tls, '', 'anybody could read'],
  ])('listen on an address that others reach with %s: refused', (_what, web, more, message) => {
    const file = temporaryFile(web, 'web-config.yml');
    expect(
      problemsOf(() => load(`http: { listen: "0.0.0.0:9724", web_config_file: ${file}${more} }`)),
    ).toMatchObject([{ path: 'http.listen', message: expect.stringContaining(message) }]);
  });

  it.each([
    ['users', `${tls}\n${user}`, ''],
    ['client certificates', clients, ''],
    ['tokens', tls, token],
  ])('listen on an address that others reach with TLS and %s', (_what, web, more) => {
    const file = temporaryFile(web, 'web-config.yml');
    const { http } = load(`http: { listen: "[::]:9724", web_config_file: ${file}${more} }`);
    expect(http.listen).toEqual({ host: '::', port: 9724 });
  });
});

describeWith('openssl', 'the files of a web configuration', () => {
  let certificates: Certificates;
  beforeAll(() => {
    certificates = new Certificates();
    writeFileSync(certificates.file('web-config.yml'), whole);
    chmodSync(certificates.file('server.key'), 0o400);
  });
  afterAll(() => certificates[Symbol.dispose]());

  const context = { readSecret: createSecretReader({}) };
  const http = () => ({
    listen: { host: '127.0.0.1', port: 1 },
    hosts: [],
    tokens: [],
    web: readWebConfig(certificates.file('web-config.yml')).config,
  });

  it('are read, and tried', async () => {
    expect(await readTls(http(), context, {})).toEqual({
      certificate: certificates.text('server.pem'),
      key: certificates.text('server.key').trimEnd(),
      clientCa: certificates.text('ca.pem'),
      clients: 'required',
      minVersion: 'TLSv1.3',
    });
  });

  it('are refused where others can read the key, unless systemd handed it over', async () => {
    chmodSync(certificates.file('server.key'), 0o440);
    await expect(readTls(http(), context, {})).rejects.toThrow(/can be read by others/);
    await expect(readTls(http(), context, {})).rejects.toBeInstanceOf(OperationError);
    const env = { CREDENTIALS_DIRECTORY: certificates.dir };
    expect(await readTls(http(), { readSecret: createSecretReader(env) }, env)).not.toBeNull();
    chmodSync(certificates.file('server.key'), 0o400);
  });

  it('are refused where they do not belong together', async () => {
    const { web, ...others } = http();
    if (web?.tls == null) throw new Error('it has TLS');
    const mixed = {
      ...others,
      web: { ...web, tls: { ...web.tls, certFile: certificates.file('client.pem') } },
    };
    await expect(readTls(mixed, context, {})).rejects.toThrow(/cannot be used/);
    const none = { ...others, web: { ...web, tls: { ...web.tls, certFile: '/nonexistent' } } };
    await expect(readTls(none, context, {})).rejects.toThrow(/ENOENT/);
  });

  describeWith('promtool', 'and promtool', (promtool) => {
    const accepts = (text: string): boolean => {
      const file = certificates.file('checked.yml');
      writeFileSync(file, text);
      try {
        execFileSync(promtool, ['check', 'web-config', file], { stdio: 'pipe' });
        return true;
      } catch {
        return false;
      }
    };
    const ours = (text: string): boolean => {
      const file = certificates.file('checked.yml');
      writeFileSync(file, text);
      return readWebConfig(file).config !== null;
    };
    const tls = 'tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n';

    it.each([
      ['the whole of it', whole],
      ['nothing', '{}\n'],
      ['TLS', tls],
      ['TLS 1.2 at least', `${tls}  min_version: TLS12\n`],
      [
        'certificates where given',
        `${tls}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n`,
      ],
      ['users', `basic_auth_users:\n  a: ${hash}\n  b: ${hash.replace('2y', '2a')}\n`],
      ['the example of docs/operations.md', example()],
    ])('agree on %s', (_what, text) => {
      expect([accepts(text), ours(text)]).toEqual([true, true]);
    });

    it.each([
      ['an unknown key', 'tls_server: {}\n'],
      ['no key', 'tls_server_config:\n  cert_file: server.pem\n'],
      ['a password in clear', 'basic_auth_users:\n  a: hunter2\n'],
      ['a CA nobody is asked about', `${tls}  client_ca_file: ca.pem\n`],
      ['an unknown header', 'http_server_config:\n  headers:\n    Server: x\n'],
      ['an unknown version', `${tls}  min_version: TLS14\n`],
    ])('both refuse %s', (_what, text) => {
      expect([accepts(text), ours(text)]).toEqual([false, false]);
    });
  });
});

/** With the names of files that exist here, and a whole hash. */
function example(): string {
  const text = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const block = /```yaml\n(tls_server_config:.*?)```/s.exec(text)?.[1] ?? 'is missing';
  return block
    .replace('/etc/roundsman/http.pem', 'server.pem')
    .replace('/run/credentials/roundsman.service/http-key', 'server.key')
    .replace('/etc/roundsman/scrapers-ca.pem', 'ca.pem')
    .replace('$2y$10$…', hash);
}
