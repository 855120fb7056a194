import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most of the time is waiting for servers and timers: two at once, also where vitest would take one.
    maxWorkers: 2,
    reporters: ['default', './test/support/closing-reporter.ts'],
    // Real servers, real git and real SQLite on a noisy two-core machine.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
