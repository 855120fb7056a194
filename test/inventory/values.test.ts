import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { cronProblem } from '../../src/inventory/cron.ts';
import {
  address,
  duration,
  host,
  name,
  nameProblem,
  schedule,
  timezone,
} from '../../src/inventory/values.ts';

const accepts = (schema: z.ZodType, value: unknown): boolean => schema.safeParse(value).success;

describe('durations', () => {
  const unit = fc.constantFrom('s', 'm', 'h', 'd');
  const inMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

  it('mean the number times the unit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 36_500 }), unit, (count, letter) => {
        expect(duration().parse(`${count}${letter}`)).toBe(count * inMs[letter]);
      }),
    );
  });

  it('are refused without a unit, whatever the number', () => {
    fc.assert(
      fc.property(fc.double(), (number) => {
        expect(accepts(duration(), number)).toBe(false);
        expect(accepts(duration(), String(number))).toBe(false);
      }),
    );
    expect(duration().safeParse(15).error?.issues[0]?.message).toBe(
      'the number 15 has no unit; write 15s, 15m, 15h or 15d',
    );
  });

  it.each([
    '',
    's',
    '1',
    '1 h',
    '1h30m',
    '-1s',
    '1.5h',
    '1H',
    '15min',
    '1e3s',
    '٣s',
    '99999999999d',
    '0s',
    '1h\n',
  ])('refuse %j', (text) => {
    expect(accepts(duration(), text)).toBe(false);
  });
});

describe('names', () => {
  const character = fc.constantFrom(...'abcxyz019._-'.split(''));

  it('are accepted exactly where they are safe as a path and as a part of a ref', () => {
    fc.assert(
      fc.property(fc.array(character, { minLength: 1, maxLength: 64 }), (characters) => {
        const text = characters.join('');
        const safe =
          text.length <= 63 &&
          !'._-'.includes(text.charAt(0)) &&
          !text.includes('..') &&
          !text.includes('.git') &&
          !text.includes('.lock');
        expect(accepts(name(), text)).toBe(safe);
      }),
      { numRuns: 1000 },
    );
  });

  it('are refused with any other character', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'binary' }), (text) => {
        if (accepts(name(), text)) expect(text).toMatch(/^[a-z0-9._-]+$/);
      }),
    );
    for (const text of ['FW1', 'ﬁrewall', 'fw1/', '.git', 'a/../b', 'fw1\n', 'fw 1', 'fw1\u202e'])
      expect(accepts(name(), text)).toBe(false);
  });

  it('have at most 63 characters', () => {
    expect(accepts(name(), 'a'.repeat(63))).toBe(true);
    expect(accepts(name(), 'a'.repeat(64))).toBe(false);
  });

  it('suggest their lower case where that is valid', () => {
    expect(nameProblem('FW1')?.nearest).toBe('fw1');
    expect(nameProblem('FW 1')?.nearest).toBeNull();
    expect(nameProblem('X.git')?.nearest).toBeNull();
  });
});

describe('hosts', () => {
  it.each([
    'fw1',
    'fw1.example.net',
    'fw1.example.net.',
    'FW1',
    'a_b.example',
    '192.0.2.1',
    '2001:db8::1',
    'fe80::1%eth0',
    '1and1.example',
    'xn--bcher-kva.example',
  ])('accepts %s', (text) => {
    expect(host().parse(text)).toBe(text);
  });

  it.each([
    '-l',
    '--',
    '-oProxyCommand=sh',
    '',
    ' ',
    'a b',
    'a..b',
    '.a',
    '192.0.2',
    '192.0.2.256',
    '0x7f000001',
    '127.1',
    '2001:db8:::1',
    '[::1]',
    'fw1:22',
    'user@fw1',
    'fw1/24',
    'http://fw1',
    'a\nb',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}ab`,
  ])('refuses %j', (text) => {
    expect(accepts(host(), text)).toBe(false);
  });

  it('a source address is no name', () => {
    expect(accepts(address(), '192.0.2.1')).toBe(true);
    expect(accepts(address(), '2001:db8::1')).toBe(true);
    expect(accepts(address(), 'fw1')).toBe(false);
  });
});

describe('schedules', () => {
  it.each([
    '* * * * *',
    '*/5 * * * *',
    '0 2 * * *',
    '0,30 8-18/2 1,15 jan-mar,DEC mon-FRI',
    '0 0 29 2 *',
    '0 0 * * 7',
    '0 0 * * fri-sun',
    '0 0 31 2,3 *',
    ' 0  2 * * * ',
    '0 0 30 2 mon',
  ])('accepts %j', (text) => {
    expect(cronProblem(text)).toBeNull();
    expect(accepts(schedule(), text)).toBe(true);
  });

  it.each([
    ['', 'expected five fields'],
    ['* * * *', 'expected five fields'],
    ['0 * * * * *', 'expected five fields'],
    ['@daily', 'expected five fields'],
    ['60 * * * *', 'minute: out of range'],
    ['* 24 * * *', 'hour: out of range'],
    ['* * 0 * *', 'day of month: out of range'],
    ['* * * 13 *', 'month: out of range'],
    ['* * * * 8', 'day of week: out of range'],
    ['5/15 * * * *', 'minute: a step needs'],
    ['*/0 * * * *', 'minute: a step of 0'],
    ['30-10 * * * *', 'minute: a range that runs backwards'],
    ['1,,2 * * * *', 'minute: not understood'],
    ['* * L * *', 'day of month: out of range'],
    ['* * * * fri#2', 'day of week: not understood'],
    ['0 0 30 2 *', 'never comes due'],
    ['0 0 31 4,6,9,11 *', 'never comes due'],
  ])('refuses %j: %s', (text, message) => {
    expect(cronProblem(text)?.message).toContain(message);
  });

  it('accepts every list of values within the bounds of its field', () => {
    const field = (from: number, to: number) =>
      fc
        .array(fc.integer({ min: from, max: to }), { minLength: 1, maxLength: 4 })
        .map((list) => list.join(','));
    fc.assert(
      fc.property(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7), (...fields) => {
        expect(cronProblem(fields.join(' '))).toBeNull();
      }),
    );
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'0159*/-,# LWsunmo'.split('')), maxLength: 30 }),
        (text) => {
          cronProblem(text);
        },
      ),
    );
  });
});

describe('time zones', () => {
  it('are names that the system knows, and no offsets', () => {
    for (const zone of ['UTC', 'Europe/Berlin', 'Australia/Lord_Howe', 'Pacific/Apia'])
      expect(accepts(timezone(), zone)).toBe(true);
    for (const zone of ['+02:00', '-05', 'Berlin', '', 'Europe/Berlin\n', 'Mars/Olympus'])
      expect(accepts(timezone(), zone)).toBe(false);
  });
});
