import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/core/errors.ts';
import { loadSettings } from '../../src/daemon/settings.ts';
import { findSettings } from '../../src/daemon/settings-file.ts';
import { compared, expectedProblems, problemsOf, sorted } from '../inventory/expected.ts';
import { temporaryFile } from '../inventory/support.ts';

const load = (text: string) => loadSettings(temporaryFile(text, 'roundsman.yaml'));
const recipient = 'age1xgcw7ljez9kna8xaa08dc9zp040rh65x6f6shl69wgwcpl64h98q6n4etk';
const second = 'age1tms5c5km5gdf6g3gxzdmqt5ya9veaqlq7kve39t4awhg44hu5gasy90ms9';

/** Loads a text with demands (`#! path | part | nearest`) and compares. */
function expectMistakes(text: string): void {
  const expected = expectedProblems(text);
  expect(expected.length).toBeGreaterThan(0);
  expect(
    sorted(
      compared(
        problemsOf(() => load(text)),
        expected,
      ),
    ),
  ).toEqual(sorted(expected));
}

describe('config/roundsman.example.yaml', () => {
  const file = fileURLToPath(new URL('../../config/roundsman.example.yaml', import.meta.url));

  it('shows the defaults of the code', () => {
    const nothing = temporaryFile('{}', 'roundsman.yaml');
    const here = JSON.stringify(loadSettings(file)).replaceAll(dirname(file), 'DIR');
    expect(here).toBe(JSON.stringify(loadSettings(nothing)).replaceAll(dirname(nothing), 'DIR'));
  });

  it('shows every setting', () => {
    const text = readFileSync(file, 'utf8');
    const keys = [
      'state_dir',
      'socket',
      'inventory',
      'workers',
      'schedule',
      'timezone',
      'splay',
      'start_within',
      'max_runtime',
      'retry_later',
      'max_age',
      'blackout',
      'catch_up_spread',
      'http',
      'syslog',
      'log',
      'git',
      'secrets',
      'vault',
      'retention',
      'transcripts',
    ];
    expect([...text.matchAll(/^(\w+):/gm)].map((match) => match[1])).toEqual(keys);
    for (const key of [
      'listen',
      'hosts',
      'web_config_file',
      'tokens',
      'udp',
      'tcp',
      'tls',
      'quiet',
      'at_most',
      'per_device',
      'in_total',
      'level',
      'format',
      'readers_group',
      'remotes',
      'sign_key',
      'recipients',
      'fingerprint_key',
      'in_git',
      'sealed',
      'runs',
    ])
      expect(text).toMatch(new RegExp(`^ +${key}:`, 'm'));
  });
});

describe('settings', () => {
  it('have defaults for everything', () => {
    const file = temporaryFile('{}', 'roundsman.yaml');
    expect(loadSettings(file)).toEqual({
      secretVariables: [],
      stateDir: '/var/lib/roundsman',
      socket: null,
      inventory: join(dirname(file), 'devices.yaml'),
      workers: 32,
      schedule: '0 2 * * *',
      timezone: 'UTC',
      splayMs: null,
      startWithinMs: null,
      maxRuntimeMs: 1_800_000,
      retryLaterMs: 3_600_000,
      maxAgeMs: null,
      blackout: [],
      catchUpSpreadMs: 900_000,
      http: { listen: { host: '127.0.0.1', port: 9724 }, hosts: [], tokens: [], web: null },
      syslog: {
        ...{ udp: null, tcp: null, tls: null },
        ...{ quietMs: 120_000, atMostMs: 600_000, perDevice: 6, inTotal: 120 },
      },
      log: { level: 'info', format: 'json' },
      git: { remotes: [], readersGroup: null, signKey: null },
      secrets: {
        recipients: [],
        fingerprintKey: { file: join(dirname(file), 'fingerprint.key') },
        inGit: 'masked',
      },
      vault: null,
      retention: { sealedMs: 400 * 86_400_000, runsMs: 400 * 86_400_000, transcriptsMs: 14 * 86_400_000 },
      transcripts: 'off',
      warnings: [],
    });
  });

  it('are taken as they are written, relative paths from the file', () => {
    const file = temporaryFile(
      `state_dir: ./state
socket: /run/roundsman/control.sock
inventory: ../devices.yaml
workers: 8
schedule: "*/30 * * * *"
timezone: Europe/Berlin
splay: 0s
start_within: 10m
max_runtime: 1h
retry_later: 15m
max_age: 2d
blackout: [{ schedule: "0 22 * * fri", duration: 8h }]
catch_up_spread: 1m
http: { listen: "[::1]:9999" }
syslog:
  udp: 0.0.0.0:514
  tcp: "[::]:5514"
  tls: { listen: 192.0.2.5:6514, certificate: tls.pem, key: { credential: tls }, client_ca: /etc/ca.pem }
  quiet: 30s
  at_most: 5m
  per_device: 12
  in_total: 60
log: { level: debug, format: plain }
secrets:
  recipients: [${recipient}, ${second}]
  fingerprint_key: { credential: fingerprint }
  in_git: masked
retention: { sealed: 30d, runs: 90d, transcripts: 12h }
transcripts: failed
git:
  remotes:
    - name: mirror
      url: ssh://git@git.example.net:2222/net/configs.git
      private_key: { credential: push-key }
      host_key: [git.example.net ssh-ed25519 AAAAC3Nza comment, ecdsa-sha2-nistp256 AAAAE2Vjz==]
    - { name: hosted, url: "https://git.example.net/net/configs.git", username: roundsman, password: { file: token }, ca: ca.pem }
    - { name: near, url: "file:///srv/configs.git" }
`,
      'roundsman.yaml',
    );
    expect(loadSettings(file)).toMatchObject({
      stateDir: join(dirname(file), 'state'),
      socket: '/run/roundsman/control.sock',
      inventory: join(dirname(file), '../devices.yaml'),
      workers: 8,
      splayMs: 0,
      startWithinMs: 600_000,
      maxAgeMs: 172_800_000,
      blackout: [{ schedule: '0 22 * * fri', durationMs: 28_800_000 }],
      http: { listen: { host: '::1', port: 9999 } },
      syslog: {
        udp: { host: '0.0.0.0', port: 514 },
        tcp: { host: '::', port: 5514 },
        tls: {
          at: { host: '192.0.2.5', port: 6514 },
          certificate: join(dirname(file), 'tls.pem'),
          key: { credential: 'tls' },
          clientCa: '/etc/ca.pem',
        },
        ...{ quietMs: 30_000, atMostMs: 300_000, perDevice: 12, inTotal: 60 },
      },
      log: { level: 'debug', format: 'plain' },
      secrets: { fingerprintKey: { credential: 'fingerprint' } },
      git: {
        remotes: [
          {
            name: 'mirror',
            url: 'ssh://git@git.example.net:2222/net/configs.git',
            access: {
              way: 'ssh',
              privateKey: { credential: 'push-key' },
              hostKeys: ['ssh-ed25519 AAAAC3Nza', 'ecdsa-sha2-nistp256 AAAAE2Vjz=='],
            },
          },
          {
            name: 'hosted',
            url: 'https://git.example.net/net/configs.git',
            access: {
              way: 'https',
              login: { username: 'roundsman', password: { file: join(dirname(file), 'token') } },
              ca: join(dirname(file), 'ca.pem'),
            },
          },
          { name: 'near', url: 'file:///srv/configs.git', access: { way: 'file' } },
        ],
      },
      retention: { sealedMs: 2_592_000_000, runsMs: 7_776_000_000, transcriptsMs: 43_200_000 },
      transcripts: 'failed',
      warnings: [],
    });
  });

  it('name each remote once: its name is that of a metric and a file', () => {
    expectMistakes(`git:
  remotes:
    - { name: mirror, url: "file:///srv/a.git" }
    - { name: other, url: "file:///srv/b.git" }
    - { name: mirror, url: "file:///srv/c.git" } #! git.remotes[2].name | is used twice
`);
  });

  it('show no password that was written into the URL of a remote', () => {
    const text = 'git: { remotes: [{ name: a, url: "https://u:hunter2-canary@git.example.net/x" }] }\n';
    expect(JSON.stringify(problemsOf(() => load(text)))).not.toContain('canary');
    const token = 'git: { remotes: [{ name: a, url: "https://hunter2-canary@git.example.net/x" }] }\n';
    expect(JSON.stringify(problemsOf(() => load(token)))).not.toContain('canary');
  });

  it('with mistakes name all of them at once, with path, line and nearest word', () => {
    expectMistakes(`statedir: x #! statedir | unknown key | state_dir
workers: many #! workers | whole number from 1 to 1000
schedule: "0 25 * * *" #! schedule | hour: out of range
timezone: Europe/Berln #! timezone | not an IANA time zone | Europe/Berlin
splay: 5 #! splay | has no unit
retry_later: 1h30m #! retry_later | expected a duration such as
socket: /${'s'.repeat(107)} #! socket | is 108 bytes long
inventory: ~/devices.yaml #! inventory | ~ is not expanded
syslog:
  udp: syslog.example.net:514 #! syslog.udp | expected an IP address and a port
  tcp: 5514 #! syslog.tcp | expected HOST:PORT such as 0.0.0.0:5514
  tls: { listen: 0.0.0.0:6514, certificate: tls.pem } #! syslog.tls.key | is missing
  quiet: 0s #! syslog.quiet | from 1s to 1h
  per_device: 0 #! syslog.per_device | whole number from 1 to 60
http:
  listen: example.net:9724 #! http.listen | expected an IP address and a port such as 127.0.0.1:9724
  tls: {} #! http.tls | unknown key
log: { level: verbose, format: jsn } #! log.level | error, warn, info or debug #! log.format | json or plain | json
git:
  readers_group: net ops #! git.readers_group | expected the name of a group of this system
  remotes:
    - { name: Mirror, url: "ssh://git@git.example.net/configs" } #! git.remotes[0].name | not a valid name | mirror
    - name: no-key #! git.remotes[1].private_key | is missing #! git.remotes[1].host_key | is missing
      url: ssh://git@git.example.net/configs
      password: { file: token } #! git.remotes[1].password | has no meaning for a remote that is reached by ssh
    - name: fingerprint
      url: git@git.example.net:configs.git
      private_key: { file: push.key }
      host_key: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA #! git.remotes[2].host_key | is a fingerprint
    - name: token
      url: https://git.example.net/configs
      username: roundsman
      password: null #! git.remotes[3].password | both or neither
      host_key: ssh-ed25519 AAAAC3Nza #! git.remotes[3].host_key | has no meaning for a remote that is reached by https
    - name: secret
      url: https://roundsman:hunter2@git.example.net/configs #! git.remotes[4].url | holds a user or a password
    - name: clear
      url: http://git.example.net/configs #! git.remotes[5].url | http is not encrypted
    - name: option
      url: "--upload-pack=touch" #! git.remotes[6].url | expected ssh://
    - name: helper
      url: "ext::sh -c id" #! git.remotes[7].url | expected ssh://
    - name: way
      url: 5 #! git.remotes[8].url | expected ssh://
  sign_key: sign.key #! git.sign_key | expected a reference
  remote: [] #! git.remote | unknown key | remotes
secrets:
  recipients:
    - ssh-ed25519 AAAA #! secrets.recipients[0] | expected an age recipient
    - AGE-SECRET-KEY-1CANARY #! secrets.recipients[1] | private age identity
    - ${second.replace('t', 'q')} #! secrets.recipients[2] | mistyped
  fingerprint_key: 0123456789abcdef #! secrets.fingerprint_key | expected a reference
  in_git: kep #! secrets.in_git | masked or keep | keep
retention: { sealed: 400, transcript: 1d } #! retention.sealed | has no unit #! retention.transcript | unknown key | transcripts
transcripts: all #! transcripts | off or failed
`);
  });

  it('never show a private identity or a key that was pasted into them', () => {
    const problems = problemsOf(() =>
      load('secrets:\n  recipients: [AGE-SECRET-KEY-1CANARY]\n  fingerprint_key: CANARY\n'),
    );
    expect(problems).toHaveLength(2);
    expect(JSON.stringify(problems)).not.toContain('CANARY');
  });

  it('a fingerprint key inside the state directory is a mistake, beside it is not', () => {
    expectMistakes(`state_dir: state
secrets:
  recipients: []
  fingerprint_key: { file: state/keys/../fingerprint.key } #! secrets.fingerprint_key | lies inside state_dir
`);
    expect(load('state_dir: state\nsecrets: { fingerprint_key: { file: ./state.key } }').stateDir).toMatch(
      /state$/,
    );
    expect(load('state_dir: state\nsecrets: { fingerprint_key: { file: ./..state } }').stateDir).toMatch(
      /state$/,
    );
  });

  it('warn at a single recipient, at keep, and at a key from the environment', () => {
    const { warnings } = load(
      `secrets:\n  recipients: [${recipient}]\n  in_git: keep\n  fingerprint_key: { env: RM_FINGERPRINT }\n`,
    );
    expect(warnings.map(({ path, line }) => [path, line])).toEqual([
      ['secrets.recipients', 2],
      ['secrets.in_git', 3],
      ['secrets.fingerprint_key', 4],
    ]);
  });

  it.each([
    '127.0.0.1',
    ':9724',
    '127.0.0.1:0',
    '127.0.0.1:70000',
    '::1:9724',
    '[127.0.0.1]:9724',
    'example.net:9724',
    '192.0.2.1:80',
  ])('refuse to listen at %s', (listen) => {
    const [problem] = problemsOf(() => load(`http: { listen: "${listen}" }`));
    expect(problem?.path).toBe('http.listen');
  });

  it('say how Vault is reached, by a token or by an AppRole', () => {
    const file = temporaryFile(
      'vault:\n  address: https://vault.example.net:8200/\n  namespace: admin/network\n  ca_file: ca.pem\n' +
        '  auth: { approle: { role_id: r, secret_id: { file: secret-id } } }\n' +
        'secrets: { fingerprint_key: { vault: { path: roundsman, key: fingerprint } } }\n',
      'roundsman.yaml',
    );
    const { vault, secrets } = loadSettings(file);
    expect(vault).toEqual({
      address: 'https://vault.example.net:8200',
      namespace: 'admin/network',
      caFile: join(dirname(file), 'ca.pem'),
      auth: {
        approle: { mount: 'approle', roleId: 'r', secretId: { file: join(dirname(file), 'secret-id') } },
      },
    });
    expect(secrets.fingerprintKey).toEqual({
      vault: { mount: 'secret', path: 'roundsman', key: 'fingerprint' },
    });
    const [http] = ['http://127.0.0.1:8100/agent/', 'http://localhost:8100', 'http://[::1]:8100'].map(
      (address) => load(`vault: { address: "${address}", auth: { token: { env: T } } }`).vault,
    );
    expect(http).toMatchObject({ address: 'http://127.0.0.1:8100/agent', auth: { token: { env: 'T' } } });
  });

  it.each([
    ['address: http://vault.example.net:8200', 'vault.address', 'http would show every secret'],
    ['address: vault.example.net', 'vault.address', 'expected a URL'],
    ['address: ftp://vault.example.net', 'vault.address', 'expected a URL'],
    ['address: "https://CANARY:CANARY@vault.example.net"', 'vault.address', 'nothing but'],
    ['address: "https://vault.example.net/?a=CANARY"', 'vault.address', 'nothing but'],
    ['namespace: "a\\r\\nb"', 'vault.namespace', 'expected a namespace'],
    ['namespace: ../root', 'vault.namespace', 'expected a namespace'],
    ['auth: {}', 'vault.auth', 'expected {token'],
    [
      'auth: { token: { env: A }, approle: { role_id: a, secret_id: { env: B } } }',
      'vault.auth',
      'expected {token',
    ],
    ['auth: { token: CANARY }', 'vault.auth.token', 'expected a reference'],
    ['auth: { token: { vault: { path: a, key: b } } }', 'vault.auth.token', 'cannot lie in it'],
    [
      'auth: { approle: { role_id: a, secret_id: CANARY } }',
      'vault.auth.approle.secret_id',
      'expected a reference',
    ],
  ])('refuse Vault with %s', (line, path, part) => {
    const right = ['address: https://vault.example.net', 'auth: { token: { env: A } }'];
    const lines = [line, ...right.filter((one) => one.split(':')[0] !== line.split(':')[0])];
    const problems = problemsOf(() => load(`vault:\n${lines.map((one) => `  ${one}\n`).join('')}`));
    expect(problems.map((problem) => problem.path)).toEqual([path]);
    expect(problems[0]?.message).toContain(part);
    expect(JSON.stringify(problems)).not.toContain('CANARY');
  });

  it('with a reference into Vault and no word of how to reach it are a mistake', () => {
    expectMistakes(`secrets:
  fingerprint_key: { vault: { path: a, key: b } } #! secrets.fingerprint_key.vault | do not say how to reach Vault
syslog:
  tls: { listen: "0.0.0.0:6514", certificate: c, key: { vault: { path: a, key: b } } } #! syslog.tls.key.vault | do not say
`);
  });

  it('an empty file and one that is no mapping are mistakes', () => {
    expect(problemsOf(() => load('# nothing\n'))[0]?.message).toContain('is empty');
    expect(problemsOf(() => load('- a\n'))[0]?.message).toContain('expected a mapping');
  });

  it('over one mebibyte are refused', () => {
    expect(problemsOf(() => load(`#${'x'.repeat(1024 * 1024)}`))[0]?.message).toContain('at most 1048576');
  });
});

describe('finding the settings', () => {
  const only =
    (...files: string[]) =>
    (file: string) =>
      files.includes(file);

  it('--config comes first, then $ROUNDSMAN_CONFIG, then /etc, then the working directory', () => {
    const all = only('a.yaml', 'b.yaml', '/etc/roundsman/roundsman.yaml', './config/roundsman.yaml');
    expect(findSettings('a.yaml', { ROUNDSMAN_CONFIG: 'b.yaml' }, all)).toBe('a.yaml');
    expect(findSettings(null, { ROUNDSMAN_CONFIG: 'b.yaml' }, all)).toBe('b.yaml');
    expect(findSettings(null, { ROUNDSMAN_CONFIG: '' }, all)).toBe('/etc/roundsman/roundsman.yaml');
    expect(findSettings(null, {}, only('./config/roundsman.yaml'))).toBe('./config/roundsman.yaml');
  });

  it('a file that was named and does not exist is not replaced by another', () => {
    const others = only('/etc/roundsman/roundsman.yaml');
    expect(() => findSettings('a.yaml', {}, others)).toThrow(/--config .*a\.yaml/);
    expect(() => findSettings('', {}, others)).toThrow(UsageError);
    expect(() => findSettings(null, { ROUNDSMAN_CONFIG: 'b.yaml' }, others)).toThrow(
      /\$ROUNDSMAN_CONFIG .*b\.yaml/,
    );
  });

  it('where there is none, the next step is `roundsman init`', () => {
    try {
      findSettings(null, {}, () => false);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      expect((error as UsageError).todo).toContain('roundsman init');
    }
  });
});
