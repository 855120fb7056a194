import type { Clock } from '../core/clock.ts';
import { failureOf } from '../core/errors.ts';
import type { SchedulerSink } from './scheduler.ts';

/** The same trouble is told again after this time. */
const tellAgainMs = 60_000;

/** Does something, and tells `sink` of what it throws: the loop lives on, whatever happens in it. */
export function createGuard(clock: Clock, sink: Pick<SchedulerSink, 'failed'>): (work: () => void) => void {
  const told = new Map<string, number>();
  return (work) => {
    try {
      work();
    } catch (thrown) {
      const nowMs = clock.monotonicMs();
      const what = JSON.stringify(failureOf(thrown));
      if (nowMs < (told.get(what) ?? Number.NEGATIVE_INFINITY) + tellAgainMs) return;
      if (told.size > 100) told.clear();
      told.set(what, nowMs);
      sink.failed(thrown);
    }
  };
}
