import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { anyOf, withFlags } from '../../src/pipeline/lines.ts';

const drivers = [...(await loadDrivers()).values()];
const rules = drivers.flatMap(({ secrets, volatile }) => [...secrets, ...volatile]);

/** Lines that rules were written for, whole and damaged. */
const line = fc
  .tuple(
    fc.constantFrom(...rules.flatMap(({ example }) => example.split('\n'))),
    fc.nat(80),
    fc.nat(80),
    fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.constantFrom(' ', '  ', '\t', '"', 'x', ' set ')),
  )
  .map(([example, from, length, put]) =>
    put === '' ? example : example.slice(0, from) + put + example.slice(from + (length % 4)),
  );

describe('whether any of several expressions matches a line', () => {
  it.each(drivers.map((driver) => [driver.id, driver] as const))(
    'is what asking each of them comes to, for %s',
    (_id, { secrets, volatile }) => {
      for (const own of [secrets, volatile]) {
        const patterns = own.map((rule) => rule.line);
        const any = anyOf(patterns);
        fc.assert(
          fc.property(line, (text) => {
            expect(any(text)).toBe(patterns.some((pattern) => withFlags(pattern, '').test(text)));
          }),
          { numRuns: 500 },
        );
      }
    },
  );

  it.each([
    [[/^\s+a|b$/, /^\s+c/], 'x b', true],
    [[/^\s+(?:a|b)c/, /^\s+d/], '  bc', true],
    [[/^\s+(?:a|b)c/, /^\s+d/], 'bc', false],
    [[/^\s+[|]x/, /^\s+y/], ' |x', true],
    [[/^\s*\|x/, /^\s*y/], '|x', true],
    [[/^\s* {2}a/, /^\s*b/], '  a', true],
    [[/A/i, /b/], 'xa', true],
    [[/(x)\1/, /y/], 'xx', true],
    [[], 'anything', false],
  ] as const)('holds for %s and %j', (patterns, text, expected) => {
    expect(anyOf([...patterns])(text)).toBe(expected);
  });
});
