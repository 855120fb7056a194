import { harmlessLines, quotable } from '../core/display.ts';

/** A commit message before it is written. */
export interface MessageParts {
  readonly subject: string;
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
}

/** No word of a device needs more; a line of a message must not grow without bound. */
const longestLine = 1000;

/**
 * The text of a commit message. Subject and trailers hold words that devices chose: each becomes one
 * harmless line, so that none can add a trailer or a subject of its own, and `git log` may be read in a
 * terminal. A trailer without a value is left out.
 */
export function messageText({ subject, body, trailers }: MessageParts): string {
  const lines = trailers.flatMap(([key, value]) => {
    if (!/^[A-Za-z][A-Za-z-]*$/.test(key)) throw new Error(`${key} cannot be the name of a trailer`);
    const text = quotable(value, longestLine).trim();
    return text === '' ? [] : [`${key}: ${text}`];
  });
  // git reads the last paragraph alone as trailers, so the body cannot pass for one.
  const parts = [quotable(subject, longestLine).trim(), harmlessLines(body).trim(), lines.join('\n')];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}
