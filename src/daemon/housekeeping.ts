import type { Context } from './services/context.ts';
import { removeTranscriptsBefore } from './services/transcripts.ts';

/** Removes transcripts that are older than `retention.transcripts`. Never rejects: the next time tries again. */
export async function removeOldTranscripts(context: Context): Promise<void> {
  const { settings } = await context.configuration();
  const log = await context.log();
  try {
    await removeTranscriptsBefore(
      settings.stateDir,
      context.clock.nowMs() - settings.retention.transcriptsMs,
    );
  } catch (error) {
    log.warn('old transcripts could not be removed', { error: String(error) });
  }
}
