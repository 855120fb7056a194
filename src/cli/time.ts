import { UsageError } from '../core/errors.ts';

const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
const span = /^(\d+)([smhd])$/;
const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Epoch milliseconds of an RFC 3339 instant; null where `text` is none. A 30th of February is none. */
export function parseInstant(text: string): number | null {
  const match = rfc3339.exec(text);
  if (match === null) return null;
  const [, year, month, day] = match;
  const ms = Date.parse(text.replace(' ', 'T').toUpperCase());
  if (Number.isNaN(ms)) return null;
  // Date.parse turns a 30th of February into a day of March.
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  return Number(day) <= days ? ms : null;
}

/** An RFC 3339 instant, or how long ago (`90s`, `15m`, `1h`, `2d`). Throws UsageError naming `option`. */
export function parseTime(option: string, text: string, nowMs: number): number {
  const match = span.exec(text);
  const ms =
    match === null ? parseInstant(text) : nowMs - Number(match[1]) * (units[match[2] ?? ''] ?? Number.NaN);
  if (ms === null || !Number.isSafeInteger(ms))
    throw new UsageError(
      `${option} "${text}" is not a time`,
      `write an instant such as ${option} 2026-03-01T02:00:00Z, or how long ago, such as ${option} 2d`,
    );
  return ms;
}
