import { diffArrays } from 'diff';
import type { Block } from '../drivers/driver.ts';
import { linesOf, nest } from './lines.ts';

export interface DiffLine {
  readonly kind: 'same' | 'removed' | 'added';
  /** Without its line feed; one character per byte, not harmless yet. */
  readonly text: string;
}

/** A run of changes in one section, with the lines around it. */
export interface Hunk {
  /** 1-based; as in a unified diff, the line before where the count is 0. */
  readonly beforeStart: number;
  readonly beforeLines: number;
  readonly afterStart: number;
  readonly afterLines: number;
  /** Titles of the blocks that the changes lie in, outermost first; empty outside of every block. */
  readonly sections: readonly string[];
  readonly lines: readonly DiffLine[];
}

/** `too-different`: no hunks were made in the time given, and the counts ignore the order of lines. */
export type TextDiff =
  | {
      readonly kind: 'hunks';
      readonly hunks: readonly Hunk[];
      readonly addedLines: number;
      readonly removedLines: number;
    }
  | { readonly kind: 'too-different'; readonly addedLines: number; readonly removedLines: number };

export interface DiffOptions {
  /** Unchanged lines to show around a change. */
  readonly context: number;
  /** Jsdiff blocks the event loop; default 2000. */
  readonly timeoutMs?: number;
  /** Added and removed lines together; default 20 000. */
  readonly mostChanges?: number;
}

/**
 * The difference of two texts, for display. Each hunk lies in one section: changes in two interfaces
 * are two hunks, however near they are. Whether the last line ends in a line feed does not count.
 */
export function diffText(
  before: string,
  after: string,
  outlineBefore: readonly Block[],
  outlineAfter: readonly Block[],
  options: DiffOptions,
): TextDiff {
  const beforeLines = linesOf(before);
  const afterLines = linesOf(after);
  const mostChanges = options.mostChanges ?? 20_000;
  const least = countLines(beforeLines, afterLines);
  // No order of the lines has fewer changes than these: two texts with little in common need no search.
  const changes =
    least.addedLines + least.removedLines > mostChanges
      ? undefined
      : diffArrays(beforeLines, afterLines, {
          timeout: options.timeoutMs ?? 2000,
          maxEditLength: mostChanges,
        });
  if (changes === undefined) return { kind: 'too-different', ...least };
  const titlesBefore = titlesByLine(outlineBefore, beforeLines.length);
  const titlesAfter = titlesByLine(outlineAfter, afterLines.length);
  const steps: Step[] = [];
  let [oldLine, newLine] = [0, 0];
  let [addedLines, removedLines] = [0, 0];
  for (const change of changes) {
    const kind = change.added ? 'added' : change.removed ? 'removed' : 'same';
    for (const text of change.value) {
      const sections = kind === 'removed' ? titlesBefore(oldLine) : titlesAfter(newLine);
      steps.push({ kind, text, oldLine, newLine, sections });
      if (kind !== 'added') oldLine++;
      if (kind !== 'removed') newLine++;
    }
    if (kind === 'added') addedLines += change.value.length;
    if (kind === 'removed') removedLines += change.value.length;
  }
  const hunks = rangesOf(steps, options.context).map((range) => hunkOf(steps, range));
  return { kind: 'hunks', hunks, addedLines, removedLines };
}

/** As in a unified diff, with the innermost section behind it; nothing of it is harmless yet. */
export function hunkHeader(hunk: Hunk): string {
  const { beforeStart, beforeLines, afterStart, afterLines } = hunk;
  const section = hunk.sections.at(-1);
  const ranges = `@@ -${beforeStart},${beforeLines} +${afterStart},${afterLines} @@`;
  return section === undefined ? ranges : `${ranges} ${section}`;
}

interface Step extends DiffLine {
  readonly oldLine: number;
  readonly newLine: number;
  readonly sections: readonly string[];
}

/** Steps `first` to `last` (inclusive), and where in them the changes lie. */
interface Range {
  first: number;
  last: number;
  lastChange: number;
  sections: readonly string[];
}

/** Gathers changes that are near and in one section, then gives each range its context. */
function rangesOf(steps: readonly Step[], context: number): Range[] {
  const ranges: Range[] = [];
  for (const [index, step] of steps.entries()) {
    if (step.kind === 'same') continue;
    const open = ranges.at(-1);
    if (open !== undefined && index - open.lastChange <= 2 * context + 1) {
      const sections = together(open.sections, step.sections);
      if (sections !== null) {
        open.last = open.lastChange = index;
        open.sections = sections;
        continue;
      }
    }
    ranges.push({ first: index, last: index, lastChange: index, sections: step.sections });
  }
  for (const [position, range] of ranges.entries()) {
    const previous = ranges[position - 1];
    const floor = previous === undefined ? 0 : previous.lastChange + 1;
    const boundary = boundaryBefore(steps, floor, range);
    range.first = Math.max(range.first - context, boundary);
    if (previous !== undefined) previous.last = Math.min(previous.lastChange + context, range.first - 1);
    range.last = Math.min(range.lastChange + context, steps.length - 1);
  }
  return ranges;
}

/**
 * Where the context before a range may begin: behind the change before it, and where the two are too
 * near for both, at the line where the section of this one begins.
 */
function boundaryBefore(steps: readonly Step[], floor: number, range: Range): number {
  const own = range.sections.join('\n');
  let boundary = range.first;
  while (boundary > floor && steps[boundary - 1]?.sections.join('\n') === own) boundary--;
  return boundary === range.first ? floor : Math.max(floor, boundary);
}

/** The deeper of two places where one holds the other; null for places that lie beside each other. */
function together(a: readonly string[], b: readonly string[]): readonly string[] | null {
  const [outer, inner] = a.length <= b.length ? [a, b] : [b, a];
  return outer.every((title, depth) => inner[depth] === title) ? inner : null;
}

function hunkOf(steps: readonly Step[], range: Range): Hunk {
  const within = steps.slice(range.first, range.last + 1);
  const start = within[0] ?? { oldLine: 0, newLine: 0 };
  const beforeLines = within.filter((step) => step.kind !== 'added').length;
  const afterLines = within.filter((step) => step.kind !== 'removed').length;
  return {
    beforeStart: beforeLines === 0 ? start.oldLine : start.oldLine + 1,
    beforeLines,
    afterStart: afterLines === 0 ? start.newLine : start.newLine + 1,
    afterLines,
    sections: range.sections,
    lines: within.map(({ kind, text }) => ({ kind, text })),
  };
}

/** The titles of the blocks around a line, outermost first. */
function titlesByLine(blocks: readonly Block[], lineCount: number): (line: number) => readonly string[] {
  const { innermost, parent } = nest(blocks, lineCount);
  const known = new Map<number, readonly string[]>([[-1, []]]);
  return (line) => {
    const block = innermost[line] ?? -1;
    const path: number[] = [];
    let at = block;
    while (!known.has(at)) {
      path.push(at);
      at = parent[at] ?? -1;
    }
    for (const inner of path.reverse()) {
      known.set(inner, [...(known.get(parent[inner] ?? -1) ?? []), blocks[inner]?.title ?? '']);
    }
    return known.get(block) ?? [];
  };
}

function countLines(
  before: readonly string[],
  after: readonly string[],
): { addedLines: number; removedLines: number } {
  const counts = new Map<string, number>();
  for (const line of before) counts.set(line, (counts.get(line) ?? 0) + 1);
  let addedLines = 0;
  for (const line of after) {
    const left = counts.get(line) ?? 0;
    if (left === 0) addedLines++;
    else counts.set(line, left - 1);
  }
  return { addedLines, removedLines: before.length - (after.length - addedLines) };
}
