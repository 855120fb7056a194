import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Driver } from '../../src/drivers/driver.ts';
import { loadDrivers } from '../../src/drivers/registry.ts';
import { createMask } from '../../src/pipeline/mask.ts';
import { normalise } from '../../src/pipeline/normalise.ts';
import { leaks, redact } from '../../src/pipeline/redact.ts';
import { corpusDir } from '../support/corpus.ts';

interface Sample {
  readonly path: string;
  readonly driver: Driver;
  readonly text: string;
}

/** Written apart from the rules under test: a value that any of these finds is a secret in git. */
const secretShapes: readonly (readonly [string, RegExp])[] = [
  ['FortiOS ciphertext', /\bENC "?(?!<secret:|<removed>)\S{6}/],
  ['FortiOS hash', /[ "](?:SH2|AK1|PB2)[A-Za-z0-9+/=]{20}/],
  ['BIG-IP ciphertext', /\$M\$/],
  ['crypt', /\$(?:1|5|6|2[aby]|sha512)\$\S{12}/],
  ['pbkdf2', /(?<!>) pbkdf2\b/],
  ['private key', /PRIVATE KEY/],
  ['URL with a password', /:\/\/[^\s/:@"]*:(?!<secret:)[^\s/@"]+@/],
  ['ASA password', /^(?:enable password|passwd|username \S+ password) (?!<secret:|\*)/],
  [
    'ASA key',
    /(?:pre-shared-key|^failover key|ldap-login-password|message-digest-key \d+ md5) (?!<secret:|\*|hex <secret)/,
  ],
  ['ASA community', /^snmp-server (?:community|host .* community) (?!<secret:|\*)/],
  [
    'FortiOS password',
    /^\s*set (?:password|passwd|psksecret|secret|api-key|auth-pwd|priv-pwd) (?!(?:ENC )?"?<(?:secret:|removed>))/,
  ],
];

/** What must reach git as it is: names of objects, absence of a secret, code. */
const falseFriends: readonly RegExp[] = [
  /^\s*key \/Common\/default\.key$/,
  /^\s*key \S+\.key$/,
  /^\s*(?:passphrase|password) none$/,
  /^\s*security-type password$/,
  /^\s*\S*password \{$/,
  /\[HTTP::password\]/,
  /^-----(?:BEGIN|END) CERTIFICATE-----$/,
  /^\s*set (?:uuid|name|hostname|ip|srcintf|dstintf|srcaddr|action) /,
  /^\s*(?:hostname|interface|nameif|access-list|object|route|ip address) /,
  /^ltm (?:virtual|pool|node|monitor|profile) /,
];

const mask = createMask(Buffer.alloc(32, 9), 'corpus');

async function samples(dir: string): Promise<readonly Sample[]> {
  const drivers = await loadDrivers();
  return readFileSync(join(dir, 'MANIFEST.tsv'), 'latin1')
    .split('\n')
    .map((row) => row.split('\t'))
    .flatMap(([path, platform, kind]) => {
      const driver = drivers.get(platform ?? '');
      if (path === undefined || kind !== 'config' || driver === undefined) return [];
      return [{ path, driver, text: readFileSync(join(dir, path), 'latin1').replaceAll('\r\n', '\n') }];
    });
}

const all = corpusDir === null ? [] : await samples(corpusDir);
const suffix = corpusDir === null ? ' (needs the reference corpus)' : `, ${all.length} files`;

describe.skipIf(corpusDir === null)(`every configuration of the corpus${suffix}`, () => {
  it('is there', () => {
    expect(all.length).toBeGreaterThan(50);
  });

  it.each(all)('$path: no secret is left, and nothing else is gone', ({ driver, text }) => {
    const normalised = normalise(driver, text);
    expect(normalise(driver, normalised)).toBe(normalised);
    const { text: masked, secrets } = redact(driver, normalised, mask);
    expect(leaks(masked)).toBeNull();
    const lines = masked.split('\n');
    for (const [what, shape] of secretShapes) {
      expect(
        lines.filter((line) => shape.test(line)),
        what,
      ).toEqual([]);
    }
    expect(redact(driver, masked, mask)).toEqual({ text: masked, secrets: 0 });
    expect(redact(driver, normalised, mask)).toEqual({ text: masked, secrets });
    const friends = (of: string): string[] =>
      of.split('\n').filter((line) => falseFriends.some((friend) => friend.test(line)));
    expect(friends(masked).filter((line) => line.includes('<secret:'))).toEqual([]);
    expect(friends(masked)).toHaveLength(friends(normalised).length);
    expect(driver.outline(masked).map((block) => block.title)).toEqual(
      driver.outline(normalised).map((block) => block.title),
    );
  });

  it('holds secrets of every platform, so that this test can fail', () => {
    for (const platform of new Set(all.map((sample) => sample.driver.id))) {
      const found = all
        .filter((sample) => sample.driver.id === platform)
        .map((sample) => redact(sample.driver, sample.text, mask).secrets);
      expect(
        found.reduce((sum, count) => sum + count, 0),
        platform,
      ).toBeGreaterThan(10);
    }
  });
});
