import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '../core/clock.ts';
import { clip, quotable } from '../core/display.ts';
import { OperationError } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { isBusy, ledgerError } from './sqlite-errors.ts';

/** A state directory that is ours; released by disposing it, or by the end of this process. */
export type StateLock = Disposable;

interface Holder {
  readonly pid: number;
  readonly command: string;
  /** RFC 3339, UTC. */
  readonly since: string;
}

/**
 * Makes this process the only one that writes in `dir` (created where it is absent). The lock is one of
 * the operating system's, taken by SQLite on `lock.db`: it ends with the process however that ends, so
 * none is ever left behind. `lock.json` beside it says who holds it; it means nothing on its own.
 *
 * Throws OperationError naming the holder where the directory is locked, BackupError `store.*` where it
 * cannot be written.
 */
export async function lockState(dir: string): Promise<StateLock> {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw storageError(error, dir);
  }
  const file = join(dir, 'lock.db');
  const note = join(dir, 'lock.json');
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    throw isBusy(error) ? heldBy(dir, note) : ledgerError(error, file);
  }
  const held = database;
  try {
    const holder: Holder = {
      pid: process.pid,
      command: clip([basename(process.argv[1] ?? 'roundsman'), ...process.argv.slice(2)].join(' '), 200),
      since: new Date(systemClock.nowMs()).toISOString(),
    };
    writeFileSync(note, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  } catch (error) {
    held.close();
    throw storageError(error, note);
  }
  return {
    [Symbol.dispose]() {
      if (!held.isOpen) return;
      // While still locked: afterwards it may be the note of the next holder.
      rmSync(note, { force: true });
      held.close();
    },
  };
}

function heldBy(dir: string, note: string): OperationError {
  const holder = readHolder(note);
  const who =
    holder === null
      ? 'another process'
      : `${quotable(holder.command, 200)} (pid ${holder.pid}, since ${quotable(holder.since, 40)})`;
  return new OperationError(
    `${dir} is in use by ${who}`,
    'wait until it has ended, or stop it, and try again',
  );
}

/** Null where there is no note (yet), or none that can be read. */
function readHolder(note: string): Holder | null {
  try {
    const { pid, command, since } = JSON.parse(readFileSync(note, 'utf8')) as Partial<Holder>;
    if (typeof pid !== 'number' || typeof command !== 'string' || typeof since !== 'string') return null;
    return { pid, command, since };
  } catch {
    return null;
  }
}
