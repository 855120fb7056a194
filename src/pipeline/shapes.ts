import type { SecretKind } from '../drivers/driver.ts';

/**
 * What a secret looks like wherever it stands, on any platform: the net below the drivers' rules.
 * Every pattern is linear in the length of a line: a run of characters can be entered only at its
 * beginning, or its length is bounded.
 */
export interface Shape {
  /** Named by `redact.leak`. */
  readonly name: string;
  readonly kind: SecretKind;
  /** The device prints a new ciphertext every time. */
  readonly rotates: boolean;
  /** Matched anywhere in one line; holds the group `(?<secret>…)`. */
  readonly pattern: RegExp;
  /** What every line holds that `pattern` matches: looked for first, because it costs a hundredth. */
  readonly hint: RegExp;
  /** Lines that hold it; one behind an escaped line feed where `pattern` asks what stands before. */
  readonly examples: readonly [string, ...string[]];
}

/**
 * A beginning: not behind one of `characters`, unless that is the letter of an escaped `\\r`, `\\n` or
 * `\\t`. The header of a request stands behind the two characters `\\n` in a quoted value.
 */
function begins(characters: string): string {
  return `(?:(?<![${characters}])(?!(?<=\\\\)[rnt])|(?<=\\\\[rnt]))`;
}

export const shapes: readonly Shape[] = [
  {
    // FortiOS prints a new ciphertext at every display (Oxidized issue 931).
    name: 'fortios-enc',
    kind: 'password',
    rotates: true,
    pattern: new RegExp(`${begins('A-Za-z0-9')}ENC[ \\t]{1,4}["']?(?<secret>[A-Za-z0-9+/=]{12,})`),
    hint: /ENC[ \t]/,
    examples: [
      '        set psksecret ENC dGhpcyBpcyBub3QgYSByZWFsIHNlY3JldA==',
      '        set script "edit 1\\nENC dGhpcyBpcyBub3QgYSByZWFsIHNlY3JldA=="',
    ],
  },
  {
    name: 'fortios-hash',
    kind: 'hash',
    rotates: false,
    pattern: /(?<=[ \t"']|\\[rnt])(?<secret>(?:SH2|AK1|PB2)[A-Za-z0-9+/]{20,}={0,2})/,
    hint: /SH2|AK1|PB2/,
    examples: [
      '        set password "AK1bm90IGEgcmVhbCBoYXNoIGF0IGFsbCE="',
      '        set comments "hash\\nAK1bm90IGEgcmVhbCBoYXNoIGF0IGFsbCE="',
    ],
  },
  {
    // BIG-IP: encrypted with the unit's master key.
    name: 'bigip-master-key',
    kind: 'password',
    rotates: false,
    pattern: /(?<secret>\\?\$M\\?\$[A-Za-z0-9+/.]{1,8}\\?\$[A-Za-z0-9+/=]{4,})/,
    hint: /\$M/,
    examples: ['    secret $M$xQ$bm90IGEgcmVhbCBzZWNyZXQ='],
  },
  {
    name: 'pbkdf2',
    kind: 'hash',
    rotates: false,
    pattern: new RegExp(
      `${begins('A-Za-z0-9+/=$.')}(?<secret>[A-Za-z0-9+/=$.]{16,})[ \\t]{1,4}pbkdf2(?![\\w-])`,
    ),
    hint: /pbkdf2/,
    examples: [
      'enable password bm90YXJlYWxoYXNoYXRhbGw= pbkdf2',
      'banner "hash\\nbm90YXJlYWxoYXNoYXRhbGw= pbkdf2"',
    ],
  },
  {
    name: 'modular-hash',
    kind: 'hash',
    rotates: false,
    pattern:
      /(?<secret>\\?\$(?:1|2[abxy]|5|6|7|8|9|y|gy|sha\d{1,3}|pbkdf2[a-z0-9-]{0,12}|scrypt|argon2[a-z]{1,2})\\?\$[A-Za-z0-9+/.=$,\\*-]{20,})/,
    hint: /\$(?:[125-9]|g?y|sha|pbkdf2|scrypt|argon2)/,
    examples: ['    encrypted-password $6$rounds=5000$saltsalt$bm90IGEgcmVhbCBoYXNo'],
  },
  {
    name: 'url-password',
    kind: 'password',
    rotates: false,
    pattern: /(?<=[A-Za-z0-9]):\/\/[^\s/:@"']*:(?<secret>[^\s/"']+)@/,
    hint: /:\/\//,
    examples: ['boot config ftp://backup:n0tr3al@192.0.2.7/asa.cfg'],
  },
  {
    name: 'url-token',
    kind: 'token',
    rotates: false,
    pattern:
      /[?&](?:api[-_]?key|(?:access|auth)[-_]?token|token|passw(?:or)?d|secret)=(?<secret>[^\s&"'#$[]{4,})/i,
    hint: /[?&](?:a|tok|pass|sec)/i,
    examples: ['        set uri "hook.example.net/run?token=n0tr3al"'],
  },
  {
    name: 'authorization',
    kind: 'token',
    rotates: false,
    pattern: new RegExp(
      `${begins('A-Za-z0-9')}(?:Authorization[\\\\"':= \\t]{1,8}(?:Basic|Token|ApiKey)|Bearer)[ \\t]{1,4}(?<secret>[A-Za-z0-9._~+/-]{12,}={0,2})`,
      'i',
    ),
    hint: /authorization|bearer/i,
    examples: [
      '        set http-headers "Authorization: Bearer bm90LWEtcmVhbC10b2tlbg"',
      '    send "GET / HTTP/1.1\\r\\nAuthorization: Basic bm90OnJlYWw1\\r\\n"',
      '        set http-body "{\\"Authorization\\": \\"Basic bm90OnJlYWw1\\"}"',
    ],
  },
  {
    name: 'json-web-token',
    kind: 'token',
    rotates: false,
    pattern: new RegExp(
      `${begins('A-Za-z0-9_-')}(?<secret>eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}(?:\\.[A-Za-z0-9_-]*)?)`,
    ),
    hint: /eyJ/,
    examples: [
      '    description eyJub3QiOiJyZWFsIn0.eyJub3QiOiJyZWFsIn0.bm90cmVhbA',
      '    send "token\\r\\neyJub3QiOiJyZWFsIn0.eyJub3QiOiJyZWFsIn0.bm90cmVhbA"',
    ],
  },
  {
    name: 'aws-key-id',
    kind: 'token',
    rotates: false,
    pattern: new RegExp(`${begins('A-Za-z0-9/+=')}(?<secret>(?:AKIA|ASIA)[A-Z0-9]{16})(?![A-Za-z0-9/+=])`),
    hint: /AKIA|ASIA/,
    examples: [
      '        set access-key "AKIANOTAREALKEYIDATL"',
      '        set comments "key\\tAKIANOTAREALKEYIDATL"',
    ],
  },
];

/** A private key in PEM, over any number of lines. Certificates are public and no part of this. */
export interface PemKey {
  /** Offsets in the text: the first character of `-----BEGIN`, and the end (exclusive). */
  readonly start: number;
  readonly end: number;
}

export const pemName = 'private-key-block';

const pemBegin = /-{4,5} ?BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}/g;
const pemEnd = /-{4,5} ?END [A-Z0-9 ]{1,64}-{4,5}/g;

/**
 * Every private key block of `text`, in order. One without an end reaches to the end of the quoted
 * value that it stands in, else to the end of the text: better too much than half a key.
 */
export function pemKeys(text: string): PemKey[] {
  if (!text.includes('PRIVATE KEY')) return [];
  const keys: PemKey[] = [];
  // Both only ever move forward: a text full of beginnings without an end is read once.
  const ends = cursor(text, pemEnd);
  const quotes = cursor(text, /(?<!\\)"/g);
  pemBegin.lastIndex = 0;
  for (let begin = pemBegin.exec(text); begin !== null; begin = pemBegin.exec(text)) {
    const start = begin.index;
    const from = start + begin[0].length;
    const closing = ends(from);
    let end = closing === null ? text.length : closing.end;
    if (text[start - 1] === '"' && text[start - 2] !== '\\') {
      // No key holds a quote: where the value closes first, the end that was found is another key's.
      end = Math.min(end, quotes(from)?.start ?? text.length);
    }
    keys.push({ start, end });
    pemBegin.lastIndex = Math.max(end, from);
  }
  return keys;
}

/** By its label, by the header of old PEM, or because an OpenSSH key names a cipher that is not `none`. */
const encryptedPem = /^-{4,5} ?BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED|b3BlbnNzaC1rZXktdjEA(?!AAAABG5vbmU)/;

/** Whether a private key block is encrypted with a passphrase: its text may differ while the key does not. */
export function isEncryptedPem(block: string): boolean {
  return encryptedPem.test(block);
}

/** Finds the first match at or after a position; positions must not decrease. */
function cursor(
  text: string,
  pattern: RegExp,
): (from: number) => { readonly start: number; readonly end: number } | null {
  const own = new RegExp(pattern.source, pattern.flags);
  let found: { start: number; end: number } | null | undefined;
  return (from) => {
    if (found === null || (found !== undefined && found.start >= from)) return found;
    own.lastIndex = from;
    const match = own.exec(text);
    found = match === null ? null : { start: match.index, end: match.index + match[0].length };
    return found;
  };
}
