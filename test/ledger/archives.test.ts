import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../src/core/errors.ts';
import { verifyChain } from '../../src/ledger/audit.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { reading, registerDevice, runOnce, timeout } from './support.ts';

let root: string;
let ledger: Ledger;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-archives-'));
  ledger = openLedger(join(root, 'ledger.db'));
  registerDevice(ledger, 'lb1');
});
afterEach(() => {
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

function attempt(runId: string, name: string, attemptedAtMs: number, failure: Failure | null = null): void {
  ledger.openRun({ runId, deviceId: 'lb1', trigger: 'manual', slotMs: null, startedAtMs: attemptedAtMs });
  const sealed = failure === null ? { digest: `digest-${runId}`, bytes: 10 } : null;
  ledger.archives.ended({ deviceId: 'lb1', name, runId, attemptedAtMs, sealed, failure });
}

describe('archives', () => {
  it('are known by their attempts, good and bad', () => {
    expect(ledger.archives.last('lb1', 'ucs')).toBeNull();
    attempt('r1', 'ucs', 100);
    attempt('r2', 'ucs', 200, timeout);
    attempt('r3', 'scf', 300);
    expect(ledger.archives.last('lb1', 'ucs')).toEqual({ atMs: 200, stored: false });
    expect(ledger.archives.standings().get('lb1')).toEqual([
      { name: 'scf', lastAttemptMs: 300, lastSuccessMs: 300, failure: null },
      { name: 'ucs', lastAttemptMs: 200, lastSuccessMs: 100, failure: timeout },
    ]);
    expect(ledger.archives.kept('lb1', 'ucs', null)?.runId).toBe('r1');
    expect(ledger.archives.kept('lb1', 'ucs', 'r2')).toBeNull();
    expect(ledger.archives.kept('lb1', 'scf', 'r3')?.sealed).toEqual({ digest: 'digest-r3', bytes: 10 });
    expect(ledger.archives.list('lb1').map(({ runId }) => runId)).toEqual(['r3', 'r1']);
    expect(ledger.archives.list('fw9')).toEqual([]);
  });

  it('are in the hash chain, and their files among those that an export takes', () => {
    attempt('r1', 'ucs', 100);
    const records = [...ledger.chain()].map(({ record }) => JSON.parse(record) as { category: string });
    expect(records.at(-1)).toMatchObject({
      ...{ category: 'archive', archive: 'ucs', run: 'r1', error: null },
      sealed: { digest: 'digest-r1', bytes: 10 },
    });
    expect(verifyChain(ledger.chain()).brokenAt).toBeNull();
    expect(ledger.sealedDigests()).toEqual(['digest-r1']);
  });

  it('belong to a run that is known', () => {
    const stray = { deviceId: 'lb1', name: 'ucs', runId: 'r9', attemptedAtMs: 1 };
    expect(() => ledger.archives.ended({ ...stray, sealed: null, failure: timeout })).toThrow(
      'record.failed',
    );
  });
});

describe('retention', () => {
  const sealedRun = (runId: string, outcome: 'changed' | 'unchanged' | 'quarantined', atMs: number) => {
    const [artefact] = reading().artefacts;
    const one = { ...artefact, sealed: `digest-${runId}`, changed: outcome !== 'unchanged' } as never;
    return runOnce(ledger, 'lb1', runId, outcome, atMs, { reading: reading({ artefacts: [one] }) });
  };

  it('forgets what is older, never the newest of each, and tells which files are then of no use', () => {
    sealedRun('r1', 'changed', 100);
    sealedRun('r2', 'changed', 200);
    attempt('a1', 'ucs', 110);
    attempt('a2', 'ucs', 120);
    attempt('a3', 'ucs', 130, timeout);
    attempt('a4', 'ucs', 140, timeout);
    expect(ledger.retention.forgetBefore(1_000, [], 2_000)).toEqual({ sealed: 1, archives: 1 });
    expect([...ledger.sealedDigests()].sort()).toEqual(['digest-a2', 'digest-r2']);
    expect([...ledger.retention.unreferenced()].sort()).toEqual(['digest-a1', 'digest-r1']);
    // The newest attempt stays too: it is what the next one is reckoned from.
    expect(ledger.archives.last('lb1', 'ucs')?.atMs).toBe(140);
    ledger.retention.removed(['digest-a1']);
    expect(ledger.retention.unreferenced()).toEqual(['digest-r1']);
    expect(ledger.retention.forgetBefore(1_000, [], 2_000)).toEqual({ sealed: 0, archives: 0 });
    const categories = [...ledger.chain()].map(
      ({ record }) => (JSON.parse(record) as { category: string }).category,
    );
    expect(categories.filter((category) => category === 'retention')).toHaveLength(1);
  });

  it('leaves alone what is young, and what waits for a person', () => {
    sealedRun('r1', 'changed', 100);
    sealedRun('r2', 'quarantined', 200);
    sealedRun('r3', 'changed', 300);
    sealedRun('r4', 'changed', 400);
    expect(ledger.retention.forgetBefore(250, ['r2'], 500)).toEqual({ sealed: 1, archives: 0 });
    expect(ledger.sealed('lb1', 'running-config', 'r2')?.digest).toBe('digest-r2');
    expect(ledger.retention.forgetBefore(250, [], 500)).toEqual({ sealed: 1, archives: 0 });
    expect(ledger.sealed('lb1', 'running-config', 'r2')).toBeNull();
    expect(ledger.sealed('lb1', 'running-config', 'r3')?.digest).toBe('digest-r3');
  });

  it('a copy that gives way to the next one is noted too, so that a crash leaves no file for ever', () => {
    sealedRun('r1', 'changed', 100);
    sealedRun('r2', 'unchanged', 200);
    expect(sealedRun('r3', 'unchanged', 300)).toEqual(['digest-r2']);
    expect(ledger.retention.unreferenced()).toEqual(['digest-r2']);
  });

  it('whatever happened, a row names no file that is to go, and the newest good ones stay', () => {
    const step = fc.record({
      kind: fc.constantFrom('changed', 'unchanged', 'archive', 'failed-archive', 'forget'),
      age: fc.integer({ min: 0, max: 2_000 }),
    });
    let ledgers = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const own = openLedger(join(root, `own-${ledgers++}.db`));
        const outer = ledger;
        ledger = own;
        try {
          registerDevice(own, 'lb1');
          const written = new Set<string>();
          for (const [index, { kind, age }] of steps.entries()) {
            const runId = `r${index}`;
            const atMs = 1_000 * (index + 1);
            if (kind === 'forget') own.retention.forgetBefore(atMs - age, [], atMs);
            else if (kind === 'archive') attempt(runId, 'ucs', atMs);
            else if (kind === 'failed-archive') attempt(runId, 'ucs', atMs, timeout);
            else sealedRun(runId, kind as 'changed', atMs);
            if (kind !== 'forget' && kind !== 'failed-archive') written.add(`digest-${runId}`);
          }
          const named = new Set(own.sealedDigests());
          const free = new Set(own.retention.unreferenced());
          expect([...written].every((digest) => named.has(digest) !== free.has(digest))).toBe(true);
          const good = steps.flatMap(({ kind }, index) => (kind === 'archive' ? [`digest-r${index}`] : []));
          if (good.length > 0) expect(named.has(good.at(-1) ?? '')).toBe(true);
        } finally {
          own[Symbol.dispose]();
          ledger = outer;
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('what a device told of itself', () => {
  const condition = { ha: 'Active', standby: false, sync: 'In Sync', unsaved: true };

  it('is that of the newest good reading, and of one that was accepted', () => {
    const facts = () => ledger.summaries().get('lb1')?.facts;
    expect(facts()).toBeNull();
    runOnce(ledger, 'lb1', 'r1', 'changed', 100, { reading: reading({ condition }) });
    expect(facts()).toEqual({
      hostname: 'FW1',
      version: '9.1',
      model: 'x',
      serial: 'S1',
      partners: [],
      ...condition,
    });
    const saved = { ...condition, unsaved: false };
    runOnce(ledger, 'lb1', 'r2', 'quarantined', 200, { reading: reading({ condition: saved }) });
    expect(facts()?.unsaved).toBe(true);
    ledger.acceptRun({ runId: 'r2', atMs: 300, by: 'root', commit: 'c', paths: new Map() });
    expect(facts()?.unsaved).toBe(false);
  });
});

describe('who a device is', () => {
  const unit = (serial: string, hostname: string, serials: readonly string[]) =>
    reading({ facts: { ...reading().facts, serial, hostname }, serials });
  const known = () => {
    const { hostname, serials, hostnames } = ledger.device('lb1') ?? {};
    return { hostname, serials, hostnames };
  };

  it('grows by what a good reading names, and forgets no partner that is named no more', () => {
    runOnce(ledger, 'lb1', 'r1', 'changed', 100, { reading: unit('A', 'one', ['A', 'B']) });
    runOnce(ledger, 'lb1', 'r2', 'unchanged', 200, { reading: unit('A', 'one', ['A']) });
    expect(known()).toEqual({ hostname: 'one', serials: ['A', 'B'], hostnames: { A: 'one' } });
    runOnce(ledger, 'lb1', 'r3', 'unchanged', 300, { reading: unit('B', 'two', ['B', 'A', 'C']) });
    expect(known()).toEqual({
      hostname: 'two',
      serials: ['A', 'B', 'C'],
      hostnames: { A: 'one', B: 'two' },
    });
  });

  it('is not told by a reading that is held, until that is accepted', () => {
    const identity: Failure = { code: 'verify.identity', detail: { expected: 'x', presented: 'y' } };
    runOnce(ledger, 'lb1', 'r1', 'changed', 100, { reading: unit('A', 'one', ['A', 'B']) });
    const other = { reading: unit('X', 'new', ['X', 'Y']), failure: identity };
    runOnce(ledger, 'lb1', 'r2', 'quarantined', 200, other);
    expect(known().serials).toEqual(['A', 'B']);
    ledger.acceptRun({ runId: 'r2', atMs: 300, by: 'root', commit: 'c', paths: new Map() });
    expect(known()).toEqual({ hostname: 'new', serials: ['X', 'Y'], hostnames: { X: 'new' } });
  });

  it('is bounded, whatever a device names', () => {
    for (let n = 0; n < 10; n++) {
      const serials = ['A', ...Array.from({ length: 63 }, (_, index) => `S${n}-${index}`)];
      runOnce(ledger, 'lb1', `r${n}`, 'unchanged', n + 1, { reading: unit('A', 'one', serials) });
    }
    expect(known().serials).toHaveLength(256);
    expect(known().hostnames).toEqual({ A: 'one' });
  });

  it('is known of a ledger that was written before units had names of their own', () => {
    const file = join(root, 'older.db');
    const database = new DatabaseSync(file);
    const folder = fileURLToPath(new URL('../../src/ledger/migrations/', import.meta.url));
    for (const name of readdirSync(folder).sort().slice(0, 3))
      database.exec(readFileSync(join(folder, name), 'utf8'));
    database.exec(
      `PRAGMA user_version = 3;
       INSERT INTO device (id, name, platform, grp, registered_at_ms, hostname, serials)
         VALUES ('lb1', 'lb1', 'f5_bigip', 'hq', 1, 'one', '["A","B"]'), ('lb2', 'lb2', 'f5_bigip', 'hq', 1, NULL, '[]')`,
    );
    database.close();
    ledger[Symbol.dispose]();
    ledger = openLedger(file);
    expect(known()).toEqual({ hostname: 'one', serials: ['A', 'B'], hostnames: { A: 'one' } });
    expect(ledger.summaries().get('lb1')?.facts).toBeNull();
  });
});
