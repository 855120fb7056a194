import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateIdentity } from '../../../src/artefacts/unseal.ts';
import type { Checked } from '../../../src/cli/services.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { InvalidConfiguration, type Problem } from '../../../src/core/errors.ts';
import { localServices } from '../../../src/daemon/compose.ts';
import { createContext } from '../../../src/daemon/context.ts';
import { writeFirstConfiguration } from '../../../src/daemon/init.ts';
import { VaultStub } from '../../support/vault.ts';

let dir: string;
let env: Record<string, string>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-check-'));
  env = { RM_PASSWORD: 'x' };
  await writeFirstConfiguration(dir, generateIdentity);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const file = (name: string) => join(dir, name);

function settings(edit: (text: string) => string): void {
  writeFileSync(file('roundsman.yaml'), edit(readFileSync(file('roundsman.yaml'), 'utf8')));
}

/** One device that logs in with these keys of its credentials. */
function login(...keys: readonly string[]): void {
  writeFileSync(
    file('devices.yaml'),
    `credentials:
  readonly:
    username: backup
${keys.map((key) => `    ${key}\n`).join('')}devices:
  - { name: fw1, platform: cisco_asa, host: 127.0.0.1, credentials: readonly }
`,
  );
}

async function check(): Promise<Checked> {
  const options = { configFile: file('roundsman.yaml'), logLines: false };
  await using context = createContext(options, env, systemClock);
  return await localServices(context, env).check();
}

async function problems(): Promise<readonly Problem[]> {
  const thrown = await check().then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(InvalidConfiguration);
  return (thrown as InvalidConfiguration).problems;
}

describe('the fingerprint key', () => {
  const place = () => ({ file: file('roundsman.yaml'), path: 'secrets.fingerprint_key', line: 16 });

  it('that is there is no reason for a word', async () => {
    expect((await check()).warnings.filter(({ path }) => path.includes('fingerprint'))).toEqual([]);
  });

  it('that is missing is a mistake', async () => {
    rmSync(file('fingerprint.key'));
    expect(await problems()).toEqual([
      {
        ...place(),
        message: `file ${file('fingerprint.key')} cannot be read here: does not exist`,
        nearest: null,
      },
    ]);
  });

  it('that others can read is a mistake', async () => {
    chmodSync(file('fingerprint.key'), 0o644);
    expect(await problems()).toMatchObject([{ ...place(), message: expect.stringContaining('chmod 0400') }]);
  });

  it('that is no key is a mistake, and nothing of it is shown', async () => {
    writeFileSync(file('fingerprint.key'), 'c4n4ry\n');
    const found = await problems();
    expect(found).toMatchObject([{ ...place(), message: expect.stringContaining('not 64 hex digits') }]);
    expect(JSON.stringify(found)).not.toContain('c4n4ry');
  });

  it('that only the service is given is a warning', async () => {
    settings((text) => text.replace(/fingerprint_key: .*/, 'fingerprint_key: { credential: fingerprint }'));
    expect((await check()).warnings).toContainEqual({
      ...place(),
      message: expect.stringMatching(
        /^systemd credential fingerprint cannot be read here: .*only the service may/,
      ),
      nearest: null,
    });
  });

  it('is not asked for where nothing is masked', async () => {
    rmSync(file('fingerprint.key'));
    settings((text) => text.replace('secrets:\n', 'secrets:\n  in_git: keep\n'));
    expect((await check()).warnings.map(({ path }) => path)).toContain('secrets.in_git');
  });
});

describe('secrets of credentials', () => {
  it('that can be read are no reason for a word', async () => {
    login('password: { env: RM_PASSWORD }', 'enable: true');
    expect((await check()).warnings.filter(({ message }) => message.includes('RM_PASSWORD:'))).toEqual([]);
  });

  it('that cannot be read are warnings with their place', async () => {
    login('password: { env: RM_GONE }', 'enable: { file: ./gone }');
    const { warnings } = await check();
    expect(warnings).toContainEqual({
      ...{ file: file('devices.yaml'), path: 'credentials.readonly.password', line: 4, nearest: null },
      message: expect.stringMatching(
        /^environment variable RM_GONE cannot be read here: is not set, .* only the service may/,
      ),
    });
    expect(warnings).toContainEqual({
      ...{ file: file('devices.yaml'), path: 'credentials.readonly.enable', line: 5, nearest: null },
      message: expect.stringContaining(`file ${file('gone')} cannot be read here: does not exist`),
    });
  });

  it('that Vault does not give are warnings with what to do, and the settings have to say where Vault is', async () => {
    login('password: { vault: { path: network/asa, key: password } }');
    expect((await problems()).map(({ path }) => path)).toEqual(['credentials.readonly.password.vault']);
    await using vault = await VaultStub.listen();
    vault.grant('hvs.CANARY', null, []);
    env.VAULT_TOKEN = 'hvs.CANARY';
    settings(
      (text) => `${text}\nvault: { address: "${vault.address}", auth: { token: { env: VAULT_TOKEN } } }\n`,
    );
    const said = async () =>
      (await check()).warnings.filter(({ path }) => path === 'credentials.readonly.password');
    const [warning] = await said();
    expect(warning?.message).toMatch(
      /^key password of secret\/data\/network\/asa in Vault: .* read secret\/data\/network\/asa \(403\); give the policy/,
    );
    expect(JSON.stringify(warning)).not.toContain('CANARY');
    vault.grant('hvs.CANARY');
    vault.secrets.set('secret/data/network/asa', { password: 'x' });
    expect(await said()).toEqual([]);
  });

  it('of a jump host on the way to a device are read too', async () => {
    login('password: { env: RM_PASSWORD }');
    const text = readFileSync(file('devices.yaml'), 'utf8')
      .replace(
        'devices:\n',
        '  hop: { username: jump, password: { env: RM_GONE } }\njump_hosts:\n  bastion: { host: h, credentials: hop }\ndevices:\n',
      )
      .replace('credentials: readonly }', 'credentials: readonly, jump: [bastion] }');
    writeFileSync(file('devices.yaml'), text);
    expect((await check()).warnings).toContainEqual(
      expect.objectContaining({
        path: 'credentials.hop.password',
        message: expect.stringContaining('RM_GONE cannot be read here: is not set'),
      }),
    );
  });

  it('of a login that no device uses are left alone', async () => {
    login('password: { env: RM_GONE }');
    writeFileSync(
      file('devices.yaml'),
      readFileSync(file('devices.yaml'), 'utf8').replace(/devices:[\s\S]*/, 'devices: []\n'),
    );
    expect((await check()).warnings.filter(({ message }) => message.includes('is not set'))).toEqual([]);
  });

  it('a private key that cannot be used is a warning that says what to do', async () => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    for (const [text, expected] of [
      ['c4n4ry', /not a private key .*`ssh-keygen -p -f FILE -m PEM/],
      [privateKey, /convert the key: `ssh-keygen -p -f FILE -m PEM/],
    ] as const) {
      writeFileSync(file('key'), text, { mode: 0o600 });
      login('private_key: { file: ./key }');
      const { warnings } = await check();
      expect(warnings).toContainEqual({
        ...{ file: file('devices.yaml'), path: 'credentials.readonly.private_key', line: 4, nearest: null },
        message: expect.stringMatching(expected),
      });
      expect(JSON.stringify(warnings)).not.toContain('c4n4ry');
    }
  });
});

describe('recipients', () => {
  const edit = (change: (recipient: string) => string) => settings((text) => text.replace(/age1\w+/, change));

  it('with a mistyped character are a mistake with its line', async () => {
    edit((recipient) => recipient.replace(/.$/, (last) => (last === 'q' ? 'p' : 'q')));
    expect(await problems()).toMatchObject([
      { path: 'secrets.recipients[0]', line: 14, message: expect.stringContaining('mistyped') },
    ]);
  });

  it('of an age plugin are a mistake: nothing could be sealed to them', async () => {
    edit(() => 'age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t');
    expect(await problems()).toMatchObject([
      { path: 'secrets.recipients[0]', message: expect.stringContaining('plugin') },
    ]);
  });
});

describe('sizing', () => {
  function fleet(count: number, schedule: string): void {
    const devices = Array.from(
      { length: count },
      (_, n) => `  - { name: fw${n}, platform: cisco_asa, host: 192.0.2.${n + 1}, credentials: readonly }\n`,
    );
    const login = 'credentials:\n  readonly: { username: backup, password: { env: RM_PASSWORD } }\n';
    writeFileSync(file('devices.yaml'), `${login}devices:\n${devices.join('')}`);
    settings((text) => `${text.replace('workers: 32', 'workers: 2')}\nschedule: "${schedule}"\n`);
  }

  it('warns where the devices of a schedule cannot all begin in time', async () => {
    // 20 devices of ten seconds on two workers: 100 s, and half of a minute is what a device may wait.
    fleet(20, '* * * * *');
    const { warnings, sizing } = await check();
    expect(sizing.windowMs).toBe(100_000);
    const tight = warnings.filter(({ path }) => path === 'workers');
    expect(tight.map(({ message }) => message)).toEqual([expect.stringContaining('raise workers')]);
  });

  it('counts a year of git, and what retention leaves of sealed copies and archives', async () => {
    fleet(10, '0 2 * * *');
    const year = (await check()).sizing.disk;
    expect(year).toMatchObject({ archiveBytes: 0, measured: false });
    expect(year.gitBytes).toBe(10 * 365 * 20_000);
    expect(year.sealedBytes).toBe(10 * 366 * 20_000);
    settings((text) => `${text}\nretention: { sealed: 30d }\n`);
    const month = (await check()).sizing.disk;
    expect(month).toMatchObject({ gitBytes: year.gitBytes, sealedBytes: 10 * 31 * 20_000 });
    const archive = 'options: { ucs: { schedule: "0 3 * * 0", passphrase: { env: RM_PASSWORD } } }';
    writeFileSync(
      file('devices.yaml'),
      `credentials:\n  readonly: { username: backup, password: { env: RM_PASSWORD } }\ndevices:\n  - { name: lb1, platform: f5_bigip, host: 192.0.2.9, credentials: readonly, ${archive} }\n`,
    );
    const { archiveBytes } = (await check()).sizing.disk;
    expect([4, 5].map((sundays) => sundays * 20_000_000)).toContain(archiveBytes);
    settings((text) =>
      text.replace(/ {2}recipients:\n {4}- age1\S+\n/, '').replace('secrets:', 'secrets:\n  in_git: keep'),
    );
    expect((await check()).sizing.disk).toMatchObject({ sealedBytes: 0, archiveBytes: 0 });
  });

  it('is silent where they can', async () => {
    fleet(20, '0 2 * * *');
    expect((await check()).warnings.filter(({ path }) => path === 'workers')).toEqual([]);
  });
});

describe('the secrets of a remote', () => {
  const remote = (...keys: readonly string[]) =>
    settings(
      (text) =>
        `${text}git:\n  remotes:\n    - name: mirror\n${keys.map((key) => `      ${key}\n`).join('')}`,
    );
  const said = async () =>
    (await check()).warnings
      .filter(({ path }) => path.startsWith('git'))
      .map(({ path, message }) => [path, message]);

  it('that can be read are no reason for a word', async () => {
    writeFileSync(file('token'), 'x', { mode: 0o400 });
    writeFileSync(file('ca.pem'), 'x');
    remote('url: https://git.example.net/x', 'username: u', 'password: { file: token }', 'ca: ca.pem');
    expect(await said()).toEqual([]);
  });

  it('that cannot are each a warning, at their place', async () => {
    remote('url: https://git.example.net/x', 'username: u', 'password: { file: token }', 'ca: ca.pem');
    expect(await said()).toEqual([
      ['git.remotes[0].ca', expect.stringContaining('cannot be read here')],
      ['git.remotes[0].password', expect.stringContaining('does not exist')],
    ]);
  });

  it('that are a key with a passphrase, or none at all, are a warning too', async () => {
    const passphrase = { cipher: 'aes-256-cbc', passphrase: 'x' } as const;
    const { privateKey: encrypted } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem', ...passphrase },
    });
    const ssh = [
      'url: git@git.example.net:x',
      'private_key: { file: key }',
      'host_key: ssh-ed25519 AAAAC3Nza',
    ];
    remote(...ssh);
    for (const [text, words] of [
      [encrypted, 'needs one without a passphrase'],
      ['hunter2-canary', 'not a private key that can be used'],
    ] as const) {
      rmSync(file('key'), { force: true });
      writeFileSync(file('key'), text, { mode: 0o400 });
      const [first] = await said();
      expect(first).toEqual(['git.remotes[0].private_key', expect.stringContaining(words)]);
      expect(JSON.stringify(first)).not.toContain('canary');
    }
  });
});
