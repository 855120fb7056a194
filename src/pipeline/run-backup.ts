import type { Artefacts } from '../artefacts/artefacts.ts';
import type { Clock } from '../core/clock.ts';
import type { ArchivePlan, Device } from '../core/device.ts';
import { type Failure, failureOf, type Stage } from '../core/errors.ts';
import type { ArtefactText, ChangeOrigin, EndedArchive, RunEnded, SpoolEntry, Trigger } from '../core/run.ts';
import type { Driver } from '../drivers/driver.ts';
import type { LastAttempt } from '../ledger/archives.ts';
import type { GoodReading, KnownDevice } from '../ledger/ledger.ts';
import type { ArchiveOrder, Collected } from '../transport/collect.ts';
import { archivesOfRun, type RunArchives } from './archives.ts';
import { judging, type Reading, rulesDigest } from './judge.ts';
import { createMask, maskKeyId, unmasked } from './mask.ts';
import { type MadeBefore, type ReadBefore, sameAgain } from './read-before.ts';
import type { Room } from './room.ts';
import { type SettleHands, type Settlement, settle } from './settle.ts';
import { inTurns } from './turns.ts';

/** One device that is to be read now. */
export interface BackupJob {
  readonly device: Device;
  readonly driver: Driver;
  readonly trigger: Trigger;
  /** UTC epoch milliseconds; null where no slot asked for it. */
  readonly slotMs: number | null;
  readonly runId: string;
  /** Who changed the device since its last good reading; absent: nobody said. */
  readonly change?: ChangeOrigin;
}

/** What a backup is done with. Effects live here; the judgement between them is pure. */
export interface BackupHands extends SettleHands {
  readonly clock: Clock;
  /** Null only with `secrets.in_git: keep` and no recipients: then nothing is sealed. */
  readonly artefacts: Artefacts | null;
  /** Reads the device once, `archives` being what each attempt asks for after the texts; throws BackupError. */
  readonly collect: (
    job: BackupJob,
    readTwice: boolean,
    archives: () => readonly ArchiveOrder[],
  ) => Promise<Collected>;
  /** Those of the device that are due now; `last` tells of the newest attempt at each, null: there was none. */
  readonly dueArchives: (
    job: Pick<BackupJob, 'device' | 'trigger'>,
    last: (archive: string) => LastAttempt | null,
  ) => readonly ArchivePlan[];
  /** Of all runs of this process. */
  readonly room: Room;
  /** Of all runs of this process. */
  readonly readBefore: ReadBefore;
  /** Secrets in git are masked with it. */
  readonly fingerprintKey: Buffer;
  /** `keep`: the full text goes to git unmasked. */
  readonly inGit: 'masked' | 'keep';
  /** Told when a stage after the collection begins; the one before is then over. */
  readonly onStage?: (stage: Stage) => void;
}

/**
 * The spine: one device, one reading, at most one commit. Never throws: whatever happens is the end
 * of a run. The order of steps is the promise: a row before the first packet, sealed before spooled,
 * spooled before committed, committed before the row says so. A crash between any two of them is
 * closed truthfully by `recover`.
 */
export async function runBackup(job: BackupJob, hands: BackupHands): Promise<RunEnded> {
  const { device, trigger, slotMs, runId } = job;
  const startedAtMs = hands.clock.nowMs();
  let entry: SpoolEntry | null = null;
  let settlement: Settlement | null = null;
  let failure: Failure | null = null;
  let stack: string | null = null;
  let opened = false;
  let spooled = false;
  let archives: RunArchives | null = null;
  let gotten: Collected['archives'] | null = null;
  let endedArchives: readonly EndedArchive[] = [];
  try {
    const known = register(job, hands, startedAtMs);
    hands.ledger.openRun({ runId, deviceId: known.id, trigger, slotMs, startedAtMs });
    opened = true;
    // A copy of another platform, whose place this device took, proves nothing of it.
    const first = hands.ledger.lastGood(known.id)?.platform !== device.platform;
    const due = hands.dueArchives(job, (name) => hands.ledger.archives.last(known.id, name));
    archives = archivesOfRun({ runId, deviceId: known.id }, device.archives, due, hands);
    const collected = await hands.collect(job, first, archives.orders);
    gotten = collected.archives;
    const leave = await hands.room.enter(bytesOf(collected));
    try {
      const kept = await keep(job, known, collected, hands);
      entry = kept.entry;
      settlement = await settle(kept.entry, job.driver, device.expect, null, hands, async () => {
        await hands.spool.put(kept.entry);
        spooled = true;
      });
      if (isGood(settlement)) kept.remember();
    } finally {
      leave();
    }
  } catch (thrown) {
    failure = failureOf(thrown);
    stack = stackOf(thrown, failure);
  }
  if (archives !== null) {
    endedArchives = await archives.end(gotten, failure ?? refusalOf(settlement));
  }
  const ended = (): RunEnded => ({
    runId,
    device: device.name,
    group: device.group,
    platform: device.platform,
    trigger,
    startedAtMs,
    endedAtMs: hands.clock.nowMs(),
    settled: failure === null && settlement !== null ? settlement.settled : failed(failure),
    restorable: entry?.restorable ?? null,
    restorableBecause: entry?.restorableBecause ?? null,
    artefacts: settlement?.artefacts ?? [],
    unsaved: entry?.condition.unsaved ?? null,
    archives: endedArchives,
    stack,
  });
  if (!opened) return ended();
  try {
    hands.onStage?.('record');
    await closeRun(ended(), entry, hands, spooled);
  } catch (thrown) {
    // The row stays `running`; it is closed later, from the commit's trailer or the spool.
    if (entry !== null && !spooled) await hands.spool.put(entry).catch(() => undefined);
    failure = failureOf(thrown);
    stack = stackOf(thrown, failure);
  }
  return ended();
}

/**
 * Writes the end of a run to the ledger, then clears what only a run in progress needs. Where the
 * store failed, the entry stays in the spool: what the device gave survives a broken repository. `spooled`: the entry
 * may lie there.
 */
export async function closeRun(
  ended: RunEnded,
  entry: SpoolEntry | null,
  hands: Pick<BackupHands, 'ledger' | 'spool' | 'artefacts'>,
  spooled: boolean,
): Promise<void> {
  const { settled } = ended;
  const good = settled.outcome === 'changed' || settled.outcome === 'unchanged';
  const unreferenced = hands.ledger.closeRun({
    runId: ended.runId,
    endedAtMs: ended.endedAtMs,
    outcome: settled.outcome,
    failure: good ? null : settled.failure,
    commit: good ? settled.commit : null,
    restorable: ended.restorable,
    restorableBecause: ended.restorableBecause,
    reading: entry === null || settled.outcome === 'failed' ? null : readingOf(entry, ended),
  });
  if (entry !== null && spooled && settled.outcome !== 'failed') await hands.spool.remove(entry.runId);
  if (entry !== null && good) await hands.spool.release(entry.deviceId);
  if (hands.artefacts === null) return;
  for (const digest of unreferenced) await hands.artefacts.remove(digest);
  if (unreferenced.length > 0) hands.ledger.retention.removed(unreferenced);
}

function isGood({ settled: { outcome } }: Settlement): boolean {
  return outcome === 'changed' || outcome === 'unchanged';
}

/** A text that is held back may still be of the right device; one that is not makes its archive another device's too. */
function refusalOf(settlement: Settlement | null): Failure | null {
  const settled = settlement?.settled;
  if (settled === undefined) return failed(null).failure;
  return settled.outcome === 'quarantined' && settled.failure.code === 'verify.identity'
    ? settled.failure
    : null;
}

/** Of a bug of ours; what was expected to fail needs none. */
function stackOf(thrown: unknown, { code }: Failure): string | null {
  return code === 'bug.unexpected' && thrown instanceof Error ? (thrown.stack ?? null) : null;
}

function failed(failure: Failure | null): { outcome: 'failed'; failure: Failure } {
  return {
    outcome: 'failed',
    failure: failure ?? { code: 'bug.unexpected', detail: { thrown: 'a run ended without an outcome' } },
  };
}

/** All answers of a session. */
function bytesOf({ captures, again }: Collected): number {
  return [...captures.values(), ...again.values()].reduce((sum, { text }) => sum + text.length, 0);
}

function register(job: BackupJob, hands: BackupHands, atMs: number): KnownDevice {
  const { name, platform, group, formerly } = job.device;
  return hands.ledger.register({ name, platform, group, formerly, atMs });
}

/** Judges a reading and seals its full text. Clear text ends here. `remember` is for a reading that turns out good. */
async function keep(
  job: BackupJob,
  known: KnownDevice,
  collected: Collected,
  hands: BackupHands,
): Promise<{ readonly entry: SpoolEntry; readonly remember: () => void }> {
  const mask = hands.inGit === 'masked' ? createMask(hands.fingerprintKey, known.id) : null;
  const maskKey = mask === null ? unmasked : maskKeyId(hands.fingerprintKey);
  const under = { platform: job.device.platform, maskKey };
  const marks = new Map(
    [...collected.artefacts.keys()].map((name) => [name, hands.readBefore.markOf(collected, name, under)]),
  );
  const again: ReadonlyMap<string, MadeBefore> =
    collected.again.size > 0 ? new Map() : await sameAgain(known.id, marks, hands);
  const reading: Reading = await inTurns(judging(job.driver, collected, mask, again, hands.onStage));
  hands.onStage?.('store');
  const artefacts: ArtefactText[] = [];
  for (const { name, exact, masked } of reading.artefacts) {
    const before = again.get(name);
    const sealed = before?.masked === masked ? before.sealed : ((await hands.artefacts?.seal(exact)) ?? null);
    artefacts.push({ name, masked, sealed });
  }
  const entry: SpoolEntry = {
    runId: job.runId,
    deviceId: known.id,
    deviceName: job.device.name,
    group: job.device.group,
    platform: job.device.platform,
    trigger: job.trigger,
    slotMs: job.slotMs,
    readAtMs: hands.clock.nowMs(),
    artefacts,
    facts: reading.facts,
    condition: reading.condition,
    serials: reading.serials,
    restorable: reading.restorable,
    restorableBecause: reading.restorableBecause,
    maskKey,
    rules: rulesDigest(job.driver),
    ...(job.change === undefined ? {} : { change: job.change }),
  };
  return {
    entry,
    remember() {
      for (const { name, masked, sealed } of artefacts) {
        const mark = marks.get(name);
        if (mark === undefined) continue;
        const made = { mark, masked: hands.readBefore.markOfText(masked), sealed };
        hands.readBefore.remember(known.id, name, { ...made, inHa: reading.condition.ha !== null });
      }
    },
  };
}

function readingOf(entry: SpoolEntry, ended: RunEnded): GoodReading {
  const quarantined = ended.settled.outcome === 'quarantined';
  return {
    facts: entry.facts,
    condition: entry.condition,
    serials: entry.serials,
    rules: entry.rules,
    maskKey: entry.maskKey,
    artefacts: entry.artefacts.map(({ name, sealed, masked }) => {
      const placed = ended.artefacts.find((artefact) => artefact.name === name);
      return {
        name,
        path: quarantined ? null : (placed?.path ?? null),
        sealed,
        changed: placed?.changed ?? false,
        bytes: masked.length,
      };
    }),
  };
}
