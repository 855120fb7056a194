/**
 * bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme", 1999). `$2a$`, `$2b$` and `$2y$` name one
 * algorithm, made by programs that were right and programs that were corrected. A digest takes tens of
 * milliseconds and more: never on the event loop.
 */

/** A hash as it is written, taken apart. */
export interface BcryptHash {
  /** Binary logarithm of the number of rounds, 4 to 31. */
  readonly cost: number;
  readonly salt: Buffer;
  /** The 31 characters that it ends with. */
  readonly digest: string;
}

/** Null where `written` is no bcrypt hash. */
export function parseHash(written: string): BcryptHash | null {
  const match = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/.exec(written);
  const [, digits = '', salt = '', digest = ''] = match ?? [];
  const cost = Number(digits);
  return match !== null && cost >= 4 && cost <= 31 ? { cost, salt: decode(salt), digest } : null;
}

/** The 31 characters that a hash of this cost and salt ends with for this password. */
export function digestOf(password: Buffer, { cost, salt }: Pick<BcryptHash, 'cost' | 'salt'>): string {
  // The zero byte that ends it counts. Of what is longer than 72 bytes the rest is never looked at, here and elsewhere.
  const key = Buffer.concat([password, Buffer.of(0)]);
  const cipher = Int32Array.from(fraction());
  expand(cipher, key, salt);
  for (let round = 2 ** cost; round > 0; round--) {
    expand(cipher, key, noSalt);
    expand(cipher, salt, noSalt);
  }
  const text = Buffer.from('OrpheanBeholderScryDoubt', 'latin1');
  const pair = new Int32Array(2);
  for (let at = 0; at < text.length; at += 8) {
    pair[0] = text.readInt32BE(at);
    pair[1] = text.readInt32BE(at + 4);
    for (let time = 0; time < 64; time++) encrypt(cipher, pair);
    text.writeInt32BE(pair[0], at);
    text.writeInt32BE(pair[1], at + 4);
  }
  // The last byte was never written, in the first implementation, and never since.
  return encode(text.subarray(0, 23));
}

const noSalt = Buffer.alloc(16);

/** Blowfish's subkeys, then its four boxes of 256 words: what a key changes. */
const subkeys = 18;
const cipherWords = subkeys + 4 * 256;

/** The key is mixed into the subkeys; then everything is replaced by what the cipher makes of the salt, over and over. */
function expand(cipher: Int32Array, key: Buffer, salt: Buffer): void {
  let at = 0;
  for (let index = 0; index < subkeys; index++) {
    let word = 0;
    for (let byte = 0; byte < 4; byte++) {
      word = (word << 8) | (key[at] as number);
      at = at + 1 === key.length ? 0 : at + 1;
    }
    (cipher[index] as number) ^= word;
  }
  const halves = [0, 4, 8, 12].map((offset) => salt.readInt32BE(offset)) as [number, number, number, number];
  const pair = new Int32Array(2);
  for (let index = 0; index < cipherWords; index += 2) {
    const second = index % 4 === 2;
    (pair[0] as number) ^= second ? halves[2] : halves[0];
    (pair[1] as number) ^= second ? halves[3] : halves[1];
    encrypt(cipher, pair);
    cipher[index] = pair[0] as number;
    cipher[index + 1] = pair[1] as number;
  }
}

/** Blowfish, one block of two words. */
function encrypt(cipher: Int32Array, pair: Int32Array): void {
  let left = pair[0] as number;
  let right = pair[1] as number;
  for (let round = 0; round < 16; round++) {
    left ^= cipher[round] as number;
    const first =
      ((cipher[18 + (left >>> 24)] as number) + (cipher[274 + ((left >>> 16) & 255)] as number)) | 0;
    const mixed =
      (first ^ (cipher[530 + ((left >>> 8) & 255)] as number)) + (cipher[786 + (left & 255)] as number);
    const next = right ^ mixed;
    right = left;
    left = next;
  }
  pair[0] = right ^ (cipher[17] as number);
  pair[1] = left ^ (cipher[16] as number);
}

let known: Int32Array | null = null;

/** What Blowfish begins with: the fraction of pi, in binary, 32 bits a word. */
function fraction(): Int32Array {
  known ??= computed();
  return known;
}

/** Machin's formula: pi = 16 atan(1/5) - 4 atan(1/239). Some tens of milliseconds, once. */
function computed(): Int32Array {
  const spare = 64n;
  const bits = BigInt(cipherWords * 32) + spare;
  const arctan = (inverse: bigint): bigint => {
    let power = (1n << bits) / inverse;
    let sum = 0n;
    for (let n = 1n; power !== 0n; n += 4n) {
      sum += power / n;
      power /= inverse * inverse;
      sum -= power / (n + 2n);
      power /= inverse * inverse;
    }
    return sum;
  };
  const pi = 16n * arctan(5n) - 4n * arctan(239n);
  const digits = ((pi - (3n << bits)) >> spare).toString(16).padStart(cipherWords * 8, '0');
  return Int32Array.from({ length: cipherWords }, (_, index) =>
    Number.parseInt(digits.slice(index * 8, index * 8 + 8), 16),
  );
}

/** bcrypt's base64 has the usual order of bits and another alphabet. */
const alphabet = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const usual = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function encode(bytes: Buffer): string {
  const text = bytes.toString('base64').replace(/=+$/, '');
  return [...text].map((character) => alphabet[usual.indexOf(character)]).join('');
}

function decode(text: string): Buffer {
  return Buffer.from([...text].map((character) => usual[alphabet.indexOf(character)]).join(''), 'base64');
}
