import { openArtefacts } from '../artefacts/store.ts';
import type { Context, State } from './services/context.ts';
import { removeTranscriptsBefore } from './services/transcripts.ts';
import { sealedDir } from './vault.ts';

/** Removes what is older than `retention` says. The state lock is held. Never rejects: the next time tries again. */
export async function housekeeping(context: Context): Promise<void> {
  const log = await context.log();
  await removeOldTranscripts(context).catch((error: unknown) =>
    log.warn('old transcripts could not be removed', { error: String(error) }),
  );
  await removeOldSealedFiles(context, await context.changing()).catch((error: unknown) =>
    log.warn('old sealed files could not be removed', { error: String(error) }),
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
  // An acceptance names the copies of its reading.
  const needed = [...(await spool.waiting()), ...(await spool.held(null))].map(({ runId }) => runId);
  const forgotten = ledger.retention.forgetBefore(nowMs - settings.retention.sealedMs, needed, nowMs);
  const artefacts = openArtefacts({ dir: sealedDir(settings), recipients: [] });
  for (const digest of ledger.retention.unreferenced()) {
    await artefacts.remove(digest);
    ledger.retention.removed([digest]);
  }
  if (forgotten.sealed + forgotten.archives > 0)
    (await context.log()).info('old sealed files removed', { ...forgotten });
}
