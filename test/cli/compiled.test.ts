import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const checkout = fileURLToPath(new URL('../..', import.meta.url));
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-compiled-'));
  cpSync(join(checkout, 'bin'), join(dir, 'bin'), { recursive: true });
  cpSync(join(checkout, 'package.json'), join(dir, 'package.json'));
  symlinkSync(join(checkout, 'src'), join(dir, 'src'));
  mkdirSync(join(dir, 'node_modules'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function version(): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { PATH = '' } = process.env;
  return spawnSync(process.execPath, [join(dir, 'bin/roundsman.js'), '--version'], {
    env: { PATH },
    encoding: 'utf8',
  });
}

describe('what was compiled before', () => {
  it('lies beside the program', () => {
    expect(version().status).toBe(0);
    const [kept = ''] = readdirSync(join(dir, 'node_modules/.cache/roundsman'));
    expect(readdirSync(join(dir, 'node_modules/.cache/roundsman', kept)).length).toBeGreaterThan(10);
    expect(version().stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('is done without, and nothing is said, where it cannot lie there', () => {
    writeFileSync(join(dir, 'node_modules/.cache'), 'in the way');
    expect(version()).toMatchObject({ status: 0, stderr: '' });
  });

  it('is compiled anew where it is damaged', () => {
    version();
    execFileSync('find', [
      ...[join(dir, 'node_modules/.cache'), '-type', 'f'],
      ...['-exec', 'sh', '-c', 'echo damaged > "$1"', 'sh', '{}', ';'],
    ]);
    expect(version()).toMatchObject({ status: 0, stderr: '' });
  });
});
