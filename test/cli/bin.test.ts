import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';

const script = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));

/** A Node of this system that is too old for Roundsman; null where there is none. */
function oldNode(): string | null {
  for (const path of ['/usr/bin/node', '/usr/local/bin/node'])
    if (existsSync(path)) {
      const [major = 0] = execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' })
        .split('.')
        .map(Number);
      if (major >= 14 && major < 24) return path;
    }
  return null;
}

const old = oldNode();
const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** A checkout or package in which `main` is the program. */
function layout(main: 'src/main.ts' | 'dist/main.js', body: string, ownNode: boolean): string {
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-bin-'));
  dirs.push(dir);
  mkdirSync(join(dir, 'bin'));
  cpSync(script, join(dir, 'bin/roundsman.js'));
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  mkdirSync(join(dir, main, '..'));
  writeFileSync(join(dir, main), body);
  if (ownNode) {
    mkdirSync(join(dir, 'node_modules/node/bin'), { recursive: true });
    symlinkSync(process.execPath, join(dir, 'node_modules/node/bin/node'));
  }
  return join(dir, 'bin/roundsman.js');
}

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(node: string, argv: readonly string[], onOutput?: (pid: number) => void): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(node, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => {
      out.stdout += data.toString();
      if (child.pid !== undefined) onOutput?.(child.pid);
    });
    child.stderr.on('data', (data: Buffer) => (out.stderr += data.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...out }));
  });
}

const echo = 'console.log(process.argv.slice(2).join(" ")); process.exitCode = 3;\n';

describe('bin/roundsman.js', () => {
  test('runs the sources of a checkout', async () => {
    const bin = layout('src/main.ts', `const code: number = 3;\nprocess.exitCode = code;\n`, false);
    expect(await run(process.execPath, [bin])).toMatchObject({ code: 3, stderr: '' });
  });

  test('runs the compiled program of a package', async () => {
    const bin = layout('dist/main.js', echo, false);
    expect(await run(process.execPath, [bin, 'a', 'b c'])).toMatchObject({ code: 3, stdout: 'a b c\n' });
  });

  test('a program that cannot be loaded exits with 1', async () => {
    const bin = layout('dist/main.js', 'throw new Error("broken");', false);
    const { code, stderr } = await run(process.execPath, [bin]);
    expect(code).toBe(1);
    expect(stderr).toContain('Error: broken');
  });

  test('can be executed', () => {
    const bin = layout('dist/main.js', echo, false);
    chmodSync(bin, 0o755);
    expect(execFileSync('head', ['-1', script], { encoding: 'utf8' })).toBe('#!/usr/bin/env node\n');
  });

  test('holds nothing that an old Node cannot parse', () => {
    const text = execFileSync('cat', [script], { encoding: 'utf8' });
    expect(text).not.toMatch(/\?\.|\?\?|'node:|\|\|=|&&=|^await /m);
  });
});

describe.skipIf(old === null)('bin/roundsman.js with an old Node (needs one on this system)', () => {
  const node = old ?? '';

  test('says so, and what to do, and exits with 1', async () => {
    const { code, stderr } = await run(node, [layout('src/main.ts', echo, false), 'backup']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^roundsman: Node 24\.15 or newer is needed, this is \d+\.\d+\.\d+ \(/);
    expect(stderr).toContain('→ install Node 24');
  });

  test('runs the Node that the checkout brings along, with arguments and exit code', async () => {
    const bin = layout('src/main.ts', echo, true);
    expect(await run(node, [bin, 'backup', 'fw1'])).toEqual({ code: 3, stdout: 'backup fw1\n', stderr: '' });
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('passes %s on', async (signal) => {
    const body = `process.once('${signal}', () => { console.log('got it'); process.exit(130); });
setInterval(() => {}, 1000); console.log('ready');`;
    let told = false;
    const { code, stdout } = await run(node, [layout('src/main.ts', body, true)], (pid) => {
      if (told) return;
      told = true;
      process.kill(pid, signal);
    });
    expect({ code, stdout }).toEqual({ code: 130, stdout: 'ready\ngot it\n' });
  });

  test('exits as a shell would where the program was killed', async () => {
    const bin = layout('src/main.ts', `process.kill(process.pid, 'SIGKILL');`, true);
    expect((await run(node, [bin])).code).toBe(137);
  });
});
