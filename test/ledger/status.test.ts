import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Outcome } from '../../src/core/run.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { statusOf } from '../../src/ledger/status.ts';
import { registerDevice, runOnce, shrunk, timeout } from './support.ts';

let root: string;
let ledger: Ledger;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-status-'));
  ledger = openLedger(join(root, 'ledger.db'));
});
afterEach(() => {
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

const schedule = { missed: false, late: false, nextRunMs: null, dueMs: null };
const line = { name: 'fw1', platform: 'cisco_asa', group: 'hq', enabled: true, known: 'fw1', schedule };

it.each<[string, readonly Outcome[]]>([
  ['never', []],
  ['never', ['failed', 'quarantined']],
  ['ok', ['changed']],
  ['ok', ['failed', 'quarantined', 'unchanged']],
  ['failing', ['changed', 'failed']],
  ['quarantined', ['changed', 'quarantined']],
  ['quarantined', ['changed', 'quarantined', 'failed']],
])('a device is %s after %j', (state, outcomes) => {
  registerDevice(ledger, 'fw1');
  for (const [index, outcome] of outcomes.entries())
    runOnce(ledger, 'fw1', `r${index}`, outcome, index * 100);
  expect(statusOf([line], ledger.summaries())).toMatchObject([{ state }]);
  expect(statusOf([{ ...line, enabled: false }], ledger.summaries())).toMatchObject([{ state: 'disabled' }]);
});

it('a run that is under way changes the last attempt and nothing else', () => {
  registerDevice(ledger, 'fw1');
  runOnce(ledger, 'fw1', 'r1', 'changed', 100);
  ledger.openRun({ runId: 'r2', deviceId: 'fw1', trigger: 'manual', slotMs: null, startedAtMs: 500 });
  expect(statusOf([line], ledger.summaries())).toEqual([
    {
      device: 'fw1',
      platform: 'cisco_asa',
      group: 'hq',
      state: 'ok',
      restorable: 'yes',
      restorableBecause: null,
      lastSuccessMs: 105,
      lastAttemptMs: 500,
      nextRunMs: null,
      dueMs: null,
      consecutiveFailures: 0,
      failure: null,
      runId: 'r1',
    },
  ]);
});

it('names the failure of the last run, and none once it was accepted', () => {
  registerDevice(ledger, 'fw1');
  runOnce(ledger, 'fw1', 'r1', 'failed', 100);
  expect(statusOf([line], ledger.summaries())).toMatchObject([{ failure: timeout, consecutiveFailures: 1 }]);
  runOnce(ledger, 'fw1', 'r2', 'quarantined', 200);
  expect(statusOf([line], ledger.summaries())).toMatchObject([{ failure: shrunk, consecutiveFailures: 2 }]);
  ledger.acceptRun({ runId: 'r2', atMs: 700, by: 'root', commit: 'c', paths: new Map() });
  expect(statusOf([line], ledger.summaries())).toMatchObject([
    { state: 'ok', failure: null, consecutiveFailures: 0, lastSuccessMs: 700 },
  ]);
});

it('a device that the ledger never saw was never backed up', () => {
  expect(statusOf([{ ...line, known: null }], ledger.summaries())).toMatchObject([
    { device: 'fw1', state: 'never', lastAttemptMs: null, runId: null },
  ]);
});

it.each<[string, readonly Outcome[], boolean, boolean]>([
  ['never', [], true, true],
  ['quarantined', ['changed', 'quarantined'], true, true],
  ['missed', ['changed', 'failed'], true, true],
  ['failing', ['changed', 'failed'], false, true],
  ['late', ['changed'], false, true],
  ['ok', ['changed'], false, false],
])('by precedence a device is %s after %j, missed %s, late %s', (state, outcomes, missed, late) => {
  registerDevice(ledger, 'fw1');
  for (const [index, outcome] of outcomes.entries())
    runOnce(ledger, 'fw1', `r${index}`, outcome, index * 100);
  const standing = { missed, late, nextRunMs: 1_000, dueMs: 2_000 };
  expect(statusOf([{ ...line, schedule: standing }], ledger.summaries())).toMatchObject([
    { state, nextRunMs: 1_000, dueMs: 2_000 },
  ]);
});
