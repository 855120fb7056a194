import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { describeWith } from '../support/system.ts';
import { credentialsYaml, deviceYaml, Workspace } from '../support/workspace.ts';
import { checkout } from './tree.ts';

const page = readFileSync(join(checkout, 'docs/operations.md'), 'utf8');

describe('docs/operations.md', () => {
  it('names only commands that exist', () => {
    const help = execFileSync(process.execPath, [join(checkout, 'bin/roundsman.js'), '--help'], {
      encoding: 'utf8',
    });
    const existing = new Set([...help.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]));
    const named = new Set(
      [...page.matchAll(/(?<!-u |\* |\/)\broundsman (?!roundsman)([a-z]+)\b/g)].map(
        (match) => match[1] ?? '',
      ),
    );
    expect(named.size).toBeGreaterThan(5);
    for (const name of named) expect(existing, name).toContain(name);
  });

  it('links to pages that exist', () => {
    for (const [, link = ''] of page.matchAll(/\]\(([^)#]+)/g))
      if (!link.startsWith('http'))
        expect(() => readFileSync(join(checkout, 'docs', link)), link).not.toThrow();
  });
});

/** The recipes of the page, on a real history. */
describe('a history of two versions', () => {
  let device: FakeDevice;
  let workspace: Workspace;
  const passwords = { TEST_PASSWORD: 'pw', TEST_ENABLE: 'pw' };
  const leaked = asaConfig.replace('object network web', 'object network leaked-word');
  /** Made once; each test works on a copy. */
  const made = new Workspace();

  beforeAll(async () => {
    device = await startFakeDevice({
      platform: 'cisco_asa',
      hostname: 'fw-asa',
      config: asaConfig,
      facts: { serial: 'FCH19TESTAA', version: '9.16(4)19' },
      username: 'backup',
      password: 'pw',
    });
    workspace = made;
    await workspace.init();
    inventory('fw1');
    Object.assign(workspace.env, passwords);
    await backup('fw1', 'changed');
    device.change(leaked);
    await backup('fw1', 'changed');
  });

  afterAll(async () => {
    made[Symbol.dispose]();
    await device.stop();
  });

  beforeEach(() => {
    workspace = copyOf(made);
    device.change(leaked);
    return () => workspace[Symbol.dispose]();
  });

  function copyOf(from: Workspace): Workspace {
    const copy = new Workspace();
    Object.assign(copy.env, passwords);
    cpSync(from.dir, copy.dir, { recursive: true });
    return copy;
  }

  function inventory(name: string, ...more: string[]): void {
    workspace.inventory(
      `${credentialsYaml}devices:\n${deviceYaml({ name, platform: 'cisco_asa', port: device.port }, 'host_key: first-use', ...more)}`,
    );
  }

  async function backup(name: string, outcome: string): Promise<void> {
    const { lines, stderr } = await workspace.backup(name);
    expect(lines.get(name)?.outcome, stderr).toBe(outcome);
  }

  const versions = async (name: string): Promise<number> =>
    (JSON.parse((await workspace.run(['log', name, '--json'])).stdout) as unknown[]).length;

  it('survives a copy of state_dir and of the configuration to another place', async () => {
    const before = await workspace.run(['log', 'fw1', '--json']);
    using other = copyOf(workspace);
    rmSync(workspace.dir, { recursive: true });
    expect((await other.run(['log', 'fw1', '--json'])).stdout).toBe(before.stdout);
    // No mask and no pinned key was lost: nothing differs.
    const { lines, stderr } = await other.backup('fw1');
    expect(lines.get('fw1')?.outcome, stderr).toBe('unchanged');
  });

  it('goes on under another name and in another group, as one commit', async () => {
    inventory('fw1-berlin', 'formerly: [fw1]', 'group: berlin');
    await backup('fw1-berlin', 'unchanged');
    expect(await versions('fw1-berlin')).toBe(2);
    expect((await workspace.git('log', '-1', '--format=%s', 'main')).trim()).toBe(
      'fw1-berlin: renamed from fw1',
    );
    expect((await workspace.git('ls-tree', '-r', '--name-only', 'main')).trim()).toBe(
      'berlin/fw1-berlin/running-config.cfg',
    );
  });

  it('keeps what a retired device left, and reads it no more', async () => {
    const next = { name: 'fw2', platform: 'cisco_asa', port: device.port };
    const retired = deviceYaml({ ...next, name: 'fw1' }, 'retired: 2020-01-01');
    workspace.inventory(`${credentialsYaml}devices:\n${retired}${deviceYaml(next, 'host_key: first-use')}`);
    expect([...(await workspace.backup()).lines.keys()]).toEqual(['fw2']);
    expect(await versions('fw1')).toBe(2);
    expect((await workspace.run(['show', 'fw1'])).stdout).toContain('ASA Version');
    expect((await workspace.git('ls-tree', '-r', '--name-only', 'main')).trim()).toBe(
      'default/fw2/running-config.cfg',
    );
  });

  it('can be read by somebody else through a mirror, without rights on state_dir', async () => {
    const mirror = join(workspace.dir, 'mirror.git');
    execFileSync('git', ['clone', '--quiet', '--mirror', '--no-local', workspace.repository, mirror]);
    device.change(asaConfig);
    await backup('fw1', 'changed');
    execFileSync('git', ['-C', mirror, 'fetch', '--quiet', '--prune']);
    const log = execFileSync('git', ['-C', mirror, 'log', '--format=%s', 'main'], { encoding: 'utf8' });
    expect(log.trim().split('\n')).toHaveLength(3);
  });

  describeWith('git-filter-repo', 'after a word was taken out of it', () => {
    it('holds it nowhere, takes the next reading, and is found under the old names', async () => {
      const words = join(workspace.dir, 'words');
      writeFileSync(words, 'leaked-word==>REMOVED\n', { mode: 0o600 });
      const before = (await workspace.git('rev-parse', 'main')).trim();
      device.change(asaConfig);
      execFileSync(
        'git',
        [
          '-C',
          workspace.repository,
          'filter-repo',
          '--force',
          '--replace-refs',
          'update-or-add',
          '--replace-text',
          words,
        ],
        {
          stdio: 'pipe',
        },
      );

      await backup('fw1', 'changed');
      expect(await workspace.git('log', '-p', '--all')).not.toContain('leaked-word');
      const all = await workspace.git('cat-file', '--batch-all-objects', '--batch-check=%(objectname)');
      expect(all).not.toContain(before);
      await workspace.git('fsck', '--strict');
      // The old name leads to the rewritten commit.
      const shown = await workspace.run(['show', 'fw1', before.slice(0, 10)]);
      expect(shown.stdout, shown.stderr).toContain('object network REMOVED');
      // The sealed copy of that version is untouched.
      const restored = await workspace.run([
        'restore',
        'fw1',
        before.slice(0, 10),
        '--identity',
        workspace.identity,
      ]);
      expect(restored.stdout).toContain('leaked-word');
      await backup('fw1', 'unchanged');
    });
  });
});
