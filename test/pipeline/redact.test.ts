import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMask } from '../../src/pipeline/mask.ts';
import { leaks, redact } from '../../src/pipeline/redact.ts';
import { pemKeys, shapes } from '../../src/pipeline/shapes.ts';
import { secondsOf, tiny } from './tiny-driver.ts';

const mask = createMask(Buffer.alloc(32, 7), 'fw1');
const redacted = (text: string): string => redact(tiny, text, mask).text;
const token = (kind: 'password' | 'shared-key' | 'private-key' | 'hash' | 'token', value: string): string =>
  mask.token(kind, value, false);

const key = [
  '-----BEGIN RSA PRIVATE KEY-----',
  'bm90IGEga2V5',
  'YXQgYWxs',
  '-----END RSA PRIVATE KEY-----',
].join('\n');

describe('redact by the rules of a driver', () => {
  it('replaces the secret and keeps the rest of the line', () => {
    expect(redact(tiny, 'password abc level 15\nend\n', mask)).toEqual({
      text: `password ${token('password', 'abc')} level 15\nend\n`,
      secrets: 1,
    });
  });

  it('applies a rule only inside of its section', () => {
    const text = 'client a\n key one\nserver b\n x\n key two\nother\n key three\n';
    expect(redacted(text)).toBe(
      `client a\n key one\nserver b\n x\n key ${token('shared-key', 'two')}\nother\n key three\n`,
    );
  });

  it('applies a rule to the end of the text where no block holds its section', () => {
    const broken = { ...tiny, outline: () => [] };
    expect(redact(broken, 'server b\nother\n key two\n', mask).text).not.toContain('two');
  });

  it('hides a value of several lines and keeps what follows it', () => {
    expect(redacted('a\nblob "one\ntwo\nthree"\nb\n')).toBe(
      `a\nblob "${token('private-key', 'one\ntwo\nthree')}"\nb\n`,
    );
  });

  it('hides a value of several lines that never ends to the end of the text', () => {
    expect(redacted('a\nblob "one\ntwo\nthree\n')).toBe(
      `a\nblob "${token('private-key', 'one\ntwo\nthree')}\n`,
    );
  });

  it('hides a value of several lines that begins in the second one', () => {
    expect(redacted('a\nblob "\ntwo\nthree"\nb\n')).toBe(
      `a\nblob "${token('private-key', '\ntwo\nthree')}"\nb\n`,
    );
  });

  it('leaves a value of several lines alone that holds nothing but a token', () => {
    for (const text of ['blob "<secret:rotating>\n"\n', 'blob "\n<secret:rotating>\n"\n', 'blob "\n"\n'])
      expect(redact(tiny, text, mask)).toEqual({ text, secrets: 0 });
  });

  it('leaves alone what the rule excepts, by its block', () => {
    const rules = [
      { line: /^ key (?<secret>\S+)/, exceptIn: /^header /, kind: 'shared-key', example: ' key k' },
    ] as const;
    const text = 'server a\n key one\nheader b\n key two\nother\n key three\n';
    const shown = redact({ ...tiny, secrets: rules }, text, mask).text;
    expect(shown).toContain('header b\n key two\n');
    expect(shown).not.toMatch(/one|three/);
    // Without a block that could be trusted nothing is excepted.
    expect(redact({ ...tiny, secrets: rules, outline: () => [] }, text, mask).text).not.toContain('two');
  });

  it('leaves alone what the device or we have hidden', () => {
    for (const line of ['password *****', 'password <removed>', 'password <secret:3f9a1c>']) {
      expect(redact(tiny, `${line}\n`, mask)).toEqual({ text: `${line}\n`, secrets: 0 });
    }
  });

  it('does not cut its own tokens in two, whatever a rule captures', () => {
    const rules = [{ line: /^tag (?<secret>.{4})/, kind: 'token', example: 'tag abcd' }] as const;
    const once = redact({ ...tiny, secrets: rules }, 'tag abcdefgh\n', mask);
    expect(once).toEqual({ text: `tag ${token('token', 'abcd')}efgh\n`, secrets: 1 });
  });

  it('shows a changed secret as a change', () => {
    expect(redacted('password abc\n')).not.toBe(redacted('password abd\n'));
    expect(redacted('cipher abc\n')).toBe(redacted('cipher abd\n'));
  });
});

describe('redact by rules for a section', () => {
  it('asks a line again that lay outside of its section until a secret was masked', () => {
    const driver = {
      secrets: [
        { kind: 'password', line: /^key (?<secret>\S+)$/, example: 'key n0tr3al' },
        {
          kind: 'community',
          line: /^ name (?<secret>\S+)$/,
          inSection: /^community$/,
          example: ' name n0tr3al',
        },
      ],
      // An odd quote in a value hides from the outline where a block ends.
      outline: (text: string) => [
        { firstLine: 1, lastLine: text.includes('"') ? 1 : 2, section: 'community', title: 'community' },
      ],
    } as const;
    const { text } = redact(driver, 'key n0t"r3al\ncommunity\n name n0tr3al2\n', mask);
    expect(text).toMatch(/^key <secret:\w+>\ncommunity\n name <secret:\w+>\n$/);
  });
});

describe('redact by what secrets look like', () => {
  const examples = shapes.flatMap((shape) => shape.examples.map((example) => ({ shape, example })));

  it.each(examples)('$shape.name: $example', ({ shape, example }) => {
    const value = shape.pattern.exec(example)?.groups?.secret ?? '';
    expect(value).toMatch(/^(?!n[bAE])./);
    expect(leaks(`end\n${example}\n`)).toEqual({ rule: shape.name, line: 2 });
    const text = redacted(`end\n${example}\n`);
    expect(text).toBe(`end\n${example.replace(value, mask.token(shape.kind, value, shape.rotates))}\n`);
    expect(leaks(text)).toBeNull();
  });

  it('every line that holds a shape holds its hint', () => {
    const pieces = shapes.flatMap(({ examples }) =>
      examples.flatMap((example) => [example, example.toUpperCase(), ...example.split(/(?<=[ =$:?&"])/)]),
    );
    const line = fc
      .array(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...pieces) }, fc.string({ maxLength: 6 })), {
        maxLength: 6,
      })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(line, (text) => {
        for (const { pattern, hint } of shapes) if (pattern.test(text)) expect(text).toMatch(hint);
      }),
      { numRuns: 2_000 },
    );
  });

  it('every shape that asks what stands before it has an example behind an escaped line feed', () => {
    const asking = shapes.filter(({ pattern }) => /\(\?<[!=]\[/.test(pattern.source));
    const escaped = asking.filter(({ examples }) => examples.some((example) => /\\[rnt]/.test(example)));
    expect(asking.length).toBeGreaterThan(4);
    // What stands before `://` is the scheme.
    expect(asking.filter((shape) => !escaped.includes(shape)).map(({ name }) => name)).toEqual([
      'url-password',
    ]);
  });

  it.each(['r', 'n', 't'])('finds a credential behind a literal \\%s', (letter) => {
    const line = `    send "GET / HTTP/1.1\\r\\${letter}Authorization: Basic dXNlcjpwYXNz\\r\\n"`;
    expect(leaks(`${line}\n`)).toEqual({ rule: 'authorization', line: 1 });
    expect(redacted(`${line}\n`)).toBe(`${line.replace('dXNlcjpwYXNz', token('token', 'dXNlcjpwYXNz'))}\n`);
  });

  it('finds a credential in a body whose quotes are escaped', () => {
    expect(leaks('x "{\\"Authorization\\": \\"Basic dXNlcjpwYXNz\\"}"\n')).not.toBeNull();
  });

  it.each([
    ['a quoted ciphertext', 'x "ENC dGhpcyBpcyBub3Q="', 'dGhpcy'],
    ['an ASA hash', 'username a password $sha512$5000$bm90YXNhbHQ=$bm90YWhhc2g= pbkdf2 privilege 15', 'bm90'],
    ['a bcrypt hash', 'x $2y$10$bm90YXJlYWxoYXNoYXRhbGxidXRzaGFwZWQ', 'bm90'],
    ['two URLs in a line', 'x ftp://a:pw1@h/ https://b:p@w2@h/', 'w2'],
    ['a bearer without a label', '    set value "Bearer bm90LWEtcmVhbA.1234"', 'bm90'],
  ])('hides %s', (_what, line, secret) => {
    expect(redacted(`${line}\n`)).not.toContain(secret);
  });

  it.each([
    'key /Common/default.key',
    'key dtdi.key',
    'passphrase none',
    'security-type password',
    '    set comment "ENC is how it prints ciphertext"',
    'set x [HTTP::password]',
    'HTTP::redirect "https://[HTTP::host][HTTP::uri]"',
    'boot system disk0:/asa.bin',
    'copy https://192.0.2.1:8443/file@home',
    'snmp://host/path user@example.net',
    '-----BEGIN CERTIFICATE-----',
    'digest SHA256:2ce3kzJrTAbTyeQDQJFCF3xzWeMEZiTfFYyTSoiYCkw',
    'regexp "^\\$1$ and $5$x"',
    'description a pbkdf2 hash, and the bearer of bad news',
  ])('leaves alone: %s', (line) => {
    expect(redact(tiny, `${line}\n`, mask)).toEqual({ text: `${line}\n`, secrets: 0 });
  });

  it('hides a private key whole, however it is indented and quoted', () => {
    expect(redacted(`a\n${key}\nb\n`)).toBe(`a\n${token('private-key', key)}\nb\n`);
    expect(redacted(`  x "${key}"\nb\n`)).toBe(`  x "${token('private-key', key)}"\nb\n`);
    expect(redacted(`${key.replaceAll('\n', '\n   ')}\n`)).not.toContain('YXQg');
    expect(redacted(`x "${key.replaceAll('\n', '\\n')}"\n`)).toMatch(/^x "<secret:\w+>"\n$/);
    expect(redacted(`x "${key}\n"\nb\n`)).toBe(`x "${token('private-key', key)}\n"\nb\n`);
  });

  it('hides a private key without an end to the end of its value, else of the text', () => {
    const open = key.split('\n').slice(0, 3).join('\n');
    expect(redacted(`x "${open}"\nb\n`)).toBe(`x "${token('private-key', open)}"\nb\n`);
    expect(redacted(`x "${open}"\nb\n y "${key}"\nc\n`)).toMatch(
      /^x "<secret:\w+>"\nb\n y "<secret:\w+>"\nc\n$/,
    );
    expect(redacted(`${open}\nb\n`)).toMatch(/^<secret:\w+>\n$/);
  });

  it('calls an encrypted private key rotating', () => {
    expect(redacted(`${key.replaceAll('RSA', 'ENCRYPTED')}\n`)).toBe('<secret:rotating>\n');
    const old = key.replace('bm90', 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nbm90');
    expect(redacted(`${old}\n`)).toBe('<secret:rotating>\n');
    expect(redacted(`x "${old.replaceAll('\n', '\\n')}"\n`)).toBe('x "<secret:rotating>"\n');
  });

  it('tells an encrypted OpenSSH key from a plain one', () => {
    const ssh = (head: string): string =>
      redacted(`${key.replaceAll('RSA', 'OPENSSH').replace('bm90', `${head}bm90`)}\n`);
    expect(ssh('b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHI')).toBe('<secret:rotating>\n');
    expect(ssh('b3BlbnNzaC1rZXktdjEAAAAABG5vbmU')).toMatch(/^<secret:[0-9a-f]{6}>\n$/);
  });

  it('shows that a key in clear was changed', () => {
    expect(redacted(`${key}\n`)).not.toBe(redacted(`${key.replace('bm90', 'bm91')}\n`));
  });

  it('leaves certificates alone, also beside a key', () => {
    const certificate = key.replaceAll('RSA PRIVATE KEY', 'CERTIFICATE');
    expect(redacted(`${certificate}\n${key}\n${certificate}\n`)).toBe(
      `${certificate}\n${token('private-key', key)}\n${certificate}\n`,
    );
  });

  it('says where a secret got through', () => {
    expect(leaks('a\nb\n')).toBeNull();
    expect(leaks(`a\n${key}\n`)).toEqual({ rule: 'private-key-block', line: 2 });
    expect(leaks('a\nb\nx ftp://u:p@h/\n')).toEqual({ rule: 'url-password', line: 3 });
  });
});

describe('redact by value', () => {
  it('hides a password that a description repeats', () => {
    const hidden = token('password', 'S3cret-Pass');
    expect(
      redact(tiny, 'note S3cret-Pass!\npassword S3cret-Pass\n description "pw=S3cret-Pass"\n', mask),
    ).toEqual({
      text: `note ${hidden}!\npassword ${hidden}\n description "pw=${hidden}"\n`,
      secrets: 3,
    });
  });

  it('hides a value that holds punctuation, and none that only begins alike', () => {
    const text = redacted('server s\n key horse.battery\nnote horse.battery, horse.batteries\n');
    expect(text).toContain(`note ${token('shared-key', 'horse.battery')}, horse.batteries`);
  });

  it('leaves short values and parts of longer words alone', () => {
    expect(redacted('password abc\nnote abc\n')).toContain('note abc');
    expect(redacted('password 12345678\nserial 1234567890\n')).toContain('serial 1234567890');
  });

  it('leaves the grammar of the configuration alone, even where it serves as a password', () => {
    expect(redacted('interface one\npassword interface\ninterface two\n')).toBe(
      `interface one\npassword ${token('password', 'interface')}\ninterface two\n`,
    );
  });

  it('does not touch its own tokens', () => {
    const text = redacted('cipher abc\npassword rotating\n');
    expect(text).toBe(`cipher <secret:rotating>\npassword ${token('password', 'rotating')}\n`);
  });
});

describe('redact in general', () => {
  const word = fc.stringMatching(/^[A-Za-z0-9+/$._-]{8,24}$/).filter((value) => /[A-Z0-9+/$._]/.test(value));
  const line = fc.oneof(
    word.map((value) => `password ${value}`),
    word.map((value) => ` key ${value}`),
    word.map((value) => `description about ${value}`),
    fc.constantFrom(
      'server a',
      'blob "',
      'x"',
      'stats',
      'x "-----BEGIN PRIVATE KEY-----',
      '-----END PRIVATE KEY-----"',
      'ENC',
      'cipher ENC',
      'a://b:c@d',
      '<secret:',
      '<secret:abc>',
    ),
    fc.string(),
    fc.string({ unit: 'binary' }),
  );

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const once = redacted(lines.join('\n'));
        expect(redact(tiny, once, mask)).toEqual({ text: once, secrets: 0 });
      }),
      { numRuns: 500 },
    );
  });

  it('never shows a secret that it found, nor any shape', () => {
    fc.assert(
      fc.property(fc.array(line), word, fc.nat(), (lines, secret, at) => {
        // First, because a value that never closes swallows whatever follows it, a password among it.
        const place = lines.length === 0 ? 0 : at % lines.length;
        const repeated = [...lines.slice(0, place), `note "${secret}"`, ...lines.slice(place)];
        const result = redacted([`password ${secret}`, ...repeated].join('\n'));
        expect(result.split(/[\s"]/)).not.toContain(secret);
        expect(leaks(result)).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['one line without end', 'a'.repeat(4_000_000)],
    ['nothing but colons', `a://${':'.repeat(1_000_000)}`],
    ['nothing but schemes', 'ab://'.repeat(300_000)],
    ['nothing but blanks after a label', `Authorization${' '.repeat(1_000_000)}`],
    ['nothing but dollars', '$1$'.repeat(500_000)],
    ['nothing but token beginnings', '<secret:'.repeat(200_000)],
    ['keys that never end', 'x "-----BEGIN PRIVATE KEY-----"\n'.repeat(50_000)],
    [
      'thousands of secrets',
      Array.from({ length: 20_000 }, (_, i) => `password $6$abc${i}defghi\n`).join(''),
    ],
    ['values that never close', 'blob "a\n'.repeat(50_000)],
  ])('reads %s in time that grows with its size', (_what, text) => {
    expect(secondsOf(() => redacted(text))).toBeLessThan(15);
    expect(secondsOf(() => leaks(text))).toBeLessThan(15);
  });

  it('finds no key in a certificate', () => {
    expect(pemKeys('-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n')).toEqual([]);
  });
});
