import type { DiskUse } from '../../cli/services.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { createCalendar } from '../../scheduler/calendar.ts';
import type { Configuration } from './context.ts';

const dayMs = 24 * 60 * 60_000;
const yearDays = 365;

/** Of a device and an archive that were never read: an ordinary firewall, and a small UCS. */
const assumed = { textBytes: 100_000, archiveBytes: 20_000_000 };

/**
 * What one version weighs against its plain text: in git, and sealed. Text compresses about five to one, and git packs
 * and the header of an age file add little to it.
 */
const share = { git: 0.2, sealed: 0.2 };

/**
 * A year in which each enabled device changes once a day, and each archive is fetched at every time of its schedule. Of
 * what `retention.sealed` ends, what is there at the end of that year counts.
 */
export function diskUse({ settings, devices }: Configuration, ledger: Ledger, nowMs: number): DiskUse {
  const enabled = devices.filter((device) => device.enabled);
  const keptDays = Math.min(yearDays, settings.retention.sealedMs / dayMs);
  const ids = new Map(ledger.devices().map(({ name, id }) => [name, id]));
  const versions = ledger.newestVersions(enabled.flatMap(({ name }) => ids.get(name) ?? []));
  const read = [...versions.values()].flatMap((texts) => {
    const sizes = texts.flatMap(({ bytes }) => bytes ?? []);
    return sizes.length === 0 ? [] : [sum(sizes)];
  });
  const textBytes = read.length === 0 ? assumed.textBytes : sum(read) / read.length;
  const isSealed = settings.secrets.recipients.length > 0;

  const calendar = createCalendar();
  const times = new Map<string, number>();
  /** How many archives of one schedule are kept at the end of the year. */
  const timesOf = (schedule: string, timezone: string): number => {
    const key = `${schedule} ${timezone}`;
    const fromMs = nowMs - keptDays * dayMs;
    const found =
      times.get(key) ??
      (({ slots, before }) => slots.length + before)(
        calendar.slotsBetween(schedule, timezone, fromMs, nowMs, 1),
      );
    times.set(key, found);
    return Math.max(1, found);
  };
  const archives = enabled.flatMap(({ name: device, archives: planned }) =>
    planned.map(({ name, schedule, timezone }) => ({
      bytes: ledger.archives.kept(ids.get(device) ?? '', name, null)?.sealed?.bytes ?? null,
      times: timesOf(schedule, timezone),
    })),
  );
  const measured = archives.flatMap(({ bytes }) => bytes ?? []);
  const meanBytes = measured.length === 0 ? assumed.archiveBytes : sum(measured) / measured.length;
  return {
    gitBytes: Math.round(enabled.length * yearDays * textBytes * share.git),
    sealedBytes: isSealed ? Math.round(enabled.length * (keptDays + 1) * textBytes * share.sealed) : 0,
    archiveBytes: isSealed
      ? Math.round(sum(archives.map(({ bytes, times }) => (bytes ?? meanBytes) * times)))
      : 0,
    sealedForMs: settings.retention.sealedMs,
    measured: read.length > 0 && (archives.length === 0 || measured.length > 0),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
