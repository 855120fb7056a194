/**
 * A secret that a rule found in one place often stands in another: a description that repeats the
 * password. These are found by value.
 */

/** Shorter values stand in a configuration by chance. */
const shortest = 8;
/** Longer ones are keys and certificates, which nobody repeats in a description. */
const longest = 256;

/** A word of a configuration's grammar could look like this. */
const keyword = /^[a-z]+(?:-[a-z]+)*$/;
const token = /<secret:[0-9a-z]+>/y;

/**
 * Replaces every value of `found` (secret → token) that stands in `text` as a word of its own or as
 * several. A word of the configuration's grammar (`grammar`) stays, even when somebody took it for a
 * password: masking it everywhere would tell which word it is.
 *
 * Cost: one look-up for each word of the text and each distinct length of the secrets that begin in
 * the same way, whatever their number.
 */
export function hideByValue(
  text: string,
  found: ReadonlyMap<string, string>,
  grammar: () => ReadonlySet<string>,
): { readonly text: string; readonly hidden: number } {
  const lengthsByPrefix = new Map<string, number[]>();
  let words: ReadonlySet<string> | null = null;
  for (const value of found.keys()) {
    if (value.length < shortest || value.length > longest || value.includes('\n')) continue;
    if (keyword.test(value)) {
      words ??= grammar();
      if (words.has(value)) continue;
    }
    const prefix = value.slice(0, shortest);
    const lengths = lengthsByPrefix.get(prefix) ?? [];
    if (!lengths.includes(value.length)) lengths.push(value.length);
    lengthsByPrefix.set(prefix, lengths);
  }
  if (lengthsByPrefix.size === 0) return { text, hidden: 0 };
  for (const lengths of lengthsByPrefix.values()) lengths.sort((a, b) => b - a);

  const parts: string[] = [];
  let copied = 0;
  let hidden = 0;
  for (let at = 0; at + shortest <= text.length; at++) {
    if (text[at] === '<') {
      token.lastIndex = at;
      const own = token.exec(text);
      if (own !== null) {
        at += own[0].length - 1;
        continue;
      }
    }
    if (isWord(text, at - 1) && isWord(text, at)) continue;
    const lengths = lengthsByPrefix.get(text.slice(at, at + shortest));
    if (lengths === undefined) continue;
    for (const length of lengths) {
      const end = at + length;
      if (isWord(text, end - 1) && isWord(text, end)) continue;
      const mask = found.get(text.slice(at, end));
      if (mask === undefined) continue;
      parts.push(text.slice(copied, at), mask);
      copied = end;
      at = end - 1;
      hidden++;
      break;
    }
  }
  parts.push(text.slice(copied));
  return { text: parts.join(''), hidden };
}

function isWord(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
}
