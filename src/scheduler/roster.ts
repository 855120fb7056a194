import type { Plan, PlannedDevice } from '../inventory/precedence.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { DeviceHistory } from '../ledger/slots.ts';
import type { Calendar } from './calendar.ts';
import { Entry } from './entry.ts';
import type { Sessions } from './sessions.ts';
import { takeOver } from './take-over.ts';
import type { Timekeeper } from './timekeeper.ts';
import type { EndWrite } from './writes.ts';

/** For a device of which nothing is known but what it left open: it comes due no more. */
const noPlan: Plan = {
  schedule: '0 0 1 1 *',
  timezone: 'UTC',
  splayMs: 0,
  startWithinMs: null,
  retryLaterMs: 0,
  maxAgeMs: null,
  blackout: [],
  catchUpSpreadMs: 0,
  maxSessions: null,
};

/** Every device that the schedule has to look at, kept in step with inventory and ledger. */
export class Roster {
  readonly #entries = new Map<string, Entry>();
  readonly #byName = new Map<string, Entry>();
  #version = 0;
  readonly #ledger: Ledger;
  readonly #calendar: Calendar;
  readonly #time: Timekeeper;
  readonly #sessions: Sessions;

  constructor(ledger: Ledger, calendar: Calendar, time: Timekeeper, sessions: Sessions) {
    this.#ledger = ledger;
    this.#calendar = calendar;
    this.#time = time;
    this.#sessions = sessions;
  }

  /** In the order of the inventory, then those that left it and still have something open. */
  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  get(deviceId: string): Entry | null {
    return this.#entries.get(deviceId) ?? null;
  }

  /** A device of the inventory; null where it has none of this name. */
  named(name: string): Entry | null {
    return this.#byName.get(name) ?? null;
  }

  /**
   * Takes over an inventory, or throws and changes nothing. Returns the ends of slots that were written,
   * and the entries that are not in it any more.
   */
  load(
    inventory: readonly PlannedDevice[],
    nowMs: number,
  ): { readonly ended: readonly EndWrite[]; readonly dropped: readonly Entry[] } {
    const { upSinceMs, paused, absences } = this.#time;
    const running = (deviceId: string) => this.#entries.get(deviceId)?.running ?? null;
    const taken = this.#ledger.together(() =>
      takeOver(this.#ledger, this.#calendar, inventory, { upSinceMs, paused, absences, running }, nowMs),
    );
    this.#version = taken.version;
    this.#byName.clear();
    const before = new Map(this.#entries);
    this.#entries.clear();
    for (const { history, device } of taken.devices) {
      const entry = before.get(history.deviceId) ?? this.#enter(history);
      before.delete(history.deviceId);
      entry.history = history;
      entry.wake();
      entry.departed = device === null;
      if (device !== null) {
        entry.device = device;
        entry.plan = device.plan;
        entry.maxRuntimeMs = device.maxRuntimeMs;
        this.#byName.set(device.name, entry);
      }
      this.#entries.set(history.deviceId, entry);
    }
    return { ended: taken.ended, dropped: [...before.values()] };
  }

  /** Reads again what changed in the ledger; returns these entries. */
  refresh(nowMs: number): readonly Entry[] {
    const { version, histories } = this.#ledger.slots.histories(this.#version, nowMs);
    this.#version = version;
    return this.#take(histories, nowMs);
  }

  /** Reads everything again: after a jump of the clock, "now" means other rows. */
  reread(nowMs: number): void {
    const { version, histories } = this.#ledger.slots.histories(0, nowMs);
    this.#version = version;
    this.#take(histories, nowMs);
  }

  /** After a clock that went back, rows lie ahead of now: reads those that now has come by. */
  rereadPassed(nowMs: number): void {
    const ids: string[] = [];
    for (const { deviceId, readAgainMs } of this.#entries.values())
      if (readAgainMs !== null && readAgainMs <= nowMs) ids.push(deviceId);
    if (ids.length === 0) return;
    this.#take(this.#ledger.slots.historiesOf(ids, nowMs), nowMs);
  }

  drop(entry: Entry): void {
    this.#entries.delete(entry.deviceId);
  }

  #enter(history: DeviceHistory): Entry {
    return new Entry(history, { device: null, plan: noPlan, maxRuntimeMs: 0 }, this.#time, this.#sessions);
  }

  #take(histories: readonly DeviceHistory[], nowMs: number): Entry[] {
    return histories.flatMap((history) => {
      const entry = this.#entries.get(history.deviceId);
      if (entry === undefined) return [];
      entry.history = history;
      entry.wake();
      const ahead = history.lastSlotMs !== null && history.lastSlotMs > nowMs;
      const { schedule, timezone } = entry.plan;
      entry.readAgainMs = ahead ? this.#calendar.next(schedule, timezone, nowMs) : null;
      return [entry];
    });
  }
}
