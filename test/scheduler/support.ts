import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, Timer } from '../../src/core/clock.ts';
import type { Failure } from '../../src/core/errors.ts';
import type { Outcome, RunEnded } from '../../src/core/run.ts';
import type { Plan, PlannedDevice } from '../../src/inventory/precedence.ts';
import type { Ledger } from '../../src/ledger/ledger.ts';
import { openLedger } from '../../src/ledger/open-ledger.ts';
import { type Calendar, createCalendar } from '../../src/scheduler/calendar.ts';
import { createScheduler } from '../../src/scheduler/loop.ts';
import type { RunJob, Scheduler, SchedulerSink } from '../../src/scheduler/scheduler.ts';
import { endOf } from '../ledger/support.ts';
import { plainDevice } from '../support/device.ts';

export const second = 1_000;
export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;
/** A Thursday, midnight. */
export const start = Date.UTC(2026, 0, 1);

/** A clock whose wall can be set; time passes when it is told to. */
export class TestClock implements Clock {
  wallMs: number;
  #monotonicMs = 0;
  #planned: { readonly atMs: number; readonly then: () => void }[] = [];

  constructor(wallMs = start) {
    this.wallMs = wallMs;
  }

  nowMs(): number {
    return this.wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, then: () => void): Timer {
    const planned = { atMs: this.#monotonicMs + Math.max(0, delayMs), then };
    const index = this.#planned.findIndex(({ atMs }) => atMs > planned.atMs);
    this.#planned.splice(index < 0 ? this.#planned.length : index, 0, planned);
    return {
      cancel: () => {
        this.#planned = this.#planned.filter((other) => other !== planned);
      },
    };
  }

  get pending(): number {
    return this.#planned.length;
  }

  /** Lets time pass; timers fire at their instants, and what they set off runs before time goes on. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#monotonicMs + ms;
    await settled();
    for (;;) {
      const next = this.#planned[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#planned.shift();
      this.#advance(next.atMs);
      next.then();
      await settled();
    }
    this.#advance(untilMs);
    await settled();
  }

  #advance(atMs: number): void {
    this.wallMs += atMs - this.#monotonicMs;
    this.#monotonicMs = atMs;
  }
}

/** Everything that is ready to run has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const everyNight: Plan = {
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

export function device(
  name: string,
  plan: Partial<Plan> = {},
  over: Partial<PlannedDevice> = {},
): PlannedDevice {
  const host = `${name}.example`;
  return {
    ...plainDevice({ name, host, credentials: { password: { env: 'PASSWORD' } } }),
    plan: { ...everyNight, ...plan },
    ...over,
  };
}

/** How a device behaves: how long it takes, and what comes of it. */
export interface Behaviour {
  readonly tookMs: number;
  readonly outcome: Outcome;
  /** Of a failed run; null: `connect.timeout`. */
  readonly failure: Failure | null;
  /** Serial number of the unit that answers; null: one of its own. */
  readonly serial: string | null;
  /** The ledger does not take the end of the run. */
  readonly unrecorded: boolean;
}

export interface Told {
  readonly what: 'missed' | 'skipped';
  readonly device: string;
  readonly slotMs: number;
  readonly lastMs: number;
  readonly count: number;
  readonly cause: string;
  readonly deadlineMs: number;
  readonly detectedAtMs: number;
}

export interface Began {
  readonly device: string;
  readonly trigger: RunJob['trigger'];
  readonly slotMs: number | null;
  readonly atMs: number;
  readonly delayMs: number | null;
}

/** A scheduler on a real ledger, with devices that are played. */
export class World implements Disposable {
  readonly clock: TestClock;
  readonly calendar: Calendar = createCalendar();
  readonly began: Began[] = [];
  readonly ended: RunEnded[] = [];
  readonly told: Told[] = [];
  readonly jumps: number[] = [];
  readonly trouble: unknown[] = [];
  readonly behaviour = new Map<string, Partial<Behaviour>>();
  /** The most sessions that were open at once, in all and of each group. */
  most = 0;
  readonly mostOf = new Map<string, number>();
  /** Two sessions at once to one address or one serial number: must stay empty. */
  readonly collisions: string[] = [];
  ledger: Ledger;
  scheduler!: Scheduler;
  readonly #root: string;
  readonly #sessions = new Map<string, RunJob>();
  #runs = 0;
  /** A process that was killed tells nothing any more. */
  #life = 0;

  constructor(wallMs = start) {
    this.clock = new TestClock(wallMs);
    this.#root = mkdtempSync(join(tmpdir(), 'roundsman-scheduler-'));
    this.ledger = openLedger(join(this.#root, 'ledger.db'));
  }

  /** Begins to keep the schedule; what a process before it left running is closed as recovery does it. */
  boot(devices: readonly PlannedDevice[], workers = 4): void {
    for (const { runId } of this.ledger.running()) {
      this.ledger.closeRun({
        ...endOf(runId, 'failed', this.clock.nowMs()),
        failure: { code: 'run.interrupted', detail: { by: 'crash' } },
      });
    }
    this.#sessions.clear();
    const life = ++this.#life;
    this.scheduler = createScheduler({
      clock: this.clock,
      ledger: this.ledger,
      calendar: this.calendar,
      runner: (job) => this.#play(job, life),
      sink: this.#sink(),
      newRunId: () => `r${++this.#runs}`,
      workers,
      devices,
    });
  }

  /** Kills the process: nothing that was under way ends. */
  kill(): void {
    this.#life++;
    this.scheduler = undefined as unknown as Scheduler;
  }

  /** Ticks every `everyMs` for so long. */
  async run(forMs: number, everyMs = minute): Promise<void> {
    for (let passed = 0; passed < forMs; passed += everyMs) {
      this.scheduler.tick();
      await settled();
      await this.clock.pass(everyMs);
    }
    this.scheduler.tick();
    await settled();
  }

  /** Rows of a device, oldest first, such as `missed overload`. */
  slots(name: string): { readonly slotMs: number; readonly end: string }[] {
    return this.rows(name).map(({ slotMs, state, cause }) => ({
      slotMs,
      end: [state ?? 'open', ...(cause === null ? [] : [cause])].join(' '),
    }));
  }

  rows(name: string) {
    const id = this.ledger.device(name)?.id ?? '';
    const [history] = this.ledger.slots.historiesOf([id], Number.MAX_SAFE_INTEGER);
    const open = history?.open ?? [];
    const ends = [...this.ledger.chain()].flatMap(({ record }) => {
      const row = JSON.parse(record) as Row & { category: string; device: string };
      return row.category === 'slot' && row.device === id ? [row] : [];
    });
    return [
      ...ends.map((row) => ({
        slotMs: row.slot_ms,
        lastMs: row.last_ms,
        count: row.count,
        state: row.state,
        cause: row.cause,
        run: row.run,
        deadlineMs: row.deadline_ms,
        detectedAtMs: row.at_ms,
      })),
      ...open.map(({ slotMs, deadlineMs }) => ({
        ...{ slotMs, lastMs: slotMs, count: 1, state: null, cause: null, run: null, deadlineMs },
        detectedAtMs: null,
      })),
    ].sort((a, b) => a.slotMs - b.slotMs);
  }

  triggers(name: string): string[] {
    return this.began.filter(({ device: of }) => of === name).map(({ trigger }) => trigger);
  }

  [Symbol.dispose](): void {
    this.ledger[Symbol.dispose]();
    rmSync(this.#root, { recursive: true, force: true });
  }

  #sink(): SchedulerSink {
    const note =
      (what: Told['what']) => (slot: Parameters<SchedulerSink['slotMissed']>[0], cause: string) => {
        const { device: of, ...rest } = slot;
        this.told.push({ what, device: of.name, cause, ...rest });
      };
    return {
      runStarted: ({ device: of, trigger, slotMs }, delayMs) =>
        this.began.push({ device: of.name, trigger, slotMs, atMs: this.clock.nowMs(), delayMs }),
      runEnded: (ended) => this.ended.push(ended),
      slotMissed: note('missed'),
      slotSkipped: note('skipped'),
      clockJumped: (byMs) => this.jumps.push(byMs),
      failed: (thrown) => this.trouble.push(thrown),
    };
  }

  /** As runBackup does it: a row, a session, the end of the row. */
  async #play(job: RunJob, life: number): Promise<RunEnded> {
    const { name, group, platform, host, port } = job.device;
    const how: Behaviour = {
      ...{ tookMs: 30 * second, outcome: 'unchanged', failure: null, serial: null, unrecorded: false },
      ...this.behaviour.get(name),
    };
    const serial = how.serial ?? `S-${name}`;
    const startedAtMs = this.clock.nowMs();
    const known = this.ledger.device(name);
    this.ledger.openRun({ ...job, deviceId: known?.id ?? '', startedAtMs });
    const keys = [`${host}:${port}`, ...(known?.serials ?? []).map((each) => `serial ${each}`)];
    for (const key of keys) {
      if (this.#sessions.has(key)) this.collisions.push(`${key} at ${new Date(startedAtMs).toISOString()}`);
      this.#sessions.set(key, job);
    }
    const jobs = [...new Set(this.#sessions.values())];
    this.most = Math.max(this.most, jobs.length);
    const inGroup = jobs.filter((other) => other.device.group === group).length;
    this.mostOf.set(group, Math.max(this.mostOf.get(group) ?? 0, inGroup));
    const aborted = await this.#wait(how.tookMs, job.signal);
    // Killed meanwhile: its row stays as it is.
    if (life !== this.#life) return new Promise(() => {});
    for (const key of keys) this.#sessions.delete(key);
    const endedAtMs = this.clock.nowMs();
    const outcome = aborted ? 'failed' : how.outcome;
    const end = endOf(job.runId, outcome, endedAtMs);
    const failure: Failure | null = aborted
      ? { code: 'run.interrupted', detail: { by: 'signal' } }
      : outcome === 'failed'
        ? (how.failure ?? end.failure)
        : end.failure;
    const reading = end.reading === null ? null : { ...end.reading, serials: [serial] };
    const facts = reading === null ? null : { ...reading.facts, serial };
    if (!how.unrecorded)
      this.ledger.closeRun({ ...end, failure, reading: reading && facts && { ...reading, facts } });
    return {
      ...{ runId: job.runId, device: name, group, platform, trigger: job.trigger, startedAtMs, endedAtMs },
      settled:
        outcome === 'failed' || outcome === 'quarantined'
          ? { outcome, failure: failure as Failure }
          : { outcome: 'unchanged', commit: 'c' },
      ...{ restorable: null, restorableBecause: null, artefacts: [], stack: null },
      ...{ unsaved: null, archives: [] },
    };
  }

  /** Whether it was aborted before so much time had passed. */
  #wait(ms: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.clock.after(ms, () => resolve(false));
      signal.addEventListener('abort', () => {
        timer.cancel();
        resolve(true);
      });
    });
  }
}

interface Row {
  readonly slot_ms: number;
  readonly last_ms: number;
  readonly count: number;
  readonly state: string;
  readonly cause: string | null;
  readonly run: string | null;
  readonly deadline_ms: number;
  readonly at_ms: number;
}
