import { rowsGone } from '../ledger/audit.ts';
import type { Evidence } from '../ledger/evidence.ts';
import { Bits } from './bits.ts';
import type { Met, Said } from './chain.ts';

/** The shortest time that `retention.runs` may name: of what is younger than this, no record explains that it is gone. */
const youngestMs = 31 * 86_400_000;

/** Which rows retention removed, as the chain tells: one bit each. */
export class Pruned {
  readonly #gone = new Bits();
  #beforeMs = Number.NEGATIVE_INFINITY;

  constructor(evidence: Pick<Evidence, 'records'>, nowMs: number) {
    for (const { record } of evidence.records('pruned')) {
      const said = parsed(record);
      const { before_ms: beforeMs } = said;
      // Whoever can write to the chain could say that what they took away was old.
      if (typeof beforeMs !== 'number' || beforeMs > nowMs - youngestMs) continue;
      this.#beforeMs = Math.max(this.#beforeMs, beforeMs);
      for (const n of rowsGone.read(said)) this.#gone.add(n);
    }
  }

  /** Whether the row that this record tells of was removed by retention. */
  explains({ n, atMs }: Met): boolean {
    return atMs !== null && atMs < this.#beforeMs && this.#gone.has(n);
  }
}

function parsed(record: string): Said {
  try {
    return (JSON.parse(record) ?? {}) as Said;
  } catch {
    return {};
  }
}
