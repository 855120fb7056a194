import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BackupError, OperationError } from '../../src/core/errors.ts';
import { canonicalJson, verifyChain } from '../../src/ledger/audit.ts';
import type { Ledger, RunFilter } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { endOf, reading, registerDevice, runOnce, shrunk, timeout } from './support.ts';

const everything: RunFilter = { deviceIds: null, states: null, sinceMs: null, untilMs: null, limit: 1000 };
const source = (name: string) => fileURLToPath(new URL(`../../src/ledger/${name}`, import.meta.url));

describe('the ledger', () => {
  let root: string;
  let file: string;
  let ledger: Ledger;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-ledger-'));
    file = join(root, 'ledger.db');
    ledger = openLedger(file);
  });
  afterEach(() => {
    ledger[Symbol.dispose]();
    rmSync(root, { recursive: true, force: true });
  });

  /** Somebody with sqlite3 at hand. */
  function tamper(sql: string): void {
    const database = new DatabaseSync(file);
    database.exec(sql);
    database.close();
  }

  it('is made from nothing, is there when opened again, and belongs to its owner alone', () => {
    registerDevice(ledger, 'fw1');
    ledger[Symbol.dispose]();
    ledger = openLedger(file);
    expect(ledger.device('fw1')).toEqual({
      id: 'fw1',
      name: 'fw1',
      platform: 'cisco_asa',
      group: 'default',
      retiredMs: null,
      hostname: null,
      serials: [],
      hostnames: {},
    });
    for (const name of ['', '-wal', '-shm']) expect(statSync(`${file}${name}`).mode & 0o777).toBe(0o600);
  });

  it('survives a power cut by its settings: WAL with full synchronisation', () => {
    const database = new DatabaseSync(file);
    expect({ ...database.prepare('PRAGMA journal_mode').get() }).toEqual({ journal_mode: 'wal' });
    database.close();
  });

  it('written by a newer version, it is refused and not touched', () => {
    tamper('PRAGMA user_version = 99');
    expect(() => openLedger(file)).toThrow(
      expect.objectContaining({ detail: { problem: expect.stringContaining('newer version') } }),
    );
  });

  it('damaged, it says so and what to do', () => {
    const other = join(root, 'other.db');
    writeFileSync(other, 'this is no database at all, '.repeat(200));
    expect(() => openLedger(other)).toThrow(
      expect.objectContaining({
        code: 'record.failed',
        detail: { problem: expect.stringContaining('damaged') },
      }),
    );
    expect(() => openLedger(join(root, 'absent', 'ledger.db'))).toThrow(
      expect.objectContaining({ code: 'store.io' }),
    );
    expect(() => openLedger(root)).toThrow(expect.objectContaining({ code: 'store.io' }));
  });

  it('says that it is busy when another process does not let go', () => {
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    expect(() => registerDevice(ledger, 'fw1')).toThrow(expect.objectContaining({ code: 'record.busy' }));
    // Reading goes on.
    expect(ledger.devices()).toEqual([]);
    other.exec('ROLLBACK');
    other.close();
    expect(registerDevice(ledger, 'fw1').id).toBe('fw1');
  });

  it('a run leaves evidence before the first packet', () => {
    registerDevice(ledger, 'fw1');
    ledger.openRun({ runId: 'r1', deviceId: 'fw1', trigger: 'manual', slotMs: 7, startedAtMs: 100 });
    expect(openLedgerOnce((second) => second.running())).toMatchObject([
      { runId: 'r1', state: 'running', slotMs: 7, endedAtMs: null, failure: null, device: 'fw1' },
    ]);
  });

  function openLedgerOnce<Answer>(work: (second: Ledger) => Answer): Answer {
    using second = openLedger(file);
    return work(second);
  }

  it('an end state is never rewritten, neither by us nor by a statement of ours', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'failed', 100);
    const head = ledger.chainHead();
    for (const outcome of ['changed', 'unchanged', 'quarantined', 'failed'] as const) {
      expect(() => ledger.closeRun(endOf('r1', outcome, 300))).toThrow(
        expect.objectContaining({ detail: { problem: 'run r1 has ended already (failed)' } }),
      );
    }
    expect(() => ledger.closeRun(endOf('r9', 'failed', 300))).toThrow(BackupError);
    expect(() => tamper(`UPDATE run SET state = 'changed', error_code = NULL WHERE id = 'r1'`)).toThrow(
      'ends once',
    );
    expect(ledger.run('r1')).toMatchObject({ state: 'failed', failure: timeout, endedAtMs: 105 });
    expect(ledger.chainHead()).toBe(head);
    expect(ledger.summaries().get('fw1')?.consecutiveFailures).toBe(1);
  });

  it('a failure comes back as it was, hostile bytes included', () => {
    registerDevice(ledger, 'fw1');
    const failure = {
      code: 'login.question-unknown',
      detail: { question: 'a\0\x1b[2J\u00e9\ud800"\n' },
    } as const;
    runOnce(ledger, 'fw1', 'r1', 'failed', 100, { failure, restorableBecause: 'x\0y' });
    expect(ledger.run('r1')).toMatchObject({ failure, restorableBecause: 'x\0y' });
    expect(verifyChain(ledger.chain()).brokenAt).toBeNull();
  });

  it('the last good reading has the newest version of each artefact that it had', () => {
    registerDevice(ledger, 'fw1');
    const artefacts = (...changed: readonly (readonly [string, boolean])[]) =>
      reading({
        artefacts: changed.map(([name, differs]) => ({
          name,
          path: `default/fw1/${name}.cfg`,
          sealed: null,
          bytes: 3,
          changed: differs,
        })),
      });
    expect(ledger.lastGood('fw1')).toBeNull();
    runOnce(ledger, 'fw1', 'r1', 'changed', 100, {
      reading: artefacts(['running-config', true], ['context-a', true], ['gone', true]),
    });
    runOnce(ledger, 'fw1', 'r2', 'changed', 200, {
      reading: artefacts(['running-config', true], ['context-a', false]),
    });
    runOnce(ledger, 'fw1', 'r3', 'quarantined', 300);
    runOnce(ledger, 'fw1', 'r4', 'failed', 400);
    const good = ledger.lastGood('fw1');
    expect(good).toMatchObject({
      runId: 'r2',
      commit: 'commit-r2',
      rules: 'rules',
      maskKey: 'key',
      restorable: 'yes',
    });
    expect(good?.versions.map(({ artefact, runId }) => [artefact, runId])).toEqual([
      ['running-config', 'r2'],
      ['context-a', 'r1'],
    ]);
    expect(ledger.artefactNames('fw1')).toEqual(['running-config', 'context-a', 'gone']);
    expect(ledger.versions('fw1', 'running-config').map(({ runId }) => runId)).toEqual(['r2', 'r1']);
  });

  it('a clock that goes back does not make an older reading the newest', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 1_000_000);
    runOnce(ledger, 'fw1', 'r2', 'changed', 500);
    expect(ledger.lastGood('fw1')?.versions[0]?.runId).toBe('r2');
    expect(ledger.versions('fw1', 'running-config')[0]?.runId).toBe('r2');
  });

  it('the same text at a new path is a new version: a group move', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    const moved = reading({
      artefacts: [
        { name: 'running-config', path: 'hq/fw1/running-config.cfg', sealed: null, changed: false, bytes: 3 },
      ],
    });
    runOnce(ledger, 'fw1', 'r2', 'changed', 200, { reading: moved });
    expect(ledger.lastGood('fw1')?.versions).toMatchObject([
      { path: 'hq/fw1/running-config.cfg', runId: 'r2' },
    ]);
  });

  it('accepting makes exactly that run the last good one, once', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    const held = reading({
      facts: { ...reading().facts, hostname: 'FW1-NEW', serial: 'S2' },
      serials: ['S2', 'S3'],
      artefacts: [{ name: 'running-config', path: null, sealed: 'd2', changed: true, bytes: 3 }],
    });
    runOnce(ledger, 'fw1', 'r2', 'quarantined', 200, { reading: held, restorable: 'partial' });
    expect(ledger.device('fw1')).toMatchObject({ hostname: 'FW1', serials: ['S1'] });
    expect(ledger.sealed('fw1', 'running-config', null)).toBeNull();
    expect(ledger.sealed('fw1', 'running-config', 'r2')?.digest).toBe('d2');

    const accept = {
      runId: 'r2',
      atMs: 900,
      by: 'root',
      commit: 'c2',
      paths: new Map([['running-config', 'default/fw1/running-config.cfg']]),
    };
    ledger.acceptRun(accept);
    expect(ledger.run('r2')).toMatchObject({
      state: 'quarantined',
      failure: shrunk,
      acceptedAtMs: 900,
      commit: 'c2',
      endedAtMs: 205,
    });
    expect(ledger.lastGood('fw1')).toMatchObject({
      runId: 'r2',
      commit: 'c2',
      restorable: 'partial',
      versions: [{ commit: 'c2', runId: 'r2' }],
    });
    expect(ledger.summaries().get('fw1')).toMatchObject({
      lastSuccessMs: 900,
      consecutiveFailures: 0,
      heldRun: null,
      restorable: 'partial',
    });
    expect(ledger.device('fw1')).toMatchObject({ hostname: 'FW1-NEW', serials: ['S1', 'S2', 'S3'] });
    expect(ledger.sealed('fw1', 'running-config', null)?.digest).toBe('d2');
    expect(() => ledger.acceptRun(accept)).toThrow(OperationError);
    expect(() => ledger.acceptRun({ ...accept, runId: 'r1' })).toThrow('ended changed');
    expect(() => ledger.acceptRun({ ...accept, runId: 'r9' })).toThrow('not known');
    expect(verifyChain(ledger.chain()).brokenAt).toBeNull();
  });

  it("accepting another unit forgets the old unit's numbers", () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    runOnce(ledger, 'fw1', 'r2', 'quarantined', 200, {
      failure: { code: 'verify.identity', detail: { expected: 'S1', presented: 'S2' } },
      reading: reading({ facts: { ...reading().facts, serial: 'S2' }, serials: ['S2'] }),
    });
    ledger.acceptRun({ runId: 'r2', atMs: 300, by: 'root', commit: 'c', paths: new Map() });
    expect(ledger.device('fw1')?.serials).toEqual(['S2']);
  });

  it('a repeated sealed copy gives way to the next one, a copy that a commit names does not', () => {
    registerDevice(ledger, 'fw1');
    const sealed = (digest: string, changed: boolean) => ({
      reading: reading({
        artefacts: [
          {
            name: 'running-config',
            path: 'default/fw1/running-config.cfg',
            sealed: digest,
            changed,
            bytes: 3,
          },
        ],
      }),
    });
    expect(runOnce(ledger, 'fw1', 'r1', 'changed', 100, sealed('d1', true))).toEqual([]);
    expect(runOnce(ledger, 'fw1', 'r2', 'unchanged', 200, sealed('d2', false))).toEqual([]);
    expect(runOnce(ledger, 'fw1', 'r3', 'unchanged', 300, sealed('d3', false))).toEqual(['d2']);
    expect(runOnce(ledger, 'fw1', 'q1', 'quarantined', 350, sealed('dq', true))).toEqual([]);
    expect(runOnce(ledger, 'fw1', 'r4', 'changed', 400, sealed('d4', true))).toEqual([]);
    expect(runOnce(ledger, 'fw1', 'r5', 'unchanged', 500, sealed('d5', false))).toEqual([]);
    const digest = (run: string | null) => ledger.sealed('fw1', 'running-config', run)?.digest ?? null;
    expect(['r1', 'r2', 'r3', 'q1', 'r4', null].map(digest)).toEqual(['d1', null, 'd3', 'dq', 'd4', 'd5']);
    // Written once, named by two runs: not free while one of them names it.
    expect(runOnce(ledger, 'fw1', 'r6', 'unchanged', 600, sealed('d5', false))).toEqual([]);
  });

  it('lists runs newest first, by device, state and time', () => {
    for (const name of ['fw1', 'fw2']) registerDevice(ledger, name);
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    runOnce(ledger, 'fw2', 'r2', 'failed', 200);
    runOnce(ledger, 'fw1', 'r3', 'unchanged', 300);
    const ids = (filter: Partial<RunFilter>) =>
      ledger.runs({ ...everything, ...filter }).map(({ runId }) => runId);
    expect(ids({})).toEqual(['r3', 'r2', 'r1']);
    expect(ids({ deviceIds: ['fw1'] })).toEqual(['r3', 'r1']);
    expect(ids({ deviceIds: [] })).toEqual([]);
    expect(ids({ states: ['failed', 'quarantined'] })).toEqual(['r2']);
    expect(ids({ sinceMs: 200, untilMs: 299 })).toEqual(['r2']);
    expect(ids({ limit: 1 })).toEqual(['r3']);
    expect(ledger.run('r9')).toBeNull();
  });

  it('the chain names the first record that was changed, removed or moved', () => {
    registerDevice(ledger, 'fw1');
    for (let index = 0; index < 5; index++) runOnce(ledger, 'fw1', `r${index}`, 'failed', 100 + index);
    ledger.record('trust', 900, { device: 'fw1', fingerprints: ['SHA256:abc'] });
    expect(verifyChain(ledger.chain())).toEqual({ length: 7, head: ledger.chainHead(), brokenAt: null });
    tamper(`UPDATE chain SET record = json_set(record, '$.at_ms', 1) WHERE n = 4`);
    expect(verifyChain(ledger.chain())).toMatchObject({ length: 3, brokenAt: 4 });
    tamper('DELETE FROM chain WHERE n = 2');
    expect(verifyChain(ledger.chain())).toMatchObject({ length: 1, brokenAt: 2 });
  });

  it('each hash covers the one before, so a record cannot be swapped for one with a hash of its own', () => {
    for (let index = 0; index < 3; index++) ledger.record('trust', index, {});
    const [first, second] = [...ledger.chain()];
    const sha256 = (...parts: readonly (Uint8Array | string)[]) => {
      const hash = createHash('sha256');
      for (const part of parts) hash.update(part);
      return hash.digest('hex');
    };
    expect(Buffer.from(first?.hash ?? '').toString('hex')).toBe(
      sha256(new Uint8Array(32), first?.record ?? ''),
    );
    expect(Buffer.from(second?.hash ?? '').toString('hex')).toBe(
      sha256(first?.hash ?? '', '{"at_ms":1,"category":"trust"}'),
    );
  });

  it('the chain starts from 32 zero bytes', () => {
    expect(ledger.chainHead()).toBe('0'.repeat(64));
    expect(verifyChain(ledger.chain())).toEqual({ length: 0, head: '0'.repeat(64), brokenAt: null });
  });

  it('canonical JSON depends on what is said, not on the order of keys', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'é\0' }], a: true })).toBe(
      '{"a":true,"b":[1,{"c":"é\\u0000","d":null}]}',
    );
    for (const value of [undefined, Number.NaN, 1n, () => 1])
      expect(() => canonicalJson({ value })).toThrow(TypeError);
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(JSON.parse(canonicalJson(value)))).toBe(canonicalJson(value));
      }),
    );
  });

  it('two processes write at the same time, and the chain stays whole', async () => {
    for (const name of ['a', 'b']) registerDevice(ledger, name);
    const script = `
      import { openLedger } from ${JSON.stringify(source('open-ledger.ts'))};
      const ledger = openLedger(${JSON.stringify(file)});
      process.stdin.once('data', () => {
        for (let n = 0; n < 100; n++) ledger.record('trust', n, { by: process.argv[1], n });
        ledger[Symbol.dispose]();
        process.stdin.destroy();
      });
      console.log('ready');`;
    const children = ['a', 'b'].map((name) =>
      spawn(process.execPath, ['--input-type=module-typescript', '-e', script, name], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    const codes = children.map((child) => new Promise((resolve) => child.once('close', resolve)));
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout.once('data', resolve))));
    for (const child of children) child.stdin.write('go');
    expect(await Promise.all(codes)).toEqual([0, 0]);
    expect(verifyChain(ledger.chain())).toMatchObject({ length: 202, brokenAt: null });
  });

  it('two processes may create it at the same time', async () => {
    const fresh = join(root, 'fresh.db');
    const script = `
      import { openLedger } from ${JSON.stringify(source('open-ledger.ts'))};
      openLedger(${JSON.stringify(fresh)}).record('init', 1, {});`;
    const codes = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise((resolve) =>
            spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
              stdio: ['ignore', 'ignore', 'inherit'],
            }).once('close', resolve),
          ),
      ),
    );
    expect(codes).toEqual([0, 0, 0]);
    using opened = openLedger(fresh);
    expect(verifyChain(opened.chain())).toMatchObject({ length: 3, brokenAt: null });
  });

  it('whatever the runs were, what is known of a device follows from them', () => {
    const outcome = fc.constantFrom(
      'changed',
      'unchanged',
      'failed',
      'quarantined',
      'accept',
      'open' as const,
    );
    let round = 0;
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 25 }), (steps) => {
        round++;
        const name = `fw${round}`;
        const before = verifyChain(ledger.chain()).length;
        registerDevice(ledger, name);
        const model = {
          good: null as string | null,
          held: null as string | null,
          failures: 0,
          success: null as number | null,
        };
        let appended = 1;
        for (const [index, step] of steps.entries()) {
          const runId = `${name}-r${index}`;
          const atMs = 1000 * index;
          if (step === 'open') {
            ledger.openRun({ runId, deviceId: name, trigger: 'manual', slotMs: null, startedAtMs: atMs });
            continue;
          }
          if (step === 'accept') {
            if (model.held === null) continue;
            ledger.acceptRun({
              runId: model.held,
              atMs,
              by: 'x',
              commit: 'c',
              paths: new Map([['running-config', 'p']]),
            });
            Object.assign(model, { good: model.held, held: null, failures: 0, success: atMs });
          } else {
            runOnce(ledger, name, runId, step, atMs);
            if (step === 'changed' || step === 'unchanged') {
              Object.assign(model, { good: runId, held: null, failures: 0, success: atMs + 5 });
            } else {
              model.failures++;
              if (step === 'quarantined') model.held = runId;
            }
          }
          appended++;
        }
        const summary = ledger.summaries().get(name);
        expect(summary).toMatchObject({ consecutiveFailures: model.failures, lastSuccessMs: model.success });
        expect(summary?.heldRun?.runId ?? null).toBe(model.held);
        expect(ledger.lastGood(name)?.runId ?? null).toBe(model.good);
        const opened = steps.filter((step) => step === 'open').length;
        expect(ledger.running().filter(({ deviceId }) => deviceId === name)).toHaveLength(opened);
        expect(verifyChain(ledger.chain())).toMatchObject({ length: before + appended, brokenAt: null });
      }),
      { numRuns: 20 },
    );
  });
});
