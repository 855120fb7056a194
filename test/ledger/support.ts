import { unknownCondition } from '../../src/core/device.ts';
import type { Failure } from '../../src/core/errors.ts';
import type { Outcome } from '../../src/core/run.ts';
import type { GoodReading, Ledger, RunEnd } from '../../src/ledger/ledger.ts';

export const timeout: Failure = {
  code: 'connect.timeout',
  detail: { host: '192.0.2.1', port: 22, afterMs: 15_000 },
};
export const shrunk: Failure = {
  code: 'verify.shrunk',
  detail: { artefact: 'running-config', previousLines: 100, lines: 3, lostSections: [] },
};

/** A reading of `running-config` unless other artefacts are named. */
export function reading(over: Partial<GoodReading> = {}): GoodReading {
  return {
    facts: { hostname: 'FW1', version: '9.1', model: 'x', serial: 'S1', changedBy: null, changedAt: null },
    condition: unknownCondition,
    serials: ['S1'],
    rules: 'rules',
    maskKey: 'key',
    artefacts: [
      {
        name: 'running-config',
        path: 'default/fw1/running-config.cfg',
        sealed: null,
        changed: true,
        bytes: 3,
      },
    ],
    ...over,
  };
}

/** The end of a run as the pipeline would write it. */
export function endOf(
  runId: string,
  outcome: Outcome,
  endedAtMs: number,
  over: Partial<RunEnd> = {},
): RunEnd {
  const good = outcome === 'changed' || outcome === 'unchanged';
  return {
    runId,
    endedAtMs,
    outcome,
    failure: outcome === 'failed' ? timeout : outcome === 'quarantined' ? shrunk : null,
    commit: good ? `commit-${runId}` : null,
    restorable: outcome === 'failed' ? null : 'yes',
    restorableBecause: null,
    reading: outcome === 'failed' ? null : reading(),
    ...over,
  };
}

export function registerDevice(ledger: Ledger, name: string, formerly: readonly string[] = []) {
  return ledger.register({ name, platform: 'cisco_asa', group: 'default', formerly, atMs: 1 });
}

/** Opens and closes one run; returns the digests that became free. */
export function runOnce(
  ledger: Ledger,
  deviceId: string,
  runId: string,
  outcome: Outcome,
  atMs: number,
  over: Partial<RunEnd> = {},
): readonly string[] {
  ledger.openRun({ runId, deviceId, trigger: 'manual', slotMs: null, startedAtMs: atMs });
  return ledger.closeRun(endOf(runId, outcome, atMs + 5, over));
}
