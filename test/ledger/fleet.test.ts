import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OperationError } from '../../src/core/errors.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { registerDevice, runOnce } from './support.ts';

describe('the ledger of a fleet', () => {
  let dir: string;
  let ledger: Ledger;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'roundsman-fleet-'));
    ledger = openLedger(join(dir, 'ledger.db'));
  });
  afterEach(() => {
    ledger[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const line = (name: string, more: { group?: string; platform?: string; formerly?: string[] } = {}) => ({
    ...{ name, platform: 'cisco_asa', group: 'default', formerly: [] },
    ...more,
  });

  it('registers an inventory as it registers each device of it, and nothing twice', () => {
    const inventory = [line('fw1'), line('fw2', { group: 'hq' })];
    const registered = ledger.registerAll(inventory, 1_000);
    expect([...registered.keys()]).toEqual(['fw1', 'fw2']);
    expect(registered.get('fw2')).toEqual(ledger.device('fw2'));
    const length = ledger.chainLength();
    expect(ledger.registerAll(inventory, 2_000)).toEqual(registered);
    expect(ledger.chainLength()).toBe(length);
    const moved = ledger.registerAll([line('fw1', { group: 'hq' }), line('fw2', { group: 'hq' })], 3_000);
    expect(moved.get('fw1')?.group).toBe('hq');
  });

  it('lets the device that had a name move out before another one takes it', () => {
    ledger.registerAll([line('fw1')], 1_000);
    const registered = ledger.registerAll([line('fw1'), line('edge', { formerly: ['fw1'] })], 2_000);
    expect(registered.get('edge')?.id).toBe('fw1');
    expect(registered.get('fw1')?.id).not.toBe('fw1');
  });

  it('registers the others where one is refused, and tells of each that is', () => {
    ledger.registerAll([line('fw1')], 1_000);
    const inventory = [line('fw1', { platform: 'f5_bigip' }), line('fw2')];
    const refused: OperationError[] = [];
    const registered = ledger.registerAll(inventory, 2_000, (error) => refused.push(error));
    expect([...registered.keys()]).toEqual(['fw2']);
    expect(refused.map(({ message }) => message)).toEqual([
      expect.stringContaining('fw1 is known as cisco_asa'),
    ]);
    expect(() => ledger.registerAll(inventory, 3_000)).toThrow(OperationError);
  });

  it('knows each device by the name that it has now', () => {
    for (const name of ['fw2', 'fw1']) registerDevice(ledger, name);
    registerDevice(ledger, 'edge', ['fw1']);
    expect([...ledger.idsByName()]).toEqual([
      ['edge', 'fw1'],
      ['fw2', 'fw2'],
    ]);
    expect([...ledger.idsByName()]).toEqual(ledger.devices().map(({ name, id }) => [name, id]));
  });

  it('tells of some devices what it tells of all', () => {
    for (const name of ['fw1', 'fw2', 'fw3', 'fw4']) registerDevice(ledger, name);
    runOnce(ledger, 'fw1', 'r1', 'changed', 1_000);
    runOnce(ledger, 'fw1', 'r2', 'failed', 2_000);
    runOnce(ledger, 'fw2', 'r3', 'changed', 3_000);
    runOnce(ledger, 'fw3', 'r4', 'failed', 4_000);
    const all = ledger.summaries();
    const some = ledger.summaries(['fw3', 'fw1', 'nobody']);
    expect(some).toEqual(new Map(['fw1', 'fw3'].map((id) => [id, all.get(id)])));
    const versions = ledger.newestVersions(['fw1', 'fw2', 'fw3', 'fw4', 'nobody']);
    expect([...versions.keys()].sort()).toEqual(['fw1', 'fw2']);
    for (const [id, found] of versions) {
      const good = ledger.lastGood(id)?.versions ?? [];
      expect(found).toEqual(good.map(({ liesAt: _, ...version }) => version));
    }
  });
});
