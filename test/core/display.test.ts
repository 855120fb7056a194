import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clip, decodeBytes, harmless, harmlessLines, quotable } from '../../src/core/display.ts';
import { nearest } from '../../src/core/nearest.ts';
import { counted, duration, instant, size } from '../../src/core/units.ts';

/** Written apart from the code, from the Unicode categories Cc, Cf, Zl, Zp and Cs; soft hyphen included. */
const control = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\p{Cs}]/u;

describe('harmless text', () => {
  test('holds no control character but a tab, whatever went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(harmless(text).replaceAll('\t', '')).not.toMatch(control);
      }),
    );
  });

  test('is not changed a second time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(harmless(harmless(text))).toBe(harmless(text));
      }),
    );
  });

  test.each([
    ['\x1b[31m', '\\x1b[31m'],
    ['\x9b31m', '\\x9b31m'],
    ['a\u0000b', 'a\\x00b'],
    ['a\rb', 'a\\x0db'],
    ['\u202egnp.exe', '\\u{202e}gnp.exe'],
    ['\ud83d', '\\u{d83d}'],
    // Tags and fillers: letters that nobody sees.
    ['a\u{e0061}b', 'a\\u{e0061}b'],
    ['\u3164\u115f\ufe0f', '\\u{3164}\\u{115f}\\u{fe0f}'],
    ['😀 é', '😀 é'],
  ])('%j is shown as %j', (text, shown) => {
    expect(harmless(text)).toBe(shown);
  });

  test('of many lines keeps line feeds alone', () => {
    expect(harmlessLines('a\r\nb\x1b')).toBe('a\\x0d\nb\\x1b');
  });
});

describe('bytes of a device', () => {
  test('are UTF-8 where they can be', () => {
    expect(decodeBytes('Z\xc3\xbcrich')).toBe('Zürich');
  });

  test('are latin1 where they cannot', () => {
    expect(decodeBytes('Z\xfcrich')).toBe('Zürich');
  });

  test('do not lose a leading byte-order mark', () => {
    expect(harmless(decodeBytes('\xef\xbb\xbfx'))).toBe('\\u{feff}x');
  });

  test('are quoted on one line, without tearing text that is no bytes', () => {
    expect(quotable('a\tb\nc')).toBe('a b\\x0ac');
    expect(quotable('configuración — 東京')).toBe('configuración — 東京');
    expect(quotable('x'.repeat(500), 10)).toBe('xxxxxxxxx…');
  });

  test('are clipped to the limit', () => {
    expect(clip('abcdef', 6)).toBe('abcdef');
    expect(clip('abcdefg', 6)).toBe('abcde…');
  });
});

describe('quantities', () => {
  test.each([
    [-5, '0 ms'],
    [999, '999 ms'],
    [12_345, '12.3 s'],
    [59_960, '1 min'],
    [245_000, '4 min 5 s'],
    [7_800_000, '2 h 10 min'],
    [3_599_900, '1 h'],
    [273_600_000, '3 d 4 h'],
  ])('%d milliseconds are %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  test.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [49_357, '48.2 KiB'],
    [1_048_575, '1.0 MiB'],
    [5_000_000_000_000_000, '4547.5 TiB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(size(bytes)).toBe(text);
  });

  test('an instant is RFC 3339 in UTC, never later than what it names', () => {
    expect(instant(Date.UTC(2026, 2, 1, 2, 0, 7, 999))).toBe('2026-03-01T02:00:07Z');
    expect(instant(-1)).toBe('1969-12-31T23:59:59Z');
  });

  test('one line, two lines', () => {
    expect([0, 1, 2].map((count) => counted(count, 'line'))).toEqual(['0 lines', '1 line', '2 lines']);
  });
});

describe('the nearest word', () => {
  test.each([
    ['fw1', ['fw1', 'fw2'], 'fw1'],
    ['fwl', ['fw1', 'lb1'], 'fw1'],
    ['cisco_aas', ['cisco_asa', 'f5_bigip'], 'cisco_asa'],
    ['FW1', ['fw1'], 'fw1'],
    ['zebra', ['fw1', 'lb1'], null],
    ['', [], null],
    ['cisco', ['cisco_asa', 'f5_bigip'], 'cisco_asa'],
    ['Fortinet', ['cisco_asa', 'fortinet_fortigate'], 'fortinet_fortigate'],
    ['cisco', ['cisco_asa', 'cisco_ftd'], null],
    ['fw', ['fw-berlin', 'lb-berlin'], null],
    ['name', ['named_key_of_another_kind', 'fame'], 'fame'],
  ])('to %j among %j is %j', (word, candidates, found) => {
    expect(nearest(word, candidates)).toBe(found);
  });
});
