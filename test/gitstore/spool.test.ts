import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SpoolEntry } from '../../src/core/run.ts';
import { openSpool } from '../../src/gitstore/open-spool.ts';

/** No process has this number: it is above the largest that Linux gives. */
const nobody = 4_194_305;

function entry(runId: string, over: Partial<SpoolEntry> = {}): SpoolEntry {
  return {
    runId,
    deviceId: 'fw1',
    deviceName: 'fw1',
    group: 'default',
    platform: 'cisco_asa',
    trigger: 'manual',
    slotMs: null,
    readAtMs: 1000,
    artefacts: [{ name: 'running-config', masked: 'hostname fw1\n', sealed: null }],
    facts: { hostname: 'fw1', version: null, model: null, serial: null, changedBy: null, changedAt: null },
    condition: { ha: 'Active', standby: false, sync: null, unsaved: true },
    serials: ['ABC'],
    restorable: 'yes',
    restorableBecause: null,
    maskKey: 'k1',
    rules: 'r1',
    ...over,
  };
}

describe('the spool', () => {
  let root: string;
  let dir: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'roundsman-spool-'));
    dir = join(root, 'spool');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const ids = (entries: readonly SpoolEntry[]) => entries.map(({ runId }) => runId);

  it('reads an entry of a version that knew of no condition, and one whose condition is damaged', async () => {
    const spool = await openSpool(dir);
    const { condition, ...older } = entry('r1');
    writeFileSync(join(dir, 'r1.json'), JSON.stringify(older));
    const damaged = {
      ...entry('r2', { readAtMs: 2000 }),
      condition: { ha: 7, standby: 'no', unsaved: true },
    };
    writeFileSync(join(dir, 'r2.json'), JSON.stringify(damaged));
    expect(condition.unsaved).toBe(true);
    expect((await spool.waiting()).map((one) => one.condition)).toEqual([
      { ha: null, standby: null, sync: null, unsaved: null },
      { ha: null, standby: null, sync: null, unsaved: true },
    ]);
    expect(readdirSync(dir).filter((name) => name.endsWith('.damaged'))).toEqual([]);
  });

  it('gives back what was put, oldest first, also to another process', async () => {
    const spool = await openSpool(dir);
    await spool.put(entry('r2', { readAtMs: 2 }));
    await spool.put(entry('r1', { readAtMs: 1 }));
    expect(ids(await (await openSpool(dir)).waiting())).toEqual(['r1', 'r2']);
    await spool.remove('r1');
    await spool.remove('r1');
    expect(ids(await spool.waiting())).toEqual(['r2']);
  });

  it('holds every byte of a text', async () => {
    const spool = await openSpool(dir);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        const masked = Buffer.from(bytes).toString('latin1');
        const one = entry('r1', { artefacts: [{ name: 'running-config', masked, sealed: 'd' }] });
        await spool.put(one);
        expect(await spool.waiting()).toEqual([one]);
      }),
      { numRuns: 30 },
    );
  });

  it('can be read by its owner alone', async () => {
    const spool = await openSpool(dir);
    await spool.put(entry('r1'));
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, 'r1.json')).mode & 0o777).toBe(0o600);
  });

  it('a file that a crash left half-written is ignored, and removed once its writer is gone', async () => {
    const spool = await openSpool(dir);
    const ours = join(dir, `.r2.json.${process.pid}.tmp`);
    const dead = join(dir, `.r1.json.${nobody}.tmp`);
    for (const file of [ours, dead]) writeFileSync(file, '{"runId":"r1"');
    expect(await spool.waiting()).toEqual([]);
    expect([existsSync(ours), existsSync(dead)]).toEqual([true, false]);
  });

  it.each([
    ['cut off', JSON.stringify(entry('r1')).slice(0, -20)],
    ['empty', ''],
    ['zeros', '\0'.repeat(100)],
    ['of another run', JSON.stringify(entry('r9'))],
    ['without its artefacts', JSON.stringify({ ...entry('r1'), artefacts: null })],
    ['with a number for a text', JSON.stringify(entry('r1')).replace('"hostname fw1\\n"', '7')],
  ])('a damaged file (%s) is set aside, never returned, never deleted', async (_, text) => {
    const spool = await openSpool(dir);
    writeFileSync(join(dir, 'r1.json'), text);
    await spool.put(entry('r3'));
    expect(ids(await spool.waiting())).toEqual(['r3']);
    expect(readFileSync(join(dir, 'r1.json.damaged'), 'utf8')).toBe(text);
    expect(existsSync(join(dir, 'r1.json'))).toBe(false);
  });

  it('holding moves an entry to quarantine; of one text the first and the newest are held', async () => {
    const spool = await openSpool(dir);
    await spool.put(entry('r1'));
    await spool.hold(entry('r1'));
    expect(await spool.waiting()).toEqual([]);
    await spool.hold(entry('r2', { readAtMs: 2000 }));
    await spool.hold(entry('other', { deviceId: 'fw2', readAtMs: 1 }));
    const shorter = [{ name: 'running-config', masked: 'hostname\n', sealed: null }];
    await spool.hold(entry('r3', { readAtMs: 3000, artefacts: shorter }));
    expect(ids(await spool.held('fw1'))).toEqual(['r3', 'r2', 'r1']);
    await spool.hold(entry('r4', { readAtMs: 4000 }));
    await spool.hold(entry('r5', { readAtMs: 5000, artefacts: shorter }));
    expect(ids(await spool.held('fw1'))).toEqual(['r5', 'r4', 'r3', 'r1']);
    expect(ids(await spool.held(null))).toEqual(['r5', 'r4', 'r3', 'r1', 'other']);
    await spool.release('fw1');
    expect(ids(await spool.held('fw1'))).toEqual([]);
    expect(ids(await spool.held('fw2'))).toEqual(['other']);
  });

  it('holding an entry again after a crash removes no other', async () => {
    const spool = await openSpool(dir);
    for (const [runId, readAtMs] of [
      ['r1', 1],
      ['r2', 2],
      ['r1', 1],
      ['r2', 2],
    ] as const) {
      await spool.hold(entry(runId, { readAtMs }));
      expect(ids(await spool.held('fw1'))).toContain(runId);
    }
    expect(ids(await spool.held('fw1'))).toEqual(['r2', 'r1']);
  });

  it('an id that would leave the directory is refused', async () => {
    const spool = await openSpool(dir);
    for (const runId of ['../r1', '.r1', 'a/b', '']) {
      await expect(spool.put(entry(runId))).rejects.toThrow('is not the id of a run');
    }
    expect(readdirSync(root)).toEqual(['spool']);
  });

  it('a directory that cannot be made, or written, is an error that names it', async () => {
    writeFileSync(join(root, 'file'), '');
    await expect(openSpool(join(root, 'file', 'spool'))).rejects.toMatchObject({ code: 'store.io' });
    const spool = await openSpool(dir);
    rmSync(dir, { recursive: true });
    await expect(spool.put(entry('r1'))).rejects.toMatchObject({ code: 'store.io', detail: { path: dir } });
  });
});
