import { retryOf } from '../core/retry.ts';
import type { Calendar } from './calendar.ts';
import { recordMore } from './long-absence.ts';
import { absenceAt, assign, awaitedBy, fellDueUnseen, type Open } from './serving.ts';
import { afterBlackout, earlyWindowMs, nextBlackout, placeMs, slotTimes, type Timed } from './times.ts';
import type { Decision, DeviceView, Expected, MissedCause, RecordedSlot, SlotEnd } from './view.ts';

export { afterBlackout, earlyWindowMs, slotTimes, splayMs, startWithinMs } from './times.ts';
export type * from './view.ts';

const day = 86_400_000;
/** Bounds of what is recorded slot by slot after a downtime of ours: 100 slots or 31 days a device. */
const mostSlots = 100;
const mostMs = 31 * day;
/** An instant that is further ahead of now was recorded by a clock that has gone back since. */
const jumpMs = 60_000;

function isAhead(atMs: number, nowMs: number): boolean {
  return atMs > nowMs + jumpMs;
}

/**
 * Slots that have fallen due and have no row yet. Expectation starts at registration, not at the first
 * success. Whatever the ticks, restarts and jumps of the clock: a slot is expected once, because the newest
 * row bounds them from below, also where the clock has gone back behind it.
 */
export function expectedSlots(
  calendar: Calendar,
  device: Pick<DeviceView, 'plan' | 'registeredAtMs' | 'planSinceMs' | 'lastSlotMs' | 'upSinceMs'>,
  nowMs: number,
): Expected {
  const { plan, lastSlotMs } = device;
  const from = Math.max(expectedFrom(device, nowMs), lastSlotMs ?? Number.NEGATIVE_INFINITY);
  const { slots, before, firstBeforeMs, lastBeforeMs } = calendar.slotsBetween(
    plan.schedule,
    plan.timezone,
    from,
    nowMs,
    mostSlots,
  );
  // The newest always has a row of its own: it is the lower bound of the next time.
  const own = slots.filter((slot, index) => slot > nowMs - mostMs || index === slots.length - 1);
  const dropped = slots.slice(0, slots.length - own.length);
  const firstMs = firstBeforeMs ?? dropped[0];
  const lastMs = dropped.at(-1) ?? lastBeforeMs;
  const more =
    firstMs === undefined || lastMs === null ? null : { count: before + dropped.length, firstMs, lastMs };
  return { slots: own, more };
}

/** Since when slots are expected under this plan. */
function expectedFrom(
  {
    registeredAtMs,
    planSinceMs,
    upSinceMs,
  }: Pick<DeviceView, 'registeredAtMs' | 'planSinceMs' | 'upSinceMs'>,
  nowMs: number,
): number {
  const since = Math.max(registeredAtMs, planSinceMs ?? registeredAtMs);
  return isAhead(since, nowMs) ? Math.min(since, upSinceMs) : since;
}

/**
 * The one number that alerts compare with: the deadline of the oldest slot not followed by a success; when
 * there is none, that of the next future slot. Only a verified success moves it forward: no new slot, no
 * restart, no reload, no edit of the inventory (a row keeps the deadline that it was written with).
 * `max_age` after the last success (before the first: after registration) is a ceiling that no blackout
 * can hide.
 *
 * `unserved`: rows, in any order, that are open, failed, quarantined, missed or skipped{superseded}. Rows
 * older than the last success do no harm. Slots skipped as disabled or by a blackout were not owed.
 * Null where the schedule never comes due again and nothing is owed.
 */
export function dueTimeMs(
  calendar: Calendar,
  device: Timed &
    Pick<DeviceView, 'registeredAtMs' | 'planSinceMs' | 'lastSlotMs' | 'lastSuccessMs' | 'upSinceMs'> & {
      readonly unserved: readonly RecordedSlot[];
    },
  nowMs: number,
): number | null {
  const { plan, lastSuccessMs } = device;
  // A success in the future was recorded before the clock went back: it is not newer than this process.
  const success = lastSuccessMs !== null && isAhead(lastSuccessMs, nowMs) ? device.upSinceMs : lastSuccessMs;
  const deadlineAfter = (ms: number): number | null => {
    const slot = calendar.next(plan.schedule, plan.timezone, ms);
    return slot === null ? null : slotTimes(calendar, device, slot).deadlineMs;
  };
  const owed = device.unserved.flatMap((row) => {
    if (success === null || row.slotMs > success) return [row.deadlineMs];
    return row.lastMs > success ? [deadlineAfter(success) ?? row.deadlineMs] : [];
  });
  // The first slot without a row, also where that has fallen due and the loop has not come by yet.
  const recorded = Math.min(device.lastSlotMs ?? Number.NEGATIVE_INFINITY, nowMs);
  const due =
    owed.length > 0
      ? owed.reduce((a, b) => Math.min(a, b))
      : deadlineAfter(Math.max(recorded, expectedFrom(device, nowMs), success ?? 0));
  if (plan.maxAgeMs === null) return due;
  const ceiling = (success ?? device.registeredAtMs) + plan.maxAgeMs;
  return due === null ? ceiling : Math.min(due, ceiling);
}

/**
 * Everything there is to do for one device now. It depends on its arguments alone, so a crash between two
 * decisions costs nothing: the next call says what is left.
 *
 * Every slot that has fallen due gets a row; every row gets one end:
 * - the run that serves it (see `assign`);
 * - `skipped{disabled}`, `skipped{blackout}` where a later slot falls due before the window is over;
 * - `missed{collector_down}` where it fell due while nobody kept the schedule;
 * - `missed` with the cause that held at its last start, where none was made until then.
 *
 * Then at most one start: of an open slot whose time has come; else one catch-up of the newest slot where
 * that was missed and the next is not due yet; else a retry.
 */
export function decide(calendar: Calendar, device: DeviceView, nowMs: number): readonly Decision[] {
  const { decisions, start } = settle(calendar, device, nowMs);
  const blocked =
    device.running !== null ||
    device.locked ||
    device.paused ||
    !device.enabled ||
    start === null ||
    start.notBeforeMs > nowMs ||
    afterBlackout(calendar, device.plan, nowMs) !== nowMs;
  if (blocked) return decisions;
  const blackout = nextBlackout(calendar, device.plan, nowMs);
  const notAfterMs = Math.min(start.notAfterMs, (blackout ?? Number.POSITIVE_INFINITY) - 1);
  return [...decisions, { ...start, notAfterMs }];
}

/**
 * When the next run is planned to start, as far as is known now: in the past where it waits for a worker;
 * null for a disabled device, while starts are paused and for a schedule that never comes due again.
 */
export function nextStartMs(calendar: Calendar, device: DeviceView, nowMs: number): number | null {
  if (!device.enabled || device.paused) return null;
  const { start } = settle(calendar, device, nowMs);
  const slot = nextSlot(calendar, device, nowMs);
  const next = slot === null ? null : slotTimes(calendar, device, slot).notBeforeMs;
  const planned = start === null ? next : Math.min(start.notBeforeMs, next ?? Number.POSITIVE_INFINITY);
  return planned === null ? null : afterBlackout(calendar, device.plan, planned);
}

type Start = Extract<Decision, { readonly kind: 'start' }>;

/** A slot that is over, as far as it matters for what comes next. */
interface Past {
  readonly slotMs: number;
  readonly end: SlotEnd;
  readonly detectedAtMs: number;
}

interface Settled {
  readonly decisions: readonly Decision[];
  /** The next start for what has fallen due, now or later; null where nothing is left to do. */
  readonly start: Start | null;
}

function settle(calendar: Calendar, device: DeviceView, nowMs: number): Settled {
  const decisions: Decision[] = [];
  const expected = expectedSlots(calendar, device, nowMs);
  let past = pastOf(calendar, device, nowMs);
  if (expected.more !== null) {
    const { lastMs } = expected.more;
    const end: SlotEnd = device.enabled
      ? { state: 'missed', cause: absenceAt(device, lastMs) ?? 'collector_down' }
      : { state: 'skipped', cause: 'disabled' };
    decisions.push(...recordMore(calendar, device, expected.more, end, nowMs));
    past = { slotMs: lastMs, end, detectedAtMs: nowMs };
  }
  const found = expected.slots.map((slotMs) => ({
    ...slotTimes(calendar, device, slotMs),
    recorded: false,
  }));
  for (const { slotMs, deadlineMs } of found) decisions.push({ kind: 'record', slotMs, deadlineMs });
  const open: Open[] = [
    ...device.open.map(({ slotMs, deadlineMs }) => ({
      ...slotTimes(calendar, device, slotMs),
      // As it was promised.
      deadlineMs,
      recorded: true,
    })),
    ...found,
  ];

  const ends = assign(device, open, earlyWindowMs(calendar, device.plan));
  const awaited = awaitedBy(device.running, open, ends);
  const waiting: Open[] = [];
  for (const slot of open) {
    const end =
      ends.get(slot.slotMs) ?? (awaited.has(slot.slotMs) ? null : endOf(calendar, device, slot, nowMs));
    if (end === null) {
      if (slot.slotMs <= nowMs) waiting.push(slot);
      continue;
    }
    const { slotMs, deadlineMs } = slot;
    decisions.push({ kind: 'close', slotMs, end, deadlineMs, detectedAtMs: nowMs });
    if (slotMs <= nowMs && slotMs >= (past?.slotMs ?? slotMs)) past = { slotMs, end, detectedAtMs: nowMs };
  }
  return { decisions, start: startOf(calendar, device, waiting, past, nowMs) };
}

/** The newest slot that has an end already, at or before now; null where there is none. */
function pastOf(calendar: Calendar, device: DeviceView, nowMs: number): Past | null {
  const { latest, plan } = device;
  if (latest === null || latest.end === null) return null;
  const { end, detectedAtMs } = latest;
  // "And n more" stands for all of its slots: after a jump ahead and back, the clock comes by them again.
  const slotMs =
    latest.count > 1 && latest.lastMs > nowMs
      ? (calendar.previous(plan.schedule, plan.timezone, nowMs) ?? latest.slotMs)
      : latest.lastMs;
  return { slotMs: Math.max(slotMs, latest.slotMs), end, detectedAtMs: detectedAtMs ?? slotMs };
}

/** The end of a slot that no run serves or may serve; null where it can still be started. */
function endOf(calendar: Calendar, device: DeviceView, slot: Open, nowMs: number): SlotEnd | null {
  if (slot.slotMs > nowMs) return null;
  if (!device.enabled) return { state: 'skipped', cause: 'disabled' };
  if (slot.hidden) {
    const next = calendar.next(device.plan.schedule, device.plan.timezone, slot.slotMs);
    if (next !== null && next <= nowMs) return { state: 'skipped', cause: 'blackout' };
  }
  if (fellDueUnseen(device, slot)) return { state: 'missed', cause: 'collector_down' };
  return nowMs > slot.lastStartMs ? { state: 'missed', cause: causeOf(device, slot) } : null;
}

/** What kept a slot from being started until its last start. */
function causeOf(device: DeviceView, { lastStartMs }: Open): MissedCause {
  const absence = absenceAt(device, lastStartMs);
  if (absence !== null) return absence;
  if (device.paused) return 'paused';
  const busy =
    device.locked ||
    device.running !== null ||
    device.runs.some((run) => run.startedAtMs <= lastStartMs && lastStartMs <= run.endedAtMs);
  return busy ? 'overlap' : 'overload';
}

function startOf(
  calendar: Calendar,
  device: DeviceView,
  waiting: readonly Open[],
  past: Past | null,
  nowMs: number,
): Start | null {
  const ready = waiting.findLast(({ notBeforeMs }) => notBeforeMs <= nowMs) ?? waiting[0];
  if (ready !== undefined) {
    const { slotMs, notBeforeMs, lastStartMs } = ready;
    return { kind: 'start', trigger: 'schedule', slotMs, notBeforeMs, notAfterMs: lastStartMs };
  }
  const follow = past === null ? null : followUp(device, past, nowMs);
  // Until the next slot: that one is its own attempt.
  const until = nextSlot(calendar, device, nowMs) ?? Number.MAX_SAFE_INTEGER;
  if (follow === null) return null;
  const { trigger, slotMs, atMs } = follow;
  return { kind: 'start', trigger, slotMs, notBeforeMs: atMs, notAfterMs: until - 1 };
}

/**
 * What the newest slot still wants, where nothing good followed it: one catch-up run where it was missed,
 * spread over `catch_up_spread`; then, and after a failed slot, a retry every `retry_later` as long as the
 * code allows it.
 */
function followUp(
  device: DeviceView,
  { slotMs, end, detectedAtMs }: Past,
  nowMs: number,
): { readonly trigger: 'retry' | 'catch-up'; readonly slotMs: number; readonly atMs: number } | null {
  const { lastSuccessMs, plan } = device;
  if (end.state !== 'missed' && end.state !== 'failed') return null;
  // A success of the future is one of a wrong clock: it says nothing of this slot.
  if (lastSuccessMs !== null && lastSuccessMs >= slotMs && !isAhead(lastSuccessMs, nowMs)) return null;
  const attempt = device.runs.findLast(
    (run) => run.slotMs === slotMs || (run.startedAtMs >= slotMs && !isAhead(run.startedAtMs, nowMs)),
  );
  if (attempt === undefined && end.state === 'missed') {
    const moments = [detectedAtMs, device.upSinceMs, ...device.absences.map(({ toMs }) => toMs)];
    const since = moments.reduce((a, b) => (isAhead(b, nowMs) ? a : Math.max(a, b)), slotMs);
    return { trigger: 'catch-up', slotMs, atMs: since + placeMs(device.deviceId, plan.catchUpSpreadMs) };
  }
  const failed = attempt ?? device.runs.findLast((run) => end.state === 'failed' && run.runId === end.runId);
  if (failed?.outcome !== 'failed' || failed.code === null) return null;
  if (retryOf(failed.code, failed.atJumpHost ?? null) === 'after-change') return null;
  const ended = isAhead(failed.endedAtMs, nowMs) ? slotMs : failed.endedAtMs;
  return { trigger: 'retry', slotMs, atMs: ended + plan.retryLaterMs };
}

function nextSlot(calendar: Calendar, { plan }: DeviceView, nowMs: number): number | null {
  return calendar.next(plan.schedule, plan.timezone, nowMs);
}
