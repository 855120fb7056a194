import type { FaultCase, Shown } from './case.ts';
import collector from './table/collector.ts';
import devices from './table/devices.ts';
import input from './table/input.ts';

/** Every case, by number. */
export const cases: readonly FaultCase[] = [...collector, ...devices, ...input].sort(
  (a, b) => a.number - b.number,
);

export const howMany = 67;

/** Every file that a case names, relative to the repository. */
export const shownFiles: readonly string[] = [
  ...new Set(cases.flatMap(({ shown }) => shown.map(({ file }) => file))),
].sort();

/** What a test is called that was written under this name: `%s`, `$key` and `${…}` stand for anything. */
export function namePattern(name: Shown['names'][number]): string {
  return name
    .split(/%[sdifjo#]|\$\{[^}]*\}|\$[\w.]+/)
    .map((plain) => plain.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
}
