import type { Plan } from '../inventory/precedence.ts';
import type { Calendar } from './calendar.ts';
import type { DeviceView, SlotTimes } from './view.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** What the times of a slot are made of. */
export type Timed = Pick<DeviceView, 'deviceId' | 'plan' | 'maxRuntimeMs'>;

/**
 * A number from 0 to 2^32 - 1 that is the same for a device on every machine, after every restart (FNV-1a,
 * then mixed: neighbours such as fw1 and fw2 would else stay neighbours).
 */
function hash(deviceId: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < deviceId.length; index++) {
    const letter = deviceId.charCodeAt(index);
    // Names of the inventory have no other letters, and a fleet's places are asked for at every tick.
    if (letter > 0x7f) return mixed(hashOfBytes(new TextEncoder().encode(deviceId)));
    value = Math.imul(value ^ letter, 0x01000193);
  }
  return mixed(value);
}

function hashOfBytes(bytes: Uint8Array): number {
  let value = 0x811c9dc5;
  for (const byte of bytes) value = Math.imul(value ^ byte, 0x01000193);
  return value;
}

function mixed(hashed: number): number {
  let value = hashed;
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** A device's place in a stretch of time: `hash(device) mod spread`; 0 where there is no spread. */
export function placeMs(deviceId: string, spreadMs: number): number {
  return spreadMs <= 0 ? 0 : hash(deviceId) % spreadMs;
}

/** Splay: `hash(device) mod splay` (default 5 min for schedules of an hour or more, else 0), stable over restarts. */
export function splayMs(calendar: Calendar, deviceId: string, plan: Plan): number {
  const usual = calendar.intervalMs(plan.schedule) >= hour ? 5 * minute : 0;
  return placeMs(deviceId, plan.splayMs ?? usual);
}

/** `start_within` (default: the smaller of 1 h and half the interval). */
export function startWithinMs(calendar: Calendar, plan: Plan): number {
  return plan.startWithinMs ?? Math.min(hour, Math.floor(calendar.intervalMs(plan.schedule) / 2));
}

/** `early_window` (the smaller of 5 min and a quarter of the interval): a success that much before a slot serves it. */
export function earlyWindowMs(calendar: Calendar, plan: Plan): number {
  return Math.min(5 * minute, Math.floor(calendar.intervalMs(plan.schedule) / 4));
}

/** Windows that touch each other are followed this many times; a chain that is longer has no end that matters. */
const longestChain = 400;
/** How far a slot is moved that no end of its blackout is known for: past every slot that could stand for it. */
const neverMs = 366 * day;

/**
 * The instant itself where no blackout window covers it, else the end of the window and of those that follow
 * it without a gap; null where they never end.
 */
export function afterBlackout(calendar: Calendar, plan: Plan, atMs: number): number | null {
  let at = atMs;
  for (let hop = 0; hop < longestChain; hop++) {
    const end = endOfWindow(calendar, plan, at);
    if (end === null) return at;
    at = end;
  }
  return null;
}

/** The end of one window that covers an instant; null where none does. */
function endOfWindow(calendar: Calendar, plan: Plan, atMs: number): number | null {
  for (const { schedule, durationMs } of plan.blackout) {
    // All windows of one entry are of the same length: the one that began last ends last.
    const begin = calendar.previous(schedule, plan.timezone, atMs);
    if (begin !== null && begin + durationMs > atMs) return begin + durationMs;
  }
  return null;
}

/** When the next blackout window begins after an instant; null where the plan has none. */
export function nextBlackout(calendar: Calendar, plan: Plan, afterMs: number): number | null {
  const begins = plan.blackout
    .map(({ schedule }) => calendar.next(schedule, plan.timezone, afterMs))
    .filter((begin) => begin !== null);
  return begins.length === 0 ? null : Math.min(...begins);
}

/**
 * All instants of one slot. Deadlines are two: `start_within` after the slot plus splay; `max_runtime` after
 * the start. A slot inside a blackout window moves to its end, with its splay: what moves is its start, not
 * its identity. So does one whose splay would carry it into a window.
 *
 * A `start_within` that is longer than the time to the next slot ends there: two slots never compete, and
 * one that could not start is missed, not quietly replaced.
 */
export function slotTimes(calendar: Calendar, device: Timed, slotMs: number): SlotTimes {
  const { plan } = device;
  const splay = splayMs(calendar, device.deviceId, plan);
  const base = clearOfBlackout(calendar, plan, slotMs, splay);
  const following = calendar.next(plan.schedule, plan.timezone, base);
  const startWithin = Math.min(startWithinMs(calendar, plan), (following ?? Number.POSITIVE_INFINITY) - base);
  const next = base === slotMs ? null : calendar.next(plan.schedule, plan.timezone, slotMs);
  const notBeforeMs = base + splay;
  const lastStartMs = notBeforeMs + startWithin;
  return {
    slotMs,
    notBeforeMs,
    lastStartMs,
    deadlineMs: lastStartMs + device.maxRuntimeMs,
    hidden: next !== null && next <= base,
  };
}

function clearOfBlackout(calendar: Calendar, plan: Plan, slotMs: number, splay: number): number {
  if (plan.blackout.length === 0) return slotMs;
  let base = slotMs;
  for (let hop = 0; hop < longestChain; hop++) {
    const clear = afterBlackout(calendar, plan, base);
    if (clear === null) return slotMs + neverMs;
    const start = afterBlackout(calendar, plan, clear + splay);
    if (start === null) return slotMs + neverMs;
    if (start === clear + splay) return clear;
    base = start;
  }
  return slotMs + neverMs;
}
