import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeWith } from '../support/system.ts';
import { type Ended, run } from './run.ts';
import { checkout } from './tree.ts';

const unitFile = join(checkout, 'config/systemd/roundsman.service');
const unit = readFileSync(unitFile, 'utf8');
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-unit-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** The unit, changed, with a program that exists on this machine. */
function unitIn(change: (text: string) => string = (text) => text): string {
  const file = join(dir, 'roundsman.service');
  writeFileSync(file, change(unit).replace('/usr/local/bin/roundsman', '/bin/true'));
  return file;
}

describeWith('systemd-analyze', 'the unit', (analyze) => {
  it('gives systemd nothing to complain about', async () => {
    expect(await run(analyze, 'verify', unitIn())).toEqual({ status: 0, stdout: '', stderr: '' });
    // This would be seen.
    expect(
      (
        await run(
          analyze,
          'verify',
          unitIn((text) => text.replace('WatchdogSec', 'WatchdogSecs')),
        )
      ).stderr,
    ).toContain('WatchdogSecs');
  });

  it('exposes at most 1.5', async () => {
    const score = (file: string): Promise<Ended> =>
      run(analyze, 'security', '--offline=true', '--no-pager', '--threshold=15', file);
    const ended = await score(unitIn());
    expect(ended.status, ended.stdout).toBe(0);
    expect((await score(unitIn((text) => text.replace(/^SystemCallFilter=.*$/gm, '')))).status).not.toBe(0);
  });
});

describe('the unit', () => {
  const lines = unit.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

  it.each([
    'Type=notify',
    'NotifyAccess=all',
    'WatchdogSec=120',
    'Restart=on-failure',
    'StateDirectory=roundsman',
    'StateDirectoryMode=0700',
    'RuntimeDirectory=roundsman',
    'ConfigurationDirectory=roundsman',
    'UMask=0077',
    'LimitCORE=0',
    // SIGTERM to the daemon alone: git children have to end their batch.
    'KillMode=mixed',
    'MemoryDenyWriteExecute=no',
  ])('says %s', (line) => {
    expect(lines).toContain(line);
  });

  it('does not start again what wrong settings ended, and takes an ordered end for one', () => {
    expect(lines).toContain('RestartPreventExitStatus=2');
    expect(lines).toContain('SuccessExitStatus=143');
  });

  it('names no secret and no environment file', () => {
    expect(
      lines.filter((line) => /^(Environment|EnvironmentFile|LoadCredential|SetCredential)=/.test(line)),
    ).toEqual(['Environment=MALLOC_ARENA_MAX=1']);
  });
});

const asRoot = process.getuid?.() === 0;

describeWith('systemd-tmpfiles', 'user and rights', (tmpfiles) => {
  it.skipIf(!asRoot)(
    'settings belong to root, state to the service, and the key to nobody else',
    async () => {
      const etc = join(dir, 'etc/roundsman');
      mkdirSync(etc, { recursive: true });
      for (const name of ['roundsman.yaml', 'devices.yaml', 'fingerprint.key', 'identity.txt'])
        writeFileSync(join(etc, name), '', { mode: 0o600 });
      chmodSync(dir, 0o755);
      execFileSync(
        'systemd-sysusers',
        [`--root=${dir}`, join(checkout, 'config/systemd/roundsman.sysusers.conf')],
        { stdio: 'ignore' },
      );
      const uid = Number(/^roundsman:[^:]*:(\d+):/m.exec(readFileSync(join(dir, 'etc/passwd'), 'utf8'))?.[1]);
      const gid = Number(/^roundsman:[^:]*:(\d+):/m.exec(readFileSync(join(dir, 'etc/group'), 'utf8'))?.[1]);
      expect(uid).toBeGreaterThan(0);
      expect(readFileSync(join(dir, 'etc/passwd'), 'utf8')).toContain('nologin');

      const config = join(checkout, 'config/systemd/roundsman.tmpfiles.conf');
      const create = (): Promise<Ended> => run(tmpfiles, '--create', `--root=${dir}`, config);
      expect(await create()).toEqual({ status: 0, stdout: '', stderr: '' });
      const owned = (path: string): string => {
        const { mode, uid: owner, gid: group } = statSync(join(dir, path));
        const name = (id: number): string =>
          id === 0 ? 'root' : id === uid || id === gid ? 'roundsman' : String(id);
        return `${(mode & 0o777).toString(8)} ${name(owner)} ${name(group)}`;
      };
      const rights = (): string[] =>
        [
          'etc/roundsman',
          'etc/roundsman/roundsman.yaml',
          'etc/roundsman/devices.yaml',
          'etc/roundsman/fingerprint.key',
          'etc/roundsman/identity.txt',
          'etc/roundsman/credentials',
          'var/lib/roundsman',
        ].map((path) => `${path} ${owned(path)}`);
      const expected = [
        'etc/roundsman 750 root roundsman',
        'etc/roundsman/roundsman.yaml 640 root roundsman',
        'etc/roundsman/devices.yaml 640 root roundsman',
        'etc/roundsman/fingerprint.key 400 roundsman roundsman',
        // The service has no business with it.
        'etc/roundsman/identity.txt 600 root root',
        'etc/roundsman/credentials 700 root root',
        'var/lib/roundsman 700 roundsman roundsman',
      ];
      expect(rights()).toEqual(expected);
      expect(await create()).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(rights()).toEqual(expected);
    },
  );
});
