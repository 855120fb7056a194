import type { Failure } from '../core/errors.ts';
import type { RunEnded, Trigger } from '../core/run.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';

/** The end of a run that never came to its own. */
export function endedOf(
  device: PlannedDevice,
  trigger: Trigger,
  runId: string,
  startedAtMs: number,
  endedAtMs: number,
  failure: Failure,
): RunEnded {
  return {
    runId,
    device: device.name,
    group: device.group,
    platform: device.platform,
    trigger,
    startedAtMs,
    endedAtMs,
    settled: { outcome: 'failed', failure },
    restorable: null,
    restorableBecause: null,
    artefacts: [],
    unsaved: null,
    archives: [],
    stack: null,
  };
}
