import type { Clock } from '../core/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from './log.ts';

const everyMs = 60 * 60_000;

/**
 * Tells the log where the audit chain has come to, so that whoever keeps the log on another host can hold it against
 * the ledger: `roundsman verify --anchor`.
 */
export interface ChainAnchor {
  /** At once. */
  tell(): void;
  /** Once an hour, and only where records were added; call it as often as you like. */
  tellInTime(): void;
}

export function chainAnchor(
  ledger: Pick<Ledger, 'chainLength' | 'chainHead'>,
  log: Log,
  clock: Clock,
): ChainAnchor {
  let toldMs = Number.NEGATIVE_INFINITY;
  let toldRecord = 0;

  function tell(): void {
    toldMs = clock.monotonicMs();
    toldRecord = ledger.chainLength();
    if (toldRecord > 0) log.info('audit chain', { anchor: `${toldRecord}:${ledger.chainHead()}` });
  }

  return {
    tell,
    tellInTime() {
      if (clock.monotonicMs() - toldMs >= everyMs && ledger.chainLength() !== toldRecord) tell();
    },
  };
}
