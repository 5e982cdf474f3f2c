/** The last lines of a run: what was skipped, by name, and the counts. A suite that nobody notices missing is as good as none. */
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export default class ClosingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const skipped = new Map<string, number>();
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') counts.passed++;
        else if (state === 'failed') counts.failed++;
        else {
          counts.skipped++;
          const suite = suiteOf(test);
          skipped.set(suite, (skipped.get(suite) ?? 0) + 1);
        }
      }
      if (module.state() === 'failed' && [...module.children.allTests('failed')].length === 0) counts.failed++;
    }
    for (const [suite, count] of skipped) console.log(`Skipped: ${suite} (${count} ${count === 1 ? 'test' : 'tests'})`);
    console.log(`${counts.passed} passed, ${counts.failed + errors.length} failed, ${counts.skipped} skipped`);
  }
}

/** The outermost suite that was skipped carries the reason in its name. */
function suiteOf(test: TestCase): string {
  const { parent } = test;
  return `${test.module.relativeModuleId}: ${parent.type === 'suite' ? parent.fullName : test.name}`;
}
