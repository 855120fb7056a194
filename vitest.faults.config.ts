import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { cases, namePattern, shownFiles } from './test/faults/cases.ts';

const names = new Set(cases.flatMap(({ shown }) => shown.flatMap((one) => one.names.map(namePattern))));

/** What takes minutes begins first: at the end it would run alone. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): number => Number(moduleId.endsWith('.faults.ts'));
    return (await super.sort(files)).sort((a, b) => isLong(b) - isLong(a));
  }
}

/** The tests that the 67 cases name, at every commit and on demand, with a table of the cases at the end. */
export default defineConfig({
  test: {
    include: [...shownFiles],
    testNamePattern: new RegExp([...names].join('|')),
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    reporters: ['default', './test/faults/closing-table.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
