import { describe } from '../core/catalogue.ts';
import { failureOf } from '../core/errors.ts';
import type { MetricsSink } from '../metrics/sink.ts';
import type { SchedulerSink } from '../scheduler/scheduler.ts';
import type { Log } from './log.ts';

/** Tells the log and the metrics what the scheduler does. */
export function schedulerSink(log: Log, metrics: MetricsSink): SchedulerSink {
  return {
    runStarted(_job, delayMs) {
      if (delayMs === null) return;
      metrics.runStarted(delayMs);
      metrics.stage('queue', delayMs);
    },
    runEnded(ended) {
      log.runEnded(ended);
      metrics.runEnded(ended);
    },
    slotMissed({ device, slotMs, count, deadlineMs }, cause) {
      const { name, platform, group } = device;
      log.slotMissed({ device: name, platform, group, cause, slotMs, count, deadlineMs });
      metrics.slotsMissed(cause, count);
    },
    slotSkipped({ device, slotMs, count }, reason) {
      log.info('slot skipped', { device: device.name, reason, slot: new Date(slotMs).toISOString(), count });
    },
    clockJumped(byMs) {
      log.warn('the clock jumped', { by_ms: byMs });
      metrics.clockJumped();
    },
    failed(thrown) {
      const failure = failureOf(thrown);
      if (failure.code === 'bug.unexpected') {
        log.unexpected('the scheduler met an unexpected error', thrown);
        return;
      }
      const { code, message, todo } = describe(failure);
      log.warn('the scheduler could not write', { code, error: message, todo });
      metrics.auditWriteFailed();
    },
  };
}
