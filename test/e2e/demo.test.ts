import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Workspace } from '../support/workspace.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(`${root}README.md`, 'utf8');

/** What differs from run to run, made the same. */
function alike(line: string): string {
  return line
    .replace(/\b\d+(\.\d+)? (ms|s|min)\b/g, 'T')
    .replace(/<secret:[0-9a-f]{6}>/g, '<secret>')
    .replace(/\b[0-9a-f]{10}\b/g, 'COMMIT')
    .replace(/port \d+/, 'port N')
    .replace(/ {2,}/g, ' ')
    .trim();
}

let code: number | null;
let output = '';

beforeAll(async () => {
  code = await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [`${root}scripts/demo.ts`], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (piece: string) => {
        output += piece;
      });
    }
    child.on('error', reject);
    child.on('close', resolve);
  });
}, 120_000);

describe('npm run demo', () => {
  it('ends well', () => {
    expect(code, output).toBe(0);
  });

  it('prints every line that the first screen of the README shows', () => {
    const [shown = ''] = /```\n(\$ roundsman backup[\s\S]*?)```/.exec(readme)?.slice(1) ?? [];
    const lines = shown
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map(alike);
    expect(lines.length).toBeGreaterThan(10);
    const said = new Set(output.split('\n').map(alike));
    expect(lines.filter((line) => !said.has(line))).toEqual([]);
  });

  it('shows who made the change, and that a failed device keeps its history', () => {
    expect(output).toMatch(/^Changed-By: \S+$/m);
    expect(output.match(/fw2: running-config changed/g)).toHaveLength(1);
  });

  it('restores the very bytes that the device sent', () => {
    const [restored] = /^([0-9a-f]{64}) {2}/m.exec(output)?.slice(1) ?? [];
    expect(output).toContain(`what the device sent: ${restored}`);
  });

  it('cleans up after itself', () => {
    const [dir = ''] = /roundsman init (\S+)/.exec(output)?.slice(1) ?? [];
    expect(dir).toContain('roundsman-demo-');
    expect(existsSync(dir)).toBe(false);
  });

  it('writes no secret of a device to the screen', () => {
    for (const secret of ['s3cretPeerKey77', 'another-secret-88', 'demo-only', 'monitoringRO'])
      expect(output).not.toContain(secret);
  });
});

describe('the README', () => {
  it('shows exactly two commands that set everything up', () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
      scripts: Record<string, string>;
    };
    const commands = readme.match(/^npm ci.*$/gm) ?? [];
    expect(commands).toEqual(['npm ci && npm run demo', 'npm ci && npm test']);
    expect(scripts.demo).toBeDefined();
    expect(scripts.test).toBeDefined();
  });

  it('links only to files that are there', () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? '');
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((link) => !existsSync(root + link))).toEqual([]);
  });

  it('names only commands that exist for the first real device', async () => {
    using workspace = new Workspace();
    const block = /## Your first real device\n\n```\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
    const commands = [...block.matchAll(/npx roundsman (\w+)/g)].map((match) => match[1] ?? '');
    expect(commands).toEqual(['init', 'trust', 'backup', 'status']);
    for (const command of commands) {
      const { code: helped, stdout } = await workspace.run([command, '--help']);
      expect(helped).toBe(0);
      expect(stdout).toContain(`roundsman ${command}`);
    }
    // The first of them as it stands there: it writes ./config, where the others look.
    delete (workspace.env as Record<string, string | undefined>).ROUNDSMAN_CONFIG;
    workspace.env.ROUNDSMAN_CONFIG = '';
    expect((await workspace.run(['init'])).code).toBe(0);
    workspace.env.RM_PASSWORD = 'x';
    expect((await workspace.run(['check'])).stdout + (await workspace.run(['check'])).stderr).toContain(
      'config/roundsman.yaml',
    );
  });
});
