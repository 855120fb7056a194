import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most of the time is waiting for servers and timers: two at once, also where vitest would take one.
    maxWorkers: 2,
    // Real servers, real git and real SQLite on a noisy two-core machine.
    reporters: ['default', './test/support/closing-reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
