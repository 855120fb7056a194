import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Transcribed } from '../../cli/services.ts';
import type { RunEnded } from '../../core/run.ts';
import type { Driver } from '../../drivers/driver.ts';
import { redactDisplay } from '../../pipeline/redact-display.ts';
import type { KeptTranscript } from '../../transport/transcript.ts';

/**
 * Transcripts of one device. A megabyte each at most, and a device may fail every few minutes for weeks:
 * without a bound a broken device would fill the disk of all the others, and nobody reads a twenty-first.
 */
const keptTranscripts = 20;

/**
 * Writes the masked transcript of a failed run to `transcripts/<device>/<run id>.txt` and removes the
 * oldest ones of this device where there are more than twenty.
 */
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
  for (const name of (await transcriptsIn(dir)).slice(0, -keptTranscripts))
    await rm(join(dir, name), { force: true });
}

/** Removes the transcripts of every device that were written before this instant (UTC epoch milliseconds). */
export async function removeTranscriptsBefore(stateDir: string, beforeMs: number): Promise<void> {
  const root = join(stateDir, 'transcripts');
  for (const device of await namesIn(root)) {
    const dir = join(root, device);
    for (const name of await transcriptsIn(dir)) {
      const path = join(dir, name);
      const written = await stat(path).catch(unlessAbsent);
      if (written !== null && written.mtimeMs < beforeMs) await rm(path, { force: true });
    }
  }
}

/** Oldest first: run ids sort by time. */
async function transcriptsIn(dir: string): Promise<readonly string[]> {
  return (await namesIn(dir)).filter((name) => name.endsWith('.txt')).sort();
}

async function namesIn(dir: string): Promise<readonly string[]> {
  return (await readdir(dir).catch(unlessAbsent)) ?? [];
}

/** Null where there is nothing there, or nothing any more: another process may remove the same files. */
function unlessAbsent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}

/** The transcript of this run, or of the newest one that left any (run ids sort by time); null where there is none. */
export async function readTranscript(
  stateDir: string,
  device: string,
  runId: string | null,
): Promise<Transcribed | null> {
  const dir = join(stateDir, 'transcripts', device);
  const names = await transcriptsIn(dir);
  const wanted = runId === null ? names.at(-1) : names.find((name) => name === `${runId}.txt`);
  if (wanted === undefined) return null;
  return { runId: wanted.replace(/\.txt$/, ''), text: await readFile(join(dir, wanted), 'latin1') };
}
