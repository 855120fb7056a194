import type { Clock } from '../core/clock.ts';
import type { Need } from '../http/access.ts';
import type { MetricsSink } from '../metrics/sink.ts';
import type { Log } from './log.ts';

/** However many are refused, one line in this time. */
const quietMs = 60_000;
const mostNamed = 5;

/** Counts requests whose credentials were refused, and says in the log where they come from. */
export function createRefusals(
  clock: Clock,
  metrics: Pick<MetricsSink, 'httpRefused'>,
  log: Pick<Log, 'warn'>,
): (need: Need, address: string) => void {
  const addresses = new Set<string>();
  let requests = 0;
  let saidMs: number | null = null;
  return (need, address) => {
    metrics.httpRefused(need);
    requests += 1;
    if (addresses.size < mostNamed) addresses.add(address);
    const nowMs = clock.monotonicMs();
    if (saidMs !== null && nowMs - saidMs < quietMs) return;
    log.warn('requests with wrong or insufficient credentials', {
      requests,
      from: [...addresses].join(', '),
    });
    saidMs = nowMs;
    requests = 0;
    addresses.clear();
  };
}
