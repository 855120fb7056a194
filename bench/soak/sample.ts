import { readdirSync, readlinkSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Workplace } from '../scale/workplace.ts';
import type { Held } from './protocol.ts';

/** What there is at the end of a day. */
export interface Sample {
  /** From 1. */
  readonly day: number;
  /** How many days this process has lived. */
  readonly age: number;
  readonly rssMb: number;
  readonly heapMb: number;
  readonly externalMb: number;
  readonly fds: number;
  readonly sockets: number;
  readonly handles: number;
  /** Calls that are planned on the clock of the daemon. */
  readonly timers: number;
  /** Waiting or held readings. */
  readonly spool: number;
  readonly transcripts: number;
  readonly sealed: number;
  readonly loose: number;
  readonly packs: number;
  readonly slots: number;
  readonly ledgerBytesPerSlot: number;
}

const mb = (bytes: number): number => Math.round(bytes / 100_000) / 10;

export function sampleOf(day: number, age: number, pid: number, held: Held, place: Workplace): Sample {
  const open = openFiles(pid);
  const slots = countSlots(place.ledger);
  const stored = pathsBelow(join(place.repository, 'objects'));
  return {
    ...{ day, age, slots },
    rssMb: mb(held.rssBytes),
    heapMb: mb(held.heapBytes),
    externalMb: mb(held.externalBytes),
    fds: open.length,
    sockets: open.filter((target) => target.startsWith('socket:')).length,
    handles: Object.values(held.resources).reduce((a, b) => a + b, 0),
    timers: held.planned,
    spool: pathsBelow(join(place.state, 'spool')).length,
    transcripts: pathsBelow(join(place.state, 'transcripts')).length,
    sealed: pathsBelow(join(place.state, 'artefacts')).length,
    loose: stored.filter((path) => /\/[0-9a-f]{2}\/[0-9a-f]{38,}$/.test(path)).length,
    packs: stored.filter((path) => path.endsWith('.pack')).length,
    ledgerBytesPerSlot: Math.round(statSync(place.ledger).size / Math.max(1, slots)),
  };
}

/** Files that were written since get the simulated date: what is kept for some days is known by it. */
export function redate(state: string, nowMs: number): void {
  for (const dir of ['transcripts', 'artefacts'].map((name) => join(state, name)))
    for (const file of pathsBelow(dir)) {
      if (statSync(file).mtimeMs > nowMs) utimesSync(file, nowMs / 1000, nowMs / 1000);
    }
}

/** What the file descriptors of a process point to. */
function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

/** Files in a directory and below. */
function pathsBelow(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true, recursive: true }).flatMap((entry) =>
      entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function countSlots(ledger: string): number {
  const rows = new DatabaseSync(ledger, { readOnly: true });
  try {
    return Number(rows.prepare('SELECT ifnull(sum(count), 0) AS n FROM slot').get()?.n);
  } finally {
    rows.close();
  }
}
