import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allowable, keyType, knownAlgorithms, offer } from '../../src/transport/algorithms.ts';

const supported = createRequire(import.meta.url)('ssh2/lib/protocol/constants.js') as Record<
  string,
  string[]
>;
const modern = { profile: 'modern', allow: [] } as const;
const legacy = { profile: 'legacy', allow: [] } as const;
const policies = fc.record({
  profile: fc.constantFrom('modern' as const, 'legacy' as const),
  allow: fc.subarray([...knownAlgorithms]),
});

describe('what a device is offered', () => {
  it('modern has nothing with SHA-1, CBC, MD5, DSA or chacha20-poly1305', () => {
    expect(Object.values(offer(modern, [])).flat().join(' ')).not.toMatch(
      /sha1|-cbc|md5|ssh-rsa|ssh-dss|chacha20|group1-/,
    );
  });

  it('legacy adds exactly the named set, at the end of each list', () => {
    const added = (kind: 'kex' | 'cipher' | 'mac' | 'host-key') =>
      offer(legacy, [])[kind].filter((name) => !offer(modern, [])[kind].includes(name));
    expect(added('kex')).toEqual([
      'diffie-hellman-group-exchange-sha1',
      'diffie-hellman-group14-sha1',
      'diffie-hellman-group1-sha1',
    ]);
    expect(added('host-key')).toEqual(['ssh-rsa']);
    expect(added('cipher')).toEqual(['aes256-cbc', 'aes192-cbc', 'aes128-cbc', '3des-cbc']);
    expect(added('mac')).toEqual(['hmac-sha1']);
    for (const kind of ['kex', 'cipher', 'host-key'] as const) {
      expect(offer(legacy, [])[kind].slice(0, offer(modern, [])[kind].length)).toEqual(
        offer(modern, [])[kind],
      );
    }
  });

  it('chacha20-poly1305 is offered under no policy, and no -etm MAC beside a CBC cipher', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const { cipher, mac } = offer(policy, []);
        expect(cipher.join()).not.toContain('chacha20');
        if (cipher.some((name) => name.endsWith('-cbc'))) expect(mac.join()).not.toContain('-etm');
        expect(mac.length).toBeGreaterThan(0);
      }),
    );
  });

  it('ssh2 can do everything that is offered, under every policy', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const offered = offer(policy, []);
        expect(supported.SUPPORTED_KEX).toEqual(expect.arrayContaining([...offered.kex]));
        expect(supported.SUPPORTED_SERVER_HOST_KEY).toEqual(expect.arrayContaining([...offered['host-key']]));
        expect(supported.SUPPORTED_CIPHER).toEqual(expect.arrayContaining([...offered.cipher]));
        expect(supported.SUPPORTED_MAC).toEqual(expect.arrayContaining([...offered.mac]));
      }),
    );
  });

  it('the types of the pinned keys come first, and nothing is lost or added by that', () => {
    fc.assert(
      fc.property(
        policies,
        fc.subarray(['ssh-ed25519', 'ssh-rsa', 'ecdsa-sha2-nistp384']),
        (policy, pinned) => {
          const plain = offer(policy, [])['host-key'];
          const sorted = offer(policy, pinned)['host-key'];
          expect([...sorted].sort()).toEqual([...plain].sort());
          const first = sorted.slice(0, sorted.filter((name) => pinned.includes(keyType(name))).length);
          expect(first.every((name) => pinned.includes(keyType(name)))).toBe(true);
        },
      ),
    );
  });

  it('a pinned RSA key is asked for with SHA-2, and with SHA-1 last and only where allowed', () => {
    expect(offer(modern, ['ssh-rsa'])['host-key'].slice(0, 3)).toEqual([
      'rsa-sha2-512',
      'rsa-sha2-256',
      'ssh-ed25519',
    ]);
    expect(offer({ profile: 'modern', allow: ['ssh-rsa'] }, ['ssh-rsa'])['host-key'].slice(0, 3)).toEqual([
      'rsa-sha2-512',
      'rsa-sha2-256',
      'ssh-rsa',
    ]);
  });
});

describe('single algorithms', () => {
  it('a name that nobody knows adds nothing', () => {
    for (const name of ['rsa', 'chacha20-poly1305@openssh.com']) expect(knownAlgorithms).not.toContain(name);
    expect(offer({ profile: 'modern', allow: ['rsa', 'chacha20-poly1305@openssh.com'] }, [])).toEqual(
      offer(modern, []),
    );
  });

  it('what is named as allowable is in common once it is allowed', () => {
    const kinds = ['kex', 'cipher', 'mac', 'host-key'] as const;
    fc.assert(
      fc.property(
        policies,
        fc.constantFrom(...kinds),
        fc.subarray([...knownAlgorithms, 'unheard-of']),
        fc.constantFrom('Cisco-1.25', 'OpenSSH_9.2'),
        (policy, kind, offered, ident) => {
          for (const name of allowable(kind, offered, policy, ident)) {
            expect(offer(policy, [])[kind]).not.toContain(name);
            expect(offer({ ...policy, allow: [...policy.allow, name] }, [])[kind]).toContain(name);
            if (ident === 'Cisco-1.25') expect(name).not.toContain('group-exchange');
          }
        },
      ),
    );
  });

  it('a group exchange helps with every server but the classic Cisco stack', () => {
    const offered = ['diffie-hellman-group-exchange-sha1'];
    expect(allowable('kex', offered, modern, 'OpenSSH_5.3')).toEqual(offered);
    expect(allowable('kex', offered, modern, 'Cisco-1.25')).toEqual([]);
  });
});
