import type { Reporter, TestModule } from 'vitest/node';

/** Names every group that was skipped and why, and closes with one plain line of counts. */
export default class ClosingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const skipped = new Map<string, number>();
    for (const module of modules) {
      // A hook that failed skips its tests: that is a failure, not a skip.
      const broken = [...module.children.allSuites()].filter((suite) => suite.errors().length > 0);
      counts.failed += broken.length + (module.errors().length > 0 ? 1 : 0);
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') counts.passed += 1;
        else if (state === 'failed') counts.failed += 1;
        else {
          counts.skipped += 1;
          const parent = test.parent.type === 'suite' ? test.parent.fullName : test.fullName;
          skipped.set(parent, (skipped.get(parent) ?? 0) + 1);
        }
      }
    }
    for (const [name, count] of skipped) console.log(`skipped ${count}: ${name}`);
    console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  }
}
