import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalise } from '../../src/pipeline/normalise.ts';
import { secondsOf, tiny } from './tiny-driver.ts';

describe('normalise', () => {
  it('drops volatile lines and spans, and masks the volatile part of others', () => {
    const text = 'begin\nuptime 3 days\nstats\n a 1\nend-stats\nwritten at 12:01 by x\nend\n';
    expect(normalise(tiny, text)).toBe('begin\nwritten at <volatile> by x\nend\n');
  });

  it('keeps a span that never closes', () => {
    expect(normalise(tiny, 'begin\nstats\n a 1\n')).toBe('begin\nstats\n a 1\n');
  });

  it('closes a span at the first later line that ends it, not at its own', () => {
    expect(normalise(tiny, 'stats\nstats\nend-stats\nend-stats\n')).toBe('end-stats\n');
    const fence = {
      line: /^-+$/,
      until: /^-+$/,
      act: 'drop',
      because: 'a table',
      example: '--\n--',
    } as const;
    expect(normalise({ ...tiny, volatile: [fence] }, 'a\n--\nb\n--\nc\n--\n')).toBe('a\nc\n--\n');
  });

  it('ends every line in a line feed', () => {
    expect(normalise(tiny, 'a\nb')).toBe('a\nb\n');
    expect(normalise(tiny, '')).toBe('');
  });

  it('changes nothing the second time', () => {
    const line = fc.constantFrom(
      'a',
      'uptime 1',
      'stats',
      'end-stats',
      'written at 1',
      'written at <volatile>',
      '',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.string())), (lines) => {
        const once = normalise(tiny, lines.join('\n'));
        expect(normalise(tiny, once)).toBe(once);
      }),
    );
  });

  it('reads a text full of spans that never close once', () => {
    expect(secondsOf(() => normalise(tiny, 'stats\n'.repeat(200_000)))).toBeLessThan(10);
  });
});
