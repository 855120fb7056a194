import { StringDecoder } from 'node:string_decoder';
import type { Clock, Timer } from '../core/clock.ts';
import type { Git } from './git.ts';

/** What a git process that talks to another machine may take. */
export interface NetworkLimits {
  /** The longest time without a byte from it. */
  readonly idleMs: number;
  readonly totalMs: number;
  /** Of standard output and standard error together. */
  readonly bytes: number;
}

export interface NetworkResult {
  readonly exitCode: number;
  readonly stdout: string;
  /** The end of it. */
  readonly stderr: string;
  /** Why it was ended; null where it ended by itself. */
  readonly cut: 'idle' | 'total' | 'bytes' | 'aborted' | null;
}

const keptOfStderr = 8 * 1024;

/**
 * Runs git, with all that it starts, in a process group of its own, within limits: what the far side does
 * can neither hang nor flood us. The group is killed whole. Never throws.
 */
export async function runOnNetwork(
  git: Git,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  { clock, limits, signal }: { clock: Clock; limits: NetworkLimits; signal: AbortSignal },
): Promise<NetworkResult> {
  const { process: child, ended } = git.start(args, environment);
  let cut: NetworkResult['cut'] = null;
  let received = 0;
  let stdout = '';
  let stderr = '';

  const end = (why: NonNullable<NetworkResult['cut']>): void => {
    cut ??= why;
    // Something that left the group may hold the pipes: they are not waited for.
    const letGo = (): void => {
      child.stdout.destroy();
      child.stderr.destroy();
    };
    if (child.exitCode !== null || child.signalCode !== null) letGo();
    else child.once('exit', letGo);
    if (child.pid !== undefined) killGroup(child.pid);
  };
  const total = clock.after(limits.totalMs, () => end('total'));
  let idle: Timer = clock.after(limits.idleMs, () => end('idle'));
  const heard = (chunk: Buffer): void => {
    received += chunk.length;
    if (received > limits.bytes) end('bytes');
    idle.cancel();
    idle = clock.after(limits.idleMs, () => end('idle'));
  };
  const [outText, errText] = [new StringDecoder('utf8'), new StringDecoder('utf8')];
  child.stdout.on('data', (chunk: Buffer) => {
    heard(chunk);
    if (cut === null) stdout += outText.write(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    heard(chunk);
    stderr = (stderr + errText.write(chunk)).slice(-keptOfStderr);
  });
  const aborted = (): void => end('aborted');
  if (signal.aborted) aborted();
  else signal.addEventListener('abort', aborted, { once: true });
  child.stdin.end();
  const { exitCode, stderr: said } = await ended;
  signal.removeEventListener('abort', aborted);
  total.cancel();
  idle.cancel();
  // 127: the program is not there, and only `start` knows.
  return { exitCode, stdout, stderr: exitCode === 127 ? said : stderr, cut };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended in this moment.
  }
}
