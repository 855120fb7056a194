import type { Clock } from '../core/clock.ts';
import type { Mending } from '../gitstore/mending.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from './log.ts';

/** What a repair of the repository is done with. */
export interface RepairHands {
  /** Whether the state lock is held. */
  readonly allowed: () => boolean;
  readonly log: Log;
  readonly clock: Clock;
}

/** Repairs with what the ledger remembers; each is in the hash chain before anybody builds on it, and in the log. */
export function mendingBy(ledger: Ledger, { allowed, log, clock }: RepairHands): Mending {
  return {
    allowed,
    remembered: () => ledger.lastCommits(),
    onMended(mended) {
      ledger.record('repository-mended', clock.nowMs(), { ...mended });
      log.warn('the repository was repaired', {
        ...mended,
        todo: 'look for disk errors in the log of the system',
      });
    },
  };
}
