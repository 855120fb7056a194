import { existsSync, utimesSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Artefacts } from '../../src/artefacts/artefacts.ts';
import { unknownCondition } from '../../src/core/device.ts';
import type { SpoolEntry } from '../../src/core/run.ts';
import { housekeeping } from '../../src/daemon/housekeeping.ts';
import type { State } from '../../src/daemon/services/context.ts';
import { verify } from '../../src/daemon/services/verify.ts';
import { openSealed } from '../../src/daemon/vault.ts';
import { endOf } from '../ledger/support.ts';
import { type Installation, install } from './support.ts';

/* Sealed files that nothing names: which of them housekeeping removes, and which it never may. */

const day = 24 * 60 * 60_000;
const login = 'credentials:\n  readonly: { username: backup, password: { command: [/bin/true] } }\n';

let installation: Installation;
let state: State;
let artefacts: Artefacts;
let nowMs: number;

beforeEach(async () => {
  installation = await install(
    `${login}devices:\n  - { name: fw1, platform: cisco_asa, host: 192.0.2.1, credentials: readonly }\n`,
  );
  const { context } = installation;
  state = await context.changing();
  const sealed = openSealed((await context.configuration()).settings);
  if (sealed === null) throw new Error('there is nobody to seal for');
  artefacts = sealed;
  nowMs = Date.now();
});
afterEach(() => installation[Symbol.asyncDispose]());

const deviceId = () => state.ledger.device('fw1')?.id ?? '';

/** A file that was sealed so many days ago. */
async function sealed(daysAgo: number): Promise<string> {
  const digest = await artefacts.seal(`text of ${daysAgo}`);
  const seconds = (nowMs - daysAgo * day) / 1_000;
  utimesSync(artefacts.path(digest), seconds, seconds);
  return digest;
}

/** A run that failed, and was at work so many days ago. */
function failedRun(runId: string, daysAgo: number): void {
  const atMs = nowMs - daysAgo * day;
  state.ledger.openRun({
    ...{ runId, deviceId: deviceId(), trigger: 'schedule', slotMs: null },
    startedAtMs: atMs - 5_000,
  });
  state.ledger.closeRun(endOf(runId, 'failed', atMs + 5_000));
}

function entry(runId: string, digest: string): SpoolEntry {
  return {
    ...{ runId, deviceId: deviceId(), deviceName: 'fw1', group: 'default', platform: 'cisco_asa' },
    ...{ trigger: 'schedule', slotMs: null, readAtMs: nowMs - 20 * day },
    artefacts: [{ name: 'running-config', masked: 'x\n', sealed: digest }],
    facts: { hostname: 'fw1', version: null, model: null, serial: null, changedBy: null, changedAt: null },
    condition: unknownCondition,
    ...{ serials: [], restorable: 'yes', restorableBecause: null, maskKey: 'k', rules: 'r' },
  };
}

const remains = (digest: string): boolean => existsSync(artefacts.path(digest));

it('what a run sealed that failed afterwards is removed after a week, and verify finds nothing wrong before and after', async () => {
  failedRun('r1', 20);
  failedRun('r2', 3);
  const old = await sealed(20);
  const young = await sealed(3);
  const { context } = installation;
  const verdict = async () => {
    const watch = { onEvent: () => {}, signal: new AbortController().signal };
    const { findings, notes } = await verify(context.stateDir(), context.clock, null, watch);
    return { findings, notes: notes.length };
  };
  expect(await verdict()).toMatchObject({ findings: [], notes: 2 });
  await housekeeping(context);
  expect([remains(old), remains(young)]).toEqual([false, true]);
  expect(await verdict()).toMatchObject({ findings: [], notes: 1 });
});

it('what a reading names that waits for the repository or for a person is never removed', async () => {
  failedRun('r1', 20);
  failedRun('r2', 19);
  const [waiting, held] = [await sealed(20), await sealed(19)];
  await state.spool.put(entry('r1', waiting));
  await state.spool.hold(entry('r2', held));
  await housekeeping(installation.context);
  expect([remains(waiting), remains(held)]).toEqual([true, true]);
});

it('what a commit names is never removed, whether the ledger knows it or not', async () => {
  failedRun('r1', 20);
  const digest = await sealed(20);
  await state.repository.commit({
    ...{ subject: () => 'fw1: running-config changed', body: '', atMs: nowMs - 20 * day },
    ...{ trailers: [['Sealed', digest]], files: [{ path: 'default/fw1/running-config.cfg', text: 'x\n' }] },
    remove: [],
  });
  await housekeeping(installation.context);
  expect(remains(digest)).toBe(true);
});

it('what a ledger cannot know is never removed: it was put back from an older copy, or rebuilt', async () => {
  failedRun('r1', 20);
  const whileAway = await sealed(15);
  const before = await sealed(20);
  state.ledger.record('rebuilt', nowMs - 18 * day, { commit: 'c', run: 'r0', device: deviceId() });
  await housekeeping(installation.context);
  expect([remains(whileAway), remains(before)]).toEqual([true, true]);
});

it('what a row names is none of its business', async () => {
  failedRun('r1', 20);
  const digest = await sealed(20);
  state.ledger.archives.ended({
    ...{ deviceId: deviceId(), name: 'ucs', runId: 'r1', attemptedAtMs: nowMs - 20 * day },
    ...{ sealed: { digest, bytes: 1 }, failure: null },
  });
  await housekeeping(installation.context);
  expect(remains(digest)).toBe(true);
});
