import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distributionIn, secretFiles } from './tree.ts';

describe('the npm package', () => {
  let dir: string;
  let packed: readonly string[];

  beforeAll(() => {
    dir = distributionIn(mkdtempSync(join(tmpdir(), 'roundsman-pack-')));
    const said = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: dir,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [first] = JSON.parse(said) as { files: { path: string }[] }[];
    packed = (first?.files ?? []).map(({ path }) => path);
  }, 60_000);

  afterAll(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  it('holds no key, no settings and no state of the checkout that it was made in', () => {
    for (const file of secretFiles) {
      expect(existsSync(join(dir, file)), file).toBe(true);
      expect(packed).not.toContain(file);
    }
    expect(packed.filter((path) => path.startsWith('config/state'))).toEqual([]);
  });

  it('holds what the installer needs', () => {
    for (const file of [
      'bin/roundsman.js',
      'config/systemd/install.sh',
      'config/systemd/roundsman.service',
      'config/systemd/roundsman.sysusers.conf',
      'config/systemd/roundsman.tmpfiles.conf',
      'config/roundsman.example.yaml',
      'devices.example.yaml',
      'docs/operations.md',
    ])
      expect(packed).toContain(file);
  });
});
