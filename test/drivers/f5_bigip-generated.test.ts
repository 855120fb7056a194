import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { driver } from '../../src/drivers/f5_bigip.ts';
import { judged, masked } from '../support/driver-probe.ts';

/*
 * Configurations that nobody wrote: objects with blocks in blocks, lists, quoted values over several lines, and Tcl,
 * whose braces close and whose quotes need not.
 */

const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,11}$/);
const partition = fc.constantFrom('/Common', '/Sales', '/Tenant-A/shop', 'Common', '');
const path = fc.tuple(partition, word).map(([folder, name]) => (folder === '' ? name : `${folder}/${name}`));
const kind = fc.constantFrom(
  'ltm pool',
  'ltm virtual',
  'net self',
  'sys file ssl-cert',
  'auth user',
  'gtm wideip a',
);

/** What a brace in data looks like. */
const escaped = (text: string): string => text.replace(/[\\{}]/g, '\\$&');
const value = fc.oneof(
  word,
  path,
  fc.constantFrom('none', '192.0.2.1/24', '{ }', '{ a b }', '"#"', '"it\'s"'),
  fc.string({ maxLength: 20 }).map((text) => `"${escaped(text).replace(/["\n\r]/g, ' ')}"`),
  fc.array(word, { minLength: 2, maxLength: 4 }).map((lines) => `"${lines.join('\n')}\n"`),
);

const block = fc.letrec<{ block: readonly string[] }>((tie) => ({
  block: fc.array(
    fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.tuple(word, value).map(([name, text]) => `${name} ${text}`),
      fc
        .tuple(word, tie('block'))
        .map(([name, lines]) => [`${name} {`, ...lines.map((line) => `    ${line}`), '}'].join('\n')),
    ),
    { maxLength: 5 },
  ),
})).block;

/** Bodies stand as they were typed: a `}` in the first column, quotes without an end. */
const tcl = fc.array(
  fc.constantFrom(
    'when HTTP_REQUEST {\n    log local0. "x\n}',
    "# it isn't a quote",
    'if { [HTTP::uri] eq "\\{" } {\n}',
    '    set braces "\\} \\}"',
    'foreach x {a b} { puts $x }',
    '    backup@(lb1)(Active)(/Common)(tmos)# ',
    '',
  ),
  { minLength: 1, maxLength: 6 },
);

const object = fc.oneof(
  fc.tuple(kind, path, block).map(([what, name, lines]) => {
    const body = lines.map((line) => `    ${line}\n`).join('');
    return lines.length === 0 ? `${what} ${name} { }\n` : `${what} ${name} {\n${body}}\n`;
  }),
  fc.tuple(path, tcl).map(([name, lines]) => `ltm rule ${name} {\n${lines.join('\n')}\n}\n`),
);
const objects = fc.array(object, { minLength: 3, maxLength: 12 });

const outer = (text: string): string[] =>
  driver
    .outline(text)
    .map(({ title }) => title)
    .filter((title) => !title.includes(' > '));

describe('a configuration that nobody wrote', () => {
  it('is whole, and each of its objects has its title', () => {
    fc.assert(
      fc.property(objects, (all) => {
        const text = all.join('');
        expect(judged(driver, text)).toEqual({ whole: true });
        expect(outer(text)).toHaveLength(all.length);
      }),
    );
  });

  it('that was cut anywhere is not whole, or was cut between two objects, which are then the first of all', () => {
    fc.assert(
      fc.property(objects, fc.nat(), (all, at) => {
        const text = all.join('');
        const cut = text.slice(0, at % text.trimEnd().length);
        if (!judged(driver, `${cut}\n`).whole) return;
        const kept = outer(cut);
        expect(kept.length).toBeLessThan(all.length);
        expect(kept).toEqual(outer(text).slice(0, kept.length));
        // Nothing of an object is there without the rest of it.
        expect(all.slice(0, kept.length).join('').trimEnd()).toBe(cut.trimEnd());
      }),
    );
  });

  it('is whole when it is masked, and masked once is masked for good', () => {
    fc.assert(
      fc.property(objects, (all) => {
        const once = masked(driver, all.join(''));
        expect(masked(driver, once)).toBe(once);
        expect(judged(driver, once)).toEqual({ whole: true });
      }),
    );
  });

  it('with a brace too many or too few anywhere outside of data is not whole', () => {
    fc.assert(
      fc.property(objects, fc.nat(), fc.boolean(), (all, at, opens) => {
        const lines = all.join('').split('\n');
        const where = at % lines.length;
        const spoiled = [...lines.slice(0, where), opens ? 'x {' : '}', ...lines.slice(where)].join('\n');
        expect(judged(driver, spoiled).whole).toBe(false);
      }),
    );
  });
});
