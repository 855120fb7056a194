import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, type Said, Workspace } from '../support/workspace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));

interface Told {
  readonly clean: boolean;
  readonly commits: number;
  readonly findings: readonly { kind: string; where: string; since: string | null; todo: string }[];
  readonly accepted: readonly { by: string; because: string; findings: number }[];
  readonly accepted_now: number;
  readonly chain: { readonly length: number; readonly head: string };
}

describe('roundsman verify', () => {
  let device: FakeDevice;
  let workspace: Workspace;
  const leaked = asaConfig.replace('object network web', 'object network leaked-word');

  /** Made once; each test works on a copy. */
  const made = new Workspace();

  beforeAll(async () => {
    device = await startFakeDevice({
      ...{ platform: 'cisco_asa', hostname: 'fw-asa', config: asaConfig },
      ...{ username: 'backup', password: 'pw' },
    });
    await made.init();
    Object.assign(made.env, { TEST_PASSWORD: 'pw', TEST_ENABLE: 'pw' });
    const fw1 = { name: 'fw1', platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint };
    made.inventory(`${credentialsYaml}devices:\n${deviceYaml(fw1)}`);
    for (const config of [asaConfig, leaked]) {
      device.change(config);
      expect((await made.backup()).lines.get('fw1')?.outcome).toBe('changed');
    }
  }, 60_000);
  afterAll(async () => {
    made[Symbol.dispose]();
    await device.stop();
  });

  beforeEach(() => {
    workspace = new Workspace();
    Object.assign(workspace.env, made.env);
    cpSync(made.dir, workspace.dir, { recursive: true });
    chmodSync(workspace.state, 0o700);
    return () => workspace[Symbol.dispose]();
  });

  async function told(...args: string[]): Promise<{ code: number | null; said: Told; stderr: string }> {
    const { code, stdout, stderr } = await workspace.run(['verify', '--json', ...args]);
    return { code, said: JSON.parse(stdout) as Told, stderr };
  }

  function edit(sql: string): void {
    const database = new DatabaseSync(join(workspace.state, 'ledger.db'));
    database.exec(sql);
    database.close();
  }

  it('is clean after backups, and says so with exit code 0', async () => {
    const { code, stdout, stderr } = await workspace.run(['verify']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('history      2 commits');
    expect(stdout).toContain('clean: everything is as it was recorded');
    expect(await told()).toMatchObject({ code: 0, said: { clean: true, commits: 2, findings: [] } });
  });

  it('ends with 1 and names the record that was changed, for people and for scripts', async () => {
    edit(`UPDATE chain SET record = replace(record, '"changed"', '"failed"') WHERE n = 2`);
    const { code, stdout, stderr } = await workspace.run(['verify']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^chain\.changed: record 2, 2.+Z or later$/m);
    expect(stderr).toMatch(/^verify failed: \d+ findings?$/m);
    const json = await told();
    expect(json.code).toBe(1);
    expect(json.said.findings).toContainEqual(
      expect.objectContaining({ kind: 'chain.changed', where: 'record 2', todo: expect.any(String) }),
    );
  });

  it('takes a record of the chain that was told elsewhere', async () => {
    const { length, head } = (await told()).said.chain;
    expect((await told('--anchor', `${length}:${head}`)).code).toBe(0);
    const wrong = await told('--anchor', `${length}:${'0'.repeat(64)}`);
    expect([wrong.code, wrong.said.findings.map(({ kind }) => kind)]).toEqual([1, ['anchor.lost']]);
    expect((await workspace.run(['verify', '--anchor', '7'])).code).toBe(2);
  });

  it('a damaged ledger stops a backup with what to do; moved aside, it is rebuilt, which is red until accepted', {
    timeout: 120_000,
  }, async () => {
    const file = join(workspace.state, 'ledger.db');
    const bytes = readFileSync(file);
    // Everything but the first page, which says that it is a database and what is in it.
    for (let at = 4096 * 2; at < bytes.length; at += 4096) bytes.fill(0xff, at, at + 64);
    writeFileSync(file, bytes);
    const refused = await workspace.run(['backup']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`${file} is damaged`);
    expect(refused.stderr).toContain('A ledger that is damaged');
    const red = await workspace.run(['verify']);
    expect([red.code, red.stdout + red.stderr]).toEqual([1, expect.stringContaining('ledger.db')]);

    for (const name of readdirSync(workspace.state))
      if (name.startsWith('ledger.db')) rmSync(join(workspace.state, name));
    expect((await workspace.backup()).lines.get('fw1')?.outcome).toBe('unchanged');
    expect(JSON.parse((await workspace.run(['log', 'fw1', '--json'])).stdout)).toHaveLength(2);
    const anew = await told();
    expect([...new Set(anew.said.findings.map(({ kind }) => kind))].sort()).toEqual([
      'anchor.lost',
      'chain.rebuilt',
    ]);
    expect((await told('--accept-break', 'the disk died', '--yes')).code).toBe(0);
    expect((await told()).code).toBe(0);
  });

  it('a write-ahead log that lost its end is seen by the commits', { timeout: 60_000 }, async () => {
    const file = join(workspace.state, 'ledger.db');
    const older = readFileSync(file);
    device.change(asaConfig);
    expect((await workspace.backup()).lines.get('fw1')?.outcome).toBe('changed');
    // As the file was before that log went into it.
    for (const name of ['ledger.db-wal', 'ledger.db-shm'])
      rmSync(join(workspace.state, name), { force: true });
    writeFileSync(file, older);
    const red = await told();
    expect(red.said.findings.map(({ kind }) => kind)).toContain('commit.unknown');
    device.change(asaConfig);
    expect((await workspace.backup()).lines.get('fw1')?.outcome).toBe('unchanged');
    // Rebuilt, and never in silence.
    expect((await told()).said.findings.map(({ kind }) => kind)).toContain('chain.rebuilt');
  });

  it('refuses a state that is not there: nothing would be found', async () => {
    rmSync(workspace.repository, { recursive: true });
    const { code, stderr } = await workspace.run(['verify']);
    expect(code).toBe(1);
    expect(stderr).toContain('there is no configs.git');
  });

  describeWith('git-filter-repo', 'after a history that was rewritten on purpose', () => {
    const slow = { timeout: 120_000 };
    it('is red, takes that one break with its reason, stays clean, and sees the next one', slow, async () => {
      const words = join(workspace.dir, 'words');
      writeFileSync(words, 'leaked-word==>REMOVED\n', { mode: 0o600 });
      const rewrite = ['filter-repo', '--force', '--replace-refs', 'update-or-add', '--replace-text', words];
      execFileSync('git', ['-C', workspace.repository, ...rewrite], { stdio: 'pipe' });

      const red = await told();
      expect(red.code).toBe(1);
      expect(new Set(red.said.findings.map(({ kind }) => kind))).toEqual(
        new Set(['commit.gone', 'commit.unknown', 'git.went-back']),
      );
      const asked = await workspace.run(['verify', '--accept-break', 'ticket 815']);
      expect([asked.code, asked.stderr]).toEqual([2, expect.stringContaining('--yes')]);

      const accepted = await told('--accept-break', 'ticket 815', '--yes');
      expect(accepted).toMatchObject({ code: 0, said: { accepted_now: red.said.findings.length } });
      const after = await told();
      expect(after).toMatchObject({
        code: 0,
        said: { clean: true, accepted: [{ because: 'ticket 815', findings: red.said.findings.length }] },
      });

      device.change(asaConfig);
      expect((await workspace.backup()).lines.get('fw1')?.outcome).toBe('changed');
      const later = await workspace.run(['verify']);
      expect(later.code, later.stdout).toBe(0);
      expect(later.stdout).toContain('ticket 815');

      await workspace.git('update-ref', 'refs/heads/main', 'main~1');
      const next = await told();
      expect(next.code).toBe(1);
      expect(next.said.findings.map(({ kind }) => kind)).toContain('commit.gone');
    });
  });

  it('works beside a daemon, which must be stopped before a break is accepted', {
    timeout: 60_000,
  }, async () => {
    const daemon = await startDaemon(workspace);
    try {
      const before = readdirSync(workspace.state).sort();
      expect((await told()).code).toBe(0);
      expect(readdirSync(workspace.state).sort()).toEqual(before);
      rmSync(sealedFileOf(workspace));
      const red = await told();
      expect(red.said.findings.map(({ kind }) => kind)).toEqual(['sealed.gone']);
      const { code, stderr } = await workspace.run(['verify', '--accept-break', 'a bad sector', '--yes']);
      expect(code).toBe(1);
      expect(stderr).toContain('is in use by roundsman.js daemon');
    } finally {
      await stop(daemon);
    }
    expect((await told('--accept-break', 'a bad sector', '--yes')).code).toBe(0);
    expect((await told()).code).toBe(0);
  });

  describeWith('setpriv', 'as another user, who may read everything and write nothing', (setpriv) => {
    // As roundsman-verify.service does it.
    const rights = [
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      '--securebits',
      '+no_setuid_fixup',
    ];
    const capability = '-all,+dac_read_search';
    const as = (): Promise<Said> =>
      new Promise((resolve) => {
        const args = [
          ...[...rights, '--inh-caps', capability, '--ambient-caps', '+dac_read_search'],
          ...['--bounding-set', capability, '--no-new-privs'],
          ...[process.execPath, program, 'verify', '--config', workspace.config],
        ];
        const env = { PATH: process.env.PATH ?? '', HOME: '/' };
        execFile(setpriv, args, { cwd: '/', env }, (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
        );
      });

    const root = it.runIf(process.getuid?.() === 0);

    root('it works beside a daemon and without one, and leaves no trace', { timeout: 60_000 }, async () => {
      expect(statSync(workspace.state).mode & 0o777).toBe(0o700);
      const files = () => readdirSync(workspace.state, { recursive: true }).sort();
      const before = files();
      expect(await as()).toMatchObject({ code: 0, stderr: '' });
      expect(files()).toEqual(before);
      const daemon = await startDaemon(workspace);
      try {
        expect(await as()).toMatchObject({ code: 0, stderr: '' });
        rmSync(sealedFileOf(workspace));
        const red = await as();
        expect(red.code).toBe(1);
        expect(red.stdout).toContain('sealed.gone: ');
        expect(red.stderr).toContain('verify failed: 1 finding');
      } finally {
        await stop(daemon);
      }
    });
  });
});

function sealedFileOf({ state }: Workspace): string {
  const [file = ''] = readdirSync(join(state, 'artefacts'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.age'))
    .sort();
  return join(state, 'artefacts', file);
}

async function startDaemon(workspace: Workspace): Promise<ChildProcess> {
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const config = readFileSync(workspace.config, 'utf8');
  writeFileSync(workspace.config, config.replace(/^#?\s*http:.*$/m, `http: { listen: 127.0.0.1:${port} }`));
  const daemon = spawn(process.execPath, [program, 'daemon'], {
    cwd: workspace.dir,
    env: {
      PATH: process.env.PATH ?? '',
      HOME: '/root',
      ROUNDSMAN_CONFIG: workspace.config,
      ...workspace.env,
    },
    stdio: 'ignore',
  });
  for (let tries = 0; tries < 400 && !existsSync(join(workspace.state, 'control.sock')); tries++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return daemon;
}

function stop(daemon: ChildProcess): Promise<unknown> {
  const ended = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  return ended;
}
