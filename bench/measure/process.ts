import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** What a program took, with every program that it started and waited for. */
export interface Cost {
  readonly code: number | null;
  readonly wallMs: number;
  /** User and system. */
  readonly cpuMs: number;
}

/** Of `/proc/PID/stat`; Linux counts hundredths of a second there on every machine. */
const tickMs = 10;

/** CPU of a process: its own, and that of its children that have ended and were waited for. */
export function cpuOf(pid: number | 'self'): { readonly ownMs: number; readonly childrenMs: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15);
  return { ownMs: (user + system) * tickMs, childrenMs: (childUser + childSystem) * tickMs };
}

/**
 * Runs a program to its end. Only one at a time may end in this process while it is measured.
 * @throws Error where it cannot be started
 */
export async function costOf(
  file: string,
  args: readonly string[],
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd?: string },
): Promise<Cost> {
  const before = cpuOf('self').childrenMs;
  const began = performance.now();
  const child = spawn(file, args, {
    env,
    stdio: 'ignore',
    ...(cwd === undefined ? {} : { cwd }),
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, wallMs: performance.now() - began, cpuMs: cpuOf('self').childrenMs - before };
}

/** The most memory that the process ever held, while it lives. */
export function peakBytesOf(pid: number): number {
  const [, kb] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kb) * 1024;
}
