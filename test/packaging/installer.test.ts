import { execFile, execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeWith } from '../support/system.ts';
import { checkout, distributionIn, fakeNpm, secretFiles, treeOf } from './tree.ts';

const script = 'config/systemd/install.sh';
let root: string;
let source: string;
let tools: string;
let calls: string;
let dest: string;

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'roundsman-install-')));
  source = distributionIn(join(root, 'source'));
  tools = join(root, 'tools');
  calls = fakeNpm(tools);
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

beforeEach(() => {
  dest = mkdtempSync(join(root, 'dest-'));
});

afterEach(() => {
  rmSync(calls, { force: true });
});

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function install(
  args: readonly string[],
  env: Record<string, string> = {},
  file = join(source, script),
): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      'sh',
      [file, ...args],
      { env: { PATH: `${tools}:/usr/bin:/bin`, DESTDIR: dest, ...env } },
      (error, stdout, stderr) => resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

const at = (path: string): string => join(dest, path);

describe('the installer', () => {
  it('puts program, command, unit and examples in their places, and the program runs', async () => {
    const ended = await install([]);
    expect(ended).toEqual({ status: 0, stdout: '', stderr: '' });
    const version = (JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string })
      .version;
    const wrapper = readFileSync(at('usr/local/bin/roundsman'), 'utf8');
    // The wrapper names the place where it will be, not where DESTDIR is.
    const here = join(root, 'wrapper');
    writeFileSync(here, wrapper.replace(' /opt/', ` ${dest}/opt/`));
    expect(execFileSync('sh', [here, '--version'], { encoding: 'utf8', env: {} }).trim()).toBe(version);
    expect(wrapper).not.toContain(dest);
    for (const file of [
      'opt/roundsman/src/ledger/migrations',
      'opt/roundsman/config/systemd/install.sh',
      'opt/roundsman/docs/architecture.md',
      'usr/local/lib/systemd/system/roundsman.service',
      'usr/local/lib/systemd/system/roundsman-verify.service',
      'usr/local/lib/systemd/system/roundsman-verify.timer',
      'usr/local/lib/sysusers.d/roundsman.conf',
      'usr/local/lib/tmpfiles.d/roundsman.conf',
      'etc/roundsman/roundsman.example.yaml',
      'etc/roundsman/devices.example.yaml',
    ])
      expect(existsSync(at(file)), file).toBe(true);
  });

  it('fetches exactly what the lock file says, without development, optional code and install scripts', async () => {
    await install([]);
    expect(readFileSync(calls, 'utf8')).toBe(
      'ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund\n',
    );
  });

  it('installs an unpacked npm package too, which holds no sources and no lock file', async () => {
    const unpacked = distributionIn(join(root, 'package'));
    execFileSync('mv', [join(unpacked, 'src'), join(unpacked, 'dist')]);
    rmSync(join(unpacked, 'package-lock.json'));
    const ended = await install([], {}, join(unpacked, script));
    expect(ended.stderr).toBe('');
    expect(existsSync(at('opt/roundsman/dist/main.ts'))).toBe(true);
    expect(readFileSync(calls, 'utf8')).toMatch(/^install --no-package-lock --omit=dev/);
  });

  it('takes no key and no settings out of a checkout', async () => {
    await install([]);
    for (const file of secretFiles) expect(existsSync(at(`opt/roundsman/${file}`)), file).toBe(false);
    expect(
      execFileSync('sh', ['-c', `grep -rl canary '${dest}' --exclude-dir=node_modules || true`], {
        encoding: 'utf8',
      }),
    ).toBe('');
  });

  it('makes the program readable for everybody, also from a checkout that is not', async () => {
    const closed = distributionIn(join(root, 'closed'));
    execFileSync('chmod', ['-R', 'go=', closed]);
    await install([], {}, join(closed, script));
    expect(statSync(at('opt/roundsman')).mode & 0o777).toBe(0o755);
    expect(statSync(at('opt/roundsman/bin/roundsman.js')).mode & 0o777).toBe(0o755);
    expect(statSync(at('opt/roundsman/src/main.ts')).mode & 0o777).toBe(0o644);
    expect(statSync(at('etc/roundsman')).mode & 0o777).toBe(0o750);
  });

  it('run again leaves the same tree, and a configuration as it is', async () => {
    await install([]);
    const once = treeOf(dest);
    expect(once.length).toBeGreaterThan(100);
    await install([]);
    expect(treeOf(dest)).toEqual(once);
    writeFileSync(at('etc/roundsman/devices.example.yaml'), 'mine\n');
    writeFileSync(at('etc/roundsman/roundsman.yaml'), 'mine too\n');
    await install([]);
    expect(readFileSync(at('etc/roundsman/devices.example.yaml'), 'utf8')).toBe('mine\n');
    expect(readFileSync(at('etc/roundsman/roundsman.yaml'), 'utf8')).toBe('mine too\n');
  });

  it('an upgrade leaves no file of the version before, nor of an installation that was cut short', async () => {
    await install([]);
    writeFileSync(at('opt/roundsman/src/before.ts'), '');
    for (const half of ['opt/roundsman.new/src', 'opt/roundsman.old/src']) {
      mkdirSync(at(half), { recursive: true });
      writeFileSync(at(`${half}/half.ts`), '');
    }
    await install([]);
    expect(readdirSync(at('opt'))).toEqual(['roundsman']);
    expect(existsSync(at('opt/roundsman/src/before.ts'))).toBe(false);
    expect(existsSync(at('opt/roundsman/src/half.ts'))).toBe(false);
  });

  it('a failing npm leaves the installed version as it was', async () => {
    await install([]);
    const before = treeOf(at('opt/roundsman'));
    const broken = join(root, 'broken');
    fakeNpm(broken);
    writeFileSync(join(broken, 'npm'), '#!/bin/sh\nexit 7\n');
    const ended = await install([], { PATH: `${broken}:/usr/bin:/bin` });
    expect(ended.status).not.toBe(0);
    expect(treeOf(at('opt/roundsman'))).toEqual(before);
  });

  it('uninstall leaves configuration and state, purge removes them', async () => {
    await install([]);
    mkdirSync(at('var/lib/roundsman/configs.git'), { recursive: true });
    writeFileSync(at('etc/roundsman/roundsman.yaml'), '');
    // By the installed copy, which removes itself on the way.
    const own = at(`opt/roundsman/${script}`);
    expect(await install(['--uninstall'], {}, own)).toEqual({ status: 0, stdout: '', stderr: '' });
    const left = treeOf(dest).filter((line) => !line.includes('/ '));
    expect(left.map((line) => line.split(' ')[0])).toEqual([
      'etc/roundsman/devices.example.yaml',
      'etc/roundsman/roundsman.example.yaml',
      'etc/roundsman/roundsman.yaml',
    ]);
    expect(existsSync(at('var/lib/roundsman/configs.git'))).toBe(true);

    expect((await install(['--uninstall', '--purge'])).status).toBe(0);
    expect(existsSync(at('etc/roundsman'))).toBe(false);
    expect(existsSync(at('var/lib/roundsman'))).toBe(false);
    // Nothing is left to remove, and that is no failure.
    expect((await install(['--uninstall', '--purge'])).status).toBe(0);
  });

  it('--prefix /usr moves command and unit together', async () => {
    await install(['--prefix', '/usr']);
    expect(existsSync(at('usr/bin/roundsman'))).toBe(true);
    expect(readFileSync(at('usr/lib/systemd/system/roundsman.service'), 'utf8')).toContain(
      'ExecStart=/usr/bin/roundsman daemon',
    );
    expect(readFileSync(at('usr/lib/systemd/system/roundsman-verify.service'), 'utf8')).toContain(
      'ExecStart=/usr/bin/roundsman verify',
    );
    expect(existsSync(at('usr/local'))).toBe(false);
  });

  it.each([
    { args: ['--prefix', '/home/me'], status: 2, says: 'systemd looks for no unit there' },
    { args: ['--prefix'], status: 2, says: 'needs a value' },
    { args: ['--purge'], status: 2, says: 'without --uninstall' },
    { args: ['--force'], status: 2, says: 'unknown argument' },
    { args: [], env: { DESTDIR: 'relative' }, status: 2, says: 'not an absolute path' },
    { args: ['--node', '/nonexistent/node'], status: 1, says: 'no Node was found at /nonexistent/node' },
  ])('refuses $args $env and touches nothing', async ({ args, env, status, says }) => {
    const ended = await install(args, env);
    expect(ended.status).toBe(status);
    expect(ended.stderr).toContain(says);
    expect(ended.stderr).toContain('→');
    expect(treeOf(dest)).toEqual([]);
  });

  it('refuses a Node that is too old', async () => {
    const old = join(root, 'old-node');
    writeFileSync(old, '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const ended = await install(['--node', old]);
    expect(ended.stderr).toContain('older than Node 24.15');
    expect(treeOf(dest)).toEqual([]);
  });
});

if (process.env.ROUNDSMAN_REQUIRE_ALL !== undefined) {
  describe('the installer with the real npm', () => {
    it('installs a program that runs on its own libraries', { timeout: 180_000 }, async () => {
      const ended = await install(['--node', process.execPath], {
        PATH: process.env.PATH ?? '',
        HOME: process.env.HOME ?? root,
        npm_config_prefer_offline: 'true',
      });
      expect(ended.status, ended.stderr).toBe(0);
      const program = at('opt/roundsman/bin/roundsman.js');
      expect(execFileSync(process.execPath, [program, '--help'], { encoding: 'utf8' })).toContain(
        'Usage: roundsman',
      );
      expect(existsSync(at('opt/roundsman/node_modules/vitest'))).toBe(false);
    });
  });
}

describeWith('shellcheck', 'the shell scripts', (shellcheck) => {
  it('give shellcheck nothing to say', () => {
    expect(execFileSync(shellcheck, ['--shell=sh', join(checkout, script)], { encoding: 'utf8' })).toBe('');
  });
});
