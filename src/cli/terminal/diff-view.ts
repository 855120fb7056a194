import { decodeBytes, harmless, quotable } from '../../core/display.ts';
import type { Hunk } from '../../pipeline/diff.ts';
import { decodedText } from '../json.ts';
import type { Comparison } from '../services.ts';
import type { Paint } from './style.ts';

const signs = { same: ' ', removed: '-', added: '+' } as const;
const styles = { removed: 'bad', added: 'good' } as const;

/** Lines of a diff as a person reads it: heading, then hunks with the section each lies in. Harmless. */
export function comparisonLines(heading: string, { diff, note }: Comparison, paint: Paint): string[] {
  const { addedLines, removedLines } = diff;
  const lines = [paint('heading', `${harmless(heading)} (+${addedLines} -${removedLines})`)];
  if (note !== null) lines.push(paint('doubtful', `note: ${quotable(note, 300)}`));
  if (diff.kind === 'too-different')
    return [
      ...lines,
      'The two differ in too many lines to be shown side by side; compare them with `roundsman show`.',
    ];
  if (diff.hunks.length === 0) return [...lines, 'no difference'];
  for (const hunk of diff.hunks) {
    lines.push(headerLine(hunk, paint));
    for (const { kind, text } of hunk.lines) {
      const line = `${signs[kind]}${harmless(decodeBytes(text))}`;
      lines.push(kind === 'same' ? line : paint(styles[kind], line));
    }
  }
  return lines;
}

/** `@@ -12,7 +12,9 @@ config firewall policy / edit 4` */
function headerLine(
  { beforeStart, beforeLines, afterStart, afterLines, sections }: Hunk,
  paint: Paint,
): string {
  const ranges = paint('place', `@@ -${beforeStart},${beforeLines} +${afterStart},${afterLines} @@`);
  if (sections.length === 0) return ranges;
  return `${ranges} ${paint('heading', sections.map((title) => quotable(title.trim(), 100)).join(' / '))}`;
}

/** `{added, removed, note, hunks}`; `hunks` null where the two differ in too many lines. */
export function comparisonJson({ diff, note }: Comparison): object {
  return {
    added: diff.addedLines,
    removed: diff.removedLines,
    note,
    hunks: diff.kind === 'too-different' ? null : diff.hunks.map(hunkJson),
  };
}

function hunkJson(hunk: Hunk): object {
  return {
    from_line: hunk.beforeStart,
    from_lines: hunk.beforeLines,
    to_line: hunk.afterStart,
    to_lines: hunk.afterLines,
    sections: hunk.sections.map(decodedText),
    lines: hunk.lines.map(({ kind, text }) => ({ kind, text: decodedText(text) })),
  };
}
