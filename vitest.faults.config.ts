import { defineConfig } from 'vitest/config';
import { cases, namePattern, shownFiles } from './test/faults/cases.ts';

const names = new Set(cases.flatMap(({ shown }) => shown.flatMap((one) => one.names.map(namePattern))));

/** The tests that the 67 cases name, at every commit and on demand, with a table of the cases at the end. */
export default defineConfig({
  test: {
    include: [...shownFiles],
    testNamePattern: new RegExp([...names].join('|')),
    maxWorkers: 2,
    reporters: ['default', './test/faults/closing-table.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
