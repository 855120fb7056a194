import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { unknownCondition } from '../../src/core/device.ts';
import type { Failure } from '../../src/core/errors.ts';
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

const statuses = (lines: Parameters<typeof statusOf>[0]) =>
  statusOf(lines, ledger.summaries(), ledger.archives.standings());

const schedule = { missed: false, late: false, nextRunMs: null, dueMs: null };
const line = {
  name: 'fw1',
  platform: 'cisco_asa',
  group: 'hq',
  enabled: true,
  known: 'fw1',
  schedule,
  archives: [],
};

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
  expect(statuses([line])).toMatchObject([{ state }]);
  expect(statuses([{ ...line, enabled: false }])).toMatchObject([{ state: 'disabled' }]);
});

it('a run that is under way changes the last attempt and nothing else', () => {
  registerDevice(ledger, 'fw1');
  runOnce(ledger, 'fw1', 'r1', 'changed', 100);
  ledger.openRun({ runId: 'r2', deviceId: 'fw1', trigger: 'manual', slotMs: null, startedAtMs: 500 });
  expect(statuses([line])).toEqual([
    {
      device: 'fw1',
      platform: 'cisco_asa',
      group: 'hq',
      state: 'ok',
      restorable: 'yes',
      restorableBecause: null,
      facts: { hostname: 'FW1', version: '9.1', model: 'x', serial: 'S1', partners: [], ...unknownCondition },
      archives: [],
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
  expect(statuses([line])).toMatchObject([{ failure: timeout, consecutiveFailures: 1 }]);
  runOnce(ledger, 'fw1', 'r2', 'quarantined', 200);
  expect(statuses([line])).toMatchObject([{ failure: shrunk, consecutiveFailures: 2 }]);
  ledger.acceptRun({ runId: 'r2', atMs: 700, by: 'root', commit: 'c', paths: new Map() });
  expect(statuses([line])).toMatchObject([
    { state: 'ok', failure: null, consecutiveFailures: 0, lastSuccessMs: 700 },
  ]);
});

it('a device that the ledger never saw was never backed up', () => {
  expect(statuses([{ ...line, known: null }])).toMatchObject([
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
  expect(statuses([{ ...line, schedule: standing }])).toMatchObject([
    { state, nextRunMs: 1_000, dueMs: 2_000 },
  ]);
});

it('tells of each archive that the inventory asks for, and of no other', () => {
  registerDevice(ledger, 'fw1');
  const attempt = (runId: string, name: string, attemptedAtMs: number, failure: Failure | null) => {
    ledger.openRun({ runId, deviceId: 'fw1', trigger: 'manual', slotMs: null, startedAtMs: attemptedAtMs });
    const sealed = failure === null ? { digest: runId, bytes: 10 } : null;
    ledger.archives.ended({ deviceId: 'fw1', name, runId, attemptedAtMs, sealed, failure });
  };
  attempt('r1', 'ucs', 100, null);
  attempt('r2', 'ucs', 200, timeout);
  attempt('r3', 'scf', 300, null);
  const archives = [{ name: 'ucs' }, { name: 'qkview' }];
  expect(statuses([{ ...line, archives }])[0]?.archives).toEqual([
    { name: 'ucs', lastSuccessMs: 100, lastAttemptMs: 200, failure: timeout },
    { name: 'qkview', lastSuccessMs: null, lastAttemptMs: null, failure: null },
  ]);
});
