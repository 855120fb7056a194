import { execFileSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf, parseHash } from '../../src/http/bcrypt.ts';
import { createPasswords, type Users } from '../../src/http/passwords.ts';
import { describeWith } from '../support/system.ts';

function isRight(password: string | Buffer, hash: string): boolean {
  const parsed = parseHash(hash);
  if (parsed === null) throw new Error('no hash');
  return digestOf(Buffer.from(password), parsed) === parsed.digest;
}

describe('bcrypt', () => {
  // Of the test vectors that came with OpenBSD's and jBCrypt's implementations.
  it.each([
    ['', '$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.'],
    ['a', '$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe'],
    ['abc', '$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i'],
    ['~!@#$%^&*()      ~!@#$%^&*()PNBFRD', '$2a$06$fPIsBO8qRqkjj273rfaOI.HtSV9jLDpTbZn782DC6/t7qT67P6FfO'],
    ['abcdefghijklmnopqrstuvwxyz', '$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.'],
  ])('finds the known password %j right, and no other', (password, hash) => {
    expect(isRight(password, hash)).toBe(true);
    expect(isRight(`${password} `, hash)).toBe(false);
    expect(isRight(`x${password}`, hash)).toBe(false);
  });

  it('does not extend the sign of bytes over 127, as the first $2a$ of crypt_blowfish did', () => {
    const hash = '$2a$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq';
    expect(isRight(Buffer.from([0xa3]), hash)).toBe(true);
  });

  it.each([
    '',
    'plain',
    '$2x$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq',
    '$2a$5$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq',
    '$2a$03$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq',
    '$2a$32$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq',
    '$2a$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlC',
    '$2a$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCqq',
    '$2a$05$/OK.fbVrR/bpIqNJ5ianF=Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq',
    '$apr1$abcdefgh$0123456789012345678901',
  ])('takes %j for no hash', (written) => {
    expect(parseHash(written)).toBeNull();
  });
});

describeWith('perl', "bcrypt beside the system's own crypt(3)", (perl) => {
  const crypt = (password: Buffer, setting: string): string =>
    execFileSync(
      perl,
      ['-e', 'print crypt(pack("H*", $ARGV[0]), $ARGV[1])', password.toString('hex'), setting],
      {
        encoding: 'latin1',
      },
    );
  const alphabet = [...'./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'];
  const salt = fc
    .array(fc.constantFrom(...alphabet), { minLength: 21, maxLength: 21 })
    .map((all) => all.join(''));
  const password = fc.uint8Array({ minLength: 0, maxLength: 80, min: 1 }).map((bytes) => Buffer.from(bytes));

  it('agrees with it on any password, salt, length and prefix', ({ skip }) => {
    // Some C libraries have no bcrypt.
    if (!crypt(Buffer.from('a'), `$2b$04$${'.'.repeat(22)}`).startsWith('$2b$04$')) skip();
    fc.assert(
      fc.property(
        password,
        salt,
        fc.constantFrom('2a', '2b', '2y'),
        fc.integer({ min: 4, max: 6 }),
        (...given) => {
          const [key, start, prefix, cost] = given;
          const made = crypt(key, `$${prefix}$0${cost}$${start}.`);
          expect(parseHash(made)).not.toBeNull();
          expect(isRight(key, made)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('passwords', () => {
  const users: Users = new Map([
    ['prometheus', '$2y$05$abcdefghijklmnopqrstuuMceFj4VbmHOj8C7PetMxzZkwre/z.Ri'],
    ['slow', '$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.'],
  ]);

  it('are compared, remembered when right, and never when wrong', async () => {
    await using passwords = createPasswords();
    expect(passwords.known(users, 'prometheus', 'test')).toBe(false);
    expect(await passwords.verify(users, 'prometheus', 'Test')).toBe(false);
    expect(passwords.known(users, 'prometheus', 'Test')).toBe(false);
    expect(await passwords.verify(users, 'prometheus', 'test')).toBe(true);
    expect(passwords.known(users, 'prometheus', 'test')).toBe(true);
    expect(passwords.known(users, 'slow', 'test')).toBe(false);
  });

  it('that were changed since are no longer known', async () => {
    await using passwords = createPasswords();
    await passwords.verify(users, 'prometheus', 'test');
    const changed = new Map([['prometheus', users.get('slow') ?? '']]);
    expect(passwords.known(changed, 'prometheus', 'test')).toBe(false);
    expect(passwords.known(new Map(), 'prometheus', 'test')).toBe(false);
  });

  it('of somebody who does not exist are wrong, and take as long as the slowest to find out', async () => {
    await using passwords = createPasswords();
    await passwords.verify(users, 'prometheus', 'warm');
    const quickest = new Map(
      ['prometheus', 'slow', 'nobody'].map((user) => [user, Number.POSITIVE_INFINITY]),
    );
    // In turn, and the quickest of each: what else the machine does falls on some of them only.
    for (let n = 0; n < 8; n++)
      for (const [user, ms] of quickest) {
        const before = performance.now();
        expect(await passwords.verify(users, user, `wrong ${n}`)).toBe(false);
        quickest.set(user, Math.min(ms, performance.now() - before));
      }
    const [quick = 0, slow = 0, nobody = 0] = quickest.values();
    // Cost 8 is eight times cost 5; a user who is not there is as slow as the slowest.
    expect(nobody).toBeGreaterThan(quick * 2);
    expect(nobody / slow).toBeGreaterThan(0.3);
    // Its password is not that of the hash it is compared with.
    expect(await passwords.verify(users, 'nobody', 'abcdefghijklmnopqrstuvwxyz')).toBe(false);
  });

  it('with a zero byte are wrong', async () => {
    await using passwords = createPasswords();
    // The algorithm itself repeats a short password, zero byte and all, and would find this one right.
    expect(await passwords.verify(users, 'prometheus', 'test\0test')).toBe(false);
  });

  it('beyond what can wait are not taken', async () => {
    await using passwords = createPasswords();
    const asked = Array.from({ length: 40 }, (_, n) => passwords.verify(users, 'prometheus', `wrong ${n}`));
    const answers = await Promise.all(asked);
    expect(answers.filter((answer) => answer === null)).toHaveLength(24);
    expect(answers.filter((answer) => answer === false)).toHaveLength(16);
    expect(await passwords.verify(users, 'prometheus', 'test')).toBe(true);
  });

  it('do not hold the event loop', async () => {
    await using passwords = createPasswords();
    await passwords.verify(users, 'prometheus', 'warm');
    const { eventLoopUtilization } = performance;
    const before = eventLoopUtilization();
    await Promise.all(Array.from({ length: 8 }, (_, n) => passwords.verify(users, 'slow', `wrong ${n}`)));
    expect(eventLoopUtilization(before).utilization).toBeLessThan(0.5);
  });
});
