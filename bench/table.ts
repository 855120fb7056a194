import type { Limit, Measured } from './part.ts';

/** Whether a figure keeps its limit, or that limit with so much `slack`: 3 is three times as bad. True where there is none. */
export function kept({ value, limit }: Measured, slack = 1): boolean {
  if (limit === null) return true;
  return 'atMost' in limit ? value <= limit.atMost * slack : value >= limit.atLeast / slack;
}

function shown(value: number, unit: Measured['unit']): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit === 'x' ? '×' : unit}`;
}

function limitOf(limit: Limit, unit: Measured['unit']): string {
  if (limit === null) return '';
  return 'atMost' in limit ? `≤ ${shown(limit.atMost, unit)}` : `≥ ${shown(limit.atLeast, unit)}`;
}

function verdict(one: Measured): string {
  if (one.limit === null) return '';
  return kept(one) ? 'kept' : '**missed**';
}

/** For a terminal, as each part ends. */
export function rowsOf(measured: readonly Measured[]): readonly string[] {
  return measured.map((one) => {
    const limit = limitOf(one.limit, one.unit);
    const held = limit === '' ? '' : ` (${limit}: ${verdict(one)})`;
    return `   ${one.what}: ${shown(one.value, one.unit)}${held}${one.note === null ? '' : `; ${one.note}`}`;
  });
}

/** Markdown. */
export function tableOf(
  results: readonly { readonly part: string; readonly measured: readonly Measured[] }[],
): string {
  const rows = results.flatMap(({ measured }) =>
    measured.map(
      (one) =>
        `| ${one.what} | ${shown(one.value, one.unit)} | ${limitOf(one.limit, one.unit)} | ${verdict(one)} | ${one.note ?? ''} |`,
    ),
  );
  return ['| what | value | limit | | note |', '|---|---:|---:|---|---|', ...rows].join('\n');
}
