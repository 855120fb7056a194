import { appendFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { placeMs } from '../../src/scheduler/times.ts';
import { startFleet } from '../fleet/fleet.ts';
import type { BenchPart } from '../part.ts';
import { startDaemon } from '../scale/program.ts';
import { workplaceOf } from '../subject/roundsman.ts';

const intervalMs = 120_000;
/** Less than the interval by more than the time in which a success serves the slot that comes next. */
const splayMs = 80_000;

const part: BenchPart = {
  name: 'start-delay',
  about: 'How late runs begin against slot and splay, at a schedule that fits.',
  async run(scale, say) {
    const devices = scale === 'full' ? 400 : 40;
    await using fleet = await startFleet({ devices });
    using place = await workplaceOf(fleet, 50, '*/2 * * * *');
    appendFileSync(place.config, `splay: ${splayMs / 1_000}s\n`);
    await using _daemon = await startDaemon(place);
    const slotMs = Math.ceil((Date.now() + 5_000) / intervalMs) * intervalMs;
    say(`the slot of ${new Date(slotMs).toISOString()}`);
    await sleep(slotMs + splayMs + 5_000 - Date.now());
    const delays = delaysIn(place.ledger, slotMs);
    if (delays.length !== devices) throw new Error(`${delays.length} of ${devices} runs began`);
    const at = (share: number): number => delays[Math.floor(share * (delays.length - 1))] ?? 0;
    const note = `${devices} runs, ${(devices / (splayMs / 1_000)).toFixed(1)} a second`;
    return [
      { what: 'Start delay, p95', value: at(0.95), unit: 'ms', limit: { atMost: 1_000 }, note },
      { what: 'Start delay, the longest', value: at(1), unit: 'ms', limit: null, note: null },
    ];
  },
};
export default part;

/** How long after slot and splay each run of this slot began; the shortest first. */
function delaysIn(file: string, slotMs: number): readonly number[] {
  using ledger = new DatabaseSync(file, { readOnly: true });
  return ledger
    .prepare('SELECT device, started_at_ms FROM run WHERE slot_ms = ?')
    .all(slotMs)
    .map((row) => Number(row.started_at_ms) - slotMs - placeMs(String(row.device), splayMs))
    .sort((a, b) => a - b);
}
