import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { SEED } from './seed.ts';

const MAX_LISTED = 60;

/**
 * Beside vitest's own report: the seed of the run at its start and with a failure, every skipped test with its reason, and a last
 * line of plain text for programs.
 */
export default class RunReporter implements Reporter {
  onInit(): void {
    say(`Random inputs of this run: HYPR_TEST_SEED=${SEED}`);
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const cases = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => cases.filter((test) => test.result().state === state).length;
    // A file that cannot be loaded, or an error outside of tests, has no test that failed.
    const broken = modules.filter((module) => module.state() === 'failed' && module.errors().length > 0).length;
    const failed = count('failed') + broken + errors.length;
    listSkips(cases.filter((test) => test.result().state === 'skipped'));
    if (failed > 0) {
      say(`\nTo repeat this run with the same random inputs: HYPR_TEST_SEED=${SEED}`);
    }
    say(`\n${count('passed')} passed, ${failed} failed, ${count('skipped')} skipped`);
  }
}

const listSkips = (skipped: readonly TestCase[]): void => {
  const byReason = new Map<string, TestCase[]>();
  for (const test of skipped) {
    const reason = reasonOf(test);
    byReason.set(reason, [...(byReason.get(reason) ?? []), test]);
  }
  for (const [reason, tests] of byReason) {
    say(`\nSkipped (${tests.length}): ${reason}`);
    for (const test of tests.slice(0, MAX_LISTED)) {
      say(`  ${test.module.relativeModuleId} › ${test.fullName.replaceAll(' > ', ' › ')}`);
    }
    if (tests.length > MAX_LISTED) {
      say(`  and ${tests.length - MAX_LISTED} more`);
    }
  }
};

/** What `ctx.skip` or a name of `needs` says (test/support/needs.ts). */
const reasonOf = (test: TestCase): string => {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  return note ?? /\(skipped: ([^)]*)\)/.exec(test.fullName)?.[1] ?? 'no reason given; see test/support/needs.ts';
};

// The last line must stand alone, whatever vitest writes to a terminal: standard output, at once.
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
