import type { Device } from '../core/device.ts';
import { type Failure, failureOf } from '../core/errors.ts';
import type { EndedArtefact, RunEnded, Settled, SpoolEntry } from '../core/run.ts';
import type { Driver } from '../drivers/driver.ts';
import type { RunRow } from '../ledger/ledger.ts';
import { type BackupHands, closeRun } from './run-backup.ts';
import { settle, tellsOfNewRules } from './settle.ts';

/** What recovery needs to know besides the hands. */
export interface RecoveryContext {
  /** Null where no driver of this name exists any more. */
  readonly driver: (platform: string) => Driver | null;
  /** Expectations of the inventory; null where the device left it. */
  readonly expect: (device: string) => Device['expect'] | null;
  readonly newRunId: () => string;
}

type RecoveryHands = Pick<
  BackupHands,
  'ledger' | 'repository' | 'spool' | 'artefacts' | 'artefactPath' | 'clock'
>;

/**
 * Closes, truthfully, what a crash left behind. Must run before any new backup and with the state
 * lock held, so that every row `running` belongs to a process that is gone.
 *
 * - A run in progress whose reading lies in the spool goes on where it stopped: where its commit exists
 *   (by its `Run-Id` trailer), it was a success that was not written down.
 * - Any other run in progress is `failed{run.interrupted}`. No commit is looked for: the reading stays in
 *   the spool until the row is closed, so without one there was no commit.
 * - A reading whose run failed at the store, and that nothing newer replaced, is stored by a new run.
 * - A quarantined reading whose commit exists was accepted: the acceptance is written down, by `recovery`.
 * - A quarantined reading of a device of which nothing is held any more is removed.
 *
 * Returns the runs that it ended, oldest first; an acceptance ends none.
 */
export async function recover(context: RecoveryContext, hands: RecoveryHands): Promise<readonly RunEnded[]> {
  const crashed: Failure = { code: 'run.interrupted', detail: { by: 'crash' } };
  const ended = [...(await finishAll(hands.ledger.running(), crashed, context, hands))];
  const waiting = await hands.spool.outline();
  // Where nothing can be stored yet, each try would be one more failed run.
  if (waiting.length > 0 && (await canStore(hands)))
    ended.push(...(await replayAll(waiting, context, hands)));
  await closeAcceptances(hands);
  return ended;
}

function canStore({ repository }: RecoveryHands): Promise<boolean> {
  return repository.ready().then(
    () => true,
    () => false,
  );
}

/**
 * The same for these devices alone, while others are being read: none of these is, nor begins to be. Closes the rows
 * whose ends the ledger could not take when they came, then stores what waits, oldest first, until the store fails again.
 */
export async function settleWaiting(
  deviceIds: ReadonlySet<string>,
  context: RecoveryContext,
  hands: RecoveryHands,
): Promise<readonly RunEnded[]> {
  const problem = 'the end of this run could not be written when it came';
  const unwritten: Failure = { code: 'record.failed', detail: { problem } };
  const running = hands.ledger.running().filter(({ deviceId }) => deviceIds.has(deviceId));
  const ended = await finishAll(running, unwritten, context, hands);
  const waiting = (await hands.spool.outline()).filter(({ deviceId }) => deviceIds.has(deviceId));
  return [...ended, ...(await replayAll(waiting, context, hands))];
}

async function finishAll(
  running: readonly RunRow[],
  without: Failure,
  context: RecoveryContext,
  hands: RecoveryHands,
): Promise<readonly RunEnded[]> {
  const ended: RunEnded[] = [];
  for (const run of running) {
    // Also among the held ones: a crash between holding a reading and closing its row leaves it there.
    const held = await hands.spool.held(run.deviceId);
    const entry =
      (await hands.spool.entry(run.runId)) ?? held.find(({ runId }) => runId === run.runId) ?? null;
    ended.push(await finish(run, entry, without, context, hands));
  }
  return ended;
}

async function replayAll(
  waiting: readonly { readonly runId: string }[],
  context: RecoveryContext,
  hands: RecoveryHands,
): Promise<readonly RunEnded[]> {
  const ended: RunEnded[] = [];
  for (const { runId } of waiting) {
    const entry = await hands.spool.entry(runId);
    const replayed = entry === null ? null : await replay(entry, context, hands);
    if (replayed === null) continue;
    ended.push(replayed);
    const { settled } = replayed;
    if (settled.outcome === 'failed' && settled.failure.code.startsWith('store.')) break;
  }
  return ended;
}

/** After the runs in progress: one that was interrupted while it was being held is held by then. */
async function closeAcceptances(hands: RecoveryHands): Promise<void> {
  const held = Map.groupBy(await hands.spool.held(null), ({ deviceId }) => deviceId);
  if (held.size === 0) return;
  const summaries = hands.ledger.summaries();
  for (const [deviceId, entries] of held) {
    const summary = summaries.get(deviceId);
    // Of a device that this ledger never met nothing is known, so nothing of it is thrown away.
    if (summary === undefined) continue;
    if (summary.heldRun === null || (await acceptCommitted(entries, hands)))
      await hands.spool.release(deviceId);
  }
}

/** Whether one of these was committed; then the ledger has its acceptance. */
async function acceptCommitted(entries: readonly SpoolEntry[], hands: RecoveryHands): Promise<boolean> {
  for (const entry of entries) {
    const paths = new Map(
      entry.artefacts.map(({ name }) => [name, hands.artefactPath(entry.group, entry.deviceName, name)]),
    );
    const isAtTip = await Promise.all(
      entry.artefacts.map(
        async ({ name, masked }) => (await hands.repository.read(null, paths.get(name) ?? '')) === masked,
      ),
    );
    // A search for a trailer reads the whole history; most held readings do not need it.
    const commit = isAtTip.every(Boolean) ? await hands.repository.findRun(entry.runId) : null;
    if (commit === null) continue;
    const { runId } = entry;
    hands.ledger.acceptRun({ runId, atMs: hands.clock.nowMs(), by: 'recovery', commit, paths });
    return true;
  }
  return false;
}

async function finish(
  run: RunRow,
  entry: SpoolEntry | null,
  without: Failure,
  context: RecoveryContext,
  hands: RecoveryHands,
): Promise<RunEnded> {
  const failed: Settled = { outcome: 'failed', failure: without };
  const result =
    entry === null ? { settled: failed, artefacts: [] } : await settleAgain(entry, context, hands);
  const row = {
    ...run,
    restorable: entry?.restorable ?? null,
    restorableBecause: entry?.restorableBecause ?? null,
  };
  const unsaved = entry?.condition.unsaved ?? null;
  const ended = endedOf({ ...row, unsaved }, result.settled, result.artefacts, hands.clock.nowMs());
  await closeRun(ended, entry, hands, true);
  return ended;
}

/**
 * A reading left by a run that has ended already: stored under a run of its own, or dropped when something newer is
 * stored. That run has the times of the reading: it proves how the device was then, and serves nothing that fell due since.
 */
async function replay(
  entry: SpoolEntry,
  context: RecoveryContext,
  hands: RecoveryHands,
): Promise<RunEnded | null> {
  const last = hands.ledger.run(entry.runId);
  const newest = hands.ledger.lastGood(entry.deviceId);
  const newestAtMs = newest === null ? null : (hands.ledger.run(newest.runId)?.endedAtMs ?? null);
  if (last?.state !== 'failed' || (newestAtMs !== null && newestAtMs >= entry.readAtMs)) {
    await hands.spool.remove(entry.runId);
    return null;
  }
  const again: SpoolEntry = { ...entry, runId: context.newRunId(), trigger: 'retry' };
  const { startedAtMs } = last;
  hands.ledger.openRun({
    runId: again.runId,
    deviceId: again.deviceId,
    trigger: again.trigger,
    slotMs: null,
    startedAtMs,
  });
  // Spooled under its new id before the old one goes: a crash in between replays it, never loses it.
  await hands.spool.put(again);
  await hands.spool.remove(entry.runId);
  const { settled, artefacts } = await settleAgain(again, context, hands);
  const ended = endedOf(
    {
      ...again,
      device: again.deviceName,
      unsaved: again.condition.unsaved,
      startedAtMs,
    },
    settled,
    artefacts,
    entry.readAtMs,
  );
  await closeRun(ended, again, hands, true);
  return ended;
}

async function settleAgain(
  entry: SpoolEntry,
  context: RecoveryContext,
  hands: RecoveryHands,
): Promise<{ settled: Settled; artefacts: readonly EndedArtefact[] }> {
  try {
    const commit = await hands.repository.findRun(entry.runId);
    if (commit !== null) return await alreadyCommitted(entry, commit, hands);
    const driver = context.driver(entry.platform);
    if (driver === null) {
      throw new Error(`there is no driver ${entry.platform} any more`);
    }
    const expect = context.expect(entry.deviceName) ?? { hostname: null, serials: [] };
    return await settle(entry, driver, expect, null, hands);
  } catch (thrown) {
    return { settled: { outcome: 'failed', failure: failureOf(thrown) }, artefacts: [] };
  }
}

async function alreadyCommitted(
  entry: SpoolEntry,
  commit: string,
  hands: RecoveryHands,
): Promise<{ settled: Settled; artefacts: readonly EndedArtefact[] }> {
  const artefacts = entry.artefacts.map(({ name, masked }) => ({
    name,
    path: hands.artefactPath(entry.group, entry.deviceName, name),
    bytes: masked.length,
    changed: true,
  }));
  const changed = artefacts.map((artefact) => artefact.name);
  // The counts stand in the commit's subject; here they are not known any more.
  const message = (await hands.repository.messages([commit])).get(commit) ?? '';
  const told = { commit, addedLines: 0, removedLines: 0, changed };
  const underNewRules = tellsOfNewRules(message) ? ({ underNewRules: true } as const) : {};
  return { settled: { outcome: 'changed', ...told, ...underNewRules }, artefacts };
}

function endedOf(
  run: Pick<
    RunRow,
    'runId' | 'device' | 'group' | 'platform' | 'trigger' | 'startedAtMs' | 'restorable' | 'restorableBecause'
  > & { readonly unsaved: boolean | null },
  settled: Settled,
  artefacts: readonly EndedArtefact[],
  endedAtMs: number,
): RunEnded {
  const { runId, device, group, platform, trigger, startedAtMs, restorable, restorableBecause, unsaved } =
    run;
  return {
    runId,
    device,
    group,
    platform,
    trigger,
    startedAtMs,
    endedAtMs,
    settled,
    restorable,
    restorableBecause,
    artefacts,
    unsaved,
    // What an archive left half-written is swept away; it is due again.
    archives: [],
    stack: null,
  };
}
