import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  armored,
  parseArmored,
  publicKeyIn,
  publicKeyLine,
  sshString,
  sshStrings,
} from '../../src/core/ssh-signature.ts';

const octets = fc.uint8Array({ maxLength: 300 }).map((one) => Buffer.from(one));

describe('an SSH signature', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(
        octets,
        octets,
        fc.constantFrom('sha256' as const, 'sha512' as const),
        (publicKey, signature, hash) => {
          expect(parseArmored(armored({ publicKey, hash, signature }))).toEqual({
            publicKey,
            hash,
            signature,
          });
        },
      ),
    );
  });

  it('that is cut anywhere, or holds anything else, is none', () => {
    const whole = armored({
      publicKey: Buffer.from('key'),
      hash: 'sha512',
      signature: Buffer.from('signature'),
    });
    const [begin = '', , end = ''] = [whole.split('\n')[0], '', whole.split('\n').at(-1)];
    const bytes = Buffer.from(whole.split('\n').slice(1, -1).join(''), 'base64');
    const around = (inner: Buffer): string => `${begin}\n${inner.toString('base64')}\n${end}`;
    expect(parseArmored(around(bytes))).not.toBeNull();
    for (let at = 0; at < bytes.length; at++) expect(parseArmored(around(bytes.subarray(0, at)))).toBeNull();
    for (let at = 0; at < whole.length; at++) expect(parseArmored(whole.slice(0, at))).toBeNull();
    expect(parseArmored(around(Buffer.concat([bytes, sshString(Buffer.from('more'))])))).toBeNull();
    expect(
      parseArmored(around(Buffer.from(bytes.toString('latin1').replace('git', 'fil'), 'latin1'))),
    ).toBeNull();
  });

  it('of any text is read or refused, never thrown over', () => {
    fc.assert(
      fc.property(octets, fc.string(), (bytes, text) => {
        sshStrings(bytes);
        publicKeyIn(text);
        expect(parseArmored(text)).toBeNull();
      }),
    );
  });

  it('names its key as .pub files do', () => {
    const key = Buffer.concat([sshString(Buffer.from('ssh-ed25519')), sshString(Buffer.alloc(32, 7))]);
    const line = publicKeyLine(key);
    expect(line).toMatch(/^ssh-ed25519 AAAA/);
    expect(publicKeyIn(line)).toEqual(key);
    expect(publicKeyIn(line.replace('ssh-ed25519', 'ssh-rsa'))).toBeNull();
  });
});
