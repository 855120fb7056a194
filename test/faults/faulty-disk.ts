import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What is counted: calls that flush, that write into files, that make or rename a name, that remove one. */
const kinds = { sync: 1, write: 2, name: 4, remove: 8 } as const;
export type Kind = keyof typeof kinds;

/** What happens to a call: the error that it answers with, or the end of its process. */
const deeds = { EIO: 5, ENOSPC: 28, kill: -1 } as const;
export type Deed = keyof typeof deeds;

const source = fileURLToPath(new URL('./faulty-disk.c', import.meta.url));

/**
 * A directory in which the n-th call of a kind fails, whoever makes it: the program or a git child of it, in
 * one count. Both get the library by their environment, git by a wrapper in PATH.
 */
export class FaultyDisk {
  /** What a process has to find in its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly #dir = mkdtempSync(join(tmpdir(), 'roundsman-faulty-'));
  readonly #plan = join(this.#dir, 'plan');
  readonly #file: number;

  /** `compiler`: the path of a C compiler; `git`: that of git; `under`: an absolute path without links in it. */
  constructor(compiler: string, git: string, under: string) {
    const library = join(this.#dir, 'faulty-disk.so');
    execFileSync(compiler, ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], { stdio: 'pipe' });
    writeFileSync(this.#plan, Buffer.alloc(40));
    this.#file = openSync(this.#plan, 'r+');
    const own = { LD_PRELOAD: library, FAULTY_PLAN: this.#plan, FAULTY_UNDER: under };
    const bin = join(this.#dir, 'bin');
    mkdirSync(bin);
    const words = Object.entries(own).map(([name, value]) => `${name}='${value}'`);
    writeFileSync(join(bin, 'git'), `#!/bin/sh\nexec env ${words.join(' ')} ${git} "$@"\n`);
    chmodSync(join(bin, 'git'), 0o755);
    this.env = { ...own, PATH: `${bin}:${process.env.PATH ?? ''}` };
  }

  /** From now on the `first`-th to the `last`-th call of these kinds fail; the count begins anew. */
  arm(watched: readonly Kind[], first: number, last: number, deed: Deed): void {
    const mask = watched.reduce((sum, kind) => sum | kinds[kind], 0);
    writeFileSync(`${this.#plan}.log`, '');
    this.#set(0, mask, first, last, deeds[deed]);
  }

  /** Nothing fails any more, and nothing is counted. */
  disarm(): void {
    this.#set(0, 0, 0, 0, 0);
  }

  /** How many calls there were since `arm`. */
  get count(): number {
    const field = Buffer.alloc(8);
    readSync(this.#file, field, 0, 8, 0);
    return Number(field.readBigInt64LE());
  }

  /** The call of this number: who, what, and on which file. */
  call(number: number): string {
    const line = this.calls().find((one) => one.startsWith(`${number} `));
    return line?.replace(/^\d+ \d+ /, '') ?? 'none';
  }

  /** Each call since `arm`: number, process, call, file. */
  calls(): readonly string[] {
    return readFileSync(`${this.#plan}.log`, 'utf8').split('\n').slice(0, -1);
  }

  #set(...fields: readonly number[]): void {
    const bytes = Buffer.alloc(8 * fields.length);
    for (const [index, field] of fields.entries()) bytes.writeBigInt64LE(BigInt(field), index * 8);
    writeSync(this.#file, bytes, 0, bytes.length, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
