import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import type { BenchPart, Measured, Scale } from '../part.ts';
import { quickest, runCommand, startDaemon } from '../scale/program.ts';
import { makeWorkplace, quietSlot, type Workplace } from '../scale/workplace.ts';
import { makeYear } from '../year/ledger.ts';

const dayMs = 86_400_000;

const part: BenchPart = {
  name: 'year',
  about:
    'A ledger of 3.65 million slots, ten thousand devices for a year: start, listings, the cost of a row, pruning.',
  run,
};
export default part;

async function run(scale: Scale, say: (line: string) => void): Promise<readonly Measured[]> {
  const [devices, days] = scale === 'full' ? [10_000, 365] : [200, 60];
  const { schedule, lastMs } = quietSlot(Date.now());
  using place = await makeWorkplace(devices, 100, schedule);
  await makeYear(place, days, lastMs, say);
  return await measureYear(place, scale, days, say);
}

/** Leaves the ledger pruned by some days. */
async function measureYear(
  place: Workplace,
  scale: Scale,
  days: number,
  say: (line: string) => void,
): Promise<readonly Measured[]> {
  const found: Measured[] = [];
  const add = (
    what: string,
    value: number,
    unit: Measured['unit'],
    limit: Measured['limit'],
    note: string | null = null,
  ) => {
    say(`${what}: ${value.toFixed(2)} ${unit}`);
    found.push({ what, value, unit, limit: scale === 'full' ? limit : null, note });
  };
  add('The ledger', statSync(place.ledger).size, 'bytes', null);
  say('start');
  {
    await using daemon = await startDaemon(place);
    add('Start to ready, a year in the ledger', daemon.readyMs, 'ms', { atMost: 5_000 });
    const { longestMs } = await daemon.probe();
    add('Event loop held up while starting, a year in the ledger', longestMs, 'ms', null);
  }
  for (const [what, args] of [
    ['`status`', ['status']],
    ['`runs NAME`', ['runs', place.devices[1]?.name ?? '']],
    ['`runs --failed --since 7d`', ['runs', '--failed', '--since', '7d']],
  ] as const) {
    const wallMs = await quickest(3, async () => (await runCommand(place, args)).wallMs);
    add(`${what} without a daemon, a year in the ledger`, wallMs, 'ms', { atMost: 1_000 });
  }
  say('rows');
  const [large, small] = await writeCosts(place);
  add(
    'CPU of a run and its slot, a year in the ledger against an empty one',
    large / small,
    'x',
    { atMost: 2 },
    `${large.toFixed(2)} ms against ${small.toFixed(2)} ms`,
  );
  say('pruning');
  const pruned = prune(place, days);
  add(
    'One step of pruning, the longest',
    pruned.longestMs,
    'ms',
    { atMost: 50 },
    'with its flush to the disk',
  );
  add('Rows pruned', pruned.rows / (pruned.wallMs / 1_000), '/s', null);
  return found;
}

/** CPU milliseconds of a run with its slot: in this ledger, and in one of as many devices without a past. */
async function writeCosts(place: Workplace): Promise<readonly [number, number]> {
  const empty = openLedger(join(place.dir, 'empty.db'));
  const year = openLedger(place.ledger);
  try {
    empty.together(() => {
      for (const { name, group } of place.devices)
        empty.register({ name, group, platform: 'cisco_asa', formerly: [], atMs: 1 });
    });
    const costs: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    // In turns, so that both meet the same machine.
    for (let round = 0; round < 3; round++) {
      costs[0] = Math.min(costs[0], writeRuns(year, place, round));
      costs[1] = Math.min(costs[1], writeRuns(empty, place, round));
    }
    return costs;
  } finally {
    empty[Symbol.dispose]();
    year[Symbol.dispose]();
  }
}

function writeRuns(ledger: Ledger, place: Workplace, round: number): number {
  const count = 200;
  const step = Math.max(1, Math.floor(place.devices.length / count));
  const began = process.cpuUsage();
  for (let index = 0; index < count; index++) {
    const deviceId = place.devices[(index * step) % place.devices.length]?.name ?? '';
    const slotMs = Date.now() + round * 60_000 + index;
    const runId = `bench-${round}-${index}`;
    const slot = { deviceId, slotMs, deadlineMs: slotMs + 1 };
    ledger.slots.write([{ kind: 'record', ...slot }]);
    ledger.openRun({ runId, deviceId, trigger: 'schedule', slotMs, startedAtMs: slotMs });
    ledger.closeRun({
      ...{
        runId,
        endedAtMs: slotMs + 1,
        outcome: 'failed',
        commit: null,
        restorable: null,
        restorableBecause: null,
      },
      ...{ failure: { code: 'connect.refused', detail: { host: '127.0.0.1', port: 22 } }, reading: null },
    });
    ledger.slots.write([
      {
        ...{ kind: 'close', ...slot, detectedAtMs: slotMs + 1 },
        end: { state: 'failed', runId, code: 'connect.refused' },
      },
    ]);
  }
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1_000 / count;
}

/** Some hundred steps, or all that there is to do for a third of the time. */
function prune(place: Workplace, days: number): { longestMs: number; rows: number; wallMs: number } {
  using ledger = openLedger(place.ledger);
  const nowMs = Date.now();
  const beforeMs = nowMs - Math.max(31, Math.floor((days * 2) / 3)) * dayMs;
  const began = performance.now();
  const told = { longestMs: 0, rows: 0, wallMs: 0 };
  let from: number | null = null;
  for (let step = 0; step < 300; step++) {
    const beganStep = performance.now();
    const { runs, slots, next } = ledger.retention.prune({ beforeMs, nowMs, exceptRuns: new Set(), from });
    told.longestMs = Math.max(told.longestMs, performance.now() - beganStep);
    told.rows += runs + slots;
    if (next === null) break;
    from = next;
  }
  return { ...told, wallMs: performance.now() - began };
}
