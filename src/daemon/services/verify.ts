import { join } from 'node:path';
import { inspectSealed } from '../../artefacts/inspect.ts';
import type { MoveStep, Verified, Watch } from '../../cli/services.ts';
import type { Clock } from '../../core/clock.ts';
import { OperationError } from '../../core/errors.ts';
import { openHistory } from '../../gitstore/history.ts';
import { openEvidence } from '../../ledger/evidence.ts';
import { lockState } from '../../ledger/lock.ts';
import { openLedger } from '../../ledger/open-ledger.ts';
import { fingerprintOf } from '../../verify/finding.ts';
import { type Anchor, type Verdict, verifyState } from '../../verify/verify.ts';
import { begin, exists } from '../move/files.ts';

const names = { repository: 'configs.git', ledger: 'ledger.db', artefacts: 'artefacts' } as const;

/** Reads the state alone, also as another user and beside a daemon; see Services. */
export async function verify(
  stateDir: string,
  clock: Clock,
  anchor: Anchor | null,
  watch: Watch<MoveStep>,
): Promise<Verified> {
  const { findings, ...told } = await verdictOn(stateDir, clock, anchor, watch);
  return {
    ...told,
    findings: findings.shown,
    counts: findings.counts,
    fingerprint: fingerprintOf(findings.ids),
  };
}

/**
 * Records what a person looked at as known, under the state lock; see Services. Verified again: nothing that was not
 * shown is accepted.
 */
export async function acceptBreak(
  stateDir: string,
  clock: Clock,
  accept: { readonly because: string; readonly by: string; readonly fingerprint: string },
  watch: Watch<MoveStep>,
): Promise<number> {
  await refuseNothing(stateDir);
  using _lock = await lockState(stateDir);
  const { findings, main } = await verdictOn(stateDir, clock, null, watch);
  const { ids, counts } = findings;
  if (fingerprintOf(ids) !== accept.fingerprint)
    throw new OperationError(
      'what is found is not what was shown any more',
      'look at it again: `roundsman verify`',
    );
  if ([...counts.values()].reduce((sum, count) => sum + count, 0) > ids.length)
    throw new OperationError(
      'there are too many findings to answer for in one record',
      'restore the state from a backup: docs/operations.md, "Backup and restore of the collector"',
    );
  using ledger = openLedger(join(stateDir, names.ledger));
  ledger.record('break', clock.nowMs(), {
    because: accept.because,
    by: accept.by,
    main,
    kinds: Object.fromEntries(counts),
    findings: ids.toSorted(),
  });
  return ids.length;
}

async function verdictOn(
  stateDir: string,
  clock: Clock,
  anchor: Anchor | null,
  watch: Watch<MoveStep>,
): Promise<Verdict> {
  await refuseNothing(stateDir);
  await using history = await openHistory(join(stateDir, names.repository));
  using evidence = openEvidence(join(stateDir, names.ledger));
  const sealed = inspectSealed(join(stateDir, names.artefacts));
  const tell = (step: string, done: number, total: number): void => begin(watch, step, done, total);
  return await verifyState({ history, evidence, sealed }, anchor, clock.nowMs(), tell);
}

/** A verification of nothing would be a clean one. */
async function refuseNothing(stateDir: string): Promise<void> {
  for (const name of [names.repository, names.ledger] as const) {
    if (await exists(join(stateDir, name))) continue;
    throw new OperationError(
      `there is no ${name} in ${stateDir}, or this user may not look into it`,
      'name the settings of the collector with --config; where the ledger is lost, the next start of the service rebuilds it from the commits',
    );
  }
}
