import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { cases, howMany, shownFiles } from './cases.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('the table of faults', () => {
  it('holds each of the 67 cases exactly once', () => {
    const numbers = cases.map(({ number }) => number);
    expect(numbers).toEqual(Array.from({ length: howMany }, (_, index) => index + 1));
  });

  it('names no file that is not there, and every file that is run on demand', () => {
    expect(shownFiles.filter((file) => !existsSync(`${root}${file}`))).toEqual([]);
    const onDemand = readdirSync(`${root}test/faults`).filter((name) => name.endsWith('.faults.ts'));
    expect(onDemand.filter((name) => !shownFiles.includes(`test/faults/${name}`))).toEqual([]);
  });

  it.each(cases.map((one) => [one.number, one] as const))(
    'case %d names tests that are there',
    (_number, one) => {
      const absent = one.shown.flatMap(({ file, names }) => {
        const text = existsSync(`${root}${file}`) ? readFileSync(`${root}${file}`, 'utf8') : '';
        return names.filter((name) => !asWritten(name).some((written) => text.includes(written)));
      });
      expect(absent).toEqual([]);
      // A trial may stand without a test, and then tells how it was tried.
      expect(one.shown.length > 0 || (one.tier === 'trial' && one.note !== null)).toBe(true);
      // What runs at every commit is found by `npm test`; what runs on demand is not.
      const files = one.shown.map(({ file }) => file);
      const wrong = one.tier === 'demand' ? files.every((file) => file.endsWith('.test.ts')) : false;
      expect(wrong || files.some((file) => one.tier === 'commit' && file.endsWith('.faults.ts'))).toBe(false);
    },
  );
});

/** A name in each kind of quotes. */
function asWritten(name: string): readonly string[] {
  return [`'${name.replaceAll("'", "\\'")}'`, `"${name}"`, `\`${name.replaceAll('`', '\\`')}\``];
}
