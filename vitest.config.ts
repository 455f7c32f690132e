import { defineConfig } from 'vitest/config';
import { requireOwnNode } from './scripts/own-node.mjs';
import { SEED } from './test/support/seed.ts';

// What runs in the tests is what users run.
requireOwnNode('npm test or npx vitest');

// Workers take it from here: one seed for the whole run.
process.env.HYPR_TEST_SEED = String(SEED);

// Two projects: unit tests run together; tests with machines run one file at a time, because every
// machine is software-emulated where there is no KVM.
export default defineConfig({
  test: {
    reporters: ['default', './test/support/reporter.ts'],
    coverage: {
      provider: 'v8',
      include: ['{base,compose,guest,vmm,net,builder,engine,cli,fixtures}/**/*.{ts,tsx}'],
      exclude: ['**/gen/**', '**/*.d.ts', 'fixtures/{apps,shop,hello}/**'],
      reporter: ['json-summary'],
      reportsDirectory: 'coverage',
      clean: false,
    },
    // A loaded machine is slow; what is waited for is seen at once when it comes.
    expect: { poll: { timeout: 15_000 } },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{base,compose,guest,vmm,net,builder,engine,cli,fixtures,scripts}/**/*.test.{ts,tsx}'],
          exclude: ['**/*.vm.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'vm',
          globalSetup: ['test/support/vm-setup.ts'],
          include: ['test/**/*.vm.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          pool: 'forks',
        },
      },
    ],
  },
});
