import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { SpoolEntry } from '../core/run.ts';
import { flush, makeDirectory, staleTemporary, writeDurably } from './durable.ts';
import type { Spool } from './spool.ts';
import { forWriting, storing } from './storing.ts';

/**
 * The spool in a directory: `<run id>.json` for each reading that waits for the repository,
 * `quarantine/<run id>.json` for each that waits for a person. Creates both directories; where nothing can
 * be written, it can still be read. Throws BackupError `store.*`.
 */
export async function openSpool(dir: string): Promise<Spool> {
  const quarantine = join(dir, 'quarantine');

  const unwritable = await forWriting(dir, () => makeDirectory(quarantine));
  const write = (where: string, entry: SpoolEntry): Promise<void> => {
    if (unwritable !== null) throw unwritable;
    return writeDurably(fileOf(where, entry.runId), JSON.stringify(entry));
  };

  return {
    put: (entry) => storing(dir, async () => write(dir, entry)),
    remove: (runId) => storing(dir, () => removeFile(dir, runId)),
    waiting: () => storing(dir, async () => (await gathered(entries(dir))).sort(byAge)),
    standing: () =>
      storing(dir, async () => {
        const names = (await namesIn(dir)).filter(isEntryName).sort();
        for (const name of names) {
          const entry = await readEntry(dir, name);
          if (entry !== null) return { entries: names.length, oldestMs: entry.readAtMs };
        }
        return { entries: names.length, oldestMs: null };
      }),
    outline: () =>
      storing(dir, async () => {
        const found: Pick<SpoolEntry, 'runId' | 'deviceId' | 'deviceName' | 'readAtMs'>[] = [];
        for await (const { runId, deviceId, deviceName, readAtMs } of entries(dir))
          found.push({ runId, deviceId, deviceName, readAtMs });
        return found.sort(byAge);
      }),
    entry: (runId) => storing(dir, () => readEntry(dir, basename(fileOf(dir, runId)))),

    hold: (entry) =>
      storing(dir, async () => {
        const before = await gathered(entries(quarantine));
        await write(quarantine, entry);
        await removeFile(dir, entry.runId);
        const others = before.filter((other) => other.runId !== entry.runId && sameText(other, entry));
        const between = [...others, entry].sort(byAge).slice(1, -1);
        for (const { runId } of between) await removeFile(quarantine, runId);
      }),
    held: (deviceId) =>
      storing(dir, async () =>
        (await gathered(entries(quarantine)))
          .filter((entry) => deviceId === null || entry.deviceId === deviceId)
          .sort(byAge)
          .reverse(),
      ),
    release: (deviceId) =>
      storing(dir, async () => {
        for await (const entry of entries(quarantine)) {
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

/**
 * Every readable entry; others are set aside, and what a dead process left half-written is removed, where
 * that may be done. None where the directory is absent.
 */
async function* entries(dir: string): AsyncGenerator<SpoolEntry> {
  for (const name of await namesIn(dir)) {
    if (staleTemporary(name)) await ifAllowed(() => rm(join(dir, name), { force: true }));
    if (!isEntryName(name)) continue;
    const entry = await readEntry(dir, name);
    if (entry !== null) yield entry;
  }
}

async function gathered(some: AsyncIterable<SpoolEntry>): Promise<SpoolEntry[]> {
  const all: SpoolEntry[] = [];
  for await (const one of some) all.push(one);
  return all;
}

/** None where the directory is absent. */
function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}

function isEntryName(name: string): boolean {
  return name.endsWith('.json') && !name.startsWith('.');
}

/** Null where it is gone (settled in the meantime), or unreadable: then it is set aside. */
async function readEntry(dir: string, name: string): Promise<SpoolEntry | null> {
  const text = await readFile(join(dir, name), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  const entry = parse(text);
  if (entry !== null && name === `${entry.runId}.json`) return entry;
  await ifAllowed(async () => {
    await rename(join(dir, name), join(dir, `${name}.damaged`));
    await flush(dir);
  });
  return null;
}

/** Tidying up is no reason to fail a look at what is there. */
async function ifAllowed(tidy: () => Promise<void>): Promise<void> {
  await tidy().catch((error: NodeJS.ErrnoException) => {
    if (!['EROFS', 'EACCES', 'EPERM'].includes(error.code ?? '')) throw error;
  });
}

/** Null where the text is not a whole entry. */
function parse(text: string): SpoolEntry | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isEntry(value) ? completed(value) : null;
}

/** An entry of a version that did not know of it says nothing of the condition. */
function completed(entry: SpoolEntry): SpoolEntry {
  const said: unknown = entry.condition;
  const condition: Record<string, unknown> = typeof said === 'object' && said !== null ? { ...said } : {};
  const word = (value: unknown) => (typeof value === 'string' ? value : null);
  const flag = (value: unknown) => (typeof value === 'boolean' ? value : null);
  const { ha, standby, sync, unsaved } = condition;
  return {
    ...entry,
    condition: { ha: word(ha), standby: flag(standby), sync: word(sync), unsaved: flag(unsaved) },
  };
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
    isChange(entry.change) &&
    Array.isArray(entry.serials) &&
    entry.serials.every((serial) => typeof serial === 'string') &&
    Array.isArray(entry.artefacts) &&
    entry.artefacts.every(isArtefact)
  );
}

function isChange(value: unknown): boolean {
  if (value === undefined) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { by, from } = value as Record<string, unknown>;
  return [by, from].every((word) => word === null || typeof word === 'string');
}

function isArtefact(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, masked, sealed } = value as Record<string, unknown>;
  return (
    typeof name === 'string' && typeof masked === 'string' && (sealed === null || typeof sealed === 'string')
  );
}

type Aged = Pick<SpoolEntry, 'readAtMs' | 'runId'>;

function byAge(a: Aged, b: Aged): number {
  return a.readAtMs - b.readAtMs || (a.runId < b.runId ? -1 : 1);
}

/** The same artefacts of the same device with the same masked text. */
function sameText(a: SpoolEntry, b: SpoolEntry): boolean {
  const texts = (entry: SpoolEntry) =>
    JSON.stringify(entry.artefacts.map(({ name, masked }) => [name, masked]).sort());
  return a.deviceId === b.deviceId && texts(a) === texts(b);
}
