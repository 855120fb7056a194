import { applyPatch } from 'diff';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Block } from '../../src/drivers/driver.ts';
import { type DiffLine, diffText, type Hunk, hunkHeader, type TextDiff } from '../../src/pipeline/diff.ts';
import { secondsOf, tinyOutline } from './tiny-driver.ts';

const sign = { same: ' ', added: '+', removed: '-' } as const;
const print = (lines: readonly DiffLine[]): string =>
  lines.map((line) => `${sign[line.kind]}${line.text}\n`).join('');
const printed = (hunks: readonly Hunk[]): string =>
  hunks.map((hunk) => `${hunkHeader(hunk)}\n${print(hunk.lines)}`).join('');

function diff(before: string, after: string, context = 3): Extract<TextDiff, { kind: 'hunks' }> {
  const result = diffText(before, after, tinyOutline(before), tinyOutline(after), { context });
  if (result.kind !== 'hunks') throw new Error('gave up');
  return result;
}

describe('diffText', () => {
  it('names the section of a change', () => {
    const before = 'interface a\n one\n two\ninterface b\n one\n two\n';
    const { hunks, addedLines, removedLines } = diff(before, before.replace('b\n one', 'b\n three'), 1);
    expect(printed(hunks)).toBe('@@ -4,3 +4,3 @@ interface b\n interface b\n- one\n+ three\n  two\n');
    expect([addedLines, removedLines]).toEqual([1, 1]);
  });

  it('shows changes in two sections as two hunks, each beginning with its own', () => {
    const before = 'interface a\n one\n two\ninterface b\n one\n two\n';
    const after = 'interface a\n ONE\n two\ninterface b\n ONE\n two\n';
    expect(printed(diff(before, after).hunks)).toBe(
      [
        '@@ -1,3 +1,3 @@ interface a',
        ' interface a',
        '- one',
        '+ ONE',
        '  two',
        '@@ -4,3 +4,3 @@ interface b',
        ' interface b',
        '- one',
        '+ ONE',
        '  two',
        '',
      ].join('\n'),
    );
  });

  it('shows changes of one section that are near in one hunk', () => {
    const before = 'interface a\n 1\n 2\n 3\n 4\n';
    expect(diff(before, before.replace('1', 'x').replace('4', 'y'), 1).hunks).toHaveLength(1);
    expect(diff(before, before.replace('1', 'x').replace('4', 'y'), 0).hunks).toHaveLength(2);
  });

  it('gives the whole way to a nested block, and keeps a block and its parts together', () => {
    const outline: Block[] = [
      { firstLine: 0, lastLine: 6, section: 'config', title: 'config policy' },
      { firstLine: 1, lastLine: 3, section: 'config', title: 'edit 1' },
      { firstLine: 4, lastLine: 5, section: 'config', title: 'edit 2' },
    ];
    const before = 'config policy\nedit 1\nset a\nnext\nedit 2\nnext\nend\n';
    const result = diffText(before, before.replace('set a', 'set b'), outline, outline, { context: 0 });
    expect(result).toMatchObject({ hunks: [{ sections: ['config policy', 'edit 1'] }] });
    const gone = diffText(before, '', outline, [], { context: 0 });
    expect(gone).toMatchObject({
      hunks: [{ sections: ['config policy', 'edit 1'] }, { sections: ['config policy', 'edit 2'] }],
    });
  });

  it('has nothing to show of two texts that are alike', () => {
    expect(diff('a\nb\n', 'a\nb').hunks).toEqual([]);
    expect(diff('', '')).toEqual({ kind: 'hunks', hunks: [], addedLines: 0, removedLines: 0 });
  });

  it('counts like a unified diff where one side has no lines', () => {
    expect(printed(diff('', 'x 1\n').hunks)).toBe('@@ -0,0 +1,1 @@ x 1\n+x 1\n');
    expect(printed(diff('x 1\ny 1\n', 'x 1\n', 0).hunks)).toBe('@@ -2,1 +1,0 @@ y 1\n-y 1\n');
  });

  it('gives up on texts that have nothing in common, and still counts', () => {
    const text = (word: string): string => Array.from({ length: 2000 }, (_, i) => `${word} ${i}\n`).join('');
    const options = { context: 3, mostChanges: 100 };
    const result = diffText(`same\n${text('a')}`, `${text('b')}same\nmore\n`, [], [], options);
    expect(result).toEqual({ kind: 'too-different', addedLines: 2001, removedLines: 2000 });
  });

  it('does not search where two texts have too few lines in common for that', () => {
    const text = (word: string): string =>
      Array.from({ length: 50_000 }, (_, i) => `${word} ${i}\n`).join('');
    const [a, b, options] = [text('a'), text('b'), { context: 3, mostChanges: 50_000 }];
    const unrelated = secondsOf(() => diffText(a, b, [], [], options));
    expect(diffText(a, b, [], [], options).kind).toBe('too-different');
    // The same texts, when it has to search for as long as it may.
    const searched = secondsOf(() => diffText(a, b, [], [], { ...options, mostChanges: 200_000 }));
    expect(unrelated).toBeLessThan(searched / 3);
  });

  it('makes a patch that turns one text into the other', () => {
    const line = fc.constantFrom('a', 'b', ' x', ' y', 'interface a', 'interface b', '');
    fc.assert(
      fc.property(fc.array(line), fc.array(line), fc.nat(4), (a, b, context) => {
        const [before, after] = [a, b].map((lines) => lines.map((text) => `${text}\n`).join('')) as [
          string,
          string,
        ];
        const { hunks, addedLines, removedLines } = diff(before, after, context);
        const patch = `--- a\n+++ b\n${printed(hunks)}`;
        expect(applyPatch(before, patch)).toBe(after);
        const count = (kind: DiffLine['kind']): number =>
          hunks.flatMap((hunk) => hunk.lines).filter((one) => one.kind === kind).length;
        expect([count('added'), count('removed')]).toEqual([addedLines, removedLines]);
      }),
      { numRuns: 1000 },
    );
  });

  it('withstands an outline that fits no text', () => {
    const odd: Block[] = [
      { firstLine: 5, lastLine: 900, section: 's', title: 't' },
      { firstLine: 0, lastLine: -3, section: 's', title: 'u' },
    ];
    expect(diffText('a\n', 'b\n', odd, odd, { context: 1 })).toMatchObject({ kind: 'hunks' });
  });

  it('reads many small changes in time', () => {
    const before = Array.from({ length: 60_000 }, (_, i) => `interface ${i}\n x ${i}\n`).join('');
    const after = before.replaceAll(/ x (\d*00)\n/g, ' y $1\n');
    expect(secondsOf(() => diff(before, after))).toBeLessThan(15);
  });
});
