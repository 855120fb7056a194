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

  describe('with rules for a part of the configuration', () => {
    const because = 'it counts';
    const version = { line: /^ version /, act: 'drop', because, example: ' version 1' } as const;
    const inDevice = { ...version, inSection: /^device / } as const;
    const script = { line: /^script __/, act: 'drop-block', because, example: 'script __x\n a' } as const;
    const outline = tiny.outline;

    it('drops a line only inside of its section', () => {
      expect(
        normalise({ ...tiny, volatile: [inDevice] }, 'device a\n version 1\n name x\nother\n version 2\n'),
      ).toBe('device a\n name x\nother\n version 2\n');
    });

    it('masks a line only inside of its section', () => {
      const masking = { ...inDevice, line: /^ version (?<volatile>\S+)/, act: 'mask' } as const;
      expect(normalise({ ...tiny, volatile: [masking] }, 'device a\n version 1\nother\n version 2\n')).toBe(
        'device a\n version <volatile>\nother\n version 2\n',
      );
    });

    it('keeps everything where the outline knows no such section', () => {
      const text = 'device a\n version 1\nscript __x\n a\n';
      const blind = { ...tiny, volatile: [inDevice, script], outline: () => [] };
      expect(normalise(blind, text)).toBe(text);
    });

    it('drops a block whole, whatever stands in it', () => {
      const text = 'a\nscript __x\n end-stats\n }\nscript y\n b\n';
      expect(normalise({ ...tiny, volatile: [script] }, text)).toBe('a\nscript y\n b\n');
    });

    it('drops no block that lies in another one', () => {
      const nested = {
        ...tiny,
        volatile: [{ ...script, line: /^ inner$/ }],
        outline: () => [
          { firstLine: 0, lastLine: 3, section: 'a', title: 'a' },
          { firstLine: 1, lastLine: 2, section: 'a', title: 'a > inner' },
        ],
      };
      expect(normalise(nested, 'a\n inner\n  x\n y\n')).toBe('a\n inner\n  x\n y\n');
    });

    it('asks for the outline only where a rule could need it', () => {
      let asked = 0;
      const counting = {
        ...tiny,
        volatile: [inDevice, script],
        outline: (text: string) => {
          asked++;
          return outline(text);
        },
      };
      normalise(counting, 'a\n b\n');
      expect(asked).toBe(0);
      normalise(counting, 'device a\n version 1\nscript __x\n c\n');
      expect(asked).toBe(1);
    });

    it('changes nothing the second time', () => {
      const line = fc.constantFrom(
        'device a',
        ' version 1',
        'script __x',
        ' a',
        'b',
        '',
        'stats',
        'end-stats',
      );
      const driver = { ...tiny, volatile: [...tiny.volatile, inDevice, script] };
      fc.assert(
        fc.property(fc.array(line), (lines) => {
          const once = normalise(driver, lines.join('\n'));
          expect(normalise(driver, once)).toBe(once);
        }),
      );
    });
  });

  it('ends every line in a line feed', () => {
    expect(normalise(tiny, 'a\nb')).toBe('a\nb\n');
    expect(normalise(tiny, '')).toBe('');
  });

  it('takes the carriage returns of a file off its lines, and none from within', () => {
    expect(normalise(tiny, 'a\r\nb\rc\r\r\n\r\n')).toBe('a\nb\rc\n\n');
  });

  it('drops the lines of the blocks that the driver picks, and no others that look alike', () => {
    const block = (firstLine: number, lastLine: number) => ({
      firstLine,
      lastLine,
      section: '',
      title: '',
    });
    const rule = { line: /x/, act: 'drop', because: 'not ours', example: 'x' } as const;
    const driver = { outline: () => [], volatile: [{ ...rule, within: () => [block(1, 2)] }] };
    expect(normalise(driver, 'x 0\nx 1\ny 2\nx 3\n')).toBe('x 0\ny 2\nx 3\n');
    const never = { outline: () => [block(0, 3)], volatile: [{ ...rule, within: () => [] }] };
    expect(normalise(never, 'x 0\nx 1\n')).toBe('x 0\nx 1\n');
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
