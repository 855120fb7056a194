import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const program = file('../../bin/roundsman.js');

/** One command `backup` on one or more devices. */
export interface Backup {
  /** Of the longest run, as the ledger has it: from its row to its end. */
  readonly ms: number;
  readonly outcomes: readonly string[];
  /** The most memory that the process held at any time. */
  readonly peakBytes: number;
}

/** A large FortiGate, a state directory, and the two programs that read it. */
export class LargeBench {
  readonly #dir = mkdtempSync(join(tmpdir(), 'roundsman-large-'));
  readonly #device: ChildProcess;
  readonly #port: number;

  private constructor(device: ChildProcess, port: number) {
    this.#device = device;
    this.#port = port;
  }

  /** `devices` are so many names of the same one. */
  static async open(devices = 1): Promise<LargeBench> {
    const device = fork(file('device.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const [{ port }] = (await once(device, 'message')) as [{ port: number }];
    const bench = new LargeBench(device, port);
    await bench.#roundsman(['init', bench.#dir]);
    const name = (n: number) =>
      `  - { name: fw${n}, platform: fortinet_fortigate, host: 127.0.0.1, port: ${port}, `;
    const lines = Array.from(
      { length: devices },
      (_, n) => `${name(n)}credentials: reader, host_key: first-use }\n`,
    );
    writeFileSync(
      join(bench.#dir, 'devices.yaml'),
      `credentials:\n  reader: { username: backup, password: { env: BENCH_PASSWORD }, logins_per_second: 100 }\ndevices:\n${lines.join('')}`,
    );
    return bench;
  }

  /** From now on the device shows so many bytes; another `seed`, another text of the same shape. */
  async show(bytes: number, seed: number): Promise<number> {
    this.#device.send({ bytes, seed });
    const [{ shown }] = (await once(this.#device, 'message')) as [{ shown: number }];
    return shown;
  }

  /** What a bare client takes that asks for the text so many times and keeps nothing. */
  async floor(readings: number): Promise<number> {
    const client = fork(file('floor.ts'), [String(this.#port), String(readings)]);
    const [{ ms }] = (await once(client, 'message')) as [{ ms: number }];
    await once(client, 'exit');
    return ms;
  }

  async backup(): Promise<Backup> {
    const { stdout, peakBytes } = await this.#roundsman(['backup', '--json']);
    const lines = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { duration_ms: number; outcome: string; error: unknown });
    const bad = lines.find(({ outcome }) => outcome !== 'changed' && outcome !== 'unchanged');
    if (bad !== undefined) throw new Error(`a backup failed: ${JSON.stringify(bad.error)}`);
    return {
      ms: Math.max(...lines.map(({ duration_ms }) => duration_ms)),
      outcomes: lines.map(({ outcome }) => outcome),
      peakBytes,
    };
  }

  async #roundsman(args: readonly string[]): Promise<{ stdout: string; peakBytes: number }> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [program, ...args], {
      cwd: this.#dir,
      env: { PATH, HOME, BENCH_PASSWORD: 'unused', ROUNDSMAN_CONFIG: join(this.#dir, 'roundsman.yaml') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let peakBytes = 0;
    const watch = setInterval(() => {
      peakBytes = Math.max(peakBytes, highWaterBytes(child.pid ?? 0));
    }, 50);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      stdout += piece;
    });
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      stderr += piece;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    clearInterval(watch);
    if (code !== 0 && stdout === '') throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return { stdout, peakBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#device, 'exit');
    this.#device.disconnect();
    await gone;
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Of a process of ours, from /proc; 0 where it is gone or the system has no /proc. */
function highWaterBytes(pid: number): number {
  try {
    return 1024 * Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
