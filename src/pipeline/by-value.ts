import type { Steps } from './turns.ts';

/**
 * A secret that a rule found in one place often stands in another: a description that repeats the
 * password. These are found by value.
 */

/** Shorter values stand in a configuration by chance. */
export const shortest = 8;
/** Longer ones are keys and certificates, which nobody repeats in a description. */
const longest = 256;

/** Of a text, times the values that are looked for one by one: milliseconds. */
const searchedCharacters = 8 * 1024 * 1024;

/** Of a text, between two steps. */
const charactersAStep = 500_000;

/** A word of a configuration's grammar could look like this. */
const keyword = /^[a-z]+(?:-[a-z]+)*$/;
const token = /<secret:[0-9a-z]+>/y;

/**
 * Replaces every value of `found` (secret → token) that stands in `text` as a word of its own or as
 * several. A word of the configuration's grammar (`grammar`) stays, even when somebody took it for a
 * password: masking it everywhere would tell which word it is.
 *
 * Cost: one look-up for each word of the text, and where one begins like a secret, one step for each
 * character that the longest such secret has, whatever their number.
 */
export function* hidingByValue(
  text: string,
  found: ReadonlyMap<string, string>,
  grammar: () => ReadonlySet<string>,
): Steps<{ readonly text: string; readonly hidden: number }> {
  let words: ReadonlySet<string> | null = null;
  // Most values stand nowhere else, and a few are looked for in less time than every word is looked up.
  const few = found.size * text.length <= searchedCharacters;
  const values = [...found.keys()].filter((value) => {
    if (value.length < shortest || value.length > longest || value.includes('\n')) return false;
    if (few && !text.includes(value)) return false;
    if (!keyword.test(value)) return true;
    words ??= grammar();
    return !words.has(value);
  });
  if (values.length === 0) return { text, hidden: 0 };
  const known = new Known(values);

  const parts: string[] = [];
  let copied = 0;
  let hidden = 0;
  let insideWord = false;
  let nextStep = charactersAStep;
  for (let at = 0; at + shortest <= text.length; at++) {
    if (at >= nextStep) {
      nextStep = at + charactersAStep;
      yield;
    }
    const before = insideWord;
    insideWord = isWord(text, at);
    if (before && insideWord) continue;
    if (text.charCodeAt(at) === 60) {
      token.lastIndex = at;
      const own = token.exec(text);
      if (own !== null) {
        at += own[0].length - 1;
        continue;
      }
    }
    for (const end of known.endsOf(text, at)) {
      const mask = found.get(text.slice(at, end));
      if (mask === undefined) continue;
      parts.push(text.slice(copied, at), mask);
      copied = end;
      at = end - 1;
      insideWord = isWord(text, at);
      hidden++;
      break;
    }
  }
  parts.push(text.slice(copied));
  return { text: parts.join(''), hidden };
}

/** Values that begin alike: 1 by length where one is as long. */
interface Family {
  longest: number;
  readonly has: Uint8Array;
}

const none: readonly number[] = [];

/** Where values may stand: never misses one, and is wrong about few others. */
class Known {
  /** By the first characters of values. */
  readonly #families = new Map<string, Family>();
  /** 1 by hash of the first four characters: nearly every word of a text begins like no value. */
  readonly #beginnings = new Uint8Array(2 ** 16);
  /** Not to be foreseen by whoever wrote the values. */
  readonly #factor = 2 * Math.floor(Math.random() * 2 ** 30) + 1;
  /** 1 by hash, cut to its size, of every value. */
  readonly #hashes: Uint8Array;

  constructor(values: readonly string[]) {
    this.#hashes = new Uint8Array(2 ** Math.min(24, Math.ceil(Math.log2(16 * values.length))));
    for (const value of values) {
      const prefix = value.slice(0, shortest);
      const family = this.#families.get(prefix) ?? { longest: 0, has: new Uint8Array(longest + 1) };
      family.longest = Math.max(family.longest, value.length);
      family.has[value.length] = 1;
      this.#families.set(prefix, family);
      this.#beginnings[beginning(value, 0)] = 1;
      let hash = 0;
      for (let index = 0; index < value.length; index++) hash = this.#next(hash, value, index);
      this.#hashes[this.#place(hash)] = 1;
    }
  }

  /** The ends of what may be a value that begins at `at`, the longest first; each is the end of a word. */
  endsOf(text: string, at: number): readonly number[] {
    if (this.#beginnings[beginning(text, at)] !== 1) return none;
    const family = this.#families.get(text.slice(at, at + shortest));
    if (family === undefined) return none;
    const last = Math.min(text.length, at + family.longest);
    const ends: number[] = [];
    let hash = 0;
    for (let index = at; index < last; index++) {
      hash = this.#next(hash, text, index);
      if (family.has[index + 1 - at] !== 1 || this.#hashes[this.#place(hash)] !== 1) continue;
      if (!isWord(text, index) || !isWord(text, index + 1)) ends.push(index + 1);
    }
    return ends.reverse();
  }

  #next(hash: number, text: string, index: number): number {
    return Math.imul(hash, this.#factor) + text.charCodeAt(index) + 1;
  }

  #place(hash: number): number {
    // The upper bits depend on all characters, the lower ones hardly on the first.
    return (hash ^ (hash >>> 15)) & (this.#hashes.length - 1);
  }
}

function beginning(text: string, at: number): number {
  const first = Math.imul(text.charCodeAt(at), 31) + text.charCodeAt(at + 1);
  return (Math.imul(first, 961) + Math.imul(text.charCodeAt(at + 2), 31) + text.charCodeAt(at + 3)) & 0xffff;
}

/** 1 by character that stands in words; looked up, because every character of every text is asked about. */
const inWords = Uint8Array.from({ length: 256 }, (_none, code) =>
  /[0-9A-Za-z]/.test(String.fromCharCode(code)) ? 1 : 0,
);

function isWord(text: string, at: number): boolean {
  return inWords[text.charCodeAt(at)] === 1;
}
