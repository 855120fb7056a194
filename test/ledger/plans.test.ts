import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { endOf, reading, registerDevice, runOnce } from './support.ts';

let dir: string;
let ledger: Ledger;
const asked = new Set<string>();

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-plans-'));
  const { prepare } = DatabaseSync.prototype;
  vi.spyOn(DatabaseSync.prototype, 'prepare').mockImplementation(function (this: DatabaseSync, sql, ...rest) {
    asked.add(sql);
    return prepare.call(this, sql, ...rest);
  });
  ledger = openLedger(join(dir, 'ledger.db'));
});

afterEach(() => {
  vi.restoreAllMocks();
  ledger[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** Everything that a daemon and its commands ask, but exports, imports and verifications, which read all there is. */
function live(): void {
  const slot = { deviceId: 'fw1', slotMs: 1_000, deadlineMs: 2_000 };
  registerDevice(ledger, 'fw1');
  ledger.device('fw1');
  ledger.device('fw0');
  ledger.devices();
  ledger.slots.keepPlan('fw1', '{}', 1);
  ledger.slots.write([{ kind: 'record', ...slot }]);
  const artefact = { name: 'running-config', path: 'a', sealed: 'd1', changed: true, bytes: 1 };
  runOnce(ledger, 'fw1', 'r1', 'changed', 1_000, { reading: reading({ artefacts: [artefact] }) });
  ledger.slots.write([
    { kind: 'close', ...slot, detectedAtMs: 1_010, end: { state: 'changed', runId: 'r1' } },
    {
      ...{ kind: 'record-more', ...slot, slotMs: 3_000, lastMs: 4_000, count: 2, detectedAtMs: 5_000 },
      end: { state: 'missed', cause: 'collector_down' },
    },
  ]);
  runOnce(ledger, 'fw1', 'r2', 'unchanged', 6_000, {
    reading: reading({ artefacts: [{ ...artefact, sealed: 'd2', changed: false }] }),
  });
  runOnce(ledger, 'fw1', 'r3', 'failed', 7_000);
  runOnce(ledger, 'fw1', 'r4', 'quarantined', 8_000);
  ledger.acceptRun({
    runId: 'r4',
    atMs: 9_000,
    by: 'a',
    commit: 'c',
    paths: new Map([['running-config', 'a']]),
  });
  ledger.openRun({ runId: 'r5', deviceId: 'fw1', trigger: 'manual', slotMs: null, startedAtMs: 10_000 });
  ledger.running();
  ledger.closeRun(endOf('r5', 'failed', 10_001));
  ledger.archives.ended({
    ...{ deviceId: 'fw1', name: 'ucs', runId: 'r5', attemptedAtMs: 10_001, failure: null },
    sealed: { digest: 'd3', bytes: 1 },
  });
  ledger.archives.last('fw1', 'ucs');
  ledger.archives.list('fw1');
  ledger.archives.kept('fw1', 'ucs', null);
  ledger.archives.kept('fw1', 'ucs', 'r5');
  ledger.slots.histories(0, 20_000);
  ledger.slots.histories(1, 20_000);
  ledger.slots.historiesOf(['fw1'], 20_000);
  ledger.slots.totals();
  for (const deviceIds of [null, ['fw1']])
    for (const sinceMs of [null, 1]) {
      const filter = { deviceIds, sinceMs, untilMs: null, limit: 10 };
      ledger.slots.absent({ ...filter, states: ['missed', 'skipped'] });
      for (const states of [null, ['failed', 'quarantined'] as const]) ledger.runs({ ...filter, states });
    }
  ledger.summaries();
  ledger.run('r1');
  ledger.lastGood('fw1');
  ledger.versions('fw1', 'running-config');
  ledger.artefactNames('fw1');
  ledger.sealed('fw1', 'running-config', null);
  ledger.sealed('fw1', 'running-config', 'r1');
  ledger.record('note', 1, {});
  ledger.chainHead();
  ledger.chainLength();
  ledger.lastVersionMs();
  ledger.rebuilding.knowsRun('r1');
  ledger.lives.knowsCommit('c');
  ledger.retention.prune({ beforeMs: 8_000, nowMs: 20_000, exceptRuns: new Set(), from: 1 });
  ledger.retention.prune({ beforeMs: 8_000, nowMs: 20_000, exceptRuns: new Set(), from: null });
  ledger.retention.unreferenced();
  ledger.refuseDamaged();
}

it('nothing that is asked every day reads a whole table that grows with the years', () => {
  live();
  vi.restoreAllMocks();
  using database = new DatabaseSync(join(dir, 'ledger.db'));
  const scans: string[] = [];
  expect(asked.size).toBeGreaterThan(60);
  for (const sql of asked) {
    if (/^\s*PRAGMA/.test(sql)) continue;
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[];
    const isSorted = plan.some(({ detail }) => /TEMP B-TREE FOR ORDER/.test(detail));
    for (const { detail } of plan) {
      // The index of open slots has nothing else in it.
      if (!/^SCAN (slot|run|chain|version|sealed)\b(?! USING INDEX slot_open)/.test(detail)) continue;
      // Along an index, and ended by a LIMIT, no more is read than is returned.
      if (isSorted || !/LIMIT (\?|1)\s*$/.test(sql)) scans.push(`${detail}: ${sql.replace(/\s+/g, ' ')}`);
    }
  }
  expect(scans).toEqual([]);
});
