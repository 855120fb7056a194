/**
 * Making hostile text harmless for a person's eyes. Stored bytes stay exact; everything that is
 * shown (terminal, log, page) passes through here.
 */

/**
 * C0 and C1 controls, DEL, halves of surrogate pairs, line and paragraph separators, and every character that
 * reorders or hides text or is itself unseen: the Unicode categories and the property that say so, not a list of ours.
 */
const harmful = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** `text` with every harmful character written out as `\xNN` or `\u{…}`; a tab in the middle of a line stays. */
export function harmless(text: string): string {
  return text.replace(harmful, (character) => {
    if (character === '\t') return character;
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** The same for text of many lines: line feeds stay. */
export function harmlessLines(text: string): string {
  return text.split('\n').map(harmless).join('\n');
}

/**
 * Text of a device (one character per byte) as a person should read it: UTF-8 where it is valid,
 * else latin1. Not yet harmless: pass the result through `harmless`.
 */
export function decodeBytes(latin1: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return latin1;
  }
}

/** At most `limit` characters of `text`, with an ellipsis where something was cut. */
export function clip(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1)}…`;
}

/** What `decodeBytes` must not be given: text that holds more than bytes, such as a file name. */
const beyondBytes = /[^\u0000-\u00ff]/;

/**
 * A piece of text from anywhere, for the middle of a sentence: decoded where it is bytes of a device,
 * at most `limit` characters of it, one line, harmless.
 */
export function quotable(text: string, limit = 120): string {
  return harmless(clip(beyondBytes.test(text) ? text : decodeBytes(text), limit)).replaceAll('\t', ' ');
}
