import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunEnded } from '../../src/core/run.ts';
import { createRunner, type Runner } from '../../src/daemon/runner.ts';
import type { Context } from '../../src/daemon/services/context.ts';
import type { Driver } from '../../src/drivers/driver.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import type { MetricsSink } from '../../src/metrics/sink.ts';
import { type FakeDevice, startFakeDevice } from '../support/devices/server.ts';
import { asaConfig } from '../support/samples.ts';
import { credentialsYaml, deviceYaml } from '../support/workspace.ts';
import { type Installation, install } from './support.ts';

let device: FakeDevice;
let installation: Installation;
let nth = 0;

beforeAll(async () => {
  const account = { username: 'backup', password: 'hunter2' };
  device = await startFakeDevice({
    platform: 'cisco_asa',
    hostname: 'fw-asa',
    config: asaConfig,
    ...account,
  });
  const about = { name: 'fw1', platform: 'cisco_asa', port: device.port, hostKey: device.fingerprint };
  installation = await install(`${credentialsYaml}devices:\n${deviceYaml(about)}`);
  Object.assign(installation.env, { TEST_PASSWORD: 'hunter2', TEST_ENABLE: 'hunter2' });
});

afterAll(async () => {
  await device.stop();
  await installation[Symbol.asyncDispose]();
});

/** A runner whose driver is changed by `change`, and what the metrics were told. */
async function runnerWith(
  change: (driver: Driver) => Driver,
): Promise<{ run: () => Promise<RunEnded>; told: [string, ...unknown[]][]; progress: number[] }> {
  const { context } = installation;
  const configuration = await context.configuration();
  const drivers = new Map([...configuration.drivers].map(([id, driver]) => [id, change(driver)]));
  const changed: Context = { ...context, configuration: async () => ({ ...configuration, drivers }) };
  const told: [string, ...unknown[]][] = [];
  const progress: number[] = [];
  const metrics = new Proxy({} as MetricsSink, {
    get:
      (_sink, name) =>
      (...args: unknown[]) =>
        void told.push([String(name), ...args]),
  });
  context.commitsTo(metrics);
  const runner: Runner = await createRunner(changed, await context.changing(), metrics);
  const run = () =>
    runner.run({
      device: configuration.devices[0] as PlannedDevice,
      trigger: 'manual',
      slotMs: null,
      runId: `run-${++nth}`,
      signal: new AbortController().signal,
      onProgress: (receivedBytes) => void progress.push(receivedBytes),
    });
  return { run, told, progress };
}

const stagesOf = (told: readonly [string, ...unknown[]][]) =>
  told.filter(([name]) => name === 'stage').map(([, stage]) => stage);

describe('a run', () => {
  it('tells how long each of its stages took, in their order', async () => {
    const { run, told } = await runnerWith((driver) => driver);
    expect((await run()).settled.outcome).toBe('changed');
    expect(stagesOf(told)).toEqual(['connect', 'login', 'collect', 'verify', 'redact', 'store', 'record']);
    for (const [name, , durationMs] of told)
      if (name === 'stage') expect(durationMs).toBeGreaterThanOrEqual(0);
    expect(told.filter(([name]) => name === 'committed')).toEqual([['committed', 1, expect.any(Number)]]);
  });

  it('tells its follower now and then how far it is, and in the end of all that it received', async () => {
    const { run, told, progress } = await runnerWith((driver) => driver);
    await run();
    const ended = told.find(([name]) => name === 'attemptEnded')?.[1] as { receivedBytes: number };
    expect(ended.receivedBytes).toBeGreaterThan(0);
    expect(progress.at(-1)).toBe(ended.receivedBytes);
    expect(progress).toEqual([...new Set(progress)].sort((a, b) => a - b));
  });

  it('that cannot log in was in no stage after that', async () => {
    device.setFaults({ wrongPassword: true });
    const { run, told } = await runnerWith((driver) => driver);
    const { settled } = await run();
    device.setFaults({});
    expect(settled).toMatchObject({ outcome: 'failed', failure: { code: 'login.rejected' } });
    expect(stagesOf(told)).toEqual(['connect', 'login', 'record']);
  });

  it('in which the driver throws what nobody expected is a bug with its stack, and the next one is as ever', async () => {
    const inJudgement = await runnerWith((driver) => ({
      ...driver,
      get volatile(): Driver['volatile'] {
        throw new TypeError('x is not a function');
      },
    }));
    const inSession = await runnerWith((driver) => ({
      ...driver,
      get commands(): Driver['commands'] {
        throw new TypeError('x is not a function');
      },
    }));
    const { context } = installation;
    const { ledger, spool } = await context.changing();
    for (const broken of [inJudgement, inSession]) {
      const ended = await broken.run();
      expect(ended.settled).toEqual({
        outcome: 'failed',
        failure: { code: 'bug.unexpected', detail: { thrown: 'TypeError: x is not a function' } },
      });
      expect(ended.stack).toContain('runner.test.ts');
      expect(ledger.run(ended.runId)).toMatchObject({ state: 'failed', failure: { code: 'bug.unexpected' } });
    }
    await expect.poll(() => device.sessions).toBe(0);
    expect(await spool.waiting()).toEqual([]);
    const { run } = await runnerWith((driver) => driver);
    expect((await run()).settled.outcome).toBe('unchanged');
  });

  it('whose end cannot be written says so, with the stack of a bug', async () => {
    const { run } = await runnerWith((driver) => driver);
    const { ledger } = await installation.context.changing();
    const close = ledger.closeRun;
    Object.assign(ledger, {
      closeRun() {
        throw new RangeError('out of range');
      },
    });
    const ended = await run();
    Object.assign(ledger, { closeRun: close });
    expect(ended.settled).toMatchObject({ outcome: 'failed', failure: { code: 'bug.unexpected' } });
    expect(ended.stack).toContain('out of range');
  });
});
