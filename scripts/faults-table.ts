import type { FaultCase } from '../test/faults/case.ts';
import { cases } from '../test/faults/cases.ts';

const where = { commit: 'every commit', demand: '`npm run test:faults`', trial: 'by hand' } as const;

/** The table of faults in docs/reliability.md, and below it what a reader must know besides of some of them. */
export function faultsTable(): string {
  const rows = cases.map(
    (one) =>
      `| ${one.number} | ${cell(one.title)} | ${cell(one.expected)} | ${where[one.tier]} | ${filesOf(one)} |`,
  );
  const notes = cases.flatMap(({ number, note }) => (note === null ? [] : [`- **${number}**: ${note}`]));
  return [
    '| # | what happens | what an operator then finds | tried | shown by |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    ...notes,
  ].join('\n');
}

function filesOf({ shown }: FaultCase): string {
  const files = [...new Set(shown.map(({ file }) => file))];
  return files.map((file) => `\`${file.replace(/^test\//, '')}\``).join(', ') || 'see below';
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
