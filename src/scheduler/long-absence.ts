import type { Calendar } from './calendar.ts';
import { isGood } from './serving.ts';
import { slotTimes } from './times.ts';
import type { Decision, DeviceView, Expected, SlotEnd } from './view.ts';

/**
 * The slots before those that are recorded one by one: "and n more" with this end, cut in two by each slot that a run
 * is known to have served (a ledger that was put back learns of such runs from the repository).
 */
export function recordMore(
  calendar: Calendar,
  device: DeviceView,
  { firstMs, lastMs }: NonNullable<Expected['more']>,
  end: SlotEnd,
  nowMs: number,
): readonly Decision[] {
  const { schedule, timezone } = device.plan;
  const decisions: Decision[] = [];
  const many = (fromMs: number, toMs: number): void => {
    const { slots, before, firstBeforeMs } = calendar.slotsBetween(schedule, timezone, fromMs, toMs, 1);
    const [newest] = slots;
    if (newest === undefined) return;
    const slotMs = firstBeforeMs ?? newest;
    const { deadlineMs } = slotTimes(calendar, device, slotMs);
    decisions.push({
      ...{ kind: 'record-more', slotMs, lastMs: newest, count: before + 1 },
      ...{ deadlineMs, end, detectedAtMs: nowMs },
    });
  };
  let fromMs = firstMs - 1;
  for (const [slotMs, served] of provenIn(calendar, device, firstMs, lastMs)) {
    many(fromMs, slotMs - 1);
    const { deadlineMs } = slotTimes(calendar, device, slotMs);
    decisions.push({ kind: 'record', slotMs, deadlineMs });
    decisions.push({ kind: 'close', slotMs, end: served, deadlineMs, detectedAtMs: nowMs });
    fromMs = slotMs;
  }
  many(fromMs, lastMs);
  return decisions;
}

/** Slots of the stretch that a run was started for and served, oldest first. */
function provenIn(
  calendar: Calendar,
  { plan, runs }: DeviceView,
  firstMs: number,
  lastMs: number,
): readonly (readonly [number, SlotEnd])[] {
  const found = new Map<number, SlotEnd>();
  for (const { trigger, slotMs, servedMs, outcome, runId } of runs) {
    if (trigger !== 'schedule' || slotMs === null || servedMs !== null || !isGood({ outcome })) continue;
    if (slotMs < firstMs || slotMs > lastMs) continue;
    if (calendar.next(plan.schedule, plan.timezone, slotMs - 1) !== slotMs) continue;
    found.set(slotMs, { state: outcome === 'changed' ? 'changed' : 'unchanged', runId });
  }
  return [...found].sort(([a], [b]) => a - b);
}
