import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DaemonMetrics, metricsSource } from '../../src/daemon/metrics-source.ts';
import { createCalendar } from '../../src/scheduler/calendar.ts';
import { endOf } from '../ledger/support.ts';
import { deviceYaml } from '../support/workspace.ts';
import { type Installation, install } from './support.ts';

const key = `SHA256:${'A'.repeat(43)}`;

function inventory(...names: string[]): string {
  const entries = names.map((name) =>
    name === 'off'
      ? deviceYaml({ name, platform: 'cisco_asa', port: 22, credentials: 'absent' }, 'enabled: false')
      : deviceYaml({ name, platform: 'cisco_asa', port: 22, ...(name === 'fw1' ? { hostKey: key } : {}) }),
  );
  return `credentials:
  readonly: { username: backup, password: { file: ./password } }
  absent: { username: backup, password: { file: ./nowhere } }
devices:
${entries.join('')}`;
}

let installation: Installation;
let views: DaemonMetrics;

beforeAll(async () => {
  installation = await install(inventory('fw1', 'fw2', 'off'));
  writeFileSync(join(installation.dir, 'password'), 'hunter2', { mode: 0o600 });
  views = await open();
});

afterAll(() => installation[Symbol.asyncDispose]());

async function open(): Promise<DaemonMetrics> {
  const { context } = installation;
  return metricsSource(context, await context.changing(), createCalendar());
}

async function adopt(...names: string[]): Promise<void> {
  const { context } = installation;
  installation.inventory(inventory(...names));
  context.adopt(await context.reread());
}

describe('what the metrics are taken from', () => {
  it('says what lies in the state directory, and how much room there is', async () => {
    await views.measure();
    const { stateDir } = await views.collector();
    expect(stateDir.freeBytes).toBeGreaterThan(0);
    expect(stateDir.sizeBytes['configs.git']).toBeGreaterThan(0);
    expect(stateDir.sizeBytes.ledger).toBeGreaterThan(0);
    const before = stateDir.sizeBytes.artefacts;
    writeFileSync(join(installation.dir, 'state', 'artefacts'), 'x'.repeat(5_000));
    await views.measure();
    expect((await views.collector()).stateDir.sizeBytes.artefacts - before).toBe(5_000);
  });

  it('a secret that an enabled device needs and that cannot be read is told', async () => {
    const file = join(installation.dir, 'password');
    expect((await views.collector()).credentials.lastLoadOk).toBe(true);
    writeFileSync(file, '');
    await views.measure();
    expect((await views.collector()).credentials.lastLoadOk).toBe(false);
    writeFileSync(file, 'hunter2');
    await views.measure();
    expect((await views.collector()).credentials.lastLoadOk).toBe(true);
  });

  it('a refused load is told without forgetting when the last one was accepted', async () => {
    const { inventory: before } = await views.collector();
    views.loaded(false);
    const { inventory: refused } = await views.collector();
    expect(refused).toMatchObject({ lastLoadOk: false, lastAcceptedMs: before.lastAcceptedMs });
    views.loaded(true);
    expect((await views.collector()).inventory.lastLoadOk).toBe(true);
  });

  it('counts the enabled devices whose host key nobody has pinned', async () => {
    expect((await views.collector()).inventory.unpinnedHostKeys).toBe(1);
  });

  it('a device tells what the ledger knows of it, and another process would tell the same', async () => {
    const { ledger } = await installation.context.changing();
    const deviceId = ledger.device('fw1')?.id ?? '';
    const startedAtMs = Date.now() - 60_000;
    const run = { deviceId, trigger: 'manual', slotMs: null, startedAtMs } as const;
    ledger.openRun({ ...run, runId: 'run-1' });
    ledger.closeRun(endOf('run-1', 'changed', startedAtMs + 2_000));
    ledger.openRun({ ...run, runId: 'run-2', startedAtMs: startedAtMs + 10_000 });
    ledger.closeRun(endOf('run-2', 'failed', startedAtMs + 11_500));
    const told = await views.devices();
    expect(told.find(({ name }) => name === 'fw1')).toMatchObject({
      lastSuccessMs: startedAtMs + 2_000,
      lastAttemptMs: startedAtMs + 11_500,
      lastAttemptOk: false,
      lastDurationMs: 1_500,
      consecutiveFailures: 1,
      configBytes: 3,
      failureCode: 'connect.timeout',
      state: 'failing',
      restorable: 'yes',
    });
    expect(told.find(({ name }) => name === 'fw2')).toMatchObject({
      lastAttemptMs: null,
      lastSuccessMs: null,
    });
    expect(await (await open()).devices()).toEqual(told);
  });

  it('of a disabled device nothing is expected, and one that left the inventory is not told of', async () => {
    const off = (await views.devices()).find(({ name }) => name === 'off');
    expect(off).toMatchObject({ enabled: false, nextRunMs: null, dueMs: null, state: 'disabled' });
    await adopt('fw1');
    expect((await views.devices()).map(({ name }) => name)).toEqual(['fw1']);
    expect((await views.collector()).credentials.heldBack).toEqual(new Map([['readonly', false]]));
  });
});
