import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { SpoolEntry } from '../core/run.ts';
import { flush, makeDirectory, staleTemporary, writeDurably } from './durable.ts';
import type { Spool } from './spool.ts';
import { storing } from './storing.ts';

/**
 * The spool in a directory: `<run id>.json` for each reading that waits for the repository,
 * `quarantine/<run id>.json` for each that waits for a person. Creates both directories.
 * Throws BackupError `store.*`.
 */
export async function openSpool(dir: string): Promise<Spool> {
  const quarantine = join(dir, 'quarantine');

  await storing(dir, () => makeDirectory(quarantine));

  return {
    put: (entry) => storing(dir, () => writeDurably(fileOf(dir, entry.runId), JSON.stringify(entry))),
    remove: (runId) => storing(dir, () => removeFile(dir, runId)),
    waiting: () => storing(dir, async () => (await entries(dir)).sort(byAge)),

    hold: (entry) =>
      storing(dir, async () => {
        const before = await entries(quarantine);
        await writeDurably(fileOf(quarantine, entry.runId), JSON.stringify(entry));
        await removeFile(dir, entry.runId);
        for (const older of before) {
          if (older.runId !== entry.runId && sameText(older, entry))
            await removeFile(quarantine, older.runId);
        }
      }),
    held: (deviceId) =>
      storing(dir, async () =>
        (await entries(quarantine))
          .filter((entry) => entry.deviceId === deviceId)
          .sort(byAge)
          .reverse(),
      ),
    release: (deviceId) =>
      storing(dir, async () => {
        for (const entry of await entries(quarantine)) {
          if (entry.deviceId === deviceId) await removeFile(quarantine, entry.runId);
        }
      }),
  };
}

function fileOf(dir: string, runId: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/.test(runId)) {
    throw new Error(`${JSON.stringify(runId)} is not the id of a run`);
  }
  return join(dir, `${runId}.json`);
}

async function removeFile(dir: string, runId: string): Promise<void> {
  try {
    await rm(fileOf(dir, runId));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await flush(dir);
}

/** Every readable entry; others are set aside, and what a dead process left half-written is removed. */
async function entries(dir: string): Promise<SpoolEntry[]> {
  const found: SpoolEntry[] = [];
  for (const name of await readdir(dir)) {
    if (staleTemporary(name)) await rm(join(dir, name), { force: true });
    if (!name.endsWith('.json') || name.startsWith('.')) continue;
    const text = await readFile(join(dir, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
      // Settled by another process in the meantime.
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (text === null) continue;
    const entry = parse(text);
    if (entry !== null && name === `${entry.runId}.json`) {
      found.push(entry);
      continue;
    }
    await rename(join(dir, name), join(dir, `${name}.damaged`));
    await flush(dir);
  }
  return found;
}

/** Null where the text is not a whole entry. */
function parse(text: string): SpoolEntry | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isEntry(value) ? value : null;
}

const words = [
  'runId',
  'deviceId',
  'deviceName',
  'group',
  'platform',
  'trigger',
  'restorable',
  'maskKey',
  'rules',
];

/** Enough that nothing downstream meets a value of another kind; the file is ours, damage is what is feared. */
function isEntry(value: unknown): value is SpoolEntry {
  if (typeof value !== 'object' || value === null) return false;
  const entry = value as Record<string, unknown>;
  return (
    words.every((word) => typeof entry[word] === 'string') &&
    Number.isSafeInteger(entry.readAtMs) &&
    (entry.slotMs === null || Number.isSafeInteger(entry.slotMs)) &&
    (entry.restorableBecause === null || typeof entry.restorableBecause === 'string') &&
    typeof entry.facts === 'object' &&
    entry.facts !== null &&
    Array.isArray(entry.serials) &&
    entry.serials.every((serial) => typeof serial === 'string') &&
    Array.isArray(entry.artefacts) &&
    entry.artefacts.every(isArtefact)
  );
}

function isArtefact(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, masked, sealed } = value as Record<string, unknown>;
  return (
    typeof name === 'string' && typeof masked === 'string' && (sealed === null || typeof sealed === 'string')
  );
}

function byAge(a: SpoolEntry, b: SpoolEntry): number {
  return a.readAtMs - b.readAtMs || (a.runId < b.runId ? -1 : 1);
}

/** The same artefacts of the same device with the same masked text. */
function sameText(a: SpoolEntry, b: SpoolEntry): boolean {
  const texts = (entry: SpoolEntry) =>
    JSON.stringify(entry.artefacts.map(({ name, masked }) => [name, masked]).sort());
  return a.deviceId === b.deviceId && texts(a) === texts(b);
}
