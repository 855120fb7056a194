import { randomBytes } from 'node:crypto';

/**
 * Sortable by time, unique without coordination, and not to be confused with a commit:
 * `20260301T020007Z-9f3a1c5e`.
 */
export function newRunId(nowMs: number): string {
  const instant = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '');
  return `${instant}-${randomBytes(4).toString('hex')}`;
}
