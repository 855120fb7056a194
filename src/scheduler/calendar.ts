import { Cron } from 'croner';

/** Slots of a stretch of time: the newest ones, and how many there are before these. */
export interface Slots {
  /** Oldest first. */
  readonly slots: readonly number[];
  /** How many slots of the stretch are older than `slots`. */
  readonly before: number;
  /** The oldest of those before, null where there are none. */
  readonly firstBeforeMs: number | null;
  /** The newest of those before, null where there are none. */
  readonly lastBeforeMs: number | null;
}

/**
 * The instants of cron expressions (five fields, as the inventory checks them) in IANA time zones, as UTC
 * epoch milliseconds. Every answer depends on its arguments alone; what is kept is a cache.
 *
 * A fixed-time schedule (no wildcard and no step in minute and hour) comes due exactly once per local day:
 * a time that the spring change leaves out comes due at the change (in America/Nuuk that is midnight, the
 * first instant of the next day), one that the autumn change repeats comes due the first time only, a day
 * that a zone never had has no slot. Other schedules go by the clock on the wall: an hour that comes twice
 * is served twice, an hour that is left out is not.
 */
export interface Calendar {
  /** Slots in (from, to], of which the newest `limit` are listed. `from` itself is excluded: it has its slot already. */
  slotsBetween(schedule: string, timezone: string, fromMs: number, toMs: number, limit: number): Slots;
  /** The first slot after an instant; null where none comes within nine years. */
  next(schedule: string, timezone: string, afterMs: number): number | null;
  /** The last slot at or before an instant; null where there was none within nine years. */
  previous(schedule: string, timezone: string, atMs: number): number | null;
  /**
   * The shortest time between two slots, as in a zone without daylight saving: the same on every day of
   * the year, so that what is derived from it (splay, windows) is stable.
   */
  intervalMs(schedule: string): number;
  /** The longest time between two neighbouring slots within a month of an instant, DST changes included. */
  longestGapMs(schedule: string, timezone: string, aroundMs: number): number;
}

const minute = 60_000;
const day = 86_400_000;
/** 29 February is eight years away around 2100. */
const horizonDays = 9 * 366;
/** Days of slots that are kept of each schedule and zone: a month back for catching up, and some. */
const keptDays = 64;
/** One result each of the most recent questions: a fleet asks the same one for every device. */
const keptAnswers = 256;

/** An empty calendar. One is enough for a process. */
export function createCalendar(): Calendar {
  const patterns = new Map<string, DayPattern>();
  const tables = new Map<string, SlotTable>();
  const intervals = new Map<string, number>();
  const gaps = new Map<string, number>();
  const answers = new Map<string, Slots>();

  const patternOf = (schedule: string) => remember(patterns, schedule, () => new DayPattern(schedule));
  let last: { readonly schedule: string; readonly timezone: string; readonly table: SlotTable } | null = null;
  const tableOf = (schedule: string, timezone: string): SlotTable => {
    // One device after the other asks the same.
    if (last !== null && last.schedule === schedule && last.timezone === timezone) return last.table;
    const make = () => new SlotTable(schedule, timezone, patternOf(schedule));
    const table = remember(tables, `${timezone} ${schedule}`, make);
    last = { schedule, timezone, table };
    return table;
  };

  return {
    slotsBetween(schedule, timezone, fromMs, toMs, limit) {
      const table = tableOf(schedule, timezone);
      // By far the most frequent answer, at the cost of a comparison.
      const newest = table.previous(toMs);
      if (newest === null || newest <= fromMs) return nothing;
      const key = `${timezone} ${schedule} ${fromMs} ${newest} ${limit}`;
      return remember(answers, key, () => table.between(fromMs, newest, limit), keptAnswers);
    },
    next: (schedule, timezone, afterMs) => tableOf(schedule, timezone).next(afterMs),
    previous: (schedule, timezone, atMs) => tableOf(schedule, timezone).previous(atMs),
    intervalMs: (schedule) =>
      remember(intervals, schedule, () => {
        const table = new SlotTable(schedule, 'UTC', patternOf(schedule));
        return extremeGap(table, referenceMs, referenceMs + 400 * day, Math.min);
      }),
    longestGapMs(schedule, timezone, aroundMs) {
      const today = Math.floor(aroundMs / day);
      const key = `${timezone} ${schedule} ${today}`;
      return remember(
        gaps,
        key,
        () => {
          const table = new SlotTable(schedule, timezone, patternOf(schedule));
          return extremeGap(table, (today - 31) * day, (today + 31) * day, Math.max);
        },
        keptAnswers,
      );
    },
  };
}

const nothing: Slots = { slots: [], before: 0, firstBeforeMs: null, lastBeforeMs: null };
/** Any instant will do for what does not depend on the date; this one is the first of a leap year. */
const referenceMs = Date.UTC(2024, 0, 1);

/** The shortest or longest gap between the neighbours of a stretch, from the slot before it to the one after. */
function extremeGap(
  table: SlotTable,
  fromMs: number,
  toMs: number,
  worse: (a: number, b: number) => number,
): number {
  let last = table.previous(fromMs) ?? table.next(fromMs);
  let extreme: number | null = null;
  while (last !== null) {
    const slot = table.next(last);
    if (slot === null) break;
    extreme = extreme === null ? slot - last : worse(extreme, slot - last);
    if (slot > toMs) break;
    last = slot;
  }
  return extreme ?? horizonDays * day;
}

/**
 * What a schedule says of one day, whatever the zone: its times, and on which dates it comes due. Croner is
 * asked about UTC, where every day is regular.
 */
class DayPattern {
  /** Milliseconds after local midnight, ascending: the same on every day on which it comes due. */
  readonly times: readonly number[];
  readonly #cron: Cron;
  readonly #known = new Map<number, boolean>();
  /** Whether it names no day of a month, no month and no day of a week: croner need not be asked about each date. */
  readonly #isDaily: boolean;

  constructor(schedule: string) {
    this.#isDaily = /^\S+ +\S+ +\* +\* +\*$/.test(schedule);
    this.#cron = cron(schedule, 'UTC');
    const first = this.#cron.nextRun(new Date(referenceMs - minute))?.getTime() ?? null;
    const midnight = first === null ? 0 : Math.floor(first / day) * day;
    this.times = first === null ? [] : enumerate(this.#cron, midnight).map((at) => at - midnight);
  }

  /** Whether the schedule comes due on a date, as days since 1970-01-01. */
  comesDueOn(date: number): boolean {
    if (this.#isDaily) return true;
    const known = this.#known.get(date);
    if (known !== undefined) return known;
    if (this.#known.size > 2 * horizonDays) this.#known.clear();
    const next = this.#cron.nextRun(new Date(date * day - 1))?.getTime() ?? Number.POSITIVE_INFINITY;
    const due = Math.floor(next / day);
    // One question tells of all the dates in between.
    for (let between = date; between < Math.min(due, date + horizonDays); between++)
      this.#known.set(between, false);
    if (due < date + horizonDays) this.#known.set(due, true);
    return due === date;
  }
}

/**
 * The slots of one schedule in one zone, kept by UTC days. Croner costs 0.1 ms a slot, which is a quarter of
 * an hour for every minute of 25 years (a clock that jumped): it is asked about the days around a change of
 * the zone's offset, all others are the times of the pattern.
 */
class SlotTable {
  readonly #pattern: DayPattern;
  readonly #offsets: ZoneOffsets;
  readonly #cron: Cron;
  readonly #days = new Map<number, readonly number[]>();
  /** Between two neighbouring slots nothing changes: [from, to). */
  #stretch: readonly [from: number, to: number] | null = null;

  constructor(schedule: string, timezone: string, pattern: DayPattern) {
    this.#pattern = pattern;
    this.#offsets = offsetsOf(timezone);
    this.#cron = cron(schedule, timezone);
  }

  previous(atMs: number): number | null {
    if (this.#stretch !== null && atMs >= this.#stretch[0] && atMs < this.#stretch[1])
      return this.#stretch[0];
    const last = Math.floor(atMs / day);
    for (let date = last; date > last - horizonDays; date--) {
      const slot = this.#slotsOf(date).findLast((each) => each <= atMs);
      if (slot === undefined) continue;
      const following = this.next(atMs);
      if (following !== null) this.#stretch = [slot, following];
      return slot;
    }
    return null;
  }

  next(afterMs: number): number | null {
    if (this.#stretch !== null && afterMs >= this.#stretch[0] && afterMs < this.#stretch[1])
      return this.#stretch[1];
    const first = Math.floor(afterMs / day);
    for (let date = first; date < first + horizonDays; date++) {
      const slot = this.#slotsOf(date).find((each) => each > afterMs);
      if (slot !== undefined) return slot;
    }
    return null;
  }

  between(fromMs: number, toMs: number, limit: number): Slots {
    const newest: number[] = [];
    let [before, firstBeforeMs, lastBeforeMs]: [number, number | null, number | null] = [0, null, null];
    const firstDate = Math.floor(fromMs / day);
    for (let date = Math.floor(toMs / day); date >= firstDate; date--) {
      const slots = this.#slotsOf(date);
      for (let index = slots.length - 1; index >= 0; index--) {
        const slot = slots[index] ?? 0;
        if (slot <= fromMs || slot > toMs) continue;
        if (newest.length < limit) {
          newest.push(slot);
          continue;
        }
        before++;
        lastBeforeMs ??= slot;
        firstBeforeMs = slot;
      }
    }
    return { slots: newest.reverse(), before, firstBeforeMs, lastBeforeMs };
  }

  /** The slots of one UTC day (as days since 1970-01-01), ascending. */
  #slotsOf(date: number): readonly number[] {
    const kept = this.#days.get(date);
    if (kept !== undefined) return kept;
    const slots = this.#compute(date);
    if (this.#days.size >= keptDays) this.#days.clear();
    this.#days.set(date, slots);
    return slots;
  }

  #compute(date: number): readonly number[] {
    const start = date * day;
    const offset = this.#offsets.at(date - 1);
    // No zone changes to and fro within two days. The day before counts: its last hours may be repeated in this one.
    if (offset !== this.#offsets.at(date + 1)) return enumerate(this.#cron, start);
    const slots: number[] = [];
    for (
      let local = Math.floor((start + offset) / day);
      local <= Math.floor((start + day - 1 + offset) / day);
      local++
    ) {
      if (!this.#pattern.comesDueOn(local)) continue;
      for (const time of this.#pattern.times) {
        const slot = local * day + time - offset;
        if (slot >= start && slot < start + day) slots.push(slot);
      }
    }
    return slots;
  }
}

/** The distance of a zone from UTC at the beginning of each UTC day. */
class ZoneOffsets {
  readonly #format: Intl.DateTimeFormat;
  readonly #known = new Map<number, number>();

  constructor(timezone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  }

  /** Milliseconds that local time is ahead of UTC. */
  at(date: number): number {
    return remember(this.#known, date, () => this.#ask(date * day), 2 * horizonDays);
  }

  #ask(atMs: number): number {
    const field: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(atMs)) field[type] = Number(value);
    const { year = 0, month = 1, day: date = 1, hour = 0, minute: minutes = 0, second = 0 } = field;
    return Date.UTC(year, month - 1, date, hour, minutes, second) - atMs;
  }
}

const zones = new Map<string, ZoneOffsets>();

function offsetsOf(timezone: string): ZoneOffsets {
  return remember(zones, timezone, () => new ZoneOffsets(timezone));
}

/** A calculator: paused, it never starts a timer. Without `no-wildcard`, `0,30 2 * * *` would count as an interval. */
function cron(schedule: string, timezone: string): Cron {
  return new Cron(schedule, { paused: true, timezone, mode: '5-part', fixedTimeRule: 'no-wildcard' });
}

/** The slots of the day that begins at `startMs`. Croner excludes the instant it is asked about. */
function enumerate(calculator: Cron, startMs: number): number[] {
  const slots: number[] = [];
  let slot = calculator.nextRun(new Date(startMs - 1));
  while (slot !== null && slot.getTime() < startMs + day) {
    slots.push(slot.getTime());
    slot = calculator.nextRun(slot);
  }
  return slots;
}

/** What `cache` holds under `key`, made once. Emptied when it is full: what is in use comes back at once. */
function remember<Key, Value>(
  cache: Map<Key, Value>,
  key: Key,
  make: () => Value,
  most = Number.POSITIVE_INFINITY,
): Value {
  const kept = cache.get(key);
  if (kept !== undefined) return kept;
  const made = make();
  if (cache.size >= most) cache.clear();
  cache.set(key, made);
  return made;
}
