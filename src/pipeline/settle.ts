import type { Device } from '../core/device.ts';
import type { EndedArtefact, Settled, SpoolEntry } from '../core/run.ts';
import type { Driver } from '../drivers/driver.ts';
import type { Repository } from '../gitstore/repository.ts';
import type { Spool } from '../gitstore/spool.ts';
import type { LastGood, Ledger } from '../ledger/ledger.ts';
import { type Comparison, compare } from './compare.ts';

/** What settling a reading needs. */
export interface SettleHands {
  readonly ledger: Ledger;
  readonly repository: Repository;
  readonly spool: Spool;
  /** Where an artefact lies in the repository. */
  readonly artefactPath: (group: string, device: string, artefact: string) => string;
}

/** What became of a reading, and where each artefact lies (or would lie) in the repository. */
export interface Settlement {
  readonly settled: Settled;
  readonly artefacts: readonly EndedArtefact[];
}

/** A good copy that was read back: what the next reading is compared with. */
interface GoodCopy {
  readonly lastGood: LastGood;
  /** Masked text by artefact, one character per byte. */
  readonly texts: ReadonlyMap<string, string>;
}

/**
 * The second half of the spine: compare with the last good copy, then commit, hold or do nothing. It
 * works on a spool entry alone, so that a reading that outlived a crash ends in the same way as one
 * that did not. Does not touch the run's row: closing it is the caller's, and comes after this.
 * `accepted`: a person looked at it, so nothing is held back.
 */
export async function settle(
  entry: SpoolEntry,
  driver: Driver,
  expect: Device['expect'],
  accepted: boolean,
  hands: SettleHands,
): Promise<Settlement> {
  const good = await readLastGood(entry.deviceId, hands);
  const verdict = accepted ? 'changed' : judgeAgainst(good, entry, driver, expect, hands);
  if (typeof verdict === 'object') {
    await hands.spool.hold(entry);
    return { settled: { outcome: 'quarantined', failure: verdict }, artefacts: located(entry, good, hands) };
  }
  const artefacts = located(entry, good, hands);
  const leftovers = pathsToRemove(artefacts, good);
  if (good !== null && leftovers.length === 0 && artefacts.every((artefact) => !artefact.changed)) {
    return { settled: { outcome: 'unchanged', commit: good.lastGood.commit }, artefacts };
  }
  const changed = artefacts.filter((artefact) => artefact.changed).map((artefact) => artefact.name);
  const committed = await hands.repository.commit({
    subject: subjectOf(entry, good, changed),
    body: bodyOf(entry),
    trailers: trailersOf(entry, hands.ledger.chainHead()),
    atMs: entry.readAtMs,
    files: artefacts.map((artefact) => ({ path: artefact.path, text: textOf(entry, artefact.name) })),
    remove: leftovers,
  });
  const { commit, addedLines, removedLines, foreignTip } = committed;
  if (foreignTip !== null) hands.ledger.record('foreign-tip', entry.readAtMs, { kept: foreignTip, commit });
  return { settled: { outcome: 'changed', commit, addedLines, removedLines, changed }, artefacts };
}

/** The last good copy with its texts; null before the first one. A text that is gone from git is absent from the map. */
async function readLastGood(deviceId: string, hands: SettleHands): Promise<GoodCopy | null> {
  const lastGood = hands.ledger.lastGood(deviceId);
  if (lastGood === null) return null;
  const texts = new Map<string, string>();
  for (const version of lastGood.versions) {
    const text = await hands.repository.read(version.commit, version.path);
    if (text !== null) texts.set(version.artefact, text);
  }
  return { lastGood, texts };
}

function judgeAgainst(
  good: GoodCopy | null,
  entry: SpoolEntry,
  driver: Driver,
  expect: Device['expect'],
  hands: SettleHands,
): Comparison {
  const known = hands.ledger.device(entry.deviceName);
  const previous =
    good === null
      ? null
      : {
          artefacts: good.texts,
          restorable: good.lastGood.restorable,
          identity: { hostname: known?.hostname ?? null, serials: known?.serials ?? [] },
        };
  return compare(previous, entry, driver, expect);
}

function located(entry: SpoolEntry, good: GoodCopy | null, hands: SettleHands): readonly EndedArtefact[] {
  return entry.artefacts.map(({ name, masked }) => ({
    name,
    path: hands.artefactPath(entry.group, entry.deviceName, name),
    bytes: masked.length,
    changed: good?.texts.get(name) !== masked,
  }));
}

/** Paths of the last good copy that this one no longer uses: another group, another name, an artefact that went. */
function pathsToRemove(artefacts: readonly EndedArtefact[], good: GoodCopy | null): readonly string[] {
  const used = new Set(artefacts.map((artefact) => artefact.path));
  return (good?.lastGood.versions ?? []).map((version) => version.path).filter((path) => !used.has(path));
}

function subjectOf(entry: SpoolEntry, good: GoodCopy | null, changed: readonly string[]) {
  return (counts: { addedLines: number; removedLines: number }): string => {
    const { deviceName } = entry;
    if (changed.length === 0) return movedSubject(entry, good);
    const sameRules =
      good === null || (good.lastGood.rules === entry.rules && good.lastGood.maskKey === entry.maskKey);
    if (!sameRules) return `${deviceName}: re-read under new rules`;
    return `${deviceName}: ${changed.join(', ')} changed (+${counts.addedLines} -${counts.removedLines})`;
  };
}

/** The same text at another place: the device changed its name, or its group. */
function movedSubject({ deviceName, group }: SpoolEntry, good: GoodCopy | null): string {
  const [, before] = good?.lastGood.versions[0]?.path.split('/') ?? [];
  return before === undefined || before === deviceName
    ? `${deviceName}: moved to ${group}`
    : `${deviceName}: renamed from ${before}`;
}

/** What a reader of the history wants to know and no trailer says. */
function bodyOf({ restorable, restorableBecause, facts }: SpoolEntry): string {
  const lines = [
    restorableBecause === null ? '' : `Restorable ${restorable}: ${restorableBecause}`,
    facts.changedAt === null ? '' : `Last changed at ${facts.changedAt} by the clock of the device`,
  ];
  return lines.filter((line) => line !== '').join('\n');
}

function trailersOf(entry: SpoolEntry, auditHead: string): readonly (readonly [string, string])[] {
  const { facts } = entry;
  const trailers: readonly (readonly [string, string | null])[] = [
    ['Device', entry.deviceName],
    ['Device-Id', entry.deviceId === entry.deviceName ? null : entry.deviceId],
    ['Platform', entry.platform],
    ['Run-Id', entry.runId],
    ['Slot', entry.slotMs === null ? null : new Date(entry.slotMs).toISOString()],
    ['Trigger', entry.trigger],
    ['Model', facts.model],
    ['Serial', facts.serial],
    ['OS-Version', facts.version],
    ['Changed-By', facts.changedBy],
    ['Restorable', entry.restorable],
    ...entry.artefacts.map(({ sealed }) => ['Sealed', sealed] as const),
    ['Mask-Key', entry.maskKey],
    ['Rules', entry.rules],
    ['Audit-Head', auditHead],
  ];
  return trailers.filter((trailer): trailer is readonly [string, string] => trailer[1] !== null);
}

function textOf(entry: SpoolEntry, name: string): string {
  return entry.artefacts.find((artefact) => artefact.name === name)?.masked ?? '';
}
