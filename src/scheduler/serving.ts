import type { Absence, DeviceView, EndedRun, RunInProgress, SlotEnd, SlotTimes } from './view.ts';

/** An open slot, with a row or about to get one. */
export interface Open extends SlotTimes {
  /** False where it was found just now: nobody was there when it fell due, or this is the tick that saw it. */
  readonly recorded: boolean;
}

/**
 * Which run serves which slot. A run that was started for a slot ends it. Any other run
 * - that was in progress when a slot fell due ends it, with success or without;
 * - that began later but while the slot could still start, and succeeded, serves it: reading the device a
 *   second time would show nothing new. Older slots that it finds open are `skipped{superseded}`;
 * - that succeeded up to `early_window` before a slot serves it.
 * One run serves at most one slot of its device.
 */
export function assign(
  device: DeviceView,
  open: readonly Open[],
  earlyMs: number,
): ReadonlyMap<number, SlotEnd> {
  const ends = new Map<number, SlotEnd>();
  for (const run of device.runs) {
    if (run.servedMs !== null) continue;
    const end = endBy(run);
    if (run.trigger === 'schedule') {
      if (open.some(({ slotMs }) => slotMs === run.slotMs)) ends.set(run.slotMs ?? 0, end);
      continue;
    }
    const left = open.filter(({ slotMs }) => !ends.has(slotMs));
    const during = left.find(({ slotMs }) => run.startedAtMs <= slotMs && slotMs <= run.endedAtMs);
    if (!isGood(run)) {
      if (during !== undefined) ends.set(during.slotMs, end);
      continue;
    }
    const older = left.filter((slot) => startable(device, slot, run.startedAtMs));
    const early = left.find(({ slotMs }) => run.endedAtMs < slotMs && slotMs - run.endedAtMs <= earlyMs);
    const served = during ?? older.at(-1) ?? early;
    if (served !== undefined) ends.set(served.slotMs, end);
    for (const { slotMs } of older)
      if (!ends.has(slotMs)) ends.set(slotMs, { state: 'skipped', cause: 'superseded' });
  }
  return ends;
}

/** Slots that wait for the run in progress: their own, the one that fell due during it, those that it may still serve. */
export function awaitedBy(
  running: RunInProgress | null,
  open: readonly Open[],
  ends: ReadonlyMap<number, SlotEnd>,
): ReadonlySet<number> {
  if (running === null) return new Set();
  if (running.trigger === 'schedule') return new Set(running.slotMs === null ? [] : [running.slotMs]);
  const left = open.filter(({ slotMs }) => !ends.has(slotMs));
  const during = left.find(({ slotMs }) => running.startedAtMs <= slotMs);
  const older = left.filter(
    ({ slotMs, lastStartMs }) => slotMs < running.startedAtMs && running.startedAtMs <= lastStartMs,
  );
  return new Set([...older, ...(during === undefined ? [] : [during])].map(({ slotMs }) => slotMs));
}

/** Whether a slot could still be started at an instant after it fell due. */
function startable(device: DeviceView, slot: Open, atMs: number): boolean {
  return slot.slotMs < atMs && atMs <= slot.lastStartMs && !fellDueUnseen(device, slot);
}

/** Our own downtime counts: every slot that fell due in it is missed, even where its window is still open. */
export function fellDueUnseen(device: DeviceView, slot: Open): boolean {
  return !slot.recorded && absenceAt(device, slot.slotMs) === 'collector_down';
}

/** Why nobody kept the schedule at an instant; null where somebody did. */
export function absenceAt(device: DeviceView, atMs: number): Absence['cause'] | null {
  if (atMs <= device.upSinceMs) return 'collector_down';
  return device.absences.find(({ fromMs, toMs }) => fromMs < atMs && atMs <= toMs)?.cause ?? null;
}

export function isGood({ outcome }: Pick<EndedRun, 'outcome'>): boolean {
  return outcome === 'changed' || outcome === 'unchanged';
}

function endBy({ runId, outcome, code }: EndedRun): SlotEnd {
  if (outcome === 'changed' || outcome === 'unchanged') return { state: outcome, runId };
  return { state: outcome, runId, code: code ?? 'bug.unexpected' };
}
