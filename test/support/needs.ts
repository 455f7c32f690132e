import { describe, it } from 'vitest';

/** CI provides everything that tests need (.ci/run), so there a missing tool is a fault and no reason to skip. */
const isCi = /^(1|true)$/.test(process.env.CI ?? '');

interface Conditional {
  readonly describe: (name: string, body: () => void) => void;
  readonly it: (name: string, body: () => Promise<void> | void, timeout?: number) => void;
}

/**
 * Tests that need a tool: `needs(mkfsErofs === undefined && 'no mkfs.erofs; run hypr setup').describe(…)`. Without it they
 * are skipped and listed at the end of the run with that reason; in CI they fail with it.
 */
export const needs = (missing: string | false): Conditional => (missing === false ? always : isCi ? failing(missing) : skipping(missing));

/**
 * Tests that not every run is for: another user's, other projects' data, what takes many minutes. They are skipped and
 * listed with the reason, in CI as well.
 */
export const onlyWhere = (reason: string | false): Conditional => (reason === false ? always : skipping(reason));

const always: Conditional = { describe, it };

const skipping = (reason: string): Conditional => ({
  describe: (name, body) => describe.skip(`${name} (skipped: ${reason})`, body),
  it: (name, body, timeout) => it.skip(`${name} (skipped: ${reason})`, body, timeout),
});

const failing = (reason: string): Conditional => {
  const fail = (name: string) =>
    it(`${name} › has what it needs`, () => {
      throw new Error(`not skipped in CI: ${reason}`);
    });
  return { describe: fail, it: fail };
};
