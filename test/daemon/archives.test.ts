import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { ArchivePlan } from '../../src/core/device.ts';
import { archiveDueMs, archiveNames, dueArchives } from '../../src/daemon/archives.ts';
import { housekeeping } from '../../src/daemon/housekeeping.ts';
import { metricsSource } from '../../src/daemon/metrics-source.ts';
import { check } from '../../src/daemon/services/check.ts';
import { archives, restore } from '../../src/daemon/services/history.ts';
import { openSealed } from '../../src/daemon/vault.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { createCalendar } from '../../src/scheduler/calendar.ts';
import { endOf, reading, timeout } from '../ledger/support.ts';
import { plainDevice } from '../support/device.ts';
import { type Installation, install } from './support.ts';

const hour = 3_600_000;
const day = 24 * hour;
const sunday3 = Date.UTC(2026, 2, 1, 3);
const calendar = createCalendar();
const ucs: ArchivePlan = { name: 'ucs', schedule: '0 3 * * 0', timezone: 'UTC', passphrase: null };
const device = plainDevice({ name: 'lb1', platform: 'f5_bigip', archives: [ucs] });

describe('an archive is due', () => {
  const due = (nowMs: number, last: { atMs: number; stored: boolean } | null, trigger = 'schedule') =>
    dueArchives(calendar, { ...systemClock, nowMs: () => nowMs })(
      { device, trigger: trigger as 'schedule' },
      () => last,
    ).length > 0;

  it('at once where it was never asked for', () => {
    expect(due(sunday3 + 1, null)).toBe(true);
  });

  it('once for each instant of its schedule, whatever came of it', () => {
    for (const stored of [true, false]) {
      expect(due(sunday3 - 1, { atMs: sunday3 - 6 * day, stored })).toBe(false);
      expect(due(sunday3, { atMs: sunday3 - 6 * day, stored })).toBe(true);
      expect(due(sunday3 + 10 * hour, { atMs: sunday3 - 6 * day, stored })).toBe(true);
      expect(due(sunday3 + 10 * hour, { atMs: sunday3, stored })).toBe(false);
      expect(due(sunday3 + 10 * hour, { atMs: sunday3 + 1, stored })).toBe(false);
    }
  });

  it('again in a run that a person asks for, where it failed', () => {
    const atMs = sunday3 + 1;
    expect(due(sunday3 + hour, { atMs, stored: false }, 'manual')).toBe(true);
    expect(due(sunday3 + hour, { atMs, stored: true }, 'manual')).toBe(false);
    expect(due(sunday3 + hour, { atMs, stored: false }, 'retry')).toBe(false);
  });

  it('not because a clock went back', () => {
    expect(due(sunday3 - day, { atMs: sunday3 + 1, stored: true })).toBe(false);
  });

  it('as often as its schedule, however often runs come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3 * day }), { maxLength: 40 }), (steps) => {
        let nowMs = sunday3 + 1;
        let last: number | null = nowMs;
        let fetched = 0;
        for (const step of steps) {
          nowMs += step;
          if (!due(nowMs, { atMs: last, stored: true })) continue;
          last = nowMs;
          fetched += 1;
        }
        const instants = calendar.slotsBetween('0 3 * * 0', 'UTC', sunday3 + 1, nowMs, 100).slots.length;
        expect(fetched).toBeLessThanOrEqual(instants);
        // An instant that passed since the last one is due now: none is lost but by another one.
        expect(due(nowMs, { atMs: last, stored: true })).toBe(false);
      }),
    );
  });
});

const login = 'credentials:\n  readonly: { username: backup, password: { command: [/bin/true] } }\n';
const asking = `  - { name: lb1, platform: f5_bigip, host: 192.0.2.20, credentials: readonly, options: { ucs: { schedule: "0 3 * * 0", passphrase: { file: ./phrase } } } }\n`;

describe('a collector with archives', () => {
  let installation: Installation;
  beforeEach(async () => {
    installation = await install(`${login}devices:\n${asking}`);
    writeFileSync(join(installation.dir, 'phrase'), 'c4n4ry', { mode: 0o600 });
  });
  afterEach(() => installation[Symbol.asyncDispose]());

  const opened = async () => {
    const { context } = installation;
    const state = await context.changing();
    const { settings } = await context.configuration();
    const artefacts = openSealed(settings);
    if (artefacts === null) throw new Error('there is nobody to seal for');
    return { context, state, settings, artefacts, deviceId: state.ledger.device('lb1')?.id ?? '' };
  };

  /** One run whose archive came to be stored; its digest. */
  async function stored(runId: string, atMs: number, octets: string): Promise<string> {
    const { state, artefacts, deviceId } = await opened();
    const sealing = await artefacts.sealStream();
    await sealing.write(Buffer.from(octets));
    const sealed = await sealing.finish();
    state.ledger.openRun({ runId, deviceId, trigger: 'manual', slotMs: null, startedAtMs: atMs });
    const attempt = { deviceId, name: 'ucs', runId, attemptedAtMs: atMs };
    state.ledger.archives.ended({ ...attempt, sealed, failure: null });
    const copy = await artefacts.seal('text');
    const [artefact] = reading().artefacts;
    const artefactsRead = [{ ...artefact, sealed: copy } as never];
    state.ledger.closeRun(endOf(runId, 'changed', atMs, { reading: reading({ artefacts: artefactsRead }) }));
    return sealed.digest;
  }

  it('restores the newest one, or that of a run, byte for byte', async () => {
    await stored('r1', 1_000, 'first\0');
    await stored('r2', 2_000, 'second\xff');
    const { context, dir } = installation;
    const identity = join(dir, 'identity.txt');
    const newest = await restore(context, 'lb1', 'ucs', null, identity);
    expect([newest?.runId, newest?.bytes.toString()]).toEqual(['r2', 'second\xff']);
    expect((await restore(context, 'lb1', 'ucs', 'r1', identity))?.bytes.toString()).toBe('first\0');
    expect(await restore(context, 'lb1', 'ucs', 'r9', identity)).toBeNull();
    expect(await restore(context, 'lb1', 'scf', null, identity)).toBeNull();
    expect((await archives(context, 'lb1')).map(({ runId }) => runId)).toEqual(['r2', 'r1']);
    expect(await archives(context, 'nobody')).toEqual([]);
  });

  it('keeps archives and sealed texts as long as retention says, and the newest of each for ever', async () => {
    const now = Date.now();
    const old = await stored('r1', now - 900 * day, 'first');
    const newest = await stored('r2', now - 800 * day, 'second');
    const { context, state, artefacts } = await opened();
    const texts = ['r1', 'r2'].map((run) => state.ledger.sealed('lb1', 'running-config', run)?.digest ?? '');
    await housekeeping(context);
    expect([old, newest, ...texts].map((digest) => existsSync(artefacts.path(digest)))).toEqual([
      ...[false, true],
      ...[false, true],
    ]);
    expect([...state.ledger.sealedDigests()].sort()).toEqual([newest, texts[1]].sort());
    expect(state.ledger.retention.unreferenced()).toEqual([]);
    expect((await restore(context, 'lb1', 'ucs', null, join(installation.dir, 'identity.txt')))?.runId).toBe(
      'r2',
    );
  });

  it('removes what a crash left between a row and its file', async () => {
    const now = Date.now();
    const old = await stored('r1', now - 900 * day, 'first');
    await stored('r2', now - 800 * day, 'second');
    const { context, state, artefacts } = await opened();
    // The rows went, then the power did.
    state.ledger.retention.forgetBefore(now - 850 * day, [], now);
    expect(existsSync(artefacts.path(old))).toBe(true);
    await housekeeping(context);
    expect(existsSync(artefacts.path(old))).toBe(false);
    expect(state.ledger.retention.unreferenced()).toEqual([]);
  });

  it('goes on where a file cannot be removed, and tries again the next time', async () => {
    const now = Date.now();
    const old = await stored('r1', now - 900 * day, 'first');
    await stored('r2', now - 800 * day, 'second');
    const { context, state, artefacts } = await opened();
    const path = artefacts.path(old);
    rmSync(path);
    mkdirSync(join(path, 'in the way'), { recursive: true });
    await housekeeping(context);
    expect(state.ledger.retention.unreferenced()).toContain(old);
    rmSync(path, { recursive: true });
    await housekeeping(context);
    expect(state.ledger.retention.unreferenced()).toEqual([]);
    expect(existsSync(dirname(path))).toBe(true);
  });

  it('tells the metrics when the next one is overdue', async () => {
    const { context, state, deviceId } = await opened();
    const at = async () =>
      (await metricsSource(context, state, calendar).devices()).find(({ name }) => name === 'lb1')?.archives;
    expect(await at()).toEqual([{ name: 'ucs', lastSuccessMs: null, lastAttemptOk: null, dueMs: null }]);
    await stored('r1', sunday3 + 1, 'x');
    // A week on, then the day to the next run of the device, and the time that it may take.
    const dueMs = sunday3 + 7 * day + day + hour + hour / 2;
    expect(await at()).toEqual([{ name: 'ucs', lastSuccessMs: sunday3 + 1, lastAttemptOk: true, dueMs }]);
    state.ledger.openRun({
      runId: 'r2',
      deviceId,
      trigger: 'manual',
      slotMs: null,
      startedAtMs: sunday3 + 2,
    });
    const failed = { deviceId, name: 'ucs', runId: 'r2', attemptedAtMs: sunday3 + 8 * day };
    state.ledger.archives.ended({ ...failed, sealed: null, failure: timeout });
    expect(await at()).toEqual([{ name: 'ucs', lastSuccessMs: sunday3 + 1, lastAttemptOk: false, dueMs }]);
  });

  it('names a passphrase that cannot be read, and never shows one that can', async () => {
    const { context, dir } = installation;
    const passphrases = async () =>
      (await check(context)).warnings.filter(({ message }) => message.includes('passphrase'));
    expect(await passphrases()).toEqual([]);
    rmSync(join(dir, 'phrase'));
    expect(await passphrases()).toMatchObject([
      { message: expect.stringMatching(/^the passphrase of ucs of lb1: file .*phrase cannot be read here/) },
    ]);
    expect(JSON.stringify(await check(context))).not.toContain('c4n4ry');
  });
});

it('archives of a platform are those that its driver lists', async () => {
  const drivers = await loadDrivers();
  expect(archiveNames(drivers.get('f5_bigip') as never)).toContain('ucs');
  expect(archiveNames(drivers.get('cisco_asa') as never)).toEqual([]);
});

it('nothing is overdue that nobody asks for', () => {
  expect(archiveDueMs(calendar, device as never, 'scf', 1)).toBeNull();
});
