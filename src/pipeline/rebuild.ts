import type { Clock } from '../core/clock.ts';
import { failureOf } from '../core/errors.ts';
import type { Repository, StoredCommit } from '../gitstore/repository.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type Claim, claimOf, type PlaceOf } from './claims.ts';

/** What the rebuilding of a ledger needs. */
export interface RebuildHands {
  readonly ledger: Ledger;
  readonly repository: Repository;
  readonly clock: Clock;
  readonly placeOf: PlaceOf;
  /** Whether a device is due at this instant, by the schedule that it has or had; false for an unknown device. */
  readonly isSlot: (device: string, deviceId: string, slotMs: number) => boolean;
  /** Runs whose reading lies in the spool: `recover` ends them, and knows more of them than their commits say. */
  readonly spooled: ReadonlySet<string>;
}

/** What a ledger learned from commits. */
export interface Rebuilt {
  readonly readings: number;
  readonly moves: number;
  readonly retirements: number;
  /** Commits that look like ours, and say what cannot be or contradicts the ledger. */
  readonly refused: number;
}

/** So many in one transaction: each of its own would cost a flush, and all in one the memory. */
const atOnce = 500;

/**
 * Takes over from the commits what the ledger does not know: it is older than the repository where a backup of it was
 * put back, or was lost. Must run with the state lock held, before devices are registered and before anything else is
 * recovered; slots that these commits prove are then served, not missed. Costs two short questions to git where
 * nothing is missing.
 */
export async function rebuild(hands: RebuildHands): Promise<Rebuilt> {
  const { ledger, repository, clock } = hands;
  const { rebuilding, lives } = ledger;
  const told = { readings: 0, moves: 0, retirements: 0, refused: 0 };
  const isKnown = (commit: string, runId: string): boolean =>
    lives.knowsCommit(commit) || (runId !== '' && ledger.run(runId)?.commit === commit);
  let batch: Claim[] = [];
  let newest: string | null = null;
  for await (const commit of repository.commitsSince(isKnown)) {
    const runId = runIdOf(commit);
    newest = commit.commit;
    // A history that was rewritten has new ids for runs that are known.
    if (lives.knowsCommit(commit.commit) || rebuilding.knowsRun(runId) || hands.spooled.has(runId)) continue;
    const claim = claimOf(commit, hands.placeOf, clock.nowMs());
    if (claim !== null) batch.push(claim);
    else if (commit.isOurs) told.refused += 1;
    if (batch.length < atOnce) continue;
    takeAll(batch);
    batch = [];
  }
  takeAll(batch);
  // Else a commit of somebody else would be looked at again at every start.
  if (newest !== null) lives.noteCommit(newest, clock.nowMs());
  return told;

  function takeAll(claims: readonly Claim[]): void {
    try {
      const taken = ledger.together(() => claims.map(take));
      for (const [index, claim] of claims.entries()) count(claim, taken[index] === true);
    } catch (thrown) {
      refuseOnly(thrown);
      // One that the ledger's own rules refuse must not take the others with it.
      for (const claim of claims) count(claim, takeAlone(claim));
    }
  }

  function takeAlone(claim: Claim): boolean {
    try {
      return take(claim);
    } catch (thrown) {
      refuseOnly(thrown);
      return false;
    }
  }

  function take(claim: Claim): boolean {
    switch (claim.kind) {
      case 'reading': {
        const { reading } = claim;
        const { slotMs } = reading;
        const isSlot = slotMs !== null && hands.isSlot(reading.name, reading.deviceId, slotMs);
        return rebuilding.takeReading(isSlot ? reading : { ...reading, slotMs: null }, clock.nowMs());
      }
      case 'move':
        return rebuilding.takeMove(claim.move);
      case 'retirement':
        return rebuilding.takeRetirement(claim.retirement);
    }
  }

  function count({ kind }: Claim, isTaken: boolean): void {
    if (!isTaken) told.refused += 1;
    else if (kind === 'reading') told.readings += 1;
    else if (kind === 'move') told.moves += 1;
    else told.retirements += 1;
  }
}

/** A disk that is full, or a database that is busy, is no fault of a commit. */
function refuseOnly(thrown: unknown): void {
  const { code } = failureOf(thrown);
  if (code !== 'record.failed') throw thrown;
}

function runIdOf({ trailers }: StoredCommit): string {
  return trailers.find(([key]) => key === 'Run-Id')?.[1] ?? '';
}
