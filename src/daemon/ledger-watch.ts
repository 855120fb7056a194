import type { Clock } from '../core/clock.ts';
import { inspectLedger } from '../ledger/soundness.ts';
import { damaged } from '../ledger/sqlite-errors.ts';
import type { Log } from './log.ts';

const everyMs = 7 * 86_400_000;

/** Reads the ledger through beside the daemon: at its start, and once a week. */
export interface LedgerWatch extends Disposable {
  /** Where it is time; call it as often as you like. */
  inTime(): void;
  /** Settles with the failure once the ledger is found to be damaged. */
  readonly damage: Promise<Error>;
}

export function watchLedger(file: string, log: Log, clock: Clock): LedgerWatch {
  const ending = new AbortController();
  const damage = Promise.withResolvers<Error>();
  let beganMs = Number.NEGATIVE_INFINITY;

  async function inspect(): Promise<void> {
    try {
      const said = await inspectLedger(file, ending.signal);
      if (said !== null) damage.resolve(damaged(file, said));
    } catch (error) {
      if (!ending.signal.aborted) log.warn('the ledger could not be inspected', { error: String(error) });
    }
  }

  return {
    inTime() {
      if (clock.monotonicMs() - beganMs < everyMs) return;
      beganMs = clock.monotonicMs();
      void inspect();
    },
    damage: damage.promise,
    [Symbol.dispose]: () => ending.abort(),
  };
}
