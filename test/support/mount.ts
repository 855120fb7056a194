import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';

/** A file system in memory, mounted on a directory of its own. */
export class Tmpfs {
  readonly dir = mkdtempSync(join(tmpdir(), 'roundsman-mount-'));

  constructor(size = '16m') {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', this.dir], { stdio: 'pipe' });
    } catch (error) {
      rmSync(this.dir, { recursive: true });
      throw error;
    }
  }

  /** As a disk that was mounted for a look, or that the kernel made read-only after an error. */
  makeReadOnly(): void {
    execFileSync('mount', ['-o', 'remount,ro', this.dir], { stdio: 'pipe' });
  }

  /** Writes until no byte is left. */
  fill(): void {
    const file = openSync(join(this.dir, 'fill'), 'a');
    try {
      for (;;) writeSync(file, Buffer.alloc(4_096));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['-l', this.dir], { stdio: 'pipe' });
    rmSync(this.dir, { recursive: true });
  }
}

/** Whether this user may mount: root may, but in most containers not. */
function mayMount(): boolean {
  try {
    new Tmpfs()[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

/** A group of tests that mounts file systems; skipped, under a name that says so, where that is not allowed. */
export function describeMounting(name: string, tests: () => void): void {
  if (mayMount()) describe(name, tests);
  else describe.skip(`${name} (needs the right to mount)`, tests);
}
