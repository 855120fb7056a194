/** Quantities as a person reads them. */

/** `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 10 min`, `3 d 4 h`. Negative spans count as zero. */
export function duration(ms: number): string {
  const span = Math.max(0, ms);
  if (span < 1_000) return `${Math.round(span)} ms`;
  // 59 950 ms would be rounded to 60.0 s
  if (span < 59_950) return `${(span / 1_000).toFixed(1).replace(/\.0$/, '')} s`;
  const seconds = Math.round(span / 1_000);
  if (seconds < 3_600) return two(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.round(span / 60_000);
  if (minutes < 1_440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(span / 3_600_000);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function two(major: number, majorUnit: string, minor: number, minorUnit: string): string {
  return minor === 0 ? `${major} ${majorUnit}` : `${major} ${majorUnit} ${minor} ${minorUnit}`;
}

const sizes = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `812 B`, `48.2 KiB`, `3.1 GiB`. */
export function size(bytes: number): string {
  if (bytes < 1_024) return `${Math.round(bytes)} B`;
  let value = bytes;
  let unit = 'B';
  for (const next of sizes) {
    // 1023.96 KiB would be rounded to 1024.0 KiB
    if (value < 1_023.95) break;
    value /= 1_024;
    unit = next;
  }
  return `${value.toFixed(1)} ${unit}`;
}

/**
 * RFC 3339 in UTC, to the second (`2026-03-01T02:00:07Z`); milliseconds are cut off, not rounded, so
 * that an instant never lies after what it names.
 */
export function instant(ms: number): string {
  return `${new Date(Math.floor(ms / 1_000) * 1_000).toISOString().slice(0, -5)}Z`;
}

/** `1 line`, `2 lines`, `0 lines`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
