import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Workplace } from '../scale/workplace.ts';

const program = fileURLToPath(new URL('../../bin/roundsman.js', import.meta.url));

/** `roundsman verify` in a process of its own, and the most memory that it had. */
export async function verify(
  place: Workplace,
): Promise<{ records: number; wallMs: number; peakBytes: number; code: number | null }> {
  const began = performance.now();
  const child = spawn(process.execPath, [program, 'verify', '--config', place.config], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    told += piece;
  });
  let peakBytes = 0;
  const watch = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peakBytes = Math.max(peakBytes, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1_024);
    } catch {
      // It ended a moment ago.
    }
  }, 100);
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(watch);
  const records = Number(/audit chain\s+(\d+) records/.exec(told)?.[1] ?? 0);
  return { records, wallMs: performance.now() - began, peakBytes, code };
}
