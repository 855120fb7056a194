import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gitIn } from '../../src/gitstore/git.ts';
import { countOneChange } from '../../src/gitstore/one-change.ts';
import { describeWith } from '../support/system.ts';

const count = (before: string, after: string) =>
  countOneChange(Buffer.from(before, 'latin1'), Buffer.from(after, 'latin1'));

describe('a change in a single stretch', () => {
  it.each([
    ['lines that were added', 'a\nb\n', 'a\nx\ny\nb\n', 2, 0],
    ['lines that went', 'a\nx\ny\nb\n', 'a\nb\n', 0, 2],
    ['lines that were replaced', 'a\nold\nb\n', 'a\nnew 1\nnew 2\nb\n', 2, 1],
    ['a line that begins and ends like the one before it', 'a 10 b\n', 'a 20 b\n', 1, 1],
    ['one more of the same line', 'a\n!\n!\nb\n', 'a\n!\n!\n!\nb\n', 1, 0],
    ['a line that lost its end', 'a\nb\n', 'a\nb', 1, 1],
    ['a first text', '', 'a\nb\n', 2, 0],
    ['a text that went', 'a\nb', '', 0, 2],
    ['nothing', 'a\nb\n', 'a\nb\n', 0, 0],
    ['bytes that are no text', 'a\n\x00\xff\nb\n', 'a\n\x00\xfe\nb\n', 1, 1],
  ])('%s', (_what, before, after, addedLines, removedLines) => {
    expect(count(before, after)).toEqual({ addedLines, removedLines });
  });

  it('two changes with something unchanged between them are left to git, and so is a stretch that is long', () => {
    expect(count('a\nb\nc\n', 'x\nb\ny\n')).toBeNull();
    const long = (word: string) => Array.from({ length: 3_000 }, (_, index) => `${word} ${index}\n`).join('');
    expect(count(long('a'), long('b'))).toBeNull();
  });

  it('is found at any place of a text that is longer than what is compared at once', () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`);
    for (const at of [0, 1, 9_999, 19_999]) {
      const changed = lines.with(at, 'another\n');
      expect(count(lines.join(''), changed.join(''))).toEqual({ addedLines: 1, removedLines: 1 });
    }
  });
});

describeWith('git', 'a change that is counted without git', () => {
  let dir = '';
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'roundsman-one-change-'));
    await mkdir(join(dir, 'objects'));
    await gitIn(dir, 'git').must(['init', '--quiet', '--bare', '.']);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('is counted as git counts it where it looks for the fewest lines', async () => {
    const git = gitIn(dir, 'git');
    const blob = async (text: string) =>
      (await git.must(['hash-object', '-w', '--stdin'], Buffer.from(text, 'latin1'))).toString().trim();
    const line = fc.constantFrom('a\n', 'b\n', 'c\n', '!\n', ' d\n');
    const text = fc.array(line, { maxLength: 8 }).map((lines) => lines.join(''));
    const fresh = fc
      .array(fc.constantFrom('x\n', 'y\n', 'x'), { maxLength: 3 })
      .map((lines) => lines.join(''));
    const changed = fc.tuple(text, fresh, fresh, text);
    await fc.assert(
      fc.asyncProperty(changed, async ([start, old, now, end]) => {
        const [before, after] = [start + old + end, start + now + end];
        const own = count(before, after);
        if (own === null || before === after) return;
        const told = await git.must([
          ...['diff', '--numstat', '--minimal', '--text', await blob(before), await blob(after)],
        ]);
        const [added, removed] = told.toString().split('\t');
        expect(own).toEqual({ addedLines: Number(added), removedLines: Number(removed) });
      }),
      { numRuns: 60 },
    );
  });
});
