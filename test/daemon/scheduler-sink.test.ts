import { describe, expect, it } from 'vitest';
import { BackupError } from '../../src/core/errors.ts';
import { schedulerSink } from '../../src/daemon/scheduler-sink.ts';
import type { PlannedDevice } from '../../src/inventory/precedence.ts';
import type { MetricsSink } from '../../src/metrics/sink.ts';
import type { RunJob } from '../../src/scheduler/scheduler.ts';
import { keptLog } from './support.ts';

function sinkOf() {
  const told: unknown[][] = [];
  const metrics = new Proxy({} as MetricsSink, {
    get:
      (_sink, name) =>
      (...args: unknown[]) =>
        void told.push([name, ...args]),
  });
  const { log, lines } = keptLog();
  return { sink: schedulerSink(log, metrics), told, lines };
}

const device = { name: 'fw1', platform: 'cisco_asa', group: 'hq' } as PlannedDevice;
const slot = { device, slotMs: 0, lastMs: 120_000, count: 3, deadlineMs: 60_000, detectedAtMs: 200_000 };

describe('what the scheduler does', () => {
  it('a scheduled run tells how long it waited; one that a person asked for waited for nothing', () => {
    const { sink, told } = sinkOf();
    sink.runStarted({} as RunJob, 1_500);
    sink.runStarted({} as RunJob, null);
    expect(told).toEqual([
      ['runStarted', 1_500],
      ['stage', 'queue', 1_500],
    ]);
  });

  it('a missed slot is one line of the log, and as many in the metrics as it stands for', () => {
    const { sink, told, lines } = sinkOf();
    sink.slotMissed(slot, 'collector_down');
    expect(lines).toEqual([expect.stringMatching(/^missed fw1 .*"cause":"collector_down".*"count":3/)]);
    expect(told).toEqual([['slotsMissed', 'collector_down', 3]]);
  });

  it('a slot that was skipped on purpose is no failure', () => {
    const { sink, told, lines } = sinkOf();
    sink.slotSkipped(slot, 'disabled');
    expect(lines).toEqual([expect.stringMatching(/^info slot skipped .*"reason":"disabled"/)]);
    expect(told).toEqual([]);
  });

  it('a ledger that cannot be written is told with what to do', () => {
    const { sink, told, lines } = sinkOf();
    sink.failed(new BackupError('store.disk-full', { path: '/var/lib/roundsman', freeBytes: 0 }));
    expect(lines).toEqual([expect.stringMatching(/^warn .*"code":"store\.disk-full".*"todo":/)]);
    expect(told).toEqual([['auditWriteFailed']]);
  });

  it('what nobody expected is told with its stack, and is no failure of the audit record', () => {
    const { sink, told, lines } = sinkOf();
    sink.failed(new TypeError('x is not a function'));
    expect(lines).toEqual([expect.stringMatching(/^unexpected .*scheduler-sink\.test\.ts/)]);
    expect(told).toEqual([]);
  });
});
