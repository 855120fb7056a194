import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyChain } from '../../src/ledger/audit.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import type { SlotEnd, SlotWrite } from '../../src/ledger/slots.ts';
import { endOf, registerDevice, runOnce } from './support.ts';

let root: string;
let file: string;
let ledger: Ledger;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-slots-'));
  file = join(root, 'ledger.db');
  ledger = openLedger(file);
  registerDevice(ledger, 'fw1');
});
afterEach(() => {
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

const missed: SlotEnd = { state: 'missed', cause: 'overload' };

function record(slotMs: number, deviceId = 'fw1'): SlotWrite {
  return { kind: 'record', deviceId, slotMs, deadlineMs: slotMs + 50 };
}

function close(slotMs: number, end: SlotEnd = missed, deviceId = 'fw1'): SlotWrite {
  return { kind: 'close', deviceId, slotMs, deadlineMs: slotMs + 50, end, detectedAtMs: slotMs + 90 };
}

function more(slotMs: number, lastMs: number, count: number): SlotWrite {
  const end: SlotEnd = { state: 'missed', cause: 'collector_down' };
  return { kind: 'record-more', deviceId: 'fw1', slotMs, lastMs, count, deadlineMs: 1, end, detectedAtMs: 9 };
}

/** Everything of one device, at an instant after all of its slots. */
function history(nowMs = 1_000_000, deviceId = 'fw1') {
  const [found] = ledger.slots.historiesOf([deviceId], nowMs);
  if (found === undefined) throw new Error(`${deviceId} is not known`);
  return found;
}

const slotRecords = () =>
  [...ledger.chain()]
    .map(({ record: text }) => JSON.parse(text))
    .filter(({ category }) => category === 'slot');

describe('a slot', () => {
  it('has one end, and the end one record of the chain', () => {
    ledger.slots.write([record(100)]);
    expect(history().open).toMatchObject([
      { slotMs: 100, lastMs: 100, count: 1, deadlineMs: 150, end: null },
    ]);
    expect(ledger.slots.write([close(100)])).toEqual([close(100)]);
    expect(ledger.slots.write([close(100, { state: 'skipped', cause: 'disabled' })])).toEqual([]);
    expect(history()).toMatchObject({ open: [], latest: { end: missed, detectedAtMs: 190 } });
    expect(slotRecords()).toEqual([
      {
        ...{ category: 'slot', at_ms: 190, device: 'fw1', slot_ms: 100, last_ms: 100, count: 1 },
        ...{ deadline_ms: 150, state: 'missed', cause: 'overload', run: null },
      },
    ]);
    expect(verifyChain(ledger.chain()).brokenAt).toBeNull();
  });

  it('is not rewritten behind our back either', () => {
    ledger.slots.write([record(100), close(100)]);
    const other = new DatabaseSync(file);
    expect(() => other.exec(`UPDATE slot SET cause = 'paused'`)).toThrow(/a slot ends once/);
    other.close();
  });

  it('is written once, however often it is said, and keeps the deadline that it was promised', () => {
    ledger.slots.write([record(100), record(100), { ...record(100), deadlineMs: 9_999 } as SlotWrite]);
    ledger.slots.write([record(100)]);
    expect(history().open).toMatchObject([{ slotMs: 100, deadlineMs: 150 }]);
    expect(ledger.slots.write([more(200, 900, 8), more(200, 900, 8)])).toHaveLength(1);
    expect(ledger.slots.totals().missed).toEqual([{ cause: 'collector_down', count: 8 }]);
  });

  it('is served by one run, and a run serves one slot', () => {
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    ledger.slots.write([record(100), record(200), close(100, { state: 'changed', runId: 'r1' })]);
    expect(history().runs).toMatchObject([{ runId: 'r1', servedMs: 100 }]);
    expect(() => ledger.slots.write([close(200, { state: 'changed', runId: 'r1' })])).toThrow(
      'record.failed',
    );
    expect(history().open).toMatchObject([{ slotMs: 200 }]);
  });

  it('is written with the others of one call, or none of them is', () => {
    expect(() => ledger.slots.write([record(100), record(100, 'nobody')])).toThrow();
    expect(history().open).toEqual([]);
  });

  it('that is missed counts among the failures in a row, unless a success is newer', () => {
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    const failures = () => ledger.summaries().get('fw1')?.consecutiveFailures;
    ledger.slots.write([record(50), close(50)]);
    expect(failures()).toBe(0);
    ledger.slots.write([record(200), close(200), more(300, 900, 7)]);
    expect(failures()).toBe(8);
    runOnce(ledger, 'fw1', 'r2', 'unchanged', 1_000);
    expect(failures()).toBe(0);
  });
});

describe('the history of a device', () => {
  it('is told again only after something changed', () => {
    registerDevice(ledger, 'fw2');
    const first = ledger.slots.histories(0, 1_000);
    expect(first.histories.map(({ deviceId }) => deviceId)).toEqual(['fw1', 'fw2']);
    expect(ledger.slots.histories(first.version, 1_000).histories).toEqual([]);
    const changes: (() => void)[] = [
      () => ledger.slots.write([record(100, 'fw2')]),
      () => ledger.slots.write([close(100, missed, 'fw2')]),
      () => ledger.openRun({ runId: 'r', deviceId: 'fw2', trigger: 'manual', slotMs: null, startedAtMs: 1 }),
      () => ledger.closeRun(endOf('r', 'quarantined', 5)),
      () => ledger.acceptRun({ runId: 'r', atMs: 9, by: 'x', commit: 'c', paths: new Map() }),
      () => ledger.slots.keepPlan('fw2', '{}', null),
      () => registerDevice(ledger, 'edge2', ['fw2']),
    ];
    let { version } = first;
    for (const change of changes) {
      change();
      const next = ledger.slots.histories(version, 1_000);
      expect(next.histories.map(({ deviceId }) => deviceId)).toEqual(['fw2']);
      version = next.version;
    }
    ledger.slots.keepPlan('fw2', '{}', null);
    expect(ledger.slots.histories(version, 1_000).histories).toEqual([]);
  });

  it('is also told of what another process changed', () => {
    const { version } = ledger.slots.histories(0, 1_000);
    using other = openLedger(file);
    runOnce(other, 'fw1', 'r1', 'changed', 100);
    expect(ledger.slots.histories(version, 1_000).histories).toMatchObject([{ lastSuccessMs: 105 }]);
  });

  it('looks at now: what lies ahead of a clock that went back is the newest row, not the latest', () => {
    ledger.slots.write([record(100), close(100), record(200)]);
    expect(history(150)).toMatchObject({ lastSlotMs: 200, latest: { slotMs: 100 }, open: [{ slotMs: 200 }] });
    expect(history(250).latest).toMatchObject({ slotMs: 200 });
  });

  it('has the runs since its latest or oldest open slot, less five minutes, in the order of opening', () => {
    const minute = 60_000;
    const slot = 100 * minute;
    for (const [id, atMs] of [
      ['old', 90],
      ['early', 96],
      ['during', 100],
      ['after', 130],
    ] as const)
      runOnce(ledger, 'fw1', id, 'failed', atMs * minute);
    ledger.slots.write([record(slot), record(2 * slot), close(2 * slot)]);
    expect(history(1e9).runs.map(({ runId }) => runId)).toEqual(['early', 'during', 'after']);
    ledger.slots.write([close(slot)]);
    expect(history(1e9).runs).toEqual([]);
  });

  it('says of a run that failed at a jump host what failed there', () => {
    const detail = { hop: 'h', host: 'h', port: 22, code: 'login.rejected', says: '', todo: '' };
    runOnce(ledger, 'fw1', 'plain', 'failed', 200);
    runOnce(ledger, 'fw1', 'jump', 'failed', 300, { failure: { code: 'connect.jump', detail } });
    const [plain, jump] = history().runs;
    expect(plain).not.toHaveProperty('atJumpHost');
    expect(jump).toMatchObject({ code: 'connect.jump', atJumpHost: 'login.rejected' });
  });

  it('names the oldest slot that is owed since the last success', () => {
    const owed = () => history().owed?.slotMs ?? null;
    const skipped = (cause: 'disabled' | 'superseded'): SlotEnd => ({ state: 'skipped', cause });
    ledger.slots.write([record(100), close(100, skipped('disabled')), record(200), close(200), record(300)]);
    expect(owed()).toBe(200);
    runOnce(ledger, 'fw1', 'r1', 'changed', 250);
    expect(owed()).toBe(300);
    ledger.slots.write([close(300, skipped('superseded'))]);
    expect(owed()).toBe(300);
    runOnce(ledger, 'fw1', 'r2', 'changed', 350);
    expect(owed()).toBeNull();
    // One row of many slots that a success cut in two.
    ledger.slots.write([more(310, 900, 60)]);
    expect(owed()).toBe(310);
  });

  it('names its newest end that was not skipped', () => {
    ledger.slots.write([record(100), close(100), record(200), record(300)]);
    ledger.slots.write([close(200, { state: 'skipped', cause: 'blackout' })]);
    expect(history().newestEnd).toMatchObject({ slotMs: 100 });
  });
});

describe('totals', () => {
  it('count every run and every failure once, and go on after a restart', () => {
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    runOnce(ledger, 'fw1', 'r2', 'failed', 200);
    runOnce(ledger, 'fw1', 'r3', 'quarantined', 300);
    ledger.openRun({ runId: 'r4', deviceId: 'fw1', trigger: 'schedule', slotMs: 1, startedAtMs: 400 });
    ledger[Symbol.dispose]();
    ledger = openLedger(file);
    expect(ledger.slots.totals()).toEqual({
      runs: [{ platform: 'cisco_asa', trigger: 'manual', count: 3 }],
      failures: [{ platform: 'cisco_asa', reason: 'connect.timeout', count: 1 }],
      missed: [],
    });
    ledger.closeRun(endOf('r4', 'failed', 500));
    expect(ledger.slots.totals().failures).toEqual([
      { platform: 'cisco_asa', reason: 'connect.timeout', count: 2 },
    ]);
  });

  it('count missed slots by cause, those of one row included', () => {
    ledger.slots.write([more(100, 900, 9), record(1_000), close(1_000), record(2_000), close(2_000)]);
    expect(ledger.slots.totals().missed).toEqual([
      { cause: 'collector_down', count: 9 },
      { cause: 'overload', count: 2 },
    ]);
  });
});

describe('absent slots', () => {
  it('are listed by their deadline, newest first, as far as the filter goes', () => {
    registerDevice(ledger, 'fw2');
    ledger.slots.write([record(100), close(100), record(200), record(300, 'fw2')]);
    ledger.slots.write([
      close(200, { state: 'skipped', cause: 'disabled' }),
      close(300, { state: 'missed', cause: 'clock' }, 'fw2'),
    ]);
    const all = {
      deviceIds: null,
      states: ['missed', 'skipped'],
      sinceMs: null,
      untilMs: null,
      limit: 9,
    } as const;
    const list = (over: object) => ledger.slots.absent({ ...all, ...over }).map(({ slotMs }) => slotMs);
    expect(list({})).toEqual([300, 200, 100]);
    expect(list({ states: ['missed'] })).toEqual([300, 100]);
    expect(list({ deviceIds: ['fw1'] })).toEqual([200, 100]);
    expect(list({ sinceMs: 250, untilMs: 250 })).toEqual([200]);
    expect(list({ limit: 1 })).toEqual([300]);
    expect(ledger.slots.absent(all)[0]).toMatchObject({
      ...{ device: 'fw2', platform: 'cisco_asa', group: 'default', end: { state: 'missed', cause: 'clock' } },
    });
  });
});

it('a ledger of the version before counts what is in it', () => {
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
  root = mkdtempSync(join(tmpdir(), 'roundsman-slots-'));
  file = join(root, 'ledger.db');
  const first = new URL('../../src/ledger/migrations/0001-ledger.sql', import.meta.url);
  const old = new DatabaseSync(file);
  old.exec(readFileSync(first, 'utf8'));
  old.exec(`PRAGMA user_version = 1;
    INSERT INTO device (id, name, platform, grp, registered_at_ms) VALUES ('fw1', 'fw1', 'f5_bigip', 'hq', 1);
    INSERT INTO run (id, device, trigger, started_at_ms, ended_at_ms, state, error_code, error_detail)
      VALUES ('a', 'fw1', 'manual', 1, 2, 'changed', NULL, NULL), ('b', 'fw1', 'manual', 3, 4, 'failed', 'store.io', '{}'),
        ('c', 'fw1', 'manual', 5, NULL, 'running', NULL, NULL)`);
  old.close();
  ledger = openLedger(file);
  expect(ledger.slots.totals()).toEqual({
    runs: [{ platform: 'f5_bigip', trigger: 'manual', count: 2 }],
    failures: [{ platform: 'f5_bigip', reason: 'store.io', count: 1 }],
    missed: [],
  });
  expect(ledger.slots.histories(0, 10).histories).toMatchObject([{ deviceId: 'fw1', planSinceMs: null }]);
});

it('writes that belong together are made together, or not at all', () => {
  expect(() =>
    ledger.together(() => {
      registerDevice(ledger, 'fw2');
      ledger.slots.write([record(100)]);
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(ledger.device('fw2')).toBeNull();
  expect(history().open).toEqual([]);
});
