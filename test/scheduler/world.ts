import type { ErrorCode } from '../../src/core/errors.ts';
import type { Outcome, Trigger } from '../../src/core/run.ts';
import type { Plan } from '../../src/inventory/precedence.ts';
import { createCalendar } from '../../src/scheduler/calendar.ts';
import {
  type Absence,
  type Decision,
  type DeviceView,
  decide,
  dueTimeMs,
  type EndedRun,
  type RecordedSlot,
  type RunInProgress,
  type SlotEnd,
} from '../../src/scheduler/due.ts';

export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;
/** A Thursday. */
export const start = Date.UTC(2026, 0, 1);
export const calendar = createCalendar();

export const nightly: Plan = {
  schedule: '0 2 * * *',
  timezone: 'UTC',
  splayMs: 0,
  startWithinMs: null,
  retryLaterMs: hour,
  maxAgeMs: null,
  blackout: [],
  catchUpSpreadMs: 0,
  maxSessions: null,
};

/** What the next runs are like, over and over. */
export interface Reading {
  readonly outcome: Outcome;
  readonly code: ErrorCode | null;
  readonly lastsMs: number;
  /** Of `connect.jump`. */
  readonly atJumpHost?: string;
}
export const good: Reading = { outcome: 'changed', code: null, lastsMs: minute };
export const failing: Reading = { outcome: 'failed', code: 'connect.timeout', lastsMs: minute };
export const rejected: Reading = { outcome: 'failed', code: 'login.rejected', lastsMs: minute };

/** One device, a ledger that refuses what a ledger has to refuse, and a loop that does what `decide` says. */
export class World {
  nowMs = start;
  plan: Plan;
  enabled = true;
  paused = false;
  locked = false;
  workers = true;
  reading: Reading = good;
  readonly rows = new Map<number, RecordedSlot>();
  readonly runs: (RunInProgress & { ended: EndedRun | null })[] = [];
  readonly said: Decision[] = [];
  lastSuccessMs: number | null = null;
  upSinceMs = start;
  planSinceMs: number | null = null;
  absences: Absence[] = [];
  up = true;
  readonly #registeredAtMs: number;
  #left: { lastsMs: number; reading: Reading } | null = null;

  constructor(plan: Partial<Plan> = {}) {
    this.plan = { ...nightly, ...plan };
    this.#registeredAtMs = this.nowMs;
  }

  get running(): RunInProgress | null {
    return this.runs.find(({ ended }) => ended === null) ?? null;
  }

  view(): DeviceView {
    const rows = [...this.rows.values()].sort((a, b) => a.slotMs - b.slotMs);
    return {
      deviceId: 'fw1',
      enabled: this.enabled,
      plan: this.plan,
      maxRuntimeMs: 30 * minute,
      registeredAtMs: this.#registeredAtMs,
      planSinceMs: this.planSinceMs,
      lastSlotMs: rows.at(-1)?.slotMs ?? null,
      latest: rows.findLast(({ slotMs }) => slotMs <= this.nowMs) ?? null,
      open: rows.filter(({ end }) => end === null),
      runs: this.runs.flatMap(({ ended }) => {
        if (ended === null) return [];
        const served = rows.find(({ end }) => end !== null && 'runId' in end && end.runId === ended.runId);
        return [{ ...ended, servedMs: served?.slotMs ?? null }];
      }),
      running: this.running,
      locked: this.locked,
      lastSuccessMs: this.lastSuccessMs,
      upSinceMs: this.upSinceMs,
      paused: this.paused,
      absences: this.absences,
    };
  }

  due(): number | null {
    const unserved = [...this.rows.values()].filter(
      ({ end }) =>
        end === null ||
        ['failed', 'quarantined', 'missed'].includes(end.state) ||
        (end.state === 'skipped' && end.cause === 'superseded'),
    );
    return dueTimeMs(calendar, { ...this.view(), unserved }, this.nowMs);
  }

  tick(): void {
    for (const decision of decide(calendar, this.view(), this.nowMs)) this.#carryOut(decision);
  }

  /** Real time goes on, with a tick at the end of it. */
  wait(ms: number): void {
    this.pass(ms);
    this.tick();
  }

  /** The same with a tick each minute. */
  live(ms: number): void {
    for (let left = ms; left > 0; left -= minute) this.wait(Math.min(left, minute));
  }

  begin(trigger: Trigger, slotMs: number | null = null): void {
    const runId = `r${this.runs.length + 1}`;
    if (this.running !== null) throw new Error('a second session to a device');
    if (trigger === 'schedule' && this.runs.some((run) => run.trigger === trigger && run.slotMs === slotMs))
      throw new Error(`slot ${slotMs} runs twice`);
    this.runs.push({ runId, trigger, slotMs, startedAtMs: this.nowMs, ended: null });
    this.#left = { lastsMs: this.reading.lastsMs, reading: this.reading };
  }

  /** Killed, away for a while, started again. */
  restart(awayMs: number): void {
    this.#end({ outcome: 'failed', code: 'run.interrupted', lastsMs: 0 });
    this.nowMs += awayMs;
    this.upSinceMs = this.nowMs;
    this.absences = [];
    this.tick();
  }

  /** The wall clock jumps, the loop notices. */
  jump(byMs: number): void {
    const before = this.nowMs;
    this.nowMs += byMs;
    if (byMs > 0) this.absences.push({ fromMs: before, toMs: this.nowMs, cause: 'clock' });
    else {
      this.upSinceMs = Math.min(this.upSinceMs, this.nowMs);
      this.absences = this.absences.filter(({ toMs }) => toMs <= this.nowMs);
    }
    this.tick();
  }

  /** As a reload does it: what fell due so far is settled under the old plan. */
  edit(plan: Partial<Plan>, enabled = this.enabled): void {
    this.tick();
    this.plan = { ...this.plan, ...plan };
    this.enabled = enabled;
    this.planSinceMs = this.nowMs;
    this.tick();
  }

  /** A pause ends. */
  resume(sinceMs: number): void {
    if (!this.paused) return;
    this.paused = false;
    if (sinceMs < this.nowMs) this.absences.push({ fromMs: sinceMs, toMs: this.nowMs, cause: 'paused' });
  }

  /** `2026-01-01T02:00 changed`, in the order of the slots. */
  ledger(): string[] {
    return [...this.rows.values()]
      .sort((a, b) => a.slotMs - b.slotMs)
      .map(
        ({ slotMs, end, count }) =>
          `${at(slotMs)} ${ending(end)}${count > 1 ? ` and ${count - 1} more` : ''}`,
      );
  }

  /** `2026-01-01T02:00 schedule changed` */
  history(): string[] {
    return this.runs.map(
      ({ startedAtMs, trigger, ended }) => `${at(startedAtMs)} ${trigger} ${ended?.outcome}`,
    );
  }

  /** Real time goes on while no daemon is there. */
  pass(ms: number): void {
    if (this.#left === null || this.#left.lastsMs > ms) {
      if (this.#left !== null) this.#left.lastsMs -= ms;
      this.nowMs += ms;
      return;
    }
    const rest = ms - this.#left.lastsMs;
    this.nowMs += this.#left.lastsMs;
    this.#end(this.#left.reading);
    this.nowMs += rest;
  }

  #end({ outcome, code, lastsMs: _, ...atJumpHost }: Reading): void {
    const run = this.runs.find(({ ended }) => ended === null);
    if (run === undefined) return;
    const { runId, trigger, slotMs, startedAtMs } = run;
    const end = { endedAtMs: this.nowMs, outcome, code, ...atJumpHost, servedMs: null };
    run.ended = { runId, trigger, slotMs, startedAtMs, ...end };
    if (outcome === 'changed' || outcome === 'unchanged') this.lastSuccessMs = this.nowMs;
    this.#left = null;
  }

  #carryOut(decision: Decision): void {
    this.said.push(decision);
    if (decision.kind === 'start') {
      if (decision.notBeforeMs > this.nowMs || decision.notAfterMs < this.nowMs)
        throw new Error('out of time');
      if (this.workers) this.begin(decision.trigger, decision.slotMs);
      return;
    }
    const { slotMs, deadlineMs } = decision;
    const row = this.rows.get(slotMs);
    if (decision.kind === 'close') {
      if (row === undefined || row.end !== null) throw new Error('an end state is never rewritten');
      this.rows.set(slotMs, { ...row, end: decision.end, detectedAtMs: decision.detectedAtMs });
      return;
    }
    if (row !== undefined) throw new Error('a slot has one row');
    const more = decision.kind === 'record-more' ? decision : null;
    const [count, lastMs] = [more?.count ?? 1, more?.lastMs ?? slotMs];
    for (const other of this.rows.values())
      if (slotMs <= other.lastMs && other.slotMs <= lastMs) throw new Error('a slot has one row');
    const [end, detectedAtMs] = [more?.end ?? null, more?.detectedAtMs ?? null];
    this.rows.set(slotMs, { slotMs, deadlineMs, end, detectedAtMs, count, lastMs });
  }
}

export function at(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16);
}

function ending(end: SlotEnd | null): string {
  if (end === null) return 'open';
  if ('cause' in end) return `${end.state}{${end.cause}}`;
  return 'code' in end ? `${end.state}{${end.code}}` : end.state;
}
