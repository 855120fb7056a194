import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Transcribed } from '../../cli/services.ts';
import type { RunEnded } from '../../core/run.ts';
import type { Driver } from '../../drivers/driver.ts';
import { redactDisplay } from '../../pipeline/redact-display.ts';
import type { KeptTranscript } from '../../transport/transcript.ts';

/** Writes the masked transcript of a failed run to `transcripts/<device>/<run id>.txt`. */
export async function keepTranscript(
  stateDir: string,
  ended: RunEnded,
  driver: Driver,
  transcript: KeptTranscript,
): Promise<void> {
  const dir = join(stateDir, 'transcripts', ended.device);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const text = transcript.render((piece, beginsMidLine) => redactDisplay(driver, piece, { beginsMidLine }));
  await writeFile(join(dir, `${ended.runId}.txt`), text, { mode: 0o600, encoding: 'latin1' });
}

/** The transcript of this run, or of the newest one that left any (run ids sort by time); null where there is none. */
export async function readTranscript(
  stateDir: string,
  device: string,
  runId: string | null,
): Promise<Transcribed | null> {
  const dir = join(stateDir, 'transcripts', device);
  const names = await readdir(dir).catch(() => []);
  const wanted = runId === null ? names.sort().at(-1) : names.find((name) => name === `${runId}.txt`);
  if (wanted === undefined) return null;
  return { runId: wanted.replace(/\.txt$/, ''), text: await readFile(join(dir, wanted), 'latin1') };
}
