import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { earlyMs, slotFrom } from '../../src/ledger/histories.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import type { DeviceHistory, SlotEnd, SlotRow } from '../../src/ledger/slots.ts';
import type { Row } from '../../src/ledger/statements.ts';
import { registerDevice, runOnce } from './support.ts';

const devices = ['fw1', 'fw2', 'fw3'];
/** Instants lie so far apart that runs are outside of the five minutes as often as inside. */
const step = earlyMs / 2;
const instant = fc.integer({ min: 1, max: 24 }).map((n) => n * step);

const without: readonly SlotEnd[] = [
  { state: 'missed', cause: 'overload' },
  { state: 'skipped', cause: 'blackout' },
  { state: 'skipped', cause: 'superseded' },
];

const move = fc.record({
  device: fc.constantFrom(...devices),
  kind: fc.constantFrom('record', 'absent', 'served', 'more', 'run'),
  atMs: instant,
  lasts: fc.integer({ min: 1, max: 6 }).map((n) => n * step),
  outcome: fc.constantFrom('changed', 'unchanged', 'failed'),
  end: fc.constantFrom(...without),
});
type Move = typeof move extends fc.Arbitrary<infer M> ? M : never;

function carryOut(ledger: Ledger, { device: deviceId, kind, atMs, lasts, outcome, end }: Move, n: number) {
  const slot = { deviceId, slotMs: atMs, deadlineMs: atMs + 50 };
  const late = { detectedAtMs: atMs + 60 };
  if (kind === 'run') runOnce(ledger, deviceId, `r${n}`, outcome, atMs);
  else if (kind === 'record') ledger.slots.write([{ kind: 'record', ...slot }]);
  else if (kind === 'absent')
    ledger.slots.write([
      { kind: 'record', ...slot },
      { kind: 'close', ...slot, ...late, end },
    ]);
  else if (kind === 'more')
    ledger.slots.write([{ kind: 'record-more', ...slot, ...late, lastMs: atMs + lasts, count: 3, end }]);
  else {
    runOnce(ledger, deviceId, `r${n}`, outcome, atMs + lasts);
    const runId = `r${n}`;
    const served: SlotEnd =
      outcome === 'failed' ? { state: outcome, runId, code: 'connect.timeout' } : { state: outcome, runId };
    ledger.slots.write([
      { kind: 'record', ...slot },
      { kind: 'close', ...slot, ...late, end: served },
    ]);
  }
}

/** The same by looking at every row there is. */
function plainly(database: DatabaseSync, deviceId: string, nowMs: number): Partial<DeviceHistory> {
  const rowsOf = (sql: string) => database.prepare(sql).all(deviceId) as Row[];
  const successMs = Number(rowsOf('SELECT ifnull(last_success_ms, 0) AS ms FROM device WHERE id = ?')[0]?.ms);
  const rows = rowsOf('SELECT * FROM slot WHERE device = ? ORDER BY due_at_ms');
  const slots = rows.map(slotFrom);
  const past = slots.filter(({ slotMs }) => slotMs <= nowMs);
  const latest = past.at(-1) ?? null;
  const open = slots.filter(({ end }) => end === null);
  const isOwed = ({ end }: SlotRow) =>
    end === null ||
    ['failed', 'quarantined', 'missed'].includes(end.state) ||
    (end.state === 'skipped' && end.cause === 'superseded');
  const owed = slots.filter(isOwed);
  const begins = Math.min(latest?.slotMs ?? 0, open[0]?.slotMs ?? latest?.slotMs ?? 0) - earlyMs;
  const served = new Map(rows.map((row) => [row.run_id, Number(row.due_at_ms)]));
  return {
    latest,
    newestEnd: past.findLast(({ end }) => end !== null && end.state !== 'skipped') ?? null,
    lastSlotMs: slots.at(-1)?.slotMs ?? null,
    open,
    owed:
      owed.find(({ count, lastMs }) => count > 1 && lastMs > successMs) ??
      owed.find(({ slotMs }) => slotMs > successMs) ??
      null,
    runs: rowsOf('SELECT * FROM run WHERE device = ? ORDER BY n')
      .filter((row) => Number(row.ended_at_ms) >= begins)
      .map((row) => expect.objectContaining({ runId: row.id, servedMs: served.get(row.id ?? '') ?? null })),
  };
}

it('the histories of a fleet are what every row of slots and runs says, whatever was written and whenever one asks', () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 25 }), instant, (moves, nowMs) => {
      const dir = mkdtempSync(join(tmpdir(), 'roundsman-histories-'));
      try {
        const file = join(dir, 'ledger.db');
        using ledger = openLedger(file);
        for (const device of devices) registerDevice(ledger, device);
        ledger.together(() => {
          for (const [n, one] of moves.entries()) carryOut(ledger, one, n);
        });
        using database = new DatabaseSync(file);
        const told = ledger.slots.histories(0, nowMs).histories;
        expect(told.map(({ deviceId }) => deviceId)).toEqual(devices);
        for (const history of told) expect(history).toMatchObject(plainly(database, history.deviceId, nowMs));
        expect(ledger.slots.historiesOf(devices, nowMs)).toEqual(told);
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    }),
    { numRuns: 60 },
  );
});
