import { describe, expect, it } from 'vitest';
import type { Driver } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { hidingByValue } from '../../src/pipeline/by-value.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import { normalise } from '../../src/pipeline/normalise.ts';
import { leaks, redact } from '../../src/pipeline/redact.ts';
import { redactDisplay } from '../../src/pipeline/redact-display.ts';
import { shapes } from '../../src/pipeline/shapes.ts';
import { atOnce } from '../../src/pipeline/turns.ts';

/*
 * Ten times the text costs about ten times the time, for everything that reads what a device sent. The yardstick is the
 * same text, a tenth of it, in the same run, and one plain pass over it: a slow machine is slow at all three.
 */

const mask = createMask(Buffer.alloc(32, 7), 'cost');
/** `N` is another word each time. */
const pieces = [
  '\n',
  '\r\n',
  ' ',
  'a',
  '"',
  '\\',
  '://a:b@',
  '?token=abcd&',
  '$M$xQ$bm90IGE ',
  '<secret:abcdef> ?token=<secret:abcdef>&',
  '--More--',
  'Switching to ',
  'Serial Number: Ours N, Mate 1',
  'auth partition N {\n}\n',
  'ltm pool N {\n\n\n}\n',
  '/config/zebos/rd1/ZebOS.conf\n',
  'context N\n config-url disk0:/N.cfg\n',
  ' password N\n',
  'set password "N-N-N"\n',
  'config system ha\nset interface "N"\nend\n',
  '-----BEGIN RSA PRIVATE KEY-----',
  'set N a b c\n',
  '}\n',
  ...shapes.map(({ examples }) => `${examples[0].trim()} `),
];

function textOf(piece: string, size: number): string {
  const parts: string[] = [];
  for (let length = 0, index = 0; length < size; index++) {
    const part = piece.replaceAll('N', `n${index.toString(36)}`);
    parts.push(part);
    length += part.length;
  }
  return `ASA Version 9\n${parts.join('')}`;
}

type Reader = readonly [name: string, read: (text: string) => unknown];

function readersOf(driver: Driver): readonly Reader[] {
  const structures = driver.commands.flatMap((command) =>
    command.keep === 'artefact' ? [command.wholeWhen.structure] : [],
  );
  const lists = driver.commands.flatMap((command) =>
    command.keep === 'archive' || command.forEach === undefined ? [] : [command.forEach.items],
  );
  const known = new Set<string>(driver.commands.map(({ name }) => name));
  const seenIn = (text: string) => ({
    // What was asked once for an item is another text each time, and is not there.
    text: (name: string) => (known.has(name) ? text : null),
    options: { profiles: true, method: 'shell' },
    dialogue: 'bash',
  });
  return [
    ['normalise', (text) => normalise(driver, text, true)],
    ['redact', (text) => redact(driver, text, mask)],
    ['leaks', (text) => leaks(text)],
    ['redactDisplay', (text) => redactDisplay(driver, text, { beginsMidLine: true })],
    ['outline', (text) => driver.outline(text)],
    ['structure', (text) => structures.map((structure) => structure?.(text))],
    ['items', (text) => lists.map((items) => items(text, seenIn(text)))],
    ['state', (text) => driver.state?.(seenIn(text))],
  ];
}

function timeOf(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

let sink = 0;
function plainPass(text: string): void {
  for (let at = 0; at < text.length; at++) sink = (sink + text.charCodeAt(at)) | 0;
}

/** Null where it is cheap enough; else how it grew. */
function growth(read: (text: string) => unknown, small: string, large: string): string | null {
  const plain = Math.max(
    1,
    timeOf(() => plainPass(large)),
  );
  let slow = timeOf(() => read(large));
  // Each secret of a text that is nothing but secrets costs a fingerprint: hundreds of plain passes, and no more.
  if (slow < 300 * plain) return null;
  read(small);
  const fast = Math.min(
    timeOf(() => read(small)),
    timeOf(() => read(small)),
  );
  // Noise only ever adds.
  slow = Math.min(
    slow,
    timeOf(() => read(large)),
  );
  return slow > 40 * fast ? `${slow.toFixed(0)} ms for ten times what takes ${fast.toFixed(1)} ms` : null;
}

describe.each([...(await loadDrivers())])(
  'whatever is read as a %s costs what its size is',
  (_id, driver) => {
    it.each(readersOf(driver))('%s', (_name, read) => {
      const slow: Record<string, string> = {};
      for (const piece of pieces) {
        const said = growth(read, textOf(piece, 10_000), textOf(piece, 100_000));
        if (said !== null) slow[piece] = said;
      }
      expect(slow).toEqual({});
    });
  },
);

describe('secrets that are looked for by value', () => {
  it('cost a step for each of their characters, however many begin alike', () => {
    const found = new Map(
      Array.from({ length: 240 }, (_, index) => {
        const value = `${'!'.repeat(8 + index)}x${'!'.repeat(4)}`;
        return [value, '<secret:abcdef>'] as const;
      }),
    );
    const text = '!'.repeat(200_000);
    // As few as are looked for in one pass and not each by itself; one by itself costs next to nothing.
    const fewer = new Map([...found].slice(-45));
    const alone = Math.max(
      20,
      timeOf(() => atOnce(hidingByValue(text, fewer, () => new Set()))),
    );
    expect(timeOf(() => atOnce(hidingByValue(text, found, () => new Set()))) / alone).toBeLessThan(12);
  });
});
