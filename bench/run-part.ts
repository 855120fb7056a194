/** One part in a process of its own; started by bench.ts. */
import type { BenchPart, Measured, Scale } from './part.ts';

export type FromPart =
  | { readonly is: 'line'; readonly line: string }
  | { readonly is: 'measured'; readonly measured: readonly Measured[] };

function tell(told: FromPart): Promise<void> {
  return new Promise((done) => {
    process.send?.(told, () => done());
  });
}

const [, , name = '', scale] = process.argv;
const { default: part } = (await import(new URL(`parts/${name}.ts`, import.meta.url).href)) as {
  readonly default: BenchPart;
};
const measured = await part.run(scale as Scale, (line) => void tell({ is: 'line', line }));
await tell({ is: 'measured', measured });
process.disconnect?.();
