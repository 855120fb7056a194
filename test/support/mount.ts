import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeSync } from 'node:fs';
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

/**
 * A disk of its own: ext4 in a file, mounted through a loop device. The file holds what the file system has sent to
 * the device, and nothing of what still waits in memory: a copy of it is the disk after a power cut.
 */
export class LoopDisk {
  readonly dir: string;
  readonly #made: boolean;
  readonly #images = mkdtempSync(join(tmpdir(), 'roundsman-disk-'));
  #image = join(this.#images, '0');
  #cuts = 0;

  /** `dir`: where it is mounted, a directory that exists; absent: one of its own. */
  constructor(dir?: string) {
    this.#made = dir === undefined;
    this.dir = dir ?? mkdtempSync(join(tmpdir(), 'roundsman-mount-'));
    try {
      closeSync(openSync(this.#image, 'w'));
      truncateSync(this.#image, 48 * 1024 * 1024);
      execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', this.#image], { stdio: 'pipe' });
      this.#mount();
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  /**
   * Cuts the power now: the disk comes back with what had reached it, its journal replayed, under the same path.
   * What is still open lives on, on the disk of before. The caller sees to it that nobody writes meanwhile; the
   * kernel still may, so a copy counts only when it was not written to while it was made.
   */
  cutPower(): void {
    this.#cuts += 1;
    const before = this.#image;
    this.#image = join(this.#images, String(this.#cuts));
    for (;;) {
      execFileSync('cp', ['--sparse=always', before, this.#image]);
      if (spawnSync('cmp', ['-s', before, this.#image]).status === 0) break;
    }
    execFileSync('umount', ['-l', this.dir], { stdio: 'pipe' });
    rmSync(before);
    this.#mount();
  }

  #mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.dir], { stdio: 'pipe' });
  }

  #remove(): void {
    rmSync(this.#images, { recursive: true, force: true });
    if (this.#made) rmSync(this.dir, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    execFileSync('umount', ['-l', this.dir], { stdio: 'pipe' });
    this.#remove();
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

/** Whether this user may also mount a file as a disk, which needs loop devices and mkfs.ext4. */
function mayMountDisks(): boolean {
  try {
    new LoopDisk()[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

/** A group of tests that mounts disks of its own; skipped, under a name that says so, where that is not possible. */
export function describeOnDisks(name: string, tests: () => void): void {
  if (mayMountDisks()) describe(name, tests);
  else describe.skip(`${name} (needs root, loop devices and mkfs.ext4)`, tests);
}

/** A group of tests that mounts file systems; skipped, under a name that says so, where that is not allowed. */
export function describeMounting(name: string, tests: () => void): void {
  if (mayMount()) describe(name, tests);
  else describe.skip(`${name} (needs the right to mount)`, tests);
}
