import type { Device } from '../core/device.ts';
import type { EndedArtefact, Settled, SpoolEntry } from '../core/run.ts';
import type { Driver } from '../drivers/driver.ts';
import type { Repository } from '../gitstore/repository.ts';
import type { Spool } from '../gitstore/spool.ts';
import type { LastGood, Ledger } from '../ledger/ledger.ts';
import { namesInShort } from './artefact-names.ts';
import { type Comparison, compare } from './compare.ts';
import { unmasked, withoutFingerprints } from './mask.ts';

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
 * `acceptedBy`: who looked at it, so that nothing is held back; null: nobody did. `keep` spools a reading that is not
 * spooled yet: what git has already needs no copy, anything else does before it is touched.
 */
export async function settle(
  entry: SpoolEntry,
  driver: Driver,
  expect: Device['expect'],
  acceptedBy: string | null,
  hands: SettleHands,
  keep: () => Promise<void> = async () => {},
): Promise<Settlement> {
  const good = await readLastGood(entry.deviceId, hands).catch(async (error: unknown) => {
    await keep();
    throw error;
  });
  const verdict = acceptedBy !== null ? 'changed' : judgeAgainst(good, entry, driver, expect, hands);
  if (typeof verdict === 'object') {
    await keep();
    await hands.spool.hold(entry);
    return { settled: { outcome: 'quarantined', failure: verdict }, artefacts: located(entry, good, hands) };
  }
  const artefacts = located(entry, good, hands);
  const leftovers = pathsToRemove(artefacts, good);
  if (
    good !== null &&
    leftovers.length === 0 &&
    artefacts.every((one) => !one.changed && liesAt(good, one))
  ) {
    return { settled: { outcome: 'unchanged', commit: good.lastGood.commit }, artefacts };
  }
  const changed = artefacts.filter((artefact) => artefact.changed).map((artefact) => artefact.name);
  const underNewRules = good !== null && changed.length > 0 && isUnderNewRules(entry, good);
  await keep();
  const committed = await hands.repository.commit({
    subject: subjectOf(entry, good, changed, underNewRules),
    body: bodyOf(entry),
    trailers: trailersOf(entry, acceptedBy, hands.ledger.chainHead()),
    atMs: entry.readAtMs,
    files: artefacts.map((artefact) => ({ path: artefact.path, text: textOf(entry, artefact.name) })),
    remove: leftovers,
  });
  const { commit, addedLines, removedLines, foreignTip } = committed;
  if (foreignTip !== null) hands.ledger.record('foreign-tip', entry.readAtMs, { kept: foreignTip, commit });
  const told = { commit, addedLines, removedLines, changed, ...(underNewRules ? { underNewRules } : {}) };
  return { settled: { outcome: 'changed', ...told }, artefacts };
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
  // The copy of another platform says nothing of this one: it is judged as at first contact.
  const previous =
    good === null || good.lastGood.platform !== entry.platform
      ? null
      : {
          artefacts: good.texts,
          restorable: good.lastGood.restorable,
          identity: {
            hostname: known?.hostname ?? null,
            serials: known?.serials ?? [],
            hostnames: known?.hostnames ?? {},
          },
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
  return (good?.lastGood.versions ?? []).flatMap(({ liesAt: path }) =>
    path === null || used.has(path) ? [] : [path],
  );
}

/** Whether main has the last good copy of an artefact where this one would lie. */
function liesAt({ lastGood }: GoodCopy, { name, path }: EndedArtefact): boolean {
  return lastGood.versions.some((version) => version.artefact === name && version.liesAt === path);
}

/** How the subject ends of a commit that says nothing of its device. */
const newRulesSubject = 're-read under new rules';

/** Whether a commit message is that of a reading whose text differs because our rules or the fingerprint key do. */
export function tellsOfNewRules(message: string): boolean {
  return message.split('\n', 1)[0]?.endsWith(`: ${newRulesSubject}`) === true;
}

/**
 * Other rules may explain any difference. Another fingerprint key explains other fingerprints and nothing else, so a
 * device that changed in the same night is told from one that did not.
 */
function isUnderNewRules({ rules, maskKey, platform, artefacts }: SpoolEntry, good: GoodCopy): boolean {
  const { lastGood, texts } = good;
  if (lastGood.platform !== platform) return false;
  if (lastGood.rules !== rules) return true;
  if (lastGood.maskKey === maskKey) return false;
  if (lastGood.maskKey === unmasked || maskKey === unmasked) return true;
  return (
    texts.size === artefacts.length &&
    artefacts.every(({ name, masked }) => {
      const before = texts.get(name);
      return before !== undefined && withoutFingerprints(before) === withoutFingerprints(masked);
    })
  );
}

function subjectOf(
  entry: SpoolEntry,
  good: GoodCopy | null,
  changed: readonly string[],
  underNewRules: boolean,
) {
  return (counts: { addedLines: number; removedLines: number }): string => {
    const { deviceName, platform } = entry;
    if (good !== null && good.lastGood.platform !== platform) return `${deviceName}: re-read as ${platform}`;
    if (changed.length === 0) return movedSubject(entry, good);
    if (underNewRules) return `${deviceName}: ${newRulesSubject}`;
    return `${deviceName}: ${namesInShort(changed)} changed (+${counts.addedLines} -${counts.removedLines})`;
  };
}

/**
 * The same text at another place: the device changed its name or its group while it was being read, or it is in use
 * again after it was retired.
 */
function movedSubject({ deviceName, group }: SpoolEntry, good: GoodCopy | null): string {
  const first = good?.lastGood.versions[0];
  if (first?.liesAt === null) return `${deviceName}: in use again`;
  const [, before] = first?.liesAt.split('/') ?? [];
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

function trailersOf(
  entry: SpoolEntry,
  acceptedBy: string | null,
  auditHead: string,
): readonly (readonly [string, string])[] {
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
    ['Changed-By', entry.change?.by ?? facts.changedBy],
    ['Changed-From', entry.change?.from ?? null],
    ['Restorable', entry.restorable],
    ['Accepted-By', acceptedBy],
    ...sealedTrailers(entry),
    ['Mask-Key', entry.maskKey],
    ['Rules', entry.rules],
    ['Audit-Head', auditHead],
  ];
  return trailers.filter((trailer): trailer is readonly [string, string] => trailer[1] !== null);
}

/** With more than one artefact, each digest stands behind the name of its own. */
function sealedTrailers({ artefacts }: SpoolEntry): readonly (readonly [string, string | null])[] {
  return artefacts.flatMap(({ name, sealed }): (readonly [string, string | null])[] => [
    ...(artefacts.length > 1 && sealed !== null ? [['Artefact', name] as const] : []),
    ['Sealed', sealed],
  ]);
}

function textOf(entry: SpoolEntry, name: string): string {
  return entry.artefacts.find((artefact) => artefact.name === name)?.masked ?? '';
}
