import { setImmediate } from 'node:timers/promises';
import { openArtefacts } from '../artefacts/store.ts';
import { removeOrphans } from './orphans.ts';
import type { Context, State } from './services/context.ts';
import { removeTranscriptsBefore } from './services/transcripts.ts';
import { sealedDir } from './vault.ts';

/** A day of ten thousand devices, in some seconds. */
const stepsOfAPerson = 50;

/**
 * Removes what is older than `retention` says. The state lock is held. Never rejects: the next time tries again. Where
 * `signal` is aborted, it ends soon, and the next time goes on. Null: a person waits for it, so it stops after some
 * steps.
 */
export async function housekeeping(context: Context, signal: AbortSignal | null = null): Promise<void> {
  const log = await context.log();
  await removeOldTranscripts(context).catch((error: unknown) =>
    log.warn('old transcripts could not be removed', { error: String(error) }),
  );
  const state = await context.changing();
  await removeOldSealedFiles(context, state).catch((error: unknown) =>
    log.warn('old sealed files could not be removed', { error: String(error) }),
  );
  await removeOrphans(context, state)
    .then((removed) => {
      if (removed > 0) log.info('sealed files of failed runs removed', { removed });
    })
    .catch((error: unknown) =>
      log.warn('sealed files of failed runs could not be removed', { error: String(error) }),
    );
  // After the sealed files: a run goes only where none names it.
  await removeOldRows(context, state, signal).catch((error: unknown) =>
    log.warn('old rows of the ledger could not be removed', { error: String(error) }),
  );
  await state.repository
    .maintain(signal)
    .catch((error: unknown) =>
      log.warn('the repository could not be packed; the next time tries again', { error: String(error) }),
    );
}

async function removeOldTranscripts({ clock, configuration }: Context): Promise<void> {
  const { stateDir, retention } = (await configuration()).settings;
  await removeTranscriptsBefore(stateDir, clock.nowMs() - retention.transcriptsMs);
}

/** Rows first, then files: what the ledger names is there. A file that a crash left is removed the next time. */
async function removeOldSealedFiles(context: Context, { ledger, spool }: State): Promise<void> {
  const { settings } = await context.configuration();
  const nowMs = context.clock.nowMs();
  const needed = await neededRuns(spool);
  const forgotten = ledger.retention.forgetBefore(nowMs - settings.retention.sealedMs, needed, nowMs);
  const artefacts = openArtefacts({ dir: sealedDir(settings), recipients: [] });
  for (const digest of ledger.retention.unreferenced()) {
    await artefacts.remove(digest);
    ledger.retention.removed([digest]);
  }
  if (forgotten.sealed + forgotten.archives > 0)
    (await context.log()).info('old sealed files removed', { ...forgotten });
}

/** Between two steps everybody else has a turn, writers of the ledger among them. */
async function removeOldRows(
  context: Context,
  { ledger, spool }: State,
  signal: AbortSignal | null,
): Promise<void> {
  const { settings } = await context.configuration();
  const exceptRuns = new Set(await neededRuns(spool));
  const beforeMs = context.clock.nowMs() - settings.retention.runsMs;
  const removed = { runs: 0, slots: 0 };
  let from: number | null = null;
  for (let step = 1; signal === null ? step <= stepsOfAPerson : !signal.aborted; step++) {
    const { runs, slots, next } = ledger.retention.prune({
      ...{ beforeMs, exceptRuns, nowMs: context.clock.nowMs(), from },
    });
    removed.runs += runs;
    removed.slots += slots;
    if (next === null) break;
    from = next;
    await setImmediate();
  }
  if (removed.runs + removed.slots > 0) (await context.log()).info('old rows of the ledger removed', removed);
}

/** An acceptance names the run and the copies of its reading; so does a reading that waits for the repository. */
async function neededRuns(spool: State['spool']): Promise<readonly string[]> {
  return [...(await spool.waiting()), ...(await spool.held(null))].map(({ runId }) => runId);
}
