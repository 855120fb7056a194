import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from '../core/catalogue.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { failureOf } from '../core/errors.ts';
import { storageError } from '../core/storage-errors.ts';
import { duration } from '../core/units.ts';

/** Whether the daemon does what it is there for. */
export interface HealthReport {
  /** True where `problems` is empty. */
  readonly healthy: boolean;
  /** The event loop, the scheduler or a write does not come to its end: the watchdog may end this process. */
  readonly hangs: boolean;
  /** One line each, for people; no text of a device. */
  readonly problems: readonly string[];
}

export interface Health extends Disposable {
  /** The scheduler calls this at each pass of its loop, also while it is paused or draining. */
  heartbeat(): void;
  /** Writes to the state directory now; settles when it is known how that went. Never rejects. */
  probe(): Promise<void>;
  /** How things stand. Not healthy before the first heartbeat and the first write that worked. */
  report(): HealthReport;
}

/** One turn of the event loop is noted this often. */
const turnEveryMs = 1_000;
const probeEveryMs = 20_000;
/** How old each sign of life may be. The scheduler passes at least once a minute. */
const limitMs = { eventLoop: 60_000, scheduler: 90_000, write: 60_000 } as const;

/**
 * Watches three things, on the monotonic clock, so that a jump of the wall clock means nothing: the event
 * loop took a turn in the last minute, the scheduler's loop passed in the last minute and a half, and a
 * write with fsync to `stateDir` worked in the last minute. A write that hangs is one that did not work.
 *
 * Readiness asks whether it is `healthy`, the watchdog whether it `hangs`. Dispose it when the daemon ends: it holds timers.
 */
export function createHealth({ clock, stateDir }: { clock: Clock; stateDir: string }): Health {
  const file = join(stateDir, 'alive');
  const createdMs = clock.monotonicMs();
  let turnedMs = createdMs;
  let heartbeatMs: number | null = null;
  let writtenMs: number | null = null;
  let writeProblem: string | null = null;
  let underWay: Promise<void> | null = null;
  let beganMs = createdMs;
  let turnTimer: Timer;
  let probeTimer: Timer;

  function turn(): void {
    turnedMs = clock.monotonicMs();
    turnTimer = clock.after(turnEveryMs, turn);
  }

  async function write(): Promise<void> {
    // The age of a write counts from its beginning: one that took a minute is a minute old.
    const begunMs = clock.monotonicMs();
    beganMs = begunMs;
    try {
      await writeThrough(file, `${new Date(clock.nowMs()).toISOString()}\n`);
      writtenMs = begunMs;
      writeProblem = null;
    } catch (error) {
      writeProblem = describe(failureOf(storageError(error, stateDir))).message;
    }
  }

  function probe(): Promise<void> {
    // Never a second one beside it: each that hangs would take a thread of Node's four.
    underWay ??= write().finally(() => {
      underWay = null;
    });
    return underWay;
  }

  function probeAgain(): void {
    probeTimer = clock.after(probeEveryMs, probeAgain);
    void probe();
  }

  /** What a restart may help against: a disk that says no would keep the next process from starting at all. */
  function hangs(nowMs: number): boolean {
    const writing = underWay === null ? nowMs : beganMs;
    const since = [
      [turnedMs, limitMs.eventLoop],
      [heartbeatMs ?? createdMs, limitMs.scheduler],
      [writing, limitMs.write],
    ] as const;
    return since.some(([sinceMs, limit]) => nowMs - sinceMs > limit);
  }

  turn();
  probeAgain();
  return {
    heartbeat() {
      heartbeatMs = clock.monotonicMs();
    },
    probe,
    report() {
      const nowMs = clock.monotonicMs();
      const problems: string[] = [];
      const older = (sinceMs: number, limit: number): string | null =>
        nowMs - sinceMs > limit ? duration(nowMs - sinceMs) : null;

      const blocked = older(turnedMs, limitMs.eventLoop);
      if (blocked !== null) problems.push(`the event loop was blocked for ${blocked}`);

      if (heartbeatMs === null) problems.push('the scheduler has not begun');
      else {
        const stale = older(heartbeatMs, limitMs.scheduler);
        if (stale !== null) problems.push(`the scheduler has not passed for ${stale}`);
      }

      if (writtenMs === null) problems.push(writeProblem ?? `nothing was written to ${stateDir} yet`);
      else {
        const since = older(writtenMs, limitMs.write);
        const said = writeProblem === null ? '' : `: ${writeProblem}`;
        if (since !== null) problems.push(`no write to ${stateDir} has ended well for ${since}${said}`);
        // No wait is needed to believe a disk that says no.
        else if (writeProblem !== null) problems.push(`a write to ${stateDir} failed${said}`);
      }
      return { healthy: problems.length === 0, problems, hangs: hangs(nowMs) };
    },
    [Symbol.dispose]() {
      turnTimer.cancel();
      probeTimer.cancel();
    },
  };
}

/** Throws what the file system says. */
async function writeThrough(file: string, text: string): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
