import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OperationError } from '../../src/core/errors.ts';
import { lockState } from '../../src/ledger/lock.ts';

const source = fileURLToPath(new URL('../../src/ledger/lock.ts', import.meta.url));
let root: string;
let dir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-lock-'));
  dir = join(root, 'state');
});
const children: ChildProcess[] = [];
afterEach(async () => {
  await Promise.all(children.splice(0).map(killed));
  rmSync(root, { recursive: true, force: true });
});

/** Another process that holds the lock until it is killed. */
async function holder(): Promise<ChildProcess> {
  const script = `
    import { lockState } from ${JSON.stringify(source)};
    const lock = await lockState(${JSON.stringify(dir)});
    console.log('held');
    setInterval(() => lock, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

async function killed(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  return ended;
}

it('a second process is told who holds the state directory', async () => {
  const child = await holder();
  const refused = await lockState(dir).catch((error) => error);
  expect(refused).toBeInstanceOf(OperationError);
  expect(refused.message).toContain(`pid ${child.pid}`);
  expect(refused.message).toContain(dir);
  await killed(child);
});

it('a killed holder leaves no lock behind', async () => {
  await killed(await holder());
  using _lock = await lockState(dir);
  expect(JSON.parse(readFileSync(join(dir, 'lock.json'), 'utf8')).pid).toBe(process.pid);
});

it('within one process it is taken once, and again after it was released', async () => {
  const lock = await lockState(dir);
  await expect(lockState(dir)).rejects.toThrow(OperationError);
  lock[Symbol.dispose]();
  lock[Symbol.dispose]();
  expect(existsSync(join(dir, 'lock.json'))).toBe(false);
  const child = await holder();
  await killed(child);
});

it('a note that is damaged or left over does not lock anything, nor spoil the message', async () => {
  const child = await holder();
  for (const note of ['', '{"pid":"x"}', 'null', '{"pid":1,"command":"a\\u001b[2Jb","since":"x"}']) {
    writeFileSync(join(dir, 'lock.json'), note);
    const refused = await lockState(dir).catch((error) => error);
    expect(refused.message).toContain('in use by');
    expect(refused.message).not.toContain('\x1b');
  }
  await killed(child);
  using _lock = await lockState(dir);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

it('a directory that cannot be made is an error that names it', async () => {
  writeFileSync(join(root, 'file'), '');
  await expect(lockState(join(root, 'file', 'state'))).rejects.toMatchObject({ code: 'store.io' });
});
