import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTranscript, maskingTranscript } from '../../src/transport/transcript.ts';

const all = (text: string) => text;

describe('a transcript', () => {
  it('shows who said what, with control characters written out', () => {
    const transcript = createTranscript({ limitBytes: 1000 });
    transcript.received('fw1');
    transcript.received('# ');
    transcript.sent('show\n');
    transcript.received('show\r\n\x1b[7mtext\x00\n');
    transcript.note('closed by the device');
    expect(transcript.render(all)).toBe(
      '< fw1# \n> show\n< show\\x0d\n< \\x1b[7mtext\\x00\n# closed by the device\n',
    );
  });

  it('keeps the beginning and the end, and says how much is missing', () => {
    const transcript = createTranscript({ limitBytes: 20_000 });
    transcript.received('BEGIN\n');
    for (let index = 0; index < 100_000; index++) transcript.received('x');
    transcript.received('\nEND\n');
    expect(transcript.render(all).length).toBeLessThan(20_000 + 8_192);
    expect(transcript.render(all)).toMatch(/^< BEGIN\n< x+\n# \d+ bytes are left out here\n< x+\n< END\n$/);
  });

  it('one piece larger than the limit is cut as well', () => {
    const transcript = createTranscript({ limitBytes: 20_000 });
    transcript.received(`BEGIN${'x'.repeat(5_000_000)}END`);
    expect(transcript.render(all).length).toBeLessThan(20_000 + 8_192);
    expect(transcript.render(all)).toMatch(/^< BEGINx+\n# \d+ bytes are left out here\n< x+END\n$/);
  });

  it('whoever redacts gets the text without our marks, and is told where a line was cut', () => {
    const transcript = createTranscript({ limitBytes: 60 });
    transcript.received('fw1# ');
    transcript.sent('show\n');
    transcript.received('show\r\nhalf a line');
    transcript.received(`${'x'.repeat(100)}end\n`);
    const told: [string, boolean][] = [];
    const text = transcript.render((piece, midLine) => {
      told.push([piece.slice(0, 6), midLine]);
      return 'redacted\n';
    });
    expect(told).toEqual([
      ['fw1# ', false],
      ['show\r\n', false],
      ['xxxxxx', true],
    ]);
    expect(text).toMatch(/^< redacted\n> show\n< redacted\n# \d+ bytes are left out here\n< redacted\n$/);
  });

  it('a key that was pressed inside of a line does not begin a new one', () => {
    const transcript = createTranscript({ limitBytes: 1000 });
    transcript.received('set comment "x --More-- ');
    transcript.sent(' ');
    transcript.received('y"\n');
    const told: boolean[] = [];
    transcript.render((piece, midLine) => {
      told.push(midLine);
      return piece;
    });
    expect(told).toEqual([false, true]);
  });
});

describe('masking', () => {
  it('finds a secret however it is cut, and changes nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('hunter2-x', 'hunter', 'h', 'text\r\n', 'r2-')),
        fc.array(fc.nat(9)),
        (words, cuts) => {
          const kept = createTranscript({ limitBytes: 100_000 });
          const masking = maskingTranscript(kept);
          masking.hide('hunter2-x');
          const text = words.join('');
          let from = 0;
          for (const cut of cuts) {
            masking.received(text.slice(from, from + cut));
            from = Math.min(text.length, from + cut);
          }
          masking.received(text.slice(from));
          masking.flush();
          const expected = createTranscript({ limitBytes: 100_000 });
          expected.received(text.replaceAll('hunter2-x', '«masked»'));
          expect(kept.render(all)).toBe(expected.render(all));
        },
      ),
    );
  });

  it('finds a secret on the edge of what is handed on at a time', () => {
    for (let before = 4_080; before < 4_100; before++) {
      const kept = createTranscript({ limitBytes: 100_000 });
      const masking = maskingTranscript(kept);
      masking.hide('hunter2-x');
      for (const byte of `${'.'.repeat(before)}hunter2-x rest`) masking.received(byte);
      masking.flush();
      expect(kept.render(all)).toBe(`< ${'.'.repeat(before)}«masked» rest\n`);
    }
  });
});
