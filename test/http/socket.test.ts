import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OperationError } from '../../src/core/errors.ts';
import { ask, type Opened, open } from './fake-sources.ts';

let dir: string;
let socket: string;
let opened: Opened | null = null;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'socket-'));
  socket = join(dir, 'control.sock');
});

afterEach(async () => {
  await opened?.[Symbol.asyncDispose]();
  opened = null;
  rmSync(dir, { recursive: true });
});

/** What a daemon leaves behind that was killed: a socket on which nobody listens. */
function leaveStaleSocket(): void {
  const script = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  expect(statSync(socket).isSocket()).toBe(true);
}

describe('the control socket', () => {
  it('is for its owner alone, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      opened = await open({}, { socket });
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(before);
    }
    expect(statSync(socket).mode & 0o777).toBe(0o600);
  });

  it('is never open to others, not even before its mode is set', async () => {
    const umask = process.umask.bind(process);
    const before = umask(0);
    const modes: number[] = [];
    // The mask is put back right after the socket was made: the first moment in which anyone could see it.
    vi.spyOn(process, 'umask').mockImplementation((mask) => {
      if (existsSync(socket)) modes.push(statSync(socket).mode & 0o077);
      return umask(mask as number);
    });
    try {
      opened = await open({}, { socket });
    } finally {
      vi.restoreAllMocks();
      umask(before);
    }
    expect(modes).toEqual([0]);
  });

  it('is gone when the daemon ended', async () => {
    opened = await open({}, { socket });
    expect(existsSync(socket)).toBe(true);
    await opened[Symbol.asyncDispose]();
    opened = null;
    expect(existsSync(socket)).toBe(false);
  });

  it('takes the place of one that a killed daemon left', async () => {
    leaveStaleSocket();
    opened = await open({}, { socket });
    expect((await ask({ socketPath: socket }, '/-/healthy')).status).toBe(200);
  });

  it('is not taken from a daemon that answers', async () => {
    opened = await open({}, { socket });
    await expect(open({}, { socket })).rejects.toThrow(/another program answers on the control socket/);
    expect((await ask({ socketPath: socket }, '/-/healthy')).status).toBe(200);
  });

  it('does not remove a file that is no socket', async () => {
    writeFileSync(socket, 'precious');
    await expect(open({}, { socket })).rejects.toThrow(/is in the way/);
    expect(existsSync(socket)).toBe(true);
  });

  it('refuses a path that the system would cut, and takes the longest that fits', async () => {
    const fits = join(dir, 'x'.repeat(107 - Buffer.byteLength(dir) - 1));
    expect(Buffer.byteLength(fits)).toBe(107);
    const refusal = await open({}, { socket: `${fits}x` }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(OperationError);
    expect(String(refusal)).toContain('108 bytes');
    opened = await open({}, { socket: fits });
    expect((await ask({ socketPath: fits }, '/-/healthy')).status).toBe(200);
  });

  it('counts the bytes of a path, not its characters', async () => {
    const path = join(dir, 'ü'.repeat(60));
    await expect(open({}, { socket: path })).rejects.toThrow(/bytes long/);
  });

  it('says where the directory is missing', async () => {
    await expect(open({}, { socket: join(dirname(socket), 'absent', 's') })).rejects.toThrow(
      /cannot be made: (ENOENT|EACCES)/,
    );
  });
});
