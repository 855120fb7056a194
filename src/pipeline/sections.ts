import type { Block } from '../drivers/driver.ts';
import { withFlags } from './lines.ts';

/**
 * 1 by line for the lines of every block whose first line matches `section`, that line included. A line
 * that only looks like one, inside of a quoted value, begins no block and marks nothing.
 */
export function linesOfBlocks(
  section: RegExp,
  lines: readonly string[],
  blocks: readonly Block[],
): Uint8Array {
  const begins = withFlags(section, '');
  const marks = new Uint8Array(lines.length);
  let end = -1;
  for (const { firstLine, lastLine } of blocks) {
    // What lies in a marked block is marked.
    if (lastLine <= end || !begins.test(lines[firstLine] ?? '')) continue;
    marks.fill(1, Math.max(firstLine, end + 1), lastLine + 1);
    end = lastLine;
  }
  return marks;
}

/** The blocks that lie in no other one. */
export function outermost(blocks: readonly Block[]): Block[] {
  let end = -1;
  return blocks.filter(({ firstLine, lastLine }) => {
    if (firstLine <= end) return false;
    end = lastLine;
    return true;
  });
}
