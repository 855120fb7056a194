import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  exactText,
  findEcho,
  lastLine,
  lastRow,
  lastVisibleLine,
  renderLine,
  sameHost,
} from '../../src/transport/screen.ts';

const isPrompt = (text: string) => /^fw1# ?$/.test(text);

describe('a rendered line', () => {
  it.each([
    ['\rfw1# ', 'fw1# '],
    ['--More-- \r         \rfw1 # ', 'fw1 # '],
    ['abc\b\bX', 'aXc'],
    ['old text\r\x1b[Kfw1# ', 'fw1# '],
    ['\x1b[7m---(less 12%)---\x1b[m\x1b[K', '---(less 12%)---'],
    ['\x1b]0;title\x07fw1# ', 'fw1# '],
    ['\x1b[?2004hfw1# \x00\x07', 'fw1# '],
    ['long line\rfw1# ', 'fw1# line'],
    ['\x1b[2Kx', 'x'],
    ['ab\x1b[3Dc', 'cb'],
  ])('%j shows %j', (raw, shown) => {
    expect(renderLine(raw).text).toBe(shown);
  });

  it('knows where each character came from', () => {
    expect(renderLine('xx\rab').at).toEqual([3, 4]);
    expect(lastLine('one\nab', true)?.at).toEqual([4, 5]);
  });

  it('whatever bytes come, never throws and never shows a control character', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) }),
        (raw) => {
          expect(renderLine(raw).text).not.toMatch(/[\x00-\x08\x0a-\x1f]/);
          expect(typeof lastVisibleLine(raw)).toBe('string');
        },
      ),
    );
  });

  it('hostile sequences neither hang nor show', () => {
    for (const raw of [
      '\x1b]'.repeat(1_000),
      '\x1bP'.repeat(1_000),
      `\x1b[${'9'.repeat(2_000)}C`,
      '\x1b[99999999C'.repeat(150),
    ])
      expect(renderLine(raw).text).not.toContain('\x1b');
  });

  it('the middle of a long line is no line', () => {
    expect(lastLine('fw1# ', false)).toBeNull();
    expect(lastLine('x\nfw1# ', false)?.text).toBe('fw1# ');
  });
});

describe('the last row', () => {
  const row = 'x'.repeat(511);
  it('begins where less wrapped a line, also one that began long before', () => {
    expect(lastRow(`${row} \b(END)`, true)?.text).toBe('(END)');
    expect(lastRow(`xx${`${row} \b`.repeat(3)}(END)`, false)?.text).toBe('(END)');
    expect(lastRow(`a\n${row} \b(END)`, false)?.at[0]).toBe(515);
  });
  it('begins nowhere else', () => {
    expect(lastRow('xxx \b(END)', true)?.text).not.toBe('(END)');
    expect(lastRow('xxx \b(END)', false)).toBeNull();
  });
});

describe('the echo', () => {
  const find = (head: string, command = 'show version') => {
    const end = findEcho(head, command, 'fw1# ', isPrompt);
    return end === null ? null : head.slice(end);
  };
  it.each([
    ['verbatim', 'show version\r\nanswer'],
    ['with two CRs', 'show version\r\r\nanswer'],
    ['behind a redrawn prompt', '\rfw1# show version\r\nanswer'],
    ['behind an old prompt and a blank line', '\r\nfw1# show version\r\nanswer'],
    ['after an old prompt on its own line', '\r\nfw1# \r\nfw1# show version\r\nanswer'],
    [
      'scrolled with a dollar sign',
      'show ver\rfw1# $w version\r\nanswer'.replace('$w version', '$how version'),
    ],
    ['corrected with backspaces', 'shoq\b \bw version\r\nanswer'],
    ['wrapped by a shell', 'show ver \rsion\r\nanswer'],
    ['between bracketed paste marks', 'show version\r\n\x1b[?2004l\ranswer'],
  ])('%s is found', (_, head) => {
    expect(find(head)?.replace('\x1b[?2004l\r', '')).toBe('answer');
  });
  it.each([
    ['is not whole yet', 'show version'],
    ['is another command', 'show clock\r\nanswer'],
    ['comes after something else', 'surprise\r\nshow version\r\nanswer'],
    ['only resembles it', 'show versions\r\nanswer'],
  ])('is not found where it %s', (_, head) => {
    expect(find(head)).toBeNull();
  });
});

describe('the exact text', () => {
  it.each([
    ['a\r\nb\r\nfw1# ', 'a\nb\n'],
    ['a\r\r\nb\n\rfw1# ', 'a\nb\n'],
    ['a\r\n\r\nfw1 # ', 'a\n'],
    ['a\r\n\r\n\r\nfw1 # ', 'a\n\n'],
    ['\r\nfw1 # ', ''],
    ['fw1# ', ''],
    ['caf\xe9 \x00 \x1b[31m a\rb\r\nfw1# ', 'caf\xe9 \x00 \x1b[31m a\rb\n'],
  ])('of %j is %j', (raw, text) => {
    expect(exactText(raw, 0, [])).toBe(text);
  });

  it('knows no rows: what less leaves at the end of a full one goes, the same bytes elsewhere stay', () => {
    const row = 'x'.repeat(511);
    const utf8 = `caf\xc3\xa9${'y'.repeat(507)}`;
    expect(exactText(`\x1b[?1h\x1b=\r${row} \b${utf8} \bend \b.\r\n${row}\r\n \b${row}\r\n`, 0, [])).toBe(
      `${row}${utf8}end \b.\n${row}\n \b${row}\n`,
    );
    // The square of this length would not end before the test's time is over.
    expect(exactText(`${' \b'.repeat(3_000_000)}\n`, 0, [])).toHaveLength(6_000_001);
  });

  it('costs no more than its length, also for ten million CRs', () => {
    expect(exactText(`${'\r'.repeat(10_000_000)}x\nfw1# `, 0, []).length).toBeGreaterThan(0);
  });

  it('every byte of a text survives the way over a terminal', () => {
    const line = fc.string({
      unit: fc
        .integer({ min: 0, max: 255 })
        .filter((code) => code !== 10 && code !== 13)
        .map((code) => String.fromCharCode(code)),
    });
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const text = [...lines, 'end'].map((one) => `${one}\n`).join('');
        expect(exactText(`${text.replaceAll('\n', '\r\n')}\r\nfw1# `, 0, [])).toBe(text);
      }),
    );
  });
});

describe('hosts', () => {
  it('are the same by name, or by the part of a long name that is left', () => {
    expect(sameHost('fw1', 'fw1')).toBe(true);
    expect(sameHost('fw1', 'fw2')).toBe(false);
    expect(sameHost('branch-office-berlin', 'branch-office-b~')).toBe(true);
    expect(sameHost('branch-office-b~', 'branch-off~')).toBe(true);
    expect(sameHost('branch-office-berlin', 'branch-office-c~')).toBe(false);
  });
  it('a stump too short to tell hosts apart is none', () => {
    expect(sameHost('fw-berlin', 'fw~')).toBe(false);
  });
});
