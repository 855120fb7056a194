import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { cases, namePattern, shownFiles } from './test/faults/cases.ts';

const names = new Set(cases.flatMap(({ shown }) => shown.flatMap((one) => one.names.map(namePattern))));

/** The longest first: at the end it would run alone. The next ones mostly wait, beside those that keep processors busy. */
const first = ['kill-loop', 'disk-errors', 'standstill', 'power-loss', 'stop', 'memory'];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = first.findIndex((name) => moduleId.endsWith(`/${name}.faults.ts`));
      return at < 0 ? first.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** The tests that the 67 cases name, at every commit and on demand, with a table of the cases at the end. */
export default defineConfig({
  test: {
    include: [...shownFiles],
    testNamePattern: new RegExp([...names].join('|')),
    // On two processors too: much of the time is waiting.
    maxWorkers: 3,
    sequence: { sequencer: LongFirst },
    reporters: ['default', './test/faults/closing-table.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
