import type { Clock } from '../core/clock.ts';
import { failureOf } from '../core/errors.ts';
import type { Repository } from '../gitstore/repository.ts';
import type { MetricsSink } from '../metrics/sink.ts';

/** Told of every commit, whoever asked for it. */
export type CommitSink = Pick<MetricsSink, 'committed' | 'commitFailed'>;

/** Tells how long each commit took to become durable, and of each that did not; `sink` null: nobody counts now. */
export function timedRepository(
  repository: Repository,
  clock: Clock,
  sink: () => CommitSink | null,
): Repository {
  return {
    ...repository,
    async commit(request) {
      const startedMs = clock.monotonicMs();
      try {
        const committed = await repository.commit(request);
        sink()?.committed(1, clock.monotonicMs() - startedMs);
        return committed;
      } catch (error) {
        sink()?.commitFailed(failureOf(error));
        throw error;
      }
    },
  };
}
