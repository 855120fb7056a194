import { describe } from '../../core/catalogue.ts';
import { failureOf } from '../../core/errors.ts';
import { counted } from '../../core/units.ts';
import { artefactAt, artefactPath } from '../../gitstore/paths.ts';
import type { Retirement } from '../../inventory/inventory.ts';
import type { KnownDevice } from '../../ledger/ledger.ts';
import { type MoveHands, misplaced, moveAll, retire } from '../../pipeline/moves.ts';
import { rebuild } from '../../pipeline/rebuild.ts';
import { createCalendar } from '../../scheduler/calendar.ts';
import type { Scheduler } from '../../scheduler/scheduler.ts';
import { settleUntil } from '../../scheduler/settle-up.ts';
import type { Kept } from '../../scheduler/take-over.ts';
import type { Log } from '../log.ts';
import type { Configuration, Context, State } from './context.ts';

/** Keeps runs of devices from beginning; null: no run is under way, and none begins. */
export type Hold = Scheduler['hold'] | null;

/**
 * Takes over from the commits what the ledger does not know, and says so. The state lock is held, and nothing else was
 * done yet.
 */
export async function rebuildLedger(context: Context, { ledger, repository, spool }: State): Promise<void> {
  const { devices } = await context.configuration();
  const calendar = createCalendar();
  const plans = new Map(devices.map(({ name, plan }) => [name, plan]));
  const isSlot = (name: string, deviceId: string, slotMs: number): boolean => {
    const kept = ledger.slots.historiesOf([deviceId], slotMs)[0]?.plan ?? null;
    const before = kept === null ? [] : [(JSON.parse(kept) as Kept).plan];
    return [...before, ...[plans.get(name) ?? []].flat()].some(
      ({ schedule, timezone }) => calendar.next(schedule, timezone, slotMs - 1) === slotMs,
    );
  };
  const spooled = new Set((await spool.waiting()).map(({ runId }) => runId));
  const { clock } = context;
  const told = await rebuild({ ledger, repository, clock, placeOf: artefactAt, isSlot, spooled });
  const log = await context.log();
  const { refused, ...taken } = told;
  if (Object.values(taken).some((count) => count > 0)) log.info('ledger rebuilt from commits', taken);
  if (refused > 0) log.warn('commits that contradict the ledger were left alone', { commits: refused });
}

/**
 * Retires the devices whose date has come, and moves the files of those whose name or group changed: in one commit,
 * but for devices that are being read now. Returns how many of these are left for later. Never rejects: what could
 * not be done is logged, and done the next time.
 */
export async function settleLives(
  configuration: Configuration,
  state: State,
  { clock }: Context,
  log: Log,
  hold: Hold,
): Promise<number> {
  const hands: MoveHands = { ...state, clock, artefactPath };
  try {
    const retired = await retireDue(configuration, state, hands, log, hold);
    return retired + (await moveMisplaced(hands, log, hold));
  } catch (thrown) {
    const { code, message, todo } = describe(failureOf(thrown));
    if (code === 'bug.unexpected') log.unexpected('files could not be moved', thrown);
    else log.warn('files could not be moved', { code, error: message, todo });
    return 1;
  }
}

/** The device of a retirement that is due; null where it was never known, or has nothing left to be retired. */
function dueFor(
  { name, formerly, sinceMs }: Retirement,
  placed: ReadonlySet<string>,
  { ledger }: State,
  nowMs: number,
): KnownDevice | null {
  if (sinceMs > nowMs) return null;
  const known = [name, ...formerly]
    .map((one) => ({ one, found: ledger.device(one) }))
    // By the name that it has now: one that it had may be another device's.
    .find(({ one, found }) => found?.name === one)?.found;
  if (known === undefined || known === null) return null;
  return known.retiredMs === null || placed.has(known.id) ? known : null;
}

async function retireDue(
  { retired }: Configuration,
  state: State,
  hands: MoveHands,
  log: Log,
  hold: Hold,
): Promise<number> {
  const nowMs = hands.clock.nowMs();
  if (!retired.some(({ sinceMs }) => sinceMs <= nowMs)) return 0;
  const placed = new Set(state.ledger.lives.places().map(({ deviceId }) => deviceId));
  let later = 0;
  for (const one of retired) {
    const device = dueFor(one, placed, state, nowMs);
    if (device === null) continue;
    const { name, platform, group } = device;
    const kept = hold?.([device.id]) ?? null;
    try {
      if (kept !== null && !kept.held.has(device.id)) {
        later += 1;
        continue;
      }
      // What fell due before that day was owed.
      for (const write of settleUntil(state.ledger, createCalendar(), device.id, one.sinceMs)) {
        if (write.end.state !== 'missed') continue;
        const { slotMs, deadlineMs } = write;
        const count = write.kind === 'record-more' ? write.count : 1;
        log.slotMissed({ device: name, platform, group, cause: write.end.cause, slotMs, count, deadlineMs });
      }
      const commit = await retire(device, one.sinceMs, hands);
      log.info('device retired', { device: name, platform, group, commit });
    } finally {
      kept?.release();
    }
  }
  return later;
}

async function moveMisplaced(hands: MoveHands, log: Log, hold: Hold): Promise<number> {
  const all = misplaced(hands);
  if (all.length === 0) return 0;
  const kept = hold?.(all.map(({ deviceId }) => deviceId)) ?? null;
  try {
    const free = all.filter(({ deviceId }) => kept === null || kept.held.has(deviceId));
    const commit = await moveAll(free, hands);
    if (commit !== null) log.info('files moved', { moved: counted(free.length, 'device'), commit });
    return all.length - free.length;
  } finally {
    kept?.release();
  }
}
