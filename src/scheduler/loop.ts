import { failureOf } from '../core/errors.ts';
import type { RunEnded, Trigger } from '../core/run.ts';
import type { PlannedDevice } from '../inventory/precedence.ts';
import type { SlotWrite } from '../ledger/slots.ts';
import { decide } from './due.ts';
import { endedOf } from './ended.ts';
import { Entry, mayFollow, mayStart, nothingNewBefore, type Start } from './entry.ts';
import { createGuard } from './guard.ts';
import { Queue } from './queue.ts';
import { Roster } from './roster.ts';
import type { RunJob, RunRequest, Scheduler, SchedulerOptions, SchedulerState } from './scheduler.ts';
import { Sessions } from './sessions.ts';
import { Timekeeper } from './timekeeper.ts';
import { type Visit, visitTo } from './visit.ts';
import { type EndWrite, endsIn, writesOf } from './writes.ts';

/** What one go may do before others have their turn: rows, time, and starts (each writes a row of its own). */
const rowsAtOnce = 200;
const goMs = 20;
const startsAtOnce = 8;
/** A decision can call for another one; more than this is a mistake, and the next tick's. */
const rounds = 4;
/** Whoever runs a device has its own limit; this ends what outlived it. */
const overrunMs = 10 * 60_000;
/** A device whose run the ledger could not take is left alone for so long. */
const restMs = 60_000;

/** A run that somebody asked for. */
interface Asked {
  readonly entry: Entry;
  readonly request: RunRequest;
  readonly done: (ended: RunEnded) => void;
}

/** What there is to do for one device. */
interface Found {
  readonly entry: Entry;
  readonly start: Start | null;
  readonly writes: readonly SlotWrite[];
}

/** A run in progress. */
interface Running {
  readonly entry: Entry;
  readonly job: RunJob;
  readonly stop: AbortController;
  readonly asked: Asked | null;
  readonly startedAtMs: number;
}

/**
 * A scheduler of this inventory on this ledger; registers every device. Nothing happens before the first
 * `tick`. Throws OperationError where the ledger refuses a device (its platform changed).
 */
export function createScheduler(options: SchedulerOptions): Scheduler {
  return new Loop(options);
}

class Loop implements Scheduler {
  readonly #options: SchedulerOptions;
  readonly #time: Timekeeper;
  readonly #sessions: Sessions;
  readonly #roster: Roster;
  readonly #queue = new Queue<Asked | Visit>();
  readonly #running = new Set<Running>();
  readonly #visits = new Set<Visit>();
  readonly #guard: (work: () => void) => void;
  #lastTick: { readonly wallMs: number; readonly monotonicMs: number } | null = null;
  readonly #postponed: Entry[] = [];
  #continues = false;
  #draining = false;
  readonly #idle: (() => void)[] = [];

  constructor(options: SchedulerOptions) {
    const { clock, ledger, calendar, devices, workers } = options;
    this.#options = options;
    this.#guard = createGuard(clock, options.sink);
    this.#time = new Timekeeper(clock.nowMs(), clock.monotonicMs());
    this.#sessions = new Sessions(workers);
    this.#roster = new Roster(ledger, calendar, this.#time, this.#sessions);
    this.reload(devices, workers);
  }

  tick(): void {
    const { clock, sink } = this.#options;
    const wallMs = clock.nowMs();
    const monotonicMs = clock.monotonicMs();
    this.#guard(() => {
      const { jumpedByMs } = this.#time.notice(wallMs, monotonicMs);
      if (jumpedByMs !== null) {
        sink.clockJumped(jumpedByMs);
        // "Now" means other rows.
        this.#roster.reread(wallMs);
      }
      this.#roster.rereadPassed(wallMs);
      this.#roster.refresh(wallMs);
      // First those that the last go did not come to: else the same ones would wait for ever.
      const postponed = this.#postponed.splice(0);
      this.#settle(postponed.length > 0 ? postponed : this.#roster.entries, wallMs);
    });
    this.#lastTick = { wallMs, monotonicMs };
    this.#dispatch();
  }

  reload(devices: readonly PlannedDevice[], workers: number): void {
    const nowMs = this.#options.clock.nowMs();
    this.#postponed.length = 0;
    const gone = new Map([...this.#roster.entries].map((entry) => [entry.deviceId, entry]));
    const { ended, dropped } = this.#roster.load(devices, nowMs);
    this.#sessions.workers = workers;
    // What may start is decided anew, under what holds now.
    for (const entry of gone.values()) this.#queue.want(entry, null);
    this.#refuse(({ entry }) => entry.departed || dropped.includes(entry));
    this.#tell(ended, (deviceId) => this.#roster.get(deviceId) ?? gone.get(deviceId) ?? null);
  }

  runNow(names: readonly string[], request: RunRequest): Promise<readonly RunEnded[]> {
    const entries = names.map((name) => {
      const entry = this.#roster.named(name);
      if (entry === null) throw new RangeError(`there is no device ${name}`);
      return entry;
    });
    const asked = entries.map((entry) => ({ entry, ...Promise.withResolvers<RunEnded>() }));
    // Else one that takes long may begin last, and all the others are done when it is half-way.
    const longestFirst = asked.toSorted((a, b) => (b.entry.tookMs ?? 0) - (a.entry.tookMs ?? 0));
    this.#queue.asked.push(...longestFirst.map(({ entry, resolve }) => ({ entry, request, done: resolve })));
    const mine = (asked: Asked | Visit) => 'request' in asked && asked.request === request;
    const refuse = () => this.#refuse(mine);
    if (request.signal.aborted || this.#draining) refuse();
    request.signal.addEventListener('abort', refuse, { once: true });
    this.#dispatch();
    const runs = asked.map(({ promise }) => promise);
    return Promise.all(runs).finally(() => request.signal.removeEventListener('abort', refuse));
  }

  async visit<Answer>(
    name: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    const entry = this.#roster.named(name);
    if (entry === null) throw new RangeError(`there is no device ${name}`);
    const { visit, answer } = visitTo(entry, signal, work);
    this.#queue.asked.push(visit);
    const refuse = () => this.#refuse((waiting) => waiting === visit);
    if (signal.aborted || this.#draining) refuse();
    signal.addEventListener('abort', refuse, { once: true });
    this.#dispatch();
    return answer.finally(() => signal.removeEventListener('abort', refuse));
  }

  hold(deviceIds: readonly string[]): { readonly held: ReadonlySet<string>; release(): void } {
    const still = deviceIds.filter((id) => (this.#roster.get(id)?.running ?? null) === null);
    const entries = still.flatMap((id) => this.#roster.get(id) ?? []);
    for (const entry of entries) entry.holds += 1;
    let released = false;
    return {
      held: new Set(still),
      release: () => {
        if (released) return;
        released = true;
        for (const entry of entries) entry.holds -= 1;
        this.#dispatch();
      },
    };
  }

  pause(): void {
    this.#time.pause(this.#options.clock.nowMs());
    this.#wakeAll();
  }

  resume(): void {
    this.#time.resume(this.#options.clock.nowMs());
    this.#wakeAll();
  }

  async drain(): Promise<void> {
    this.#draining = true;
    this.#refuse(() => true);
    if (this.#isBusy) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  get #isBusy(): boolean {
    return this.#running.size + this.#visits.size > 0;
  }

  abort(): void {
    for (const { stop } of this.#running) stop.abort();
    for (const visit of this.#visits) visit.abort();
  }

  state(): SchedulerState {
    const slots = [...this.#queue.wanted].flatMap(({ start }) => (start === null ? [] : [start.slotMs]));
    return {
      lastTickMs: this.#lastTick?.wallMs ?? null,
      lastTickMonotonicMs: this.#lastTick?.monotonicMs ?? null,
      queueLength: this.#queue.length,
      oldestQueuedMs: slots.length === 0 ? null : slots.reduce((a, b) => Math.min(a, b)),
      workers: this.#sessions.workers,
      busy: this.#sessions.busy,
      paused: this.#time.paused,
      draining: this.#draining,
      running: [...this.#running].map(({ job, startedAtMs }) => ({
        device: job.device.name,
        runId: job.runId,
        startedAtMs,
      })),
    };
  }

  present(device: string): ReturnType<Scheduler['present']> {
    const entry = this.#roster.named(device);
    const { upSinceMs, paused, absences } = this.#time;
    if (entry === null) return null;
    return { upSinceMs, paused, absences, running: entry.running, history: entry.history };
  }

  /* ── Finding out what there is to do ───────────────────────────────────────────────────── */

  /**
   * Decides for these devices and writes it down; what became possible by that is decided again. What does
   * not fit into one go is kept for the next one.
   */
  #settle(entries: Iterable<Entry>, nowMs: number): void {
    const { calendar, clock } = this.#options;
    const beganMs = clock.monotonicMs();
    let left = entries;
    for (let round = 0; round < rounds; round++) {
      const found: Found[] = [];
      const postponed: Entry[] = [];
      let rows = 0;
      for (const entry of left) {
        // Nearly every device at nearly every tick.
        if (nowMs < entry.asleepUntilMs) continue;
        if (rows >= rowsAtOnce || clock.monotonicMs() - beganMs > goMs) {
          postponed.push(entry);
          continue;
        }
        const one = this.#find(entry, nowMs);
        rows += one.writes.length;
        if (one.writes.length > 0) {
          found.push(one);
          continue;
        }
        this.#queue.want(entry, one.start);
        entry.asleepUntilMs = nothingNewBefore(calendar, entry, nowMs);
      }
      this.#postponed.push(...postponed);
      if (found.length > 0) this.#carryOut(found);
      if (postponed.length > 0) this.#continueSoon();
      if (postponed.length > 0 || found.length === 0) return;
      left = this.#roster.refresh(nowMs);
    }
  }

  #wakeAll(): void {
    for (const entry of this.#roster.entries) entry.wake();
  }

  #find(entry: Entry, nowMs: number): Found {
    const decisions = decide(this.#options.calendar, entry, nowMs);
    const writes = decisions.length === 0 ? [] : writesOf(entry.deviceId, decisions);
    const start = decisions.find((decision) => decision.kind === 'start') ?? null;
    if (!entry.departed) return { entry, start, writes };
    if (entry.open.length === 0 && entry.running === null) this.#roster.drop(entry);
    // Nothing falls due for a device that is gone, and nothing begins.
    const open = new Set(entry.open.map(({ slotMs }) => slotMs));
    return {
      entry,
      start: null,
      writes: writes.filter(({ kind, slotMs }) => kind === 'close' && open.has(slotMs)),
    };
  }

  /** Rows first: what starts has one. */
  #carryOut(found: readonly Found[]): void {
    const { slots } = this.#options.ledger;
    const carryOut = (some: readonly Found[]) => {
      const ended = slots.write(some.flatMap(({ writes }) => writes));
      for (const { entry, start } of some) this.#queue.want(entry, start);
      this.#tell(endsIn(ended), (deviceId) => this.#roster.get(deviceId));
    };
    try {
      carryOut(found);
    } catch (thrown) {
      const { code } = failureOf(thrown);
      if (code.startsWith('store.') || code === 'record.busy') throw thrown;
      // One row that cannot be written must not keep the others from being written.
      for (const one of found) this.#guard(() => carryOut([one]));
    }
  }

  #tell(ended: readonly EndWrite[], entryOf: (deviceId: string) => Entry | null): void {
    const { sink } = this.#options;
    for (const write of ended) {
      const device = entryOf(write.deviceId)?.device ?? null;
      if (device === null) continue;
      const { end, slotMs, deadlineMs, detectedAtMs } = write;
      const [lastMs, count] = write.kind === 'record-more' ? [write.lastMs, write.count] : [slotMs, 1];
      const slot = { device, slotMs, lastMs, count, deadlineMs, detectedAtMs };
      if (end.state === 'missed') sink.slotMissed(slot, end.cause);
      if (end.state === 'skipped') sink.slotSkipped(slot, end.cause);
    }
  }

  /** What is left to do, after others had their turn. */
  #continueSoon(): void {
    if (this.#continues) return;
    this.#continues = true;
    this.#options.clock.after(0, () => {
      this.#continues = false;
      this.tick();
    });
  }

  /* ── Running it ────────────────────────────────────────────────────────────────────────── */

  #dispatch(): void {
    const { calendar, clock } = this.#options;
    if (this.#draining) return;
    for (let starts = 0; !this.#sessions.full; starts++) {
      if (starts >= startsAtOnce) {
        this.#continueSoon();
        return;
      }
      const nowMs = clock.nowMs();
      const rested = clock.monotonicMs();
      const taken = this.#queue.take((entry, asked) => {
        if (!this.#sessions.admits(entry)) return false;
        if (asked !== null && !('request' in asked)) return true;
        if (entry.holds > 0) return false;
        if (asked !== null) return asked.request.trigger !== 'change' || mayFollow(calendar, entry, nowMs);
        return !this.#time.paused && entry.restMs <= rested && mayStart(entry, nowMs);
      });
      if (taken === null) return;
      if (taken instanceof Entry) this.#startPlanned(taken, nowMs);
      else if ('request' in taken) this.#start(taken.entry, taken.request.trigger, null, null, taken);
      else this.#beginVisit(taken);
    }
  }

  #beginVisit(visit: Visit): void {
    this.#visits.add(visit);
    visit.begin(this.#sessions, () => {
      this.#visits.delete(visit);
      this.#dispatch();
      this.#tellIdle();
    });
  }

  #startPlanned(entry: Entry, nowMs: number): void {
    const { start } = entry;
    if (start === null) return;
    entry.start = null;
    this.#start(entry, start.trigger, start.slotMs, Math.max(0, nowMs - start.notBeforeMs), null);
  }

  #start(
    entry: Entry,
    trigger: Trigger,
    slotMs: number | null,
    delayMs: number | null,
    asked: Asked | null,
  ): void {
    const { clock, newRunId, runner, sink } = this.#options;
    const { device } = entry;
    if (device === null) return;
    const runId = newRunId();
    const startedAtMs = clock.nowMs();
    const stop = new AbortController();
    const interrupt = () => stop.abort();
    asked?.request.signal.addEventListener('abort', interrupt, { once: true });
    const backstop = clock.after(device.maxRuntimeMs + overrunMs, interrupt);
    const job: RunJob = {
      device,
      trigger,
      slotMs,
      runId,
      signal: stop.signal,
      onProgress: (receivedBytes) => asked?.request.onProgress?.(device.name, receivedBytes),
    };
    const running: Running = { entry, job, stop, asked, startedAtMs };
    this.#running.add(running);
    this.#sessions.begin(entry);
    this.#queue.want(entry, null);
    entry.running = { runId, trigger, slotMs, startedAtMs };
    sink.runStarted(job, delayMs);
    asked?.request.onStarted?.(device.name);
    const end = (ended: RunEnded) => {
      backstop.cancel();
      asked?.request.signal.removeEventListener('abort', interrupt);
      this.#end(running, ended);
    };
    // Also what it throws at once is the end of this run, not of the loop.
    void (async () => runner(job))().then(end, (thrown: unknown) => {
      sink.failed(thrown);
      end(this.#endWithout(running, thrown));
    });
  }

  #end(running: Running, ended: RunEnded): void {
    const { clock, ledger, sink } = this.#options;
    const { entry, job, asked } = running;
    this.#running.delete(running);
    this.#sessions.end(entry);
    entry.running = null;
    entry.wake();
    const { outcome } = ended.settled;
    if (outcome === 'changed' || outcome === 'unchanged') entry.tookMs = ended.endedAtMs - ended.startedAtMs;
    let recorded = false;
    this.#guard(() => {
      recorded = (ledger.run(job.runId)?.endedAtMs ?? null) !== null;
    });
    if (!recorded) entry.restMs = clock.monotonicMs() + restMs;
    sink.runEnded(ended);
    asked?.request.onEnded?.(ended);
    asked?.done(ended);
    this.#guard(() => {
      const nowMs = clock.nowMs();
      this.#settle(new Set([entry, ...this.#roster.refresh(nowMs)]), nowMs);
    });
    this.#dispatch();
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (!this.#isBusy) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Ends requests that wait. */
  #refuse(which: (asked: Asked | Visit) => boolean): void {
    const refused = this.#queue.asked.filter(which);
    const kept = this.#queue.asked.filter((asked) => !refused.includes(asked));
    this.#queue.asked.splice(0, this.#queue.asked.length, ...kept);
    for (const one of refused) {
      if (!('request' in one)) {
        one.refuse();
        continue;
      }
      const { entry, request, done } = one;
      const { device } = entry;
      if (device === null) continue;
      const nowMs = this.#options.clock.nowMs();
      const ended = endedOf(device, request.trigger, this.#options.newRunId(), nowMs, nowMs, {
        code: 'run.interrupted',
        detail: { by: 'signal' },
      });
      request.onEnded?.(ended);
      done(ended);
    }
  }

  #endWithout({ job, startedAtMs }: Running, thrown: unknown): RunEnded {
    const nowMs = this.#options.clock.nowMs();
    return endedOf(job.device, job.trigger, job.runId, startedAtMs, nowMs, failureOf(thrown));
  }
}
