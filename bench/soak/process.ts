import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Workplace } from '../scale/workplace.ts';
import type { Held, Order, Told } from './protocol.ts';

/** As `src/main.ts` has it. */
const memory = ['--semi-space-growth-factor=1', '--heap-growing-percent=60'];
const entry = fileURLToPath(new URL('daemon.ts', import.meta.url));
/** Of the real clock: nothing of what is waited for takes so long. */
const patienceMs = 300_000;

/** One life of the daemon. */
export class SoakDaemon {
  readonly #child: ChildProcess;
  readonly #place: Workplace;
  #said = '';

  private constructor(child: ChildProcess, place: Workplace) {
    this.#child = child;
    this.#place = place;
    child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
      this.#said = (this.#said + piece).slice(-200_000);
    });
  }

  /** Its clock says `atMs`. Throws where it ends or does not become ready. */
  static async start(place: Workplace, atMs: number): Promise<SoakDaemon> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, ['--expose-gc', ...memory, entry, place.config, String(atMs)], {
      env: { PATH, HOME, TZ: 'UTC' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const daemon = new SoakDaemon(child, place);
    await daemon.#until('it is ready', async () => (await daemon.#get('/-/ready'))?.ok === true);
    return daemon;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async until(atMs: number): Promise<void> {
    await this.#order({ does: 'until', atMs });
  }

  async housekeeping(): Promise<void> {
    await this.#order({ does: 'housekeeping' });
  }

  async held(): Promise<Held> {
    const told = await this.#order({ does: 'sample' });
    if (told.is !== 'held') throw new Error('the daemon told something else than was asked');
    return told.held;
  }

  /** Reads the inventory anew. Throws where it is refused. */
  async reload(): Promise<void> {
    const from = this.#said.length;
    this.#said = this.#said.slice(from);
    await this.#order({ does: 'reload' });
    await this.#until('it is reloaded', () => /configuration (?:reloaded|refused)/.test(this.#said));
    if (this.#said.includes('configuration refused')) throw new Error(this.#said);
  }

  async scrape(): Promise<void> {
    const answer = await this.#get('/metrics');
    if (answer?.ok !== true) throw new Error('there are no metrics');
    await answer.text();
  }

  /** Starts the round that is due at `atMs` and ends the process in the middle of it. */
  async killIn(atMs: number, isRunning: () => boolean): Promise<void> {
    this.#child.send({ does: 'until', atMs: atMs + 600_000 } satisfies Order);
    await this.#until('a session runs', isRunning);
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.send({ does: 'stop' } satisfies Order);
    const [code] = (await gone) as [number | null];
    if (code !== 0) throw new Error(`the daemon ended with ${code}: ${this.#said.slice(-4_000)}`);
  }

  /** Ends it whatever it does. */
  kill(): void {
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
  }

  async #order(order: Order): Promise<Told> {
    const over = new AbortController();
    const { signal } = over;
    try {
      const answer = once(this.#child, 'message', { signal });
      const gone = once(this.#child, 'exit', { signal }).then(() => {
        throw new Error(`the daemon ended by itself: ${this.#said.slice(-4_000)}`);
      });
      this.#child.send(order);
      return (await Promise.race([answer, gone]))[0] as Told;
    } finally {
      over.abort();
    }
  }

  async #get(path: string): Promise<Response | null> {
    const url = `http://127.0.0.1:${this.#place.port}${path}`;
    return fetch(url, { headers: { connection: 'close' } }).catch(() => null);
  }

  async #until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const sinceMs = performance.now();
    while (!(await holds())) {
      const { exitCode } = this.#child;
      if (exitCode !== null || performance.now() - sinceMs > patienceMs)
        throw new Error(`never came true: ${what}; the daemon said ${this.#said.slice(-4_000)}`);
      await setTimeout(20);
    }
  }
}
