/** Lines that one text has more, and fewer, than another. */
export interface LineCounts {
  readonly addedLines: number;
  readonly removedLines: number;
}

/** A stretch longer than this is left to git: to look at it would hold up the event loop. */
const mostLines = 2_000;
const step = 65_536;
const newline = 0x0a;

/**
 * Counts where two texts differ in a single stretch, in which they have no line in common: most changes of a
 * configuration are of this kind. No comparison finds fewer lines; git's histogram now and then tells more, where the
 * same line stands many times around the change. Null: it takes a real comparison.
 */
export function countOneChange(before: Buffer, after: Buffer): LineCounts | null {
  const most = Math.min(before.length, after.length);
  const start = lineStart(before, commonStart(before, after, most));
  const end = commonEnd(before, after, most - start);
  const removed = linesOf(before, start, before.length - end);
  const added = linesOf(after, start, after.length - end);
  if (removed === null || added === null) return null;
  const gone = new Set(removed);
  if (added.some((line) => gone.has(line))) return null;
  return { addedLines: added.length, removedLines: removed.length };
}

/** How many bytes both begin with. */
function commonStart(a: Buffer, b: Buffer, most: number): number {
  let at = 0;
  while (at + step <= most && a.compare(b, at, at + step, at, at + step) === 0) at += step;
  while (at < most && a[at] === b[at]) at += 1;
  return at;
}

/** How many bytes of whole lines both end with. */
function commonEnd(a: Buffer, b: Buffer, most: number): number {
  const equal = (from: number, to: number): boolean =>
    a.compare(b, b.length - to, b.length - from, a.length - to, a.length - from) === 0;
  let end = 0;
  while (end + step <= most && equal(end, end + step)) end += step;
  while (end < most && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  // The first of these lines may be the end of a longer one.
  const wholeInBoth =
    isLineStart(a, a.length - end) && isLineStart(b, b.length - end)
      ? a.length - end
      : nextLine(a, a.length - end);
  return a.length - wholeInBoth;
}

/** The beginning of the line in which `at` lies. */
function lineStart(text: Buffer, at: number): number {
  return at === 0 ? 0 : text.lastIndexOf(newline, at - 1) + 1;
}

function isLineStart(text: Buffer, at: number): boolean {
  return at === 0 || text[at - 1] === newline;
}

/** The beginning of the line after the one in which `at` lies; the end of the text where there is none. */
function nextLine(text: Buffer, at: number): number {
  const found = text.indexOf(newline, at);
  return found === -1 ? text.length : found + 1;
}

/** With their ends: a last line without one is another line. Null: too many. */
function linesOf(text: Buffer, from: number, to: number): readonly string[] | null {
  const lines: string[] = [];
  for (let at = from; at < to; ) {
    if (lines.length === mostLines) return null;
    const end = Math.min(to, nextLine(text, at));
    lines.push(text.toString('latin1', at, end));
    at = end;
  }
  return lines;
}
