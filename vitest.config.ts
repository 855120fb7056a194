import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real servers, real git and real SQLite on a noisy two-core machine.
    reporters: ['default', './test/support/closing-reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
