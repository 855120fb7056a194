import { describe, expect, it } from 'vitest';
import { OperationError } from '../../src/core/errors.ts';
import { createMask, isMasked, maskKeyId, parseFingerprintKey } from '../../src/pipeline/mask.ts';

const key = Buffer.alloc(32, 7);

describe('mask', () => {
  it('gives the same token to the same secret, and another one to another', () => {
    const mask = createMask(key, 'fw1');
    expect(mask.token('password', 'a', false)).toMatch(/^<secret:[0-9a-f]{6}>$/);
    expect(createMask(key, 'fw1').token('password', 'a', false)).toBe(mask.token('password', 'a', false));
    const others = [
      mask.token('password', 'b', false),
      mask.token('hash', 'a', false),
      createMask(key, 'fw2').token('password', 'a', false),
      createMask(Buffer.alloc(32, 8), 'fw1').token('password', 'a', false),
    ];
    expect(others).not.toContain(mask.token('password', 'a', false));
  });

  it('says of a rotating secret only that there is one', () => {
    expect(createMask(key, 'fw1').token('password', 'a', true)).toBe('<secret:rotating>');
  });

  it('names a key without showing any of it', () => {
    expect(maskKeyId(key)).toMatch(/^[0-9a-f]{8}$/);
    expect(maskKeyId(key)).not.toBe(maskKeyId(Buffer.alloc(32, 8)));
    expect(key.toString('hex')).not.toContain(maskKeyId(key));
  });

  it('reads a key file, and says what is wrong with another without quoting it', () => {
    expect(parseFingerprintKey(`${'0F'.repeat(32)}\n`)).toEqual(Buffer.alloc(32, 15));
    for (const bad of ['', 'abc', '0f'.repeat(31), `${'0f'.repeat(32)}00`, 'zz'.repeat(32)]) {
      expect(() => parseFingerprintKey(bad)).toThrow(OperationError);
    }
    expect(() => parseFingerprintKey('sesame')).not.toThrow(/sesame/);
  });

  it('knows what is hidden already', () => {
    for (const value of [
      '<secret:3f9a1c>',
      '"<secret:rotating>"',
      'ENC <secret:rotating>',
      '*****',
      '<removed>',
      '',
    ]) {
      expect(isMasked(value)).toBe(true);
    }
    for (const value of ['hunter2', '<secret:3f9a1c>x', '<secret:>', 'ENC abc'])
      expect(isMasked(value)).toBe(false);
  });
});
