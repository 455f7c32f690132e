import type { Reporter, TestCase, TestModule } from 'vitest/node';
import { SEED } from './seed.ts';

const MAX_LISTED = 60;

/**
 * Beside vitest's own report: the seed of the run at its start and with a failure, every skipped test with its reason, hint and details
 * of errors, and a last line of plain text for programs.
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
    listCarried(modules);
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

const listCarried = (modules: readonly TestModule[]): void => {
  for (const { test, lines } of carriedByFailures(modules)) {
    say(`\nFailed: ${test}`);
    for (const line of lines) {
      say(`  ${line}`);
    }
  }
};

/** What a failure carries beside its message. vitest prints it of an error's causes only, not of the error itself. */
interface Carried {
  readonly test: string;
  /** The first line is the error itself; hint and details follow. */
  readonly lines: readonly string[];
}

/** An error as a worker hands it over: a HyprError has what its `toJSON` gives (base/errors.ts). */
type Handed = { readonly message: string; readonly [key: string]: unknown };

/** `lines` of every failure that has a hint or details: of tests, hooks of suites and files. */
const carriedByFailures = (modules: readonly TestModule[]): Carried[] =>
  modules.flatMap((module) => {
    const file = module.relativeModuleId;
    const named = (name: string) => `${file} › ${name.replaceAll(' > ', ' › ')}`;
    return [
      ...carried(file, module.errors()),
      ...[...module.children.allSuites()].flatMap((suite) => carried(named(suite.fullName), suite.errors())),
      ...[...module.children.allTests()].flatMap((test) => carried(named(test.fullName), test.result().errors ?? [])),
    ];
  });

const carried = (test: string, errors: readonly Handed[]): Carried[] =>
  errors.map((error) => ({ test, lines: linesOf(error) })).filter(({ lines }) => lines.length > 1);

/** Pure: an error with what it carries, indented below it. */
export const linesOf = ({ message, code, hint, details }: Handed): string[] => [
  `${typeof code === 'string' ? `${code}: ` : ''}${message}`,
  ...(Array.isArray(details) ? details.map((line) => `  ${line}`) : []),
  ...(typeof hint === 'string' && typeof code === 'string' ? [`  hint: ${hint}`] : []),
];

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
