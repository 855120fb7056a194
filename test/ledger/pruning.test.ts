import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyChain } from '../../src/ledger/audit.ts';
import { openEvidence } from '../../src/ledger/evidence.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import type { SlotEnd } from '../../src/ledger/slots.ts';
import { beforeTheFirst, checkChain } from '../../src/verify/chain.ts';
import { Commits } from '../../src/verify/commits.ts';
import { Findings } from '../../src/verify/finding.ts';
import { Records } from '../../src/verify/records.ts';
import { endOf, reading, registerDevice } from './support.ts';

const day = 86_400_000;
const start = Date.UTC(2025, 0, 1);

let dir: string;
let file: string;
let ledger: Ledger;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'roundsman-pruning-'));
  file = join(dir, 'ledger.db');
  ledger = openLedger(file);
});

afterEach(() => {
  ledger[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** What came of one slot. `open`: it waits still; `none`: nobody was due. */
type Came =
  | 'changed'
  | 'unchanged'
  | 'failed'
  | 'store'
  | 'quarantined'
  | 'accepted'
  | 'missed'
  | 'more'
  | 'skipped'
  | 'superseded'
  | 'manual'
  | 'open'
  | 'none';

const every: readonly Came[] = [
  ...(['changed', 'unchanged', 'failed', 'store', 'quarantined', 'accepted', 'missed', 'more'] as const),
  ...(['skipped', 'superseded', 'manual', 'open', 'none'] as const),
];

/** One device's slot of a day. */
function live(deviceId: string, index: number, came: Came): void {
  const slotMs = start + index * day;
  const deadlineMs = slotMs + 7_200_000;
  const runId = `${deviceId}-${index}`;
  const slot = { deviceId, slotMs, deadlineMs };
  const close = (end: SlotEnd, detectedAtMs = slotMs + 70_000) =>
    ledger.slots.write([{ kind: 'close', ...slot, detectedAtMs, end }]);
  const run = (outcome: 'changed' | 'unchanged' | 'failed' | 'quarantined', store = false) => {
    ledger.openRun({
      ...{ runId, deviceId, trigger: came === 'manual' ? 'manual' : 'schedule' },
      ...{ slotMs: came === 'manual' ? null : slotMs, startedAtMs: slotMs + 10_000 },
    });
    const sealed = (outcome === 'failed' ? '0' : runId).padStart(64, 'a');
    const over = {
      ...(store ? { failure: { code: 'store.io', detail: { path: '/x', errno: 'EIO' } } as const } : {}),
      ...(outcome === 'failed'
        ? {}
        : {
            reading: reading({
              artefacts: [
                {
                  name: 'running-config',
                  path: outcome === 'quarantined' ? null : `default/${deviceId}/running-config.cfg`,
                  ...{ sealed, changed: outcome !== 'unchanged', bytes: 3 },
                },
              ],
            }),
          }),
    };
    ledger.closeRun(endOf(runId, outcome, slotMs + 60_000, over));
  };
  if (came === 'none') return;
  if (came === 'manual') {
    run('unchanged');
    return;
  }
  if (came === 'more') {
    ledger.slots.write([
      {
        ...{ kind: 'record-more', ...slot, lastMs: slotMs + 3_600_000, count: 2 },
        ...{ end: { state: 'missed', cause: 'collector_down' }, detectedAtMs: slotMs + 70_000 },
      },
    ]);
    return;
  }
  ledger.slots.write([{ kind: 'record', ...slot }]);
  switch (came) {
    case 'changed':
    case 'unchanged':
      run(came);
      close({ state: came, runId });
      break;
    case 'failed':
      run('failed');
      close({ state: 'failed', runId, code: 'connect.timeout' });
      break;
    case 'store':
      run('failed', true);
      close({ state: 'failed', runId, code: 'store.io' });
      break;
    case 'quarantined':
    case 'accepted':
      run('quarantined');
      close({ state: 'quarantined', runId, code: 'verify.shrunk' });
      if (came === 'accepted')
        ledger.acceptRun({
          ...{ runId, atMs: slotMs + 80_000, by: 'alice', commit: `commit-${runId}` },
          paths: new Map([['running-config', `default/${deviceId}/running-config.cfg`]]),
        });
      break;
    case 'missed':
      close({ state: 'missed', cause: 'overload' }, deadlineMs);
      break;
    case 'skipped':
      close({ state: 'skipped', cause: 'disabled' });
      break;
    case 'superseded':
      close({ state: 'skipped', cause: 'superseded' });
      break;
    default:
  }
}

/** All steps; returns how many rows went. */
function pruneAll(beforeMs: number, nowMs: number, exceptRuns: readonly string[] = []): number {
  let removed = 0;
  for (let from: number | null = null; ; ) {
    const step = ledger.retention.prune({ beforeMs, nowMs, exceptRuns: new Set(exceptRuns), from });
    removed += step.runs + step.slots;
    if (step.next === null) return removed;
    from = step.next;
  }
}

/** Everything that status, due times, listings and counters are made of. */
function answers(nowMs: number) {
  const ids = ledger.devices().map(({ id }) => id);
  return {
    summaries: ledger.summaries(),
    histories: ledger.slots
      .historiesOf(ids, nowMs)
      .map((history) => (history.latest === null ? { ...history, runs: [] } : history)),
    good: ids.map((id) => ledger.lastGood(id)),
    versions: ids.map((id) => ledger.versions(id, 'running-config')),
    sealed: ledger.sealedDigests(),
    totals: ledger.slots.totals(),
    running: ledger.running(),
  };
}

const all = { deviceIds: null, sinceMs: null, untilMs: null, limit: 100_000 };
const allRuns = () => ledger.runs({ ...all, states: null });
const allAbsent = () => ledger.slots.absent({ ...all, states: ['missed', 'skipped'] });

/** What `verify` finds in the rows; commits are not looked at. */
function found(nowMs: number): string[] {
  using evidence = openEvidence(file);
  const findings = new Findings(new Map());
  const records = new Records(evidence, new Commits(), findings, nowMs);
  const links = checkChain(evidence.chain(Number.MIN_SAFE_INTEGER), beforeTheFirst, findings);
  for (const met of links) records.take(met);
  for (const _ of records.leftovers());
  return findings.shown
    .filter(({ kind }) => kind.startsWith('row.') || kind.startsWith('chain.'))
    .map(({ kind, where }) => `${kind} ${where}`);
}

function rowsOf(query: string): Record<string, unknown>[] {
  using database = new DatabaseSync(file);
  return database.prepare(query).all();
}

describe('rows that are older than retention', () => {
  it('go, oldest first, and the newest stay, with one record for each step', () => {
    registerDevice(ledger, 'fw1');
    for (let index = 0; index < 100; index++) live('fw1', index, 'unchanged');
    const nowMs = start + 100 * day;
    const length = ledger.chainLength();
    expect(pruneAll(start + 60 * day, nowMs)).toBe(119);
    // The first one made the version.
    expect(allRuns().map(({ runId }) => runId)).toEqual([
      ...Array.from({ length: 40 }, (_, index) => `fw1-${99 - index}`),
      'fw1-0',
    ]);
    expect(rowsOf('SELECT min(due_at_ms) AS first, count(*) AS count FROM slot')).toEqual([
      { first: start + 60 * day, count: 40 },
    ]);
    expect(ledger.chainLength()).toBe(length + 1);
    expect(verifyChain(ledger.chain())).toMatchObject({ brokenAt: null });
    expect(pruneAll(start + 60 * day, nowMs)).toBe(0);
    expect(ledger.chainLength()).toBe(length + 1);
    expect(found(nowMs)).toEqual([]);
  });

  it('go night after night, wherever the night before ended', () => {
    registerDevice(ledger, 'fw1');
    registerDevice(ledger, 'fw2');
    for (let index = 0; index < 120; index++) {
      live('fw1', index, 'unchanged');
      live('fw2', index, index % 3 === 0 ? 'failed' : 'unchanged');
      pruneAll(start + (index - 40) * day, start + index * day + 100_000);
    }
    expect(rowsOf('SELECT count(*) AS count FROM slot')).toEqual([{ count: 80 + 2 }]);
    expect(rowsOf('SELECT count(*) AS count FROM run')).toEqual([{ count: 80 + 2 + 2 }]);
    expect(found(start + 120 * day)).toEqual([]);
  });

  it('of a device that fails for years: the last success, the newest attempt and what is owed since stay', () => {
    registerDevice(ledger, 'fw1');
    live('fw1', 0, 'unchanged');
    live('fw1', 1, 'unchanged');
    for (let index = 2; index < 50; index++) live('fw1', index, index % 2 === 0 ? 'failed' : 'missed');
    const nowMs = start + 900 * day;
    const before = answers(nowMs);
    pruneAll(start + 500 * day, nowMs);
    expect(answers(nowMs)).toEqual(before);
    expect(allRuns().map(({ runId }) => runId)).toEqual(['fw1-48', 'fw1-2', 'fw1-1', 'fw1-0']);
    expect(found(nowMs)).toEqual([]);
  });

  it('stay where a person or the repository still needs the run', () => {
    registerDevice(ledger, 'fw1');
    for (const [index, came] of (['failed', 'failed', 'unchanged', 'unchanged'] as const).entries())
      live('fw1', index, came);
    pruneAll(start + 200 * day, start + 300 * day, ['fw1-1']);
    expect(ledger.run('fw1-0')).toBeNull();
    expect(ledger.run('fw1-1')).not.toBeNull();
  });

  it('a run whose slot ended a step later goes with it', () => {
    registerDevice(ledger, 'fw1');
    registerDevice(ledger, 'fw2');
    ledger.openRun({ runId: 'r', deviceId: 'fw1', trigger: 'schedule', slotMs: start, startedAtMs: start });
    ledger.slots.write([{ kind: 'record', deviceId: 'fw1', slotMs: start, deadlineMs: start + 1 }]);
    for (let index = 0; index < 300; index++) ledger.record('note', start + index, { first: index });
    ledger.closeRun(endOf('r', 'unchanged', start + 1_000, { reading: null }));
    for (let index = 0; index < 150; index++) ledger.record('note', start + 2_000 + index, { second: index });
    ledger.slots.write([
      {
        ...{
          kind: 'close',
          deviceId: 'fw1',
          slotMs: start,
          deadlineMs: start + 1,
          detectedAtMs: start + 3_000,
        },
        end: { state: 'unchanged', runId: 'r' },
      },
    ]);
    live('fw1', 1, 'unchanged');
    live('fw1', 2, 'unchanged');
    pruneAll(start + 100 * day, start + 200 * day);
    expect(ledger.run('r')).toBeNull();
    expect(found(start + 200 * day)).toEqual([]);
  });

  it('nothing goes where the clock was ahead when it was written, and what came after it goes nevertheless', () => {
    registerDevice(ledger, 'fw1');
    live('fw1', 5_000, 'missed');
    for (let index = 0; index < 20; index++) live('fw1', index, 'unchanged');
    pruneAll(start + 10 * day, start + 100 * day);
    expect(rowsOf('SELECT count(*) AS count FROM slot')).toEqual([{ count: 11 }]);
  });

  it('a step that fails half-way leaves nothing behind, and references are checked afterwards', () => {
    registerDevice(ledger, 'fw1');
    for (let index = 0; index < 20; index++) live('fw1', index, 'unchanged');
    using other = new DatabaseSync(file);
    other.exec(
      `CREATE TRIGGER stop BEFORE DELETE ON run WHEN OLD.id = 'fw1-5' BEGIN SELECT RAISE(ABORT, 'power cut'); END`,
    );
    expect(() => pruneAll(start + 10 * day, start + 100 * day)).toThrow();
    expect(allRuns()).toHaveLength(20);
    expect(found(start + 100 * day)).toEqual([]);
    other.exec('DROP TRIGGER stop');
    expect(() =>
      ledger.openRun({ runId: 'x', deviceId: 'nobody', trigger: 'manual', slotMs: null, startedAtMs: 1 }),
    ).toThrow();
    expect(pruneAll(start + 10 * day, start + 100 * day)).toBe(19);
  });
});

describe('properties', () => {
  const script = fc.array(fc.array(fc.constantFrom(...every), { minLength: 3, maxLength: 30 }), {
    minLength: 1,
    maxLength: 3,
  });

  function fresh(): void {
    ledger[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
    dir = mkdtempSync(join(tmpdir(), 'roundsman-pruning-'));
    file = join(dir, 'ledger.db');
    ledger = openLedger(file);
  }

  function make(devices: readonly (readonly Came[])[]): number {
    fresh();
    for (const device of devices.keys()) registerDevice(ledger, `fw${device}`);
    const days = Math.max(...devices.map((came) => came.length));
    ledger.together(() => {
      for (let index = 0; index < days; index++)
        for (const [device, came] of devices.entries()) live(`fw${device}`, index, came[index] ?? 'none');
    });
    return start + days * day;
  }

  it('status, due times and what is kept are the same before and after, and every row that went is explained', () => {
    fc.assert(
      fc.property(script, fc.integer({ min: 0, max: 31 }), (devices, boundary) => {
        const nowMs = make(devices) + 70 * day;
        const beforeMs = start + boundary * day;
        const [before, runs, absent] = [answers(nowMs), allRuns(), allAbsent()];
        pruneAll(beforeMs, nowMs);
        expect(answers(nowMs)).toEqual(before);
        const kept = allRuns();
        const ids = new Set(kept.map(({ runId }) => runId));
        expect(kept).toEqual(runs.filter(({ runId }) => ids.has(runId)));
        expect(runs.filter(({ runId, startedAtMs }) => startedAtMs >= beforeMs && !ids.has(runId))).toEqual(
          [],
        );
        expect(allAbsent().filter(({ deadlineMs }) => deadlineMs >= beforeMs)).toEqual(
          absent.filter(({ deadlineMs }) => deadlineMs >= beforeMs),
        );
        expect(rowsOf('PRAGMA foreign_key_check')).toEqual([]);
        expect(verifyChain(ledger.chain()).brokenAt).toBeNull();
        expect(found(nowMs)).toEqual([]);
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  it('a row that goes any other way is found, whichever it is', () => {
    fc.assert(
      fc.property(script, fc.integer({ min: 0, max: 31 }), fc.nat(), (devices, boundary, pick) => {
        const nowMs = make(devices) + 70 * day;
        pruneAll(start + boundary * day, nowMs);
        using database = new DatabaseSync(file, { enableForeignKeyConstraints: false });
        const left = [
          ...database.prepare(`SELECT 'run' AS kind, n FROM run WHERE state <> 'running'`).all(),
          ...database
            .prepare(`SELECT 'slot' AS kind, device, due_at_ms FROM slot WHERE state IS NOT NULL`)
            .all(),
        ];
        const one = left[pick % Math.max(left.length, 1)];
        fc.pre(one !== undefined);
        if (one?.kind === 'run') database.prepare('DELETE FROM run WHERE n = ?').run(Number(one.n));
        else
          database
            .prepare('DELETE FROM slot WHERE device = ? AND due_at_ms = ?')
            .run(String(one?.device), Number(one?.due_at_ms));
        expect(found(nowMs).some((finding) => finding.startsWith('row.gone'))).toBe(true);
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});

it('killed in the middle, every row that went has its record, and the next time goes on to the same end', async () => {
  registerDevice(ledger, 'fw1');
  ledger.together(() => {
    for (let index = 0; index < 2_000; index++) live('fw1', index, 'unchanged');
  });
  const beforeMs = start + 1_900 * day;
  const nowMs = start + 2_000 * day;
  const module = new URL('../../src/ledger/open-ledger.ts', import.meta.url).href;
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { openLedger } = await import(${JSON.stringify(module)});
       const ledger = openLedger(${JSON.stringify(file)});
       for (let from = null; ; ) {
         const step = ledger.retention.prune({ beforeMs: ${beforeMs}, nowMs: ${nowMs}, exceptRuns: new Set(), from });
         process.stdout.write('step\\n');
         if (step.next === null) break;
         from = step.next;
       }
       setInterval(() => {}, 1000);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const closed = once(child, 'close');
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await closed;
  expect(found(nowMs)).toEqual([]);
  pruneAll(beforeMs, nowMs);
  expect(rowsOf('SELECT count(*) AS count FROM run')).toEqual([{ count: 100 + 1 }]);
  expect(rowsOf('SELECT count(*) AS count FROM slot')).toEqual([{ count: 100 }]);
  expect(found(nowMs)).toEqual([]);
});
