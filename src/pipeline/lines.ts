import type { Block } from '../drivers/driver.ts';

/** The lines of `text` without their line feeds; a final line feed ends the last line, it begins no other. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** The inverse of `linesOf`: every line ends in a line feed. */
export function textOf(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Lines that hold something besides blanks. */
export function filledLines(text: string): string[] {
  return linesOf(text).filter((line) => line.trim() !== '');
}

/** How the blocks of an outline lie in each other. */
export interface Nesting {
  /** By line: index of the innermost block that holds it; -1 for none. */
  readonly innermost: Int32Array;
  /** By block: index of the block around it; -1 for none. */
  readonly parent: Int32Array;
}

/** One pass over lines and blocks, so that an outline of a million blocks costs what its size is. */
export function nest(blocks: readonly Block[], lineCount: number): Nesting {
  const innermost = new Int32Array(lineCount).fill(-1);
  const parent = new Int32Array(blocks.length).fill(-1);
  const open: number[] = [];
  let next = 0;
  const closeBefore = (line: number): number => {
    for (;;) {
      const top = open.at(-1);
      if (top === undefined) return -1;
      if ((blocks[top]?.lastLine ?? -1) >= line) return top;
      open.pop();
    }
  };
  for (let line = 0; line < lineCount; line++) {
    for (let block = blocks[next]; block !== undefined && block.firstLine <= line; block = blocks[next]) {
      parent[next] = closeBefore(block.firstLine);
      open.push(next);
      next++;
    }
    innermost[line] = closeBefore(line);
  }
  return { innermost, parent };
}

/** Index by line of the first line from there on that `pattern` matches; -1 for none. One test a line. */
export function nextMatch(lines: readonly string[], pattern: RegExp): Int32Array {
  const plain = withFlags(pattern, '');
  const next = new Int32Array(lines.length + 1).fill(-1);
  for (let index = lines.length - 1; index >= 0; index--) {
    next[index] = plain.test(lines[index] ?? '') ? index : (next[index + 1] ?? -1);
  }
  return next;
}

/** `pattern` with `extra` flags, without `g` and `y`: those keep state between two uses. */
export function withFlags(pattern: RegExp, extra: string): RegExp {
  const flags = new Set([...pattern.flags.replace(/[gy]/g, ''), ...extra]);
  return new RegExp(pattern.source, [...flags].join(''));
}

/**
 * Whether any of `patterns` matches a line, in one or two tests instead of dozens: nearly every line of
 * a configuration holds no secret, and they are what reading costs.
 */
export function anyOf(patterns: readonly RegExp[]): (line: string) => boolean {
  const alike = new Map<
    string,
    { readonly flags: string; readonly start: string; readonly rests: string[] }
  >();
  const alone: RegExp[] = [];
  for (const pattern of patterns) {
    const { source, flags } = withFlags(pattern, '');
    // What can only begin a line is tried there once, where nothing beside it may stand anywhere; and the blanks that many
    // begin with are passed once for all of them.
    const start = isAlternation(source) ? '' : (/^\^(?:\\s[+*])?/.exec(source)?.[0] ?? '');
    const key = `${start} ${flags}`;
    const group = alike.get(key) ?? { flags, start, rests: [] };
    // A numbered reference would mean another group once expressions are joined.
    if (/\\[1-9]/.test(source)) alone.push(new RegExp(source, flags));
    else group.rests.push(`(?:${source.slice(start.length)})`);
    alike.set(key, group);
  }
  for (const { flags, start, rests } of alike.values())
    if (rests.length > 0) alone.push(new RegExp(`${start}(?:${rests.join('|')})`, flags));
  return (line) => alone.some((pattern) => pattern.test(line));
}

/** Whether the whole of an expression is one of several: what it begins with is then not what all of it begins with. */
function isAlternation(source: string): boolean {
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < source.length; at++) {
    const character = source[at];
    if (character === '\\') at++;
    else if (inClass) inClass = character !== ']';
    else if (character === '[') inClass = true;
    else if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === '|' && depth === 0) return true;
  }
  return false;
}
