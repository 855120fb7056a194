import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import type { DeviceSpec, Platform } from '../support/devices/spec.ts';
import { asaConfig, fortigateConfig } from '../support/samples.ts';
import { type BackupLine, credentialsYaml, deviceYaml, type Said, Workspace } from '../support/workspace.ts';

const password = 'hunter2-canary-login';
const enable = 'hunter3-canary-enable';

/** ESC, DEL, a bell; a C1 control and a bidirectional override as UTF-8; a C1 control as the bare byte. */
const hostile = {
  'fw-utf8': 'a\x1b[2Jb\x7fc\x07\xc2\x9bd\xe2\x80\xaee',
  'fw-bytes': 'a\x1b[2Jb\x7fc\x07\x9bd',
} as const;
const raw = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/;

const workspace = new Workspace();
const devices = new Map<string, FakeDevice>();

async function start(name: string, platform: Platform, spec: Partial<DeviceSpec> = {}): Promise<void> {
  const sample =
    platform === 'cisco_asa'
      ? { hostname: 'fw-asa', config: asaConfig }
      : { hostname: 'fw-fgt', config: fortigateConfig };
  devices.set(
    name,
    await startFakeDevice({ platform, ...sample, username: 'backup', password, enable, ...spec }),
  );
}

function device(name: string): FakeDevice {
  return devices.get(name) as FakeDevice;
}

beforeAll(async () => {
  await workspace.init();
  writeFileSync(workspace.config, `${readFileSync(workspace.config, 'utf8')}transcripts: failed\n`);
  workspace.env.TEST_PASSWORD = password;
  workspace.env.TEST_ENABLE = enable;
  await start('fw-old', 'cisco_asa');
  await start('fw-held', 'cisco_asa');
  await start('fw-talk', 'cisco_asa', { greeting: `the password is ${password}, they say\n` });
  await start('fgt-talk', 'fortinet_fortigate', { sshBanner: `the password is ${password}, they say\n` });
  for (const name of Object.keys(hostile)) await start(name, 'cisco_asa');
  const platformOf = (name: string) => (name.startsWith('fgt') ? 'fortinet_fortigate' : 'cisco_asa');
  const entries = [...devices].map(([name, { port }]) =>
    deviceYaml({ name, platform: platformOf(name), port }),
  );
  workspace.inventory(`${credentialsYaml}devices:\n${entries.join('')}`);
  expect((await workspace.run(['trust', '--all', '--yes'])).code).toBe(0);
}, 60_000);

afterAll(async () => {
  for (const one of devices.values()) await one.stop();
  workspace[Symbol.dispose]();
});

async function backup(name: string): Promise<BackupLine> {
  const { lines, stderr } = await workspace.backup(name);
  const line = lines.get(name);
  if (line === undefined) throw new Error(stderr);
  // As `check` says it, and once.
  expect(stderr.match(/^warning: .*single recipient/gm)).toHaveLength(1);
  return line;
}

async function json<Value>(...args: string[]): Promise<Value> {
  const { stdout, stderr } = await workspace.run([...args, '--json']);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Value;
}

interface Logged {
  readonly commit: string;
  readonly run_id: string;
  readonly at: string;
  readonly trailers: Readonly<Record<string, string>>;
}

describe('the transcript of a failed run', () => {
  const talkers = [
    ['fw-talk', 'more system:running-config', ['s3cretPeerKey77', 'monitoringRO', 'c2FsdHNhbHRzYWx0']],
    ['fgt-talk', 'show', []],
  ] as const;

  it.each(talkers)(
    'of %s holds what was said, and neither a password nor a secret of the configuration',
    async (name, command, secrets) => {
      const dir = join(workspace.state, 'transcripts', name);
      const old = join(dir, '20200101T000000Z-00000000.txt');
      mkdirSync(dir, { recursive: true });
      writeFileSync(old, 'longer ago than any retention\n');
      utimesSync(old, 1_577_836_800, 1_577_836_800);
      device(name).setFaults({ dropLast: { command, lines: 1 } });
      const line = await backup(name);
      expect(line.error?.code).toBe('verify.incomplete');

      expect(readdirSync(dir)).toEqual([`${line.run_id}.txt`]);
      const kept = readFileSync(join(dir, `${line.run_id}.txt`), 'latin1');
      const shown = await workspace.run(['show', name, '--transcript']);
      const document = await json<{ run_id: string; transcript: string }>(
        ...['show', name, line.run_id, '--transcript'],
      );
      expect(Object.keys(document)).toEqual(['device', 'run_id', 'transcript']);
      expect(document.run_id).toBe(line.run_id);

      const made = [...device(name).persona.madeUpSecrets];
      expect(
        device(name)
          .displayed.map(({ text }) => text)
          .join(''),
      ).toContain([...secrets, ...made][0] as string);
      for (const text of [kept, shown.stdout, document.transcript]) {
        expect(text).toContain(`> ${command}`);
        expect(text).toContain(name === 'fw-talk' ? 'GigabitEthernet1/1' : 'config firewall policy');
        for (const secret of [password, enable, ...secrets, ...made]) expect(text).not.toContain(secret);
      }
    },
    60_000,
  );

  it('that nobody kept names the setting', async () => {
    const { code, stderr } = await workspace.run(['show', 'fw-old', '--transcript']);
    expect(code).toBe(1);
    expect(stderr).toContain('retention');
  });
});

describe('an older version', () => {
  const runs: BackupLine[] = [];
  const told: string[] = [];
  let versions: readonly Logged[];

  beforeAll(async () => {
    const changed = asaConfig.replace('host 198.51.100.80', 'host 198.51.100.99');
    for (const config of [asaConfig, changed, changed, changed]) {
      device('fw-old').change(config);
      runs.push(await backup('fw-old'));
      const displayed = device('fw-old').displayed.filter(({ command }) => command.startsWith('more '));
      // At first contact a device is read twice.
      const of = runs.length === 1 ? displayed[0] : displayed.at(-1);
      told.push(of?.text.trimEnd() ?? '');
    }
    versions = await json('log', 'fw-old');
  }, 60_000);

  const restored = (...revision: string[]): Promise<Said> =>
    workspace.run(['restore', 'fw-old', ...revision, '--identity', workspace.identity]);

  it('is one for each change', () => {
    expect(runs.map(({ outcome }) => outcome)).toEqual(['changed', 'changed', 'unchanged', 'unchanged']);
    expect(versions.map(({ run_id }) => run_id)).toEqual([runs[1]?.run_id, runs[0]?.run_id]);
    // Each display has a time of its own in it: no two readings are the same bytes.
    expect(new Set(told).size).toBe(4);
  });

  it('is restored by the beginning of its commit, its run, and an instant', async () => {
    const [, first] = versions;
    for (const revision of [first?.commit.slice(0, 10), first?.run_id, first?.at]) {
      const { code, stdout, stderr } = await restored(revision ?? '');
      expect({ code, text: stdout.trimEnd() }, `${revision}: ${stderr}`).toEqual({ code: 0, text: told[0] });
    }
    const wide = await restored((first?.run_id ?? '').slice(0, -2));
    expect(wide.stdout.trimEnd(), wide.stderr).toBe(told[0]);
  });

  it('of an unchanged run is the bytes of that very run while they are kept', async () => {
    const newest = runs[3]?.run_id ?? '';
    for (const revision of [newest, newest.slice(0, -2)]) {
      const { stdout, stderr } = await restored(revision);
      expect(stdout.trimEnd(), stderr).toBe(told[3]);
      expect(stderr).toContain(`read by run ${newest}`);
    }
    expect((await restored()).stdout.trimEnd()).toBe(told[3]);
  });

  it('of an unchanged run whose copy gave way is that of the change before it, and says so', async () => {
    const { stdout, stderr } = await restored(runs[2]?.run_id ?? '');
    expect(stdout.trimEnd(), stderr).toBe(told[1]);
    expect(stderr).toContain(`read by run ${runs[1]?.run_id}`);
    expect(stderr).toContain(`run ${runs[2]?.run_id} found the masked text unchanged`);
  });

  it('is restored where nobody is sealed for any more', async () => {
    const settings = readFileSync(workspace.config, 'utf8');
    writeFileSync(workspace.config, settings.replace(/recipients:\n\s*- age1\w+\n/, 'recipients: []\n'));
    try {
      const { code, stdout, stderr } = await restored(runs[1]?.run_id ?? '');
      expect({ code, text: stdout.trimEnd() }, stderr).toEqual({ code: 0, text: told[1] });
    } finally {
      writeFileSync(workspace.config, settings);
    }
  });

  it('has in show, log and diff every field that is promised', async () => {
    const [second, first] = versions;
    expect(Object.keys(first ?? {})).toEqual([
      'device',
      'artefact',
      'commit',
      'run_id',
      'at',
      'path',
      'subject',
      'trailers',
    ]);
    expect(first?.trailers).toMatchObject({ Device: 'fw-old', 'Run-Id': runs[0]?.run_id, Restorable: 'yes' });
    const document = await json<Record<string, unknown>>('show', 'fw-old', second?.commit.slice(0, 8) ?? '');
    const { text, ...about } = document;
    expect(about).toEqual({
      device: 'fw-old',
      artefact: 'running-config',
      commit: second?.commit,
      run_id: second?.run_id,
      at: second?.at,
      path: 'default/fw-old/running-config.cfg',
      held: false,
    });
    expect(text).toBe(await workspace.git('show', `${second?.commit}:default/fw-old/running-config.cfg`));
    expect(await json('diff', 'fw-old', second?.run_id ?? '')).toEqual({
      device: 'fw-old',
      artefact: 'running-config',
      from: { commit: first?.commit, run_id: first?.run_id, at: first?.at, held: false },
      to: { commit: second?.commit, run_id: second?.run_id, at: second?.at, held: false },
      added: 1,
      removed: 1,
      note: null,
      hunks: [
        {
          ...{ from_line: expect.any(Number), from_lines: expect.any(Number) },
          ...{ to_line: expect.any(Number), to_lines: expect.any(Number) },
          sections: ['object network web'],
          lines: expect.arrayContaining([
            { kind: 'removed', text: ' host 198.51.100.80' },
            { kind: 'added', text: ' host 198.51.100.99' },
          ]),
        },
      ],
    });
  });
});

describe('a device that lost half of its lines', () => {
  const half = asaConfig.replace(/^(interface|object|access-list|tunnel-group|snmp| )[^\n]*\n/gm, '');
  let held: BackupLine[];

  beforeAll(async () => {
    expect((await backup('fw-held')).outcome).toBe('changed');
    device('fw-held').change(half);
    held = [await backup('fw-held'), await backup('fw-held'), await backup('fw-held')];
  }, 60_000);

  it('is held, and status, diff and show say so', async () => {
    expect(held.map(({ outcome }) => outcome)).toEqual(['quarantined', 'quarantined', 'quarantined']);
    const status = await workspace.run(['status', 'fw-held', '--json']);
    expect(status.code).toBe(3);
    expect(JSON.parse(status.stdout)).toMatchObject([
      { device: 'fw-held', state: 'quarantined', consecutive_failures: 3, error: { code: 'verify.shrunk' } },
    ]);
    const run = held[0]?.run_id ?? '';
    const diff = await workspace.run(['diff', 'fw-held', run]);
    expect(diff.stdout).toContain(`held run ${run}`);
    expect(diff.stdout).toContain('-tunnel-group 203.0.113.7 type ipsec-l2l');
    expect(await json('show', 'fw-held', run)).toMatchObject({
      ...{ commit: null, path: null, held: true, run_id: run },
    });
  });

  it('is good again once a person accepts the run that was shown to them', async () => {
    // The first of three that read the same.
    const run = held[0]?.run_id ?? '';
    const asked = await workspace.run(['accept', 'fw-held', run]);
    expect(asked.code).toBe(2);
    expect(asked.stdout).toContain('-tunnel-group 203.0.113.7 type ipsec-l2l');
    expect(asked.stdout).toMatch(/fw-held, read \S+Z: \S+/);
    const accepted = await workspace.run(['accept', 'fw-held', run, '--yes']);
    expect(accepted.code, accepted.stderr).toBe(0);

    expect((await workspace.run(['status', 'fw-held'])).code).toBe(0);
    const trailers = await workspace.git('log', '-1', '--format=%(trailers:key=Run-Id,valueonly)', 'main');
    expect(trailers.trim()).toBe(run);
    expect(await json('accept', 'fw-held', run, '--yes').catch(String)).toContain(
      'nothing of fw-held is held',
    );

    const next = await backup('fw-held');
    expect(next.outcome).toBe('unchanged');
    expect(next.commit).toBe((await workspace.git('rev-parse', 'main')).trim());
  });
});

describe.each(Object.entries(hostile))('what %s puts into its configuration', (name, words) => {
  let held = '';

  beforeAll(async () => {
    const object = `object network ${words}\n host 198.51.100.70\n`;
    const filler = Array.from({ length: 12 }, (_, nth) => ` description ${words}${nth}\n`).join('');
    const evil = asaConfig
      .replace('object network web\n', `${object}object network web\n`)
      .replace(' nameif inside\n', ` nameif inside\n${filler}`);
    expect((await backup(name)).outcome).toBe('changed');
    device(name).change(evil);
    expect((await backup(name)).outcome).toBe('changed');
    device(name).change(asaConfig.replace(/^(interface|object|access-list|tunnel| )[^\n]*\n/gm, ''));
    const line = await backup(name);
    expect(line.outcome).toBe('quarantined');
    held = line.run_id;
    // What status says of the last attempt is in the words of the device.
    const answer = `show version\n       ^\nERROR: % Invalid input ${words} marker.\n`;
    // Every command: of the others it may refuse each.
    device(name).setFaults({ replace: { command: '', with: answer } });
    expect((await backup(name)).error?.code).toBe('collect.command-refused');
  }, 60_000);

  it('is stored as it is', async () => {
    const stored = await workspace.git('show', `main:default/${name}/running-config.cfg`);
    expect(stored).toContain(`object network ${words}\n`);
  });

  it('never reaches standard output or standard error raw', async () => {
    const calls = [
      ['show', name],
      ['log', name],
      ['diff', name],
      ['diff', name, held],
      ['accept', name, held],
      ['status', name],
      ['runs', name],
    ];
    for (const argv of calls) {
      for (const form of argv[0] === 'accept' ? [argv] : [argv, [...argv, '--json']]) {
        const { stdout, stderr } = await workspace.run(form);
        expect(stdout, form.join(' ')).not.toBe('');
        for (const bytes of [stdout, stderr]) {
          const text = Buffer.from(bytes, 'latin1').toString();
          expect(text, form.join(' ')).not.toMatch(raw);
          expect(text).not.toContain('\ufffd');
        }
      }
    }
    const { stdout } = await workspace.run(['show', name]);
    expect(stdout).toContain(name === 'fw-utf8' ? 'c\\x07\\x9bd\\u{202e}e' : 'c\\x07\\x9bd');
    // JSON gives the very text back.
    const { text } = await json<{ text: string }>('show', name);
    expect(text).toContain(Buffer.from(words, 'latin1').toString(name === 'fw-utf8' ? 'utf8' : 'latin1'));
    expect((await workspace.run(['status', name])).stdout).toContain('a\\x1b[2J');
  }, 60_000);
});
