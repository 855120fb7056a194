import type { Clock } from '../core/clock.ts';
import type { Driver } from '../drivers/driver.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';
import type { BackupHands } from '../pipeline/run-backup.ts';
import type { Calendar } from '../scheduler/calendar.ts';
import { startWithinMs } from '../scheduler/due.ts';

/** The names of the archives that a platform knows. */
export function archiveNames(driver: Driver): readonly string[] {
  return driver.commands.filter(({ keep }) => keep === 'archive').map(({ name }) => name);
}

/**
 * An archive is due where an instant of its schedule lies after the last time it was asked for, whatever came of that;
 * one that was never asked for is due at once. It is fetched by the next run of its device. A run that a person asks
 * for also tries again what failed: the cause may be gone.
 */
export function dueArchives(calendar: Calendar, clock: Clock): BackupHands['dueArchives'] {
  return ({ device, trigger }, last) =>
    device.archives.filter(({ name, schedule, timezone }) => {
      const before = last(name);
      if (before === null || (trigger === 'manual' && !before.stored)) return true;
      const slot = calendar.previous(schedule, timezone, clock.nowMs());
      return slot !== null && slot > before.atMs;
    });
}

/**
 * When an archive is overdue, as UTC epoch milliseconds: an instant of its schedule passed after the newest good one,
 * and so did every run that could have fetched it. Null before the first good one, and where nothing falls due.
 */
export function archiveDueMs(
  calendar: Calendar,
  { archives, plan, maxRuntimeMs }: PlannedDevice,
  name: string,
  lastSuccessMs: number | null,
): number | null {
  const archive = archives.find((candidate) => candidate.name === name);
  if (archive === undefined || lastSuccessMs === null) return null;
  const slot = calendar.next(archive.schedule, archive.timezone, lastSuccessMs);
  if (slot === null) return null;
  const untilNextRun = calendar.longestGapMs(plan.schedule, plan.timezone, slot);
  return slot + untilNextRun + startWithinMs(calendar, plan) + maxRuntimeMs;
}
