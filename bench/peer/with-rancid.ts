import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Fleet } from '../fleet/fleet.ts';
import { hasRancid, type Rancid, setUpRancid } from './rancid.ts';

/**
 * Does `work` with a RANCID of its own; null where it is not installed.
 * @throws Error where it did not store every configuration as a whole: its figures would say nothing
 */
export async function withRancid<Answer>(
  fleet: Fleet,
  work: (rancid: Rancid) => Promise<Answer>,
): Promise<Answer | null> {
  if (!hasRancid()) return null;
  const dir = mkdtempSync(join(tmpdir(), 'roundsman-bench-rancid-'));
  try {
    const rancid = await setUpRancid(dir, fleet);
    const answer = await work(rancid);
    const missing = rancid.missing();
    if (missing.length > 0)
      throw new Error(`RANCID did not read everything: ${missing.slice(0, 3).join('; ')}`);
    return answer;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
