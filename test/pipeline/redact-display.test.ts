import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redactDisplay } from '../../src/pipeline/redact-display.ts';
import { secondsOf, tiny } from './tiny-driver.ts';

const shown = (text: string, beginsMidLine = false): string => redactDisplay(tiny, text, { beginsMidLine });
const base64 = 'bm90IGEgUkVBTCBrZXk5YXQgYWxsIG5vd2hlcmU';

describe('redactDisplay', () => {
  it('hides by the rules of the driver, outside of their sections too', () => {
    expect(shown('a\r\n key two\r\nb')).toBe('a\n key <secret:hidden>\nb');
  });

  it('hides what follows a secret in its line', () => {
    expect(shown('password half--More--\b\b\b   other-half\n')).toBe('password <secret:hidden>\n');
  });

  it('removes control characters, which could part a secret from its label', () => {
    expect(shown('pass\u001b[7mword\u0000 hunter2\u001b]0;title\u0007\n')).toBe('password <secret:hidden>\n');
    expect(shown('a\tb\u009bc\r')).toBe('a\tbc\n');
  });

  it('hides a first line that may have lost its beginning', () => {
    expect(shown('ord hunter2\nb\n', true)).toBe('<secret:hidden>\nb\n');
    expect(shown('hunter2', true)).toBe('<secret:hidden>');
    expect(shown('ord hunter2\nb\n')).toBe('ord hunter2\nb\n');
  });

  it('hides a private key that lost its beginning or its end', () => {
    expect(shown('abc\ndef\n-----END RSA PRIVATE KEY-----\nb')).toBe('<secret:hidden>\nb');
    expect(shown('a\n-----BEGIN RSA PRIVATE KEY-----\nabc\ndef')).toBe('a\n<secret:hidden>');
  });

  it('hides words that look like key material, and leaves fingerprints of host keys', () => {
    expect(shown(`x ${base64} y`)).toBe('x <secret:hidden> y');
    expect(shown(`x SHA256:${base64} y`)).toBe(`x SHA256:${base64} y`);
    expect(shown('aninterfacenamethatisverylongindeed')).toBe('aninterfacenamethatisverylongindeed');
  });

  it('works where the platform is not known', () => {
    expect(redactDisplay(null, 'x ftp://a:secret@h/\n', { beginsMidLine: false })).not.toContain('secret@');
  });

  it('shows no part of a secret wherever the text is cut', () => {
    const secrets = ['hunter2hunter2', 'Zm9ydGlvcyBzZWNyZXQ=', 'YSBrZXk'];
    const text = [
      `password ${secrets[0]}`,
      `set x ENC ${secrets[1]}`,
      '-----BEGIN PRIVATE KEY-----',
      secrets[2],
      '-----END PRIVATE KEY-----',
      'end',
      '',
    ].join('\r\n');
    for (let from = 0; from < text.length; from++) {
      const rest = shown(text.slice(from), true);
      for (const secret of secrets) expect(rest, `from ${from}`).not.toContain(secret.slice(-6));
    }
    for (let to = 0; to <= text.length; to++) {
      const piece = shown(text.slice(0, to));
      for (const secret of secrets) expect(piece, `to ${to}`).not.toContain(secret);
    }
  });

  it('leaves no control character but tab and line feed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.boolean(), (text, beginsMidLine) => {
        expect(shown(text, beginsMidLine)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
    );
  });

  it.each([
    ['escapes', '\u001b['.repeat(500_000)],
    ['titles that never end', '\u001b]0;aaaa'.repeat(200_000)],
    ['capitals', 'A'.repeat(2_000_000)],
    ['carriage returns', '\r'.repeat(1_000_000)],
    ['dashes', '-'.repeat(1_000_000)],
  ])('reads nothing but %s in time that grows with its size', (_what, text) => {
    expect(secondsOf(() => shown(text))).toBeLessThan(15);
  });
});
