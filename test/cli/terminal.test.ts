import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createProgress, progressLine } from '../../src/cli/terminal/progress.ts';
import { painter } from '../../src/cli/terminal/style.ts';
import { type Column, table } from '../../src/cli/terminal/table.ts';
import type { Clock } from '../../src/core/clock.ts';
import { ended, unchanged } from './fake-services.ts';

const plain = painter(false, {});
const columns: Column[] = [
  { title: 'NAME' },
  { title: 'SIZE', align: 'right', dropped: 1 },
  { title: 'WHAT', min: 10 },
];

describe('a table', () => {
  test('is aligned and as wide as it needs where there is no terminal', () => {
    expect(
      table(
        columns,
        [
          ['fw1', '9', 'x'.repeat(30)],
          ['a-long-name', '12', 'y'],
        ],
        null,
        plain,
      ),
    ).toEqual(['NAME         SIZE  WHAT', `fw1             9  ${'x'.repeat(30)}`, 'a-long-name    12  y']);
  });

  test('cuts the widest column with an ellipsis where it is too wide', () => {
    const [, row] = table(columns, [['fw1', '9', 'x'.repeat(90)]], 40, plain);
    expect(row).toBe(`fw1      9  ${'x'.repeat(27)}…`);
  });

  test('leaves optional columns out before it cuts others below their least width', () => {
    const [heading, row] = table(columns, [['fw1', '9', 'x'.repeat(90)]], 18, plain);
    expect(heading).toBe('NAME  WHAT');
    expect(row).toBe(`fw1   ${'x'.repeat(11)}…`);
  });

  test('leaves the least important column out first, wherever it stands', () => {
    const three: Column[] = [
      { title: 'AAAAAAAA', dropped: 2 },
      { title: 'BBBBBBBB', dropped: 1 },
      { title: 'C' },
    ];
    expect(table(three, [], 12, plain)).toEqual(['AAAAAAAA  C']);
  });

  test('never is wider than the terminal, and never holds a control character', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { minLength: 3, maxLength: 3 }), {
          maxLength: 5,
        }),
        fc.constantFrom(8, 20, 40, 80, 200),
        (rows, width) => {
          for (const line of table(columns, rows, width, plain)) {
            expect([...line].length).toBeLessThanOrEqual(width);
            expect(line.replaceAll('\t', '')).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202a-\u202e]/);
          }
        },
      ),
    );
  });

  test('colours a cell after it was cut to size', () => {
    const paint = painter(true, {});
    const [, row] = table(
      [{ title: 'A' }, { title: 'B' }],
      [[{ text: 'ok', style: 'good' }, 'x']],
      40,
      paint,
    );
    expect(row).toBe('\x1b[32mok\x1b[39m  x');
  });
});

test.each([
  [true, {}, true],
  [true, { NO_COLOR: '' }, true],
  [true, { NO_COLOR: '1' }, false],
  [true, { TERM: 'dumb' }, false],
  [false, {}, false],
])('terminal %s with %j has colour: %s', (isTTY, env, coloured) => {
  expect(painter(isTTY, env)('bad', 'x') !== 'x').toBe(coloured);
});

describe('progress', () => {
  /** A clock that moves by hand. */
  function handClock(): { clock: Clock; advance: (ms: number) => void; waiting: () => number } {
    let now = 0;
    let timers: { at: number; go: () => void }[] = [];
    const clock: Clock = {
      nowMs: () => now,
      monotonicMs: () => now,
      after(delayMs, then) {
        const timer = { at: now + delayMs, go: then };
        timers.push(timer);
        return { cancel: () => (timers = timers.filter((other) => other !== timer)) };
      },
    };
    const advance = (ms: number): void => {
      now += ms;
      const due = timers.filter(({ at }) => at <= now);
      timers = timers.filter(({ at }) => at > now);
      for (const { go } of due) go();
    };
    return { clock, advance, waiting: () => timers.length };
  }

  function drawing(isTTY: boolean) {
    const writes: string[] = [];
    const { clock, advance, waiting } = handClock();
    const sink = { isTTY, columns: 60, write: (data: string | Uint8Array) => writes.push(String(data)) };
    return { progress: createProgress(2, sink, clock), writes, advance, waiting };
  }

  test('is drawn at most once in a tenth of a second, however much happens', () => {
    const { progress, writes, advance, waiting } = drawing(true);
    progress.event({ type: 'started', device: 'fw1' });
    for (let bytes = 1; bytes <= 1_000; bytes++)
      progress.event({ type: 'progress', device: 'fw1', receivedBytes: bytes });
    expect(writes).toEqual([]);
    expect(waiting()).toBe(1);
    advance(100);
    expect(writes).toEqual(['\r[>                   ] 0/2  1000 B  fw1 (1000 B)\x1b[K']);
    advance(100);
    expect(writes).toHaveLength(1);
  });

  test('makes way for a line and comes back', () => {
    const { progress, writes, advance } = drawing(true);
    progress.event({ type: 'started', device: 'fw1' });
    advance(100);
    progress.around(() => writes.push('line\n'));
    advance(100);
    expect(writes.map((text) => text.slice(0, 5))).toEqual(['\r[>  ', '\r\x1b[K', 'line\n', '\r[>  ']);
  });

  test('leaves nothing behind: no line, no timer', () => {
    const { progress, writes, advance, waiting } = drawing(true);
    progress.event({ type: 'started', device: 'fw1' });
    advance(100);
    progress.event({ type: 'ended', ended: ended('fw1', unchanged) });
    progress.end();
    expect(writes.at(-1)).toBe('\r\x1b[K');
    expect(waiting()).toBe(0);
    progress.event({ type: 'started', device: 'fw2' });
    expect(waiting()).toBe(0);
  });

  test('is not drawn where there is no terminal', () => {
    const { progress, writes, advance, waiting } = drawing(false);
    progress.event({ type: 'started', device: 'fw1' });
    advance(100);
    progress.around(() => writes.push('line\n'));
    progress.end();
    expect(writes).toEqual(['line\n']);
    expect(waiting()).toBe(0);
  });

  test('counts devices and bytes, and fits the terminal', () => {
    const running = new Map([
      ['fw3', 2_048],
      ['fw4', 0],
    ]);
    expect(progressLine({ total: 4, done: 2, doneBytes: 1_024, running }, 80)).toBe(
      '[==========>         ] 2/4  3.0 KiB  fw3 (2.0 KiB), fw4',
    );
    const many = new Map(Array.from({ length: 32 }, (_, index) => [`firewall-${index}`, 1] as const));
    for (const width of [10, 40, 80])
      expect(progressLine({ total: 50, done: 50, doneBytes: 0, running: many }, width).length).toBeLessThan(
        width,
      );
  });
});
