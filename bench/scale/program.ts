import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Workplace } from './workplace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));
const probe = new URL('./loop-probe.ts', import.meta.url).href;

/** What `loop-probe.ts` tells, since it was asked before. */
export interface Probed {
  /** The longest time that the event loop was held up. */
  readonly longestMs: number;
  /** User and system, since the start of the process. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly wallMs: number;
}

/** Runs a command as a person does, and waits for it. */
export async function runCommand(place: Workplace, args: readonly string[]): Promise<Ran> {
  const began = performance.now();
  const child = spawn(process.execPath, [program, ...args], {
    env: environment(place),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pieces: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout: Buffer.concat(pieces).toString('utf8'), wallMs: performance.now() - began };
}

/** The quickest of some runs: what other programs of this machine do to a run only makes it slower. */
export async function quickest(times: number, run: () => Promise<number>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let count = 0; count < times; count++) best = Math.min(best, await run());
  return best;
}

/** `roundsman daemon` in a process of its own. */
export interface RunningDaemon extends AsyncDisposable {
  readonly pid: number;
  /** From its start until `/-/ready` said so. */
  readonly readyMs: number;
  /** What it told since the last question. */
  probe(): Promise<Probed>;
  /** The body of an answer, and how long it took. */
  get(path: string): Promise<{ readonly body: string; readonly wallMs: number }>;
}

/** Throws where it ends, or is not ready within a minute. */
export async function startDaemon(place: Workplace): Promise<RunningDaemon> {
  const began = performance.now();
  const child = spawn(process.execPath, ['--import', probe, program, 'daemon', '--config', place.config], {
    env: environment(place),
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    said = (said + piece).slice(-20_000);
  });
  const stop = () => ended(child);
  const ready = () =>
    get(place.port, '/-/ready').then(
      ({ status }) => status === 200,
      () => false,
    );
  while (!(await ready())) {
    if (child.exitCode === null && performance.now() - began < 60_000) {
      await setTimeout(10);
      continue;
    }
    await stop();
    throw new Error(`the daemon does not become ready:\n${said}`);
  }
  return {
    pid: child.pid ?? 0,
    readyMs: performance.now() - began,
    async probe() {
      const answer = once(child, 'message');
      child.send('');
      return (await answer)[0] as Probed;
    },
    async get(path) {
      const beganMs = performance.now();
      const { status, body } = await get(place.port, path);
      if (status !== 200) throw new Error(`${path} answered ${status}`);
      return { body, wallMs: performance.now() - beganMs };
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  const late = new AbortController();
  void setTimeout(20_000, null, { signal: late.signal }).then(
    () => child.kill('SIGKILL'),
    () => {},
  );
  await closed;
  late.abort();
}

function environment(place: Workplace): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  // As the unit and the image have it.
  return { PATH, HOME, ROUNDSMAN_CONFIG: place.config, COLUMNS: '120', MALLOC_ARENA_MAX: '1' };
}

function get(port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces).toString('utf8') }),
      );
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}
