import { schedule } from 'node-cron';
import type { Clock, Timer } from '../core/clock.ts';

/** The daemon's own clockwork; disposing it stops it. */
export interface ClockworkOptions {
  readonly clock: Clock;
  /** Called every second, on the monotonic clock. */
  readonly tick: () => void;
  /** Called every few minutes. */
  readonly measure: () => Promise<void>;
  /** Called once a night, off the full hour, when others back up too. */
  readonly housekeeping: () => Promise<void>;
}

const tickMs = 1_000;

/**
 * The tick goes by the monotonic clock: a job of node-cron waits for a wall time, and after a clock that
 * went back by an hour it would not come for an hour, while the slots are the very thing to be looked
 * after then. The jobs of node-cron can be late without harm.
 */
export function startClockwork({ clock, tick, measure, housekeeping }: ClockworkOptions): Disposable {
  let stopped = false;
  let timer: Timer;
  const next = (): void => {
    timer = clock.after(tickMs, () => {
      if (stopped) return;
      next();
      tick();
    });
  };
  next();
  // What node-cron would say goes to the console, past our log; a missed measurement is no news.
  const quiet = { noOverlap: true, suppressMissedWarning: true };
  const jobs = [schedule('*/5 * * * *', measure, quiet), schedule('17 4 * * *', housekeeping, quiet)];
  return {
    [Symbol.dispose]() {
      stopped = true;
      timer.cancel();
      for (const job of jobs) void job.stop();
    },
  };
}
