import { harmless } from '../../core/display.ts';
import type { Paint, Style } from './style.ts';

export interface Column {
  readonly title: string;
  /** It is not made narrower than this while another column can be; default: its title. */
  readonly min?: number;
  /** Left out where the terminal is too narrow for all, lowest number first; absent: never. */
  readonly dropped?: number;
  readonly align?: 'right';
}

/** Text of one cell; with a style, it is coloured after it was cut to size. */
export type Cell = string | { readonly text: string; readonly style: Style };

const gap = '  ';

/**
 * Lines of a table, heading first, none longer than `width` characters; columns are cut with `…`.
 * Every cell is made harmless here. `width` null: as wide as it needs.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number | null,
  paint: Paint,
): string[] {
  const texts = rows.map((row) =>
    columns.map((_, index) => [...harmless(textOf(row[index])).replaceAll('\t', ' ')]),
  );
  const natural = columns.map((column, index) =>
    Math.max(column.title.length, ...texts.map((row) => row[index]?.length ?? 0)),
  );
  const widths = width === null ? natural : fitted(columns, natural, width);
  const kept = columns.map((_, index) => index).filter((index) => (widths[index] ?? 0) > 0);
  const line = (cells: readonly (readonly string[])[], style: (index: number) => Style | null): string =>
    kept
      .map((index, position) => {
        const last = position === kept.length - 1;
        const cell = sized(cells[index] ?? [], widths[index] ?? 0, columns[index]?.align === 'right', last);
        const wanted = style(index);
        return wanted === null || cell === '' ? cell : paint(wanted, cell);
      })
      .join(gap)
      .trimEnd();
  return [
    line(
      columns.map((column) => [...column.title]),
      () => 'heading',
    ),
    ...texts.map((cells, row) => line(cells, (index) => styleOf(rows[row]?.[index]))),
  ];
}

function textOf(cell: Cell | undefined): string {
  return typeof cell === 'object' ? cell.text : (cell ?? '');
}

function styleOf(cell: Cell | undefined): Style | null {
  return typeof cell === 'object' ? cell.style : null;
}

/** Characters, not UTF-16 units, so that no pair is cut in two. */
function sized(text: readonly string[], width: number, right: boolean, last: boolean): string {
  if (text.length > width) return width === 0 ? '' : `${text.slice(0, width - 1).join('')}…`;
  const padding = ' '.repeat(width - text.length);
  if (right) return padding + text.join('');
  return last ? text.join('') : text.join('') + padding;
}

/** Widths that fit; 0 for a column that is left out. */
function fitted(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  for (;;) {
    const shown = widths.flatMap((columnWidth, index) => (columnWidth > 0 ? [index] : []));
    const over = (): number =>
      shown.reduce((sum, index) => sum + (widths[index] ?? 0), 0) + gap.length * (shown.length - 1) - width;
    const floor = (index: number): number =>
      Math.min(natural[index] ?? 0, columns[index]?.min ?? columns[index]?.title.length ?? 1);
    shrink(widths, shown, over, floor);
    if (over() <= 0) return widths;
    const [dropped] = shown
      .filter((index) => columns[index]?.dropped !== undefined)
      .sort((a, b) => (columns[a]?.dropped ?? 0) - (columns[b]?.dropped ?? 0));
    if (dropped === undefined) {
      shrink(widths, shown, over, () => 1);
      return widths;
    }
    for (const index of shown) widths[index] = natural[index] ?? 0;
    widths[dropped] = 0;
  }
}

/** Takes from the widest column, one character at a time, until it fits or all are at their floor. */
function shrink(
  widths: number[],
  shown: readonly number[],
  over: () => number,
  floor: (index: number) => number,
): void {
  while (over() > 0) {
    let widest = -1;
    for (const index of shown)
      if ((widths[index] ?? 0) > floor(index) && (widths[index] ?? 0) > (widths[widest] ?? 0)) widest = index;
    if (widest === -1) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}
