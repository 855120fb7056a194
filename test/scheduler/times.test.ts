import fc from 'fast-check';
import { expect, it } from 'vitest';
import { placeMs } from '../../src/scheduler/times.ts';

/** FNV-1a over UTF-8 bytes, then mixed; as it was when the first fleets got their places. */
function plainly(deviceId: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(deviceId, 'utf8')) value = Math.imul(value ^ byte, 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

it('the place of a device is the same in every version, whatever letters its name has', () => {
  for (const name of ['fw1', 'gerät', 'ключ']) expect(placeMs(name, 300_000)).toBe(plainly(name) % 300_000);
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-z0-9._~-]{0,63}$/)),
      fc.integer({ min: 1, max: 2 ** 32 - 1 }),
      (deviceId, spreadMs) => {
        expect(placeMs(deviceId, spreadMs)).toBe(plainly(deviceId) % spreadMs);
      },
    ),
  );
});
