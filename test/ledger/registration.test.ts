import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OperationError } from '../../src/core/errors.ts';
import { verifyChain } from '../../src/ledger/audit.ts';
import type { KnownDevice, Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { registerDevice, runOnce } from './support.ts';

const march = Date.UTC(2026, 2, 1);

let root: string;
let ledger: Ledger;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'roundsman-registration-'));
  ledger = openLedger(join(root, 'ledger.db'));
});
afterEach(() => {
  expect(verifyChain(ledger.chain()).brokenAt).toBeNull();
  ledger[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

function register(name: string, platform: string, formerly: readonly string[], atMs: number): KnownDevice {
  return ledger.register({ name, platform, group: 'default', formerly, atMs });
}

function retire(name: string): void {
  const deviceId = ledger.device(name)?.id ?? '';
  ledger.lives.retire({ deviceId, sinceMs: march, atMs: march + 1, commit: null });
}

const goodRunOf = (name: string): string | undefined => ledger.lastGood(ledger.device(name)?.id ?? '')?.runId;

describe('a name', () => {
  it('that changed keeps its history; the old one can go to another device', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    const renamed = registerDevice(ledger, 'fw-core', ['fw1']);
    expect(renamed).toMatchObject({ id: 'fw1', name: 'fw-core', hostname: 'FW1' });
    expect(ledger.device('fw1')?.id).toBe('fw1');
    expect(ledger.run('r1')?.device).toBe('fw-core');
    // The line stays in the inventory with its `formerly`.
    expect(registerDevice(ledger, 'fw-core', ['fw1']).id).toBe('fw1');
    const other = registerDevice(ledger, 'fw1');
    expect(other).toMatchObject({ id: 'fw1~2', name: 'fw1', hostname: null });
    expect(registerDevice(ledger, 'fw1').id).toBe('fw1~2');
    expect(ledger.lastGood('fw1~2')).toBeNull();
    expect(goodRunOf('fw-core')).toBe('r1');
    // Also once the other one has a history of its own: what came from there has come long ago.
    runOnce(ledger, 'fw1~2', 'r2', 'changed', 200);
    expect(registerDevice(ledger, 'fw-core', ['fw1']).id).toBe('fw1');
    // A name in between that was never seen here.
    expect(registerDevice(ledger, 'fw-edge', ['fw-middle', 'fw-core']).id).toBe('fw1');
  });

  it('that is known with another platform is refused, and the refusal says both ways out', () => {
    registerDevice(ledger, 'fw1');
    expect(() => register('fw1', 'f5_bigip', [], 2)).toThrow(
      expect.objectContaining({
        message: 'fw1 is known as cisco_asa, the inventory now says f5_bigip',
        todo: expect.stringMatching(/retired:.*formerly: \[fw1\]/),
      }),
    );
    expect(ledger.devices()).toMatchObject([{ name: 'fw1', platform: 'cisco_asa' }]);
  });

  it('of a retired device begins anew, with any platform; the old history stays under a name of its own', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    retire('fw1');
    expect(ledger.device('fw1')).toMatchObject({ id: 'fw1', retiredMs: march });
    const next = register('fw1', 'f5_bigip', [], march + 5);
    expect(next).toMatchObject({ id: 'fw1~2', platform: 'f5_bigip', retiredMs: null });
    expect(ledger.device('fw1.retired-2026-03-01')).toMatchObject({ id: 'fw1', platform: 'cisco_asa' });
    expect(goodRunOf('fw1.retired-2026-03-01')).toBe('r1');
    expect(register('fw1', 'f5_bigip', [], march + 6).id).toBe('fw1~2');
    // And a second time on the same day.
    ledger.lives.retire({ deviceId: 'fw1~2', sinceMs: march, atMs: march + 7, commit: null });
    expect(register('fw1', 'cisco_asa', [], march + 8).id).toBe('fw1~3');
    expect(ledger.device('fw1.retired-2026-03-01-2')?.id).toBe('fw1~2');
  });

  it('as long as a name may be leaves room for what it is put aside with', () => {
    const long = `f${'w'.repeat(62)}`;
    registerDevice(ledger, long);
    retire(long);
    register(long, 'cisco_asa', [], march + 5);
    for (const { name } of ledger.devices()) expect(name).toMatch(/^[a-z0-9][a-z0-9._-]{0,62}$/);
  });

  it('of a retirement that is taken back is the old device again', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    retire('fw1');
    expect(register('fw1', 'cisco_asa', ['fw1.retired-2026-03-01'], march + 5)).toMatchObject({
      ...{ id: 'fw1', retiredMs: null },
    });
    // Also where the name had begun anew by then.
    retire('fw1');
    expect(register('fw1', 'cisco_asa', [], march + 6).id).toBe('fw1~2');
    expect(register('fw1', 'cisco_asa', ['fw1.retired-2026-03-01'], march + 7).id).toBe('fw1');
    expect(goodRunOf('fw1')).toBe('r1');
  });
});

describe('formerly', () => {
  it('that comes after the first backup under the new name still carries the history over', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    register('fw-berlin', 'cisco_asa', ['fw-1'], march);
    runOnce(ledger, 'fw-berlin', 'r2', 'changed', march + 10);
    expect(register('fw-berlin', 'cisco_asa', ['fw1'], march + 20).id).toBe('fw1');
    expect(goodRunOf('fw-berlin')).toBe('r1');
    // What was read in between is not lost.
    expect(goodRunOf('fw-berlin.until-2026-03-01')).toBe('r2');
    expect(register('fw-berlin', 'cisco_asa', ['fw1'], march + 30).id).toBe('fw1');
    expect(ledger.devices()).toHaveLength(2);
    // And it can be taken back, also after the next reading.
    runOnce(ledger, 'fw1', 'r3', 'failed', march + 40);
    expect(register('fw-berlin', 'cisco_asa', ['fw-berlin.until-2026-03-01'], march + 50).id).toBe(
      'fw-berlin',
    );
    expect(goodRunOf('fw-berlin')).toBe('r2');
    expect(ledger.devices().map(({ id, name }) => [id, name])).toEqual([
      ['fw-berlin', 'fw-berlin'],
      ['fw1', 'fw-berlin.until-2026-03-01-2'],
    ]);
  });

  it('that names a device which was read in the same time is refused, and nothing is changed', () => {
    registerDevice(ledger, 'fw1');
    registerDevice(ledger, 'fw7');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    runOnce(ledger, 'fw7', 'r7', 'changed', 200);
    const head = ledger.chainHead();
    expect(() => register('fw1', 'cisco_asa', ['fw7'], march)).toThrow(OperationError);
    expect(() => register('fw1', 'cisco_asa', ['fw7'], march)).toThrow(
      /fw1 cannot go on with the history of fw7.*two devices/,
    );
    expect(ledger.chainHead()).toBe(head);
    expect([goodRunOf('fw1'), goodRunOf('fw7')]).toEqual(['r1', 'r7']);
  });

  it('that names a device which was never read leaves the history where it is', () => {
    registerDevice(ledger, 'fw1');
    registerDevice(ledger, 'fw7');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    expect(register('fw1', 'cisco_asa', ['fw7'], march).id).toBe('fw1');
    expect(goodRunOf('fw1')).toBe('r1');
  });

  it('from another platform carries history and overdue state over, and forgets who the old box was', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    runOnce(ledger, 'fw1', 'r2', 'failed', 200);
    const replaced = register('fw-new', 'fortinet_fortigate', ['fw1'], march);
    expect(replaced).toMatchObject({
      id: 'fw1',
      platform: 'fortinet_fortigate',
      hostname: null,
      serials: [],
    });
    expect(ledger.lastGood('fw1')).toMatchObject({ runId: 'r1', platform: 'cisco_asa' });
    expect(ledger.summaries().get('fw1')).toMatchObject({ consecutiveFailures: 1, lastSuccessMs: 105 });
    runOnce(ledger, 'fw1', 'r3', 'changed', march + 10);
    expect(ledger.lastGood('fw1')).toMatchObject({ runId: 'r3', platform: 'fortinet_fortigate' });
  });
});

describe('a retirement', () => {
  it('ends what is open, keeps the history, and is done once', () => {
    registerDevice(ledger, 'fw1');
    runOnce(ledger, 'fw1', 'r1', 'changed', 100);
    ledger.slots.write([{ deviceId: 'fw1', kind: 'record', slotMs: 500, deadlineMs: 600 }]);
    retire('fw1');
    const [history] = ledger.slots.historiesOf(['fw1'], march);
    expect(history?.latest).toMatchObject({ slotMs: 500, end: { state: 'skipped', cause: 'disabled' } });
    expect(history?.plan).toBeNull();
    expect(ledger.lives.places()).toEqual([]);
    expect(ledger.lastGood('fw1')?.versions).toMatchObject([{ commit: 'commit-r1', liesAt: null }]);
    ledger.lives.retire({ deviceId: 'fw1', sinceMs: march + 99, atMs: march + 100, commit: null });
    expect(ledger.device('fw1')?.retiredMs).toBe(march);
  });
});
