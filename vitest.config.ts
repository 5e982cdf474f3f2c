import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/harness/engine.ts'],
    reporters: ['default', './test/harness/closing-reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // Two cores are what CI has; more workers only make the real containers wait.
    maxWorkers: 2,
  },
});
