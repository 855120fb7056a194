import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCase } from '../support/devices/cases.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import type { DeviceSpec, Faults } from '../support/devices/spec.ts';
import { describeWith } from '../support/system.ts';
import { deviceYaml, Workspace } from '../support/workspace.ts';

/*
 * A canary in every secret that goes in: the logins, a key and its passphrase, what a helper prints, the passphrase of
 * an archive, the fingerprint key, and every kind of secret that the configurations of the platforms hold. Then
 * everything is done that can be done, well and badly, and everything that came out is searched.
 */

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const canary = (what: string): string => `cn4ry${what}${randomBytes(6).toString('hex')}`;

const secrets = {
  password: canary('Password'),
  enable: canary('Enable'),
  helper: canary('Helper'),
  keyPassphrase: canary('KeyPhrase'),
  archive: canary('Archive'),
};

interface Member {
  readonly name: string;
  readonly platform: string;
  readonly credentials: string;
  readonly spec: Partial<DeviceSpec> & Pick<DeviceSpec, 'config' | 'hostname'>;
  /** Set after the first round, in which it is well. */
  readonly faults?: Faults;
  readonly yaml?: readonly string[];
}

const asa = loadCase('cisco_asa', 'typical').device;
const forti = loadCase('fortinet_fortigate', 'typical').device;
const bigip = loadCase('f5_bigip', 'typical').device;

/** A device that says aloud what it was told. */
const loud = `Your password is ${secrets.password}, enable ${secrets.enable}\n`;
const loudConfig = asa.config.replace(
  /^hostname .*$/m,
  (line) => `${line}\nbanner motd do not tell ${secrets.password} or x${secrets.enable}x`,
);
const short = 'timeouts: { connect: 5s, login: 4s, idle: 2s }';

const members: readonly Member[] = [
  {
    name: 'asa-good',
    platform: 'cisco_asa',
    credentials: 'both',
    spec: { ...asa, config: loudConfig, greeting: loud },
  },
  {
    name: 'fgt-helper',
    platform: 'fortinet_fortigate',
    credentials: 'helped',
    spec: { ...forti, password: secrets.helper, greeting: `You said ${secrets.helper}\n` },
  },
  {
    name: 'lb-archive',
    platform: 'f5_bigip',
    credentials: 'both',
    spec: { ...bigip, files: {} },
    yaml: ['options: { ucs: { schedule: "0 3 * * 0", passphrase: { file: ./phrase } } }'],
  },
  {
    name: 'fgt-key',
    platform: 'fortinet_fortigate',
    credentials: 'keyed',
    spec: { ...forti, methods: ['publickey'] },
  },
  {
    name: 'bad-login',
    platform: 'cisco_asa',
    credentials: 'both',
    spec: asa,
    faults: { wrongPassword: true },
  },
  {
    name: 'bad-enable',
    platform: 'cisco_asa',
    credentials: 'both',
    spec: asa,
    faults: { enableRefused: true },
  },
  {
    name: 'bad-question',
    platform: 'cisco_asa',
    credentials: 'both',
    spec: { ...asa, methods: ['keyboard-interactive'] },
    faults: { oddQuestion: `${loud} again: ` },
  },
  { name: 'bad-key', platform: 'cisco_asa', credentials: 'both', spec: asa, faults: { otherHostKey: true } },
  {
    name: 'bad-refusal',
    platform: 'cisco_asa',
    credentials: 'both',
    spec: asa,
    faults: { replace: { command: 'more', with: `ERROR: % Invalid input ${loud}` } },
  },
  {
    name: 'bad-cut',
    platform: 'fortinet_fortigate',
    credentials: 'both',
    spec: forti,
    faults: { cutAt: { command: 'show', byte: 2_000 } },
  },
  {
    name: 'bad-silence',
    platform: 'fortinet_fortigate',
    credentials: 'both',
    spec: forti,
    faults: { silentAt: { command: 'show', byte: 3_000 } },
    yaml: [short],
  },
  {
    name: 'bad-half',
    platform: 'cisco_asa',
    credentials: 'both',
    spec: { ...asa, config: loudConfig },
    faults: { dropLast: { command: 'more', lines: 1 } },
  },
  {
    name: 'bad-less',
    platform: 'cisco_asa',
    credentials: 'both',
    spec: asa,
    faults: { replace: { command: 'more', with: 'Command authorization failed\n' } },
  },
  {
    name: 'bad-archive',
    platform: 'f5_bigip',
    credentials: 'both',
    spec: { ...bigip, files: {}, bigip: { diskFull: true } },
    yaml: ['options: { ucs: { schedule: "0 3 * * 0", passphrase: { file: ./phrase } } }'],
  },
];

/** Words of a configuration that the fixtures call secrets; none that is short enough to stand somewhere by chance. */
const configured: readonly string[] = (['cisco_asa', 'fortinet_fortigate', 'f5_bigip'] as const).flatMap(
  (platform) => loadCase(platform, 'typical').secrets.filter((secret) => secret.length >= 8),
);

/** Each as it may be written down, and as somebody could test a guess at it. */
function forms(secret: string): readonly string[] {
  const octets = Buffer.from(secret, 'latin1');
  const digests = ['sha256', 'sha1', 'md5'].flatMap((name) => {
    const hash = createHash(name).update(octets).digest();
    return [hash.toString('hex'), hash.toString('base64').replace(/=+$/, '')];
  });
  const json = JSON.stringify(secret).slice(1, -1);
  return [
    secret,
    json,
    encodeURIComponent(secret),
    octets.toString('hex'),
    octets.toString('base64').replace(/=+$/, ''),
    ...digests,
  ];
}

/** What is found of `wanted` in `text`, by name. */
function foundIn(text: string, wanted: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(wanted).flatMap(([name, secret]) =>
    forms(secret).some((form) => text.includes(form)) ? [name] : [],
  );
}

describeWith('ssh-keygen', 'canaries', (keygen) => {
  const workspace = new Workspace();
  const devices = new Map<string, FakeDevice>();
  /** By where it came from: everything that was said. */
  const said: { where: string; text: string }[] = [];
  let watched: ChildProcess | null = null;
  const processes = new Map<string, string>();
  let watching: NodeJS.Timeout;
  let all: Record<string, string> = {};

  /** Command lines of all processes below this one, and environments of those that are not the program itself. */
  function watch(): void {
    const parents = new Map<number, number>();
    const read = (path: string): string => {
      try {
        return readFileSync(path, 'latin1');
      } catch {
        return '';
      }
    };
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      const parent = /\) \S (\d+)/.exec(read(`/proc/${entry}/stat`))?.[1];
      if (parent !== undefined) parents.set(Number(entry), Number(parent));
    }
    for (const pid of parents.keys()) {
      let above = parents.get(pid);
      while (above !== undefined && above > 1 && above !== process.pid) above = parents.get(above);
      if (above !== process.pid) continue;
      const line = read(`/proc/${pid}/cmdline`);
      const environment = line.includes(program) ? '' : read(`/proc/${pid}/environ`);
      // One that became another program in between would be blamed for what only the program itself may know.
      if (line === '' || read(`/proc/${pid}/cmdline`) !== line) continue;
      processes.set(`${pid} ${line.replaceAll('\0', ' ')}`, line + environment);
    }
  }

  async function does(...argv: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const result = await workspace.run(argv);
    said.push({ where: argv.join(' '), text: `${result.stdout}\n${result.stderr}` });
    return result;
  }

  beforeAll(async () => {
    await workspace.init();
    const file = (name: string, text: string, mode = 0o600): void =>
      writeFileSync(join(workspace.dir, name), text, { mode });
    file('phrase', `${secrets.archive}\n`);
    file('key-phrase', `${secrets.keyPassphrase}\n`);
    file('helped', `${secrets.helper}\n`);
    const key = join(workspace.dir, 'key');
    execFileSync(keygen, [
      '-q',
      '-t',
      'ed25519',
      '-a',
      '1',
      '-N',
      secrets.keyPassphrase,
      '-C',
      '',
      '-f',
      key,
    ]);
    file('helper', `#!/bin/sh\nexec cat '${join(workspace.dir, 'helped')}'\n`, 0o700);
    const fingerprintKey = readFileSync(join(workspace.dir, 'fingerprint.key'), 'latin1').trim();
    const keyLine = readFileSync(key, 'latin1').split('\n')[2] ?? '';
    all = {
      ...secrets,
      fingerprintKey,
      privateKey: keyLine,
      ...Object.fromEntries(configured.map((secret) => [`configured: ${secret}`, secret])),
    };
    workspace.env.TEST_PASSWORD = secrets.password;
    file('enable', `${secrets.enable}\n`);
    let inventory = `credentials:
  both: { username: backup, password: { env: TEST_PASSWORD }, enable: { file: ./enable }, logins_per_second: 50 }
  helped: { username: backup, password: { command: [${join(workspace.dir, 'helper')}] } }
  keyed: { username: backup, private_key: { file: ./key }, passphrase: { file: ./key-phrase } }
devices:
`;
    for (const { name, platform, credentials, spec, yaml = [] } of members) {
      const device = await startFakeDevice({
        password: secrets.password,
        enable: secrets.enable,
        publicKey: readFileSync(`${key}.pub`, 'utf8'),
        ...Object.fromEntries(
          Object.entries(spec).filter(([field]) => !['password', 'enable', 'username'].includes(field)),
        ),
        ...(name === 'fgt-helper' ? { password: secrets.helper } : {}),
        config: spec.config,
        hostname: spec.hostname,
        username: 'backup',
        platform,
      });
      devices.set(name, device);
      inventory += deviceYaml({ name, platform, port: device.port, credentials }, ...yaml);
    }
    workspace.inventory(inventory);
    const settings = readFileSync(workspace.config, 'utf8').replace(/^transcripts: .*$/m, '');
    writeFileSync(
      workspace.config,
      `${settings}\ntranscripts: failed\nschedule: "0 0 1 1 *"\nhttp: { listen: "127.0.0.1:9727" }\n`,
    );
    watching = setInterval(watch, 25);

    await does('trust', '--all', '--yes');
    await does('check');
    await does('check', '--json');
    const first = await does('backup', '--json');
    const outcomes = first.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { device: string; outcome: string; error: unknown });
    expect(outcomes.filter(({ outcome }) => outcome !== 'changed')).toEqual([]);
    for (const { name, faults } of members) if (faults !== undefined) devices.get(name)?.setFaults(faults);
    const bad = members.flatMap(({ name, faults }) => (faults === undefined ? [] : [name]));
    // A credential that some reject is held back from the others.
    const rejecting = ['bad-login', 'bad-enable'];
    for (const names of [bad.filter((name) => !rejecting.includes(name)), rejecting])
      expect((await does('backup', ...names, '--json')).code).toBe(3);
    await does('release', 'both');
    await does('check');
    for (const command of ['status', 'runs'])
      for (const form of [[], ['--json']]) await does(command, ...form);
    for (const name of ['asa-good', 'fgt-helper', 'bad-half'])
      for (const command of ['status', 'runs', 'log', 'show', 'diff']) await does(command, name);
    for (const command of ['log', 'show']) await does(command, 'asa-good', '--json');
    await does(
      'restore',
      'asa-good',
      '--identity',
      workspace.identity,
      '--output',
      join(workspace.dir, 'asa.cfg'),
    );
    await does('accept', 'bad-less');
    await inDaemon();
    clearInterval(watching);
  }, 400_000);

  afterAll(async () => {
    clearInterval(watching);
    if (watched !== null && watched.exitCode === null) watched.kill('SIGKILL');
    for (const device of devices.values()) await device.stop();
    workspace[Symbol.dispose]();
  });

  async function inDaemon(): Promise<void> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, 'daemon'], {
      cwd: workspace.dir,
      env: { PATH, HOME, ROUNDSMAN_CONFIG: workspace.config, ...workspace.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    watched = child;
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('latin1').on('data', (piece: string) => {
        log += piece;
      });
    const deadline = performance.now() + 40_000;
    while ((await fetch('http://127.0.0.1:9727/-/ready').catch(() => null))?.status !== 200) {
      if (performance.now() > deadline || child.exitCode !== null)
        throw new Error(`the daemon is not ready: ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await does('backup', 'asa-good', 'fgt-helper', 'bad-refusal', 'bad-question', '--json');
    await does('backup', 'bad-half', 'lb-archive', 'fgt-key');
    await does('status', '--json');
    for (const path of ['/metrics', '/-/healthy', '/-/ready', '/api/v1/status'])
      said.push({ where: path, text: await (await fetch(`http://127.0.0.1:9727${path}`)).text() });
    for (const path of [
      '/api/v1/status',
      '/api/v1/runs',
      '/api/v1/devices/asa-good/text',
      '/api/v1/devices/bad-half/versions',
    ])
      said.push({ where: `socket ${path}`, text: await overSocket(path) });
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
    said.push({ where: 'the log of the daemon', text: log });
  }

  function overSocket(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: join(workspace.state, 'control.sock'), path }, (answer) => {
        let text = '';
        answer.setEncoding('latin1').on('data', (piece: string) => {
          text += piece;
        });
        answer.on('end', () => resolve(text));
      });
      call.on('error', reject);
      call.end();
    });
  }

  /** Every file below the state directory, octet by octet, and every object of git as it was before it was packed. */
  async function stored(): Promise<Map<string, string>> {
    const files = new Map<string, string>();
    const walk = (dir: string): void => {
      for (const entry of readdirSync(dir)) {
        const path = join(dir, entry);
        const stat = statSync(path);
        if (stat.isDirectory()) walk(path);
        else if (stat.isFile()) files.set(path.slice(workspace.state.length), readFileSync(path, 'latin1'));
      }
    };
    walk(workspace.state);
    files.set('objects of git', await workspace.git('cat-file', '--batch-all-objects', '--batch'));
    return files;
  }

  it('were all in use: what was sealed holds them, and nobody opens it without the identity', () => {
    const exact = readFileSync(join(workspace.dir, 'asa.cfg'), 'latin1');
    expect(exact).toContain(secrets.password);
    const here = loadCase('cisco_asa', 'typical').secrets.filter((secret) => exact.includes(secret));
    expect(here.length).toBeGreaterThan(5);
    expect(readdirSync(join(workspace.state, 'artefacts')).length).toBeGreaterThan(0);
  });

  it('stand in no file of the state directory, and no digest of one does', async () => {
    const files = await stored();
    expect([...files.keys()].join('\n')).toMatch(
      /transcripts\/[\s\S]*ledger\.db|ledger\.db[\s\S]*transcripts\//,
    );
    const wrong = [...files].flatMap(([path, text]) => foundIn(text, all).map((name) => `${path}: ${name}`));
    expect(wrong).toEqual([]);
  });

  it('are in nothing that was said: no output, no log, no metric, no answer of the socket', () => {
    expect(said.length).toBeGreaterThan(30);
    expect(said.some(({ text }) => text.includes('roundsman_'))).toBe(true);
    const wrong = said.flatMap(({ where, text }) => foundIn(text, all).map((name) => `${where}: ${name}`));
    expect(wrong).toEqual([]);
  });

  it('were in no command line and no environment of a process that we started', () => {
    const names = [...processes.keys()].join('\n');
    expect(names).toContain('git');
    const wrong = [...processes].flatMap(([name, text]) =>
      foundIn(text, all).map((what) => `${name}: ${what}`),
    );
    expect(wrong).toEqual([]);
  });

  it('are found where they are: without this nobody knows that the search works', () => {
    const [first = ''] = configured;
    for (const text of [
      `x${secrets.enable}x`,
      Buffer.from(secrets.enable).toString('base64'),
      createHash('sha256').update(secrets.enable).digest('hex'),
    ])
      expect(foundIn(text, all)).toEqual(['enable']);
    expect(foundIn(`{"a":"${first}"}`, all)).toHaveLength(1);
  });
});

describe('the canaries', () => {
  it('are of every kind that a configuration holds', () => {
    expect(configured.length).toBeGreaterThan(20);
  });
});
