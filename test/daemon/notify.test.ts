import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createNotifier } from '../../src/daemon/notify.ts';
import { describeWith, programPath } from '../support/system.ts';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-notify-'));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A `systemd-notify` in `dir`: a shell script, first in the PATH that is returned. */
function fakeProgram(script: string): string {
  const file = join(dir, 'systemd-notify');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return `${dir}:/usr/bin:/bin`;
}

const read = (file: string): string => {
  try {
    return readFileSync(join(dir, file), 'utf8');
  } catch {
    return '';
  }
};

describe('the notifier', () => {
  it('starts nothing where systemd did not ask', async () => {
    const PATH = fakeProgram(`echo called >> ${dir}/calls`);
    for (const env of [{ PATH }, { PATH, NOTIFY_SOCKET: '' }, { PATH, WATCHDOG_USEC: '120000000' }]) {
      const notifier = createNotifier(env, () => expect.unreachable());
      notifier.ready('up');
      notifier.status('x');
      notifier.watchdog();
      notifier.stopping();
      expect(notifier.watchdogIntervalMs).toBeNull();
    }
    // One that does ask, so that there is something to wait for.
    createNotifier({ PATH, NOTIFY_SOCKET: '/s' }).watchdog();
    await vi.waitFor(() => expect(read('calls')).not.toBe(''), 10_000);
    expect(read('calls')).toBe('called\n');
  });

  it('feeds a watchdog twice in the time that it allows', () => {
    const interval = (WATCHDOG_USEC: string): number | null =>
      createNotifier({ NOTIFY_SOCKET: '/s', WATCHDOG_USEC }).watchdogIntervalMs;
    expect(interval('120000000')).toBe(60_000);
    for (const nonsense of ['', '0', '-1', 'soon']) expect(interval(nonsense)).toBeNull();
    expect(createNotifier({ NOTIFY_SOCKET: '/s' }).watchdogIntervalMs).toBeNull();
  });

  it('keeps the order of the calls, however long each takes', async () => {
    // The first is slower than the others.
    const PATH = fakeProgram(
      `case "$*" in *first*) sleep 0.3;; esac; printf '%s|' "$@" >> ${dir}/calls; echo >> ${dir}/calls`,
    );
    const notifier = createNotifier({ PATH, NOTIFY_SOCKET: '/s' });
    notifier.ready('first');
    notifier.status('second');
    notifier.watchdog();
    notifier.stopping();
    await vi.waitFor(() => expect(read('calls')).toContain('STOPPING'), 10_000);
    expect(read('calls').split('\n')).toEqual([
      '--ready|--status=first|',
      '--status=second|',
      'WATCHDOG=1|',
      'STOPPING=1|STATUS=stopping|',
      '',
    ]);
  });

  it('hands the child the socket and the search path, and no secret of our environment', async () => {
    const PATH = fakeProgram(`env > ${dir}/env.new; mv ${dir}/env.new ${dir}/env`);
    createNotifier({ PATH, NOTIFY_SOCKET: '/s', RM_PASSWORD: 'canary' }).watchdog();
    await vi.waitFor(() => expect(read('env')).not.toBe(''), 10_000);
    expect(read('env')).toContain('NOTIFY_SOCKET=/s\n');
    expect(read('env')).not.toContain('canary');
  });

  it('waits until systemd has read it: a sender that is gone cannot be attributed', async () => {
    const PATH = fakeProgram(`echo "$@" >> ${dir}/calls`);
    createNotifier({ PATH, NOTIFY_SOCKET: '/s' }).ready('up');
    await vi.waitFor(() => expect(read('calls')).toContain('--ready'), 10_000);
    expect(read('calls')).not.toContain('--no-block');
  });

  it('says what to do where systemd-notify is missing, and what went wrong where it failed', async () => {
    const problems: string[] = [];
    createNotifier({ PATH: dir, NOTIFY_SOCKET: '/s' }, (problem) => problems.push(problem)).ready('up');
    await vi.waitFor(() => expect(problems).toHaveLength(1), 10_000);
    expect(problems[0]).toContain('Type=exec');

    const PATH = fakeProgram('echo "No such socket" >&2; exit 1');
    const notifier = createNotifier({ PATH, NOTIFY_SOCKET: '/s' }, (problem) => problems.push(problem));
    notifier.watchdog();
    notifier.watchdog();
    // A failure does not stop the next message.
    await vi.waitFor(() => expect(problems).toHaveLength(3), 10_000);
    expect(problems[1]).toContain('No such socket');
    expect(problems[1]).not.toContain('\n');
  });
});

/** A receiver of datagrams, because Node has none of this family. Prints one line of JSON for each. */
const receiver = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('"listening"', flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

describeWith('systemd-notify', 'the real systemd-notify', () => {
  const python = programPath('python3') ?? 'python3';
  let child: ChildProcess | null = null;
  afterEach(() => {
    child?.kill('SIGKILL');
  });

  it('sends what systemd expects, and a status cannot forge an assignment', async () => {
    const socket = join(dir, 'notify');
    const script = join(dir, 'receive.py');
    writeFileSync(script, receiver);
    let said = '';
    child = spawn(python, [script, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8');
    });
    await vi.waitFor(() => expect(said).toContain('listening'), 10_000);

    const env = { PATH: process.env.PATH, NOTIFY_SOCKET: socket };
    const notifier = createNotifier(env, (problem) => expect.unreachable(problem));
    notifier.ready('12 devices');
    notifier.status('fw1\nMAINPID=1');
    notifier.watchdog();
    notifier.stopping();
    await vi.waitFor(() => expect(said).toContain('STOPPING'), 10_000);
    const messages = said
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as string).split('\n'));
    // Between them the barrier, by which the child waits until each was read.
    expect(messages.filter(([first]) => !(first ?? '').startsWith('BARRIER'))).toEqual([
      ['listening'],
      ['READY=1', 'STATUS=12 devices'],
      ['STATUS=fw1\\x0aMAINPID=1'],
      ['WATCHDOG=1'],
      ['STOPPING=1', 'STATUS=stopping'],
    ]);
    expect(said.match(/BARRIER=1/g)).toHaveLength(4);
  });
});
