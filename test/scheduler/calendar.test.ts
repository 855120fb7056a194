import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCalendar } from '../../src/scheduler/calendar.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const zones = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Africa/Casablanca',
  'America/St_Johns',
  'America/Havana',
  'Pacific/Chatham',
  'UTC',
] as const;

const calendar = createCalendar();
const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
const list = (schedule: string, timezone: string, from: string, to: string) =>
  calendar.slotsBetween(schedule, timezone, Date.parse(from), Date.parse(to), 1_000_000).slots.map(iso);

/** What the wall shows: `2026-03-29 02:30`. */
function wall(timezone: string): (ms: number) => string {
  const format = new Intl.DateTimeFormat('sv', {
    timeZone: timezone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  return (ms) => format.format(ms).replace(',', '');
}

const expressions = fc.constantFrom(
  '30 2 * * *',
  '0,30 1-3 * * *',
  '*/15 * * * *',
  '0 */6 * * *',
  '15 2 * * 0',
  '0 2 * * 1-5',
  '0 0 1 * *',
  '5 0 31 * *',
  '0 12 13 * 5',
  '59 23 * 3,10 *',
);
/** Days between 2010 and 2037 around which a zone changes its offset. */
const changes = new Map(
  zones.map((zone) => {
    const show = wall(zone);
    const found: number[] = [];
    for (let at = Date.UTC(2010, 0, 1); at < Date.UTC(2037, 0, 1); at += day)
      if (show(at).slice(11) !== show(at + day).slice(11)) found.push(at);
    return [zone, found] as const;
  }),
);

/** A zone and an instant; every other one less than two days from a change of the zone's offset. */
const moments = fc
  .tuple(
    fc.constantFrom(...zones),
    fc.nat(),
    fc.boolean(),
    fc.integer({ min: -2 * 24 * 60, max: 2 * 24 * 60 }),
  )
  .map(([zone, pick, near, minutes]) => {
    const days = near ? (changes.get(zone) ?? []) : [];
    const anywhere = Date.UTC(2010, 0, 1) + (pick % (27 * 365)) * day;
    return { zone, at: (days[pick % days.length] ?? anywhere) + minutes * minute };
  });

describe('a fixed-time schedule', () => {
  const times = ['30 0', '0 1', '45 1', '0 2', '15 2', '30 2', '0 3', '30 3'];

  it.each(zones)('comes due exactly once per local day over ten years in %s', (zone) => {
    const show = wall(zone);
    const [from, to] = [Date.UTC(2025, 0, 1), Date.UTC(2035, 0, 1)];
    const days = new Set<string>();
    for (let at = from + day; at < to - day; at += 6 * hour) days.add(show(at).slice(0, 10));
    for (const time of times) {
      const counts = new Map<string, number>();
      for (const slot of calendar.slotsBetween(`${time} * * *`, zone, from, to, 10_000).slots) {
        const date = show(slot).slice(0, 10);
        counts.set(date, (counts.get(date) ?? 0) + 1);
      }
      expect([...days].filter((date) => counts.get(date) !== 1)).toEqual([]);
    }
  });

  it('comes due when the wall shows its time, on every day that has it', () => {
    for (const zone of zones) {
      const show = wall(zone);
      const { slots } = calendar.slotsBetween(
        '30 2 * * *',
        zone,
        Date.UTC(2025, 0, 1),
        Date.UTC(2030, 0, 1),
        9999,
      );
      const odd = slots.filter((slot) => !show(slot).endsWith('02:30'));
      // Where it does not, the half hour before did not exist.
      for (const slot of odd) expect(show(slot - minute) < `${show(slot).slice(0, 10)} 02:30`).toBe(true);
      expect(odd.length).toBeLessThanOrEqual(6);
    }
  });

  it('comes due at the change where the spring leaves its time out', () => {
    expect(list('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-30T12:00Z')).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ]);
    expect(list('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T00:00Z', '2026-10-04T00:00Z')).toEqual([
      '2026-10-03T15:30:00.000Z',
    ]);
    expect(list('0,30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', '2026-03-29T12:00Z')).toEqual([
      '2026-03-29T01:00:00.000Z',
    ]);
  });

  it('comes due the first time only where the autumn repeats its time', () => {
    expect(list('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', '2026-10-26T12:00Z')).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ]);
    expect(list('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00Z', '2026-04-05T00:00Z')).toEqual([
      '2026-04-04T14:45:00.000Z',
    ]);
  });

  it('also where the hour that comes twice lies around midnight in UTC', () => {
    expect(list('30 2 * * *', 'Europe/Kaliningrad', '2010-10-30T12:00Z', '2010-11-01T12:00Z')).toEqual([
      '2010-10-30T23:30:00.000Z',
      '2010-11-01T00:30:00.000Z',
    ]);
  });

  it('has no slot on a day that never was', () => {
    const show = wall('Pacific/Apia');
    const { slots } = calendar.slotsBetween(
      '30 2 * * *',
      'Pacific/Apia',
      Date.UTC(2011, 11, 28),
      Date.UTC(2012, 0, 1),
      99,
    );
    expect(slots.map((slot) => show(slot))).toEqual([
      '2011-12-28 02:30',
      '2011-12-29 02:30',
      '2011-12-31 02:30',
      '2012-01-01 02:30',
    ]);
  });
});

describe('slots', () => {
  it('are what croner says, in every zone and at every time of the year', () => {
    fc.assert(
      fc.property(expressions, moments, (schedule, { zone, at }) => {
        const oracle = new Cron(schedule, {
          paused: true,
          timezone: zone,
          fixedTimeRule: 'no-wildcard',
        });
        const expected = oracle.nextRuns(8, new Date(at)).map((slot) => slot.getTime());
        expect(calendar.slotsBetween(schedule, zone, at, expected.at(-1) ?? 0, 99).slots).toEqual(expected);
        expect(calendar.next(schedule, zone, at)).toBe(expected[0]);
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it('are those of (from, to]: stretches that meet share none and lose none', () => {
    fc.assert(
      fc.property(
        expressions,
        moments,
        fc.array(fc.integer({ min: 1, max: 3 * 24 * 60 }), { minLength: 1, maxLength: 12 }),
        (schedule, { zone, at: start }, minutes) => {
          let at = start;
          const pieces: number[] = [];
          for (const each of minutes) {
            pieces.push(...calendar.slotsBetween(schedule, zone, at, at + each * minute, 9999).slots);
            at += each * minute;
          }
          expect(pieces).toEqual(calendar.slotsBetween(schedule, zone, start, at, 9999).slots);
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);

  it('lie between their neighbours', () => {
    fc.assert(
      fc.property(expressions, moments, (schedule, { zone, at }) => {
        const previous = calendar.previous(schedule, zone, at) ?? Number.NaN;
        const next = calendar.next(schedule, zone, at) ?? Number.NaN;
        expect(previous).toBeLessThanOrEqual(at);
        expect(next).toBeGreaterThan(at);
        expect(calendar.next(schedule, zone, previous)).toBe(next);
        expect(calendar.previous(schedule, zone, next - 1)).toBe(previous);
        expect(calendar.previous(schedule, zone, previous)).toBe(previous);
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it('beyond the limit are counted, the newest are listed', () => {
    const [from, to] = [Date.UTC(2026, 0, 1), Date.UTC(2051, 0, 1)];
    const found = calendar.slotsBetween('0 * * * *', 'Europe/Berlin', from, to, 3);
    expect(found.before + found.slots.length).toBe((to - from) / hour);
    expect(found.slots.map(iso)).toEqual([
      '2050-12-31T22:00:00.000Z',
      '2050-12-31T23:00:00.000Z',
      '2051-01-01T00:00:00.000Z',
    ]);
    expect(iso(found.firstBeforeMs)).toBe('2026-01-01T01:00:00.000Z');
    expect(iso(found.lastBeforeMs)).toBe('2050-12-31T21:00:00.000Z');
  });

  it('of 29 February are found over eight years', () => {
    expect(iso(calendar.next('0 2 29 2 *', 'UTC', Date.UTC(2096, 2, 1)))).toBe('2104-02-29T02:00:00.000Z');
    expect(iso(calendar.previous('0 2 29 2 *', 'UTC', Date.UTC(2104, 0, 1)))).toBe(
      '2096-02-29T02:00:00.000Z',
    );
  });
});

describe('the interval', () => {
  it.each([
    ['* * * * *', minute],
    ['*/5 2 * * *', 5 * minute],
    ['0 * * * *', hour],
    ['0 0,23 * * *', hour],
    ['0 2 * * *', day],
    ['0 2 * * 1-5', day],
    ['0 2 * * 0', 7 * day],
    ['0 2 1 * *', 28 * day],
  ])('of %s is the shortest time between two slots', (schedule, expected) => {
    expect(calendar.intervalMs(schedule)).toBe(expected);
  });

  it('at its longest counts the days of a clock change', () => {
    const autumn = Date.UTC(2026, 9, 20);
    expect(calendar.longestGapMs('0 2 * * *', 'Europe/Berlin', autumn)).toBe(25 * hour);
    expect(calendar.longestGapMs('0 2 * * *', 'UTC', autumn)).toBe(day);
    expect(calendar.longestGapMs('0 2 * * 1-5', 'UTC', autumn)).toBe(3 * day);
    expect(calendar.longestGapMs('0 2 1 * *', 'UTC', Date.UTC(2026, 1, 10))).toBe(31 * day);
    expect(calendar.longestGapMs('0 2 29 2 *', 'UTC', autumn)).toBe(1461 * day);
  });
});
