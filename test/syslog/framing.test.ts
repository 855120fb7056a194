import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Framer } from '../../src/syslog/framing.ts';

function framed(chunks: readonly (string | Buffer)[]): { messages: string[]; good: boolean; framer: Framer } {
  const messages: string[] = [];
  const framer = new Framer((text) => messages.push(text));
  const good = chunks.every((chunk) =>
    framer.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, 'latin1')),
  );
  return { messages, good, framer };
}

/** Cuts a text at these places. */
function cut(text: string, at: readonly number[]): string[] {
  const places = [0, ...[...at].map((n) => n % (text.length + 1)).sort((a, b) => a - b), text.length];
  return places.slice(1).map((to, index) => text.slice(places[index], to));
}

describe('messages in a stream', () => {
  it('counts octets where a length stands in front, so that a message may hold line feeds', () => {
    expect(framed(['10 <13>a\nb\r\nc6 <14>d\n']).messages).toEqual(['<13>a\nb\r\nc', '<14>d\n']);
  });

  it('ends at a line feed otherwise, with or without a carriage return or a NUL', () => {
    expect(framed(['<13>a\n<13>b\r\n\0\n2024 was a year\n12\n']).messages.map((text) => text.trim())).toEqual(
      ['<13>a', '<13>b', '2024 was a year', '12'],
    );
  });

  it('takes both from one sender, and a line feed after a counted message', () => {
    expect(framed(['5 <1>ab\n<2>line\n5 <3>cd']).messages).toEqual(['<1>ab', '<2>line', '<3>cd']);
  });

  it('a last line without a line feed is a message, half of a counted one is none', () => {
    const line = framed(['<13>last']);
    line.framer.end();
    expect(line.messages).toEqual(['<13>last']);
    const counted = framed(['40 <13>half']);
    expect(counted.framer.partial).toBe(true);
    counted.framer.end();
    expect(counted.messages).toEqual([]);
  });

  it('whatever the chunks are, the messages are the same', () => {
    const message = fc.string({
      unit: fc.constantFrom('a', '<', '>', ' ', '1', '9', '\n', '\xff'),
      maxLength: 40,
    });
    const stream = fc.array(
      fc.oneof(
        message.map((text) => `<13>${text.replaceAll('\n', '')}\n`),
        message.map((text) => `${text.length + 4} <13>${text}`),
      ),
    );
    fc.assert(
      fc.property(stream, fc.array(fc.nat()), (parts, at) => {
        const text = parts.join('');
        expect(framed(cut(text, at)).messages).toEqual(framed([text]).messages);
        expect(framed([text]).messages).toHaveLength(parts.length);
      }),
    );
  });

  it('keeps the beginning of a long message and gives up on one without an end', () => {
    const long = framed([`<13>${'a'.repeat(60_000)}\n<13>b\n`]);
    expect(long.messages.map((text) => text.length)).toEqual([4_096, 5]);
    const endless = framed(Array.from({ length: 100 }, () => 'a'.repeat(1_000)));
    expect(endless.good).toBe(false);
    expect(framed(['99999 <13>']).good).toBe(false);
    expect(framed(['1'.repeat(70_000)]).good).toBe(false);
  });

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
        const { messages } = framed(chunks.map((chunk) => Buffer.from(chunk)));
        expect(messages.every((text) => text.length <= 4_096)).toBe(true);
      }),
    );
  });
});
