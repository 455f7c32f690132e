import { defineConfig } from 'vitest/config';
import { requireOwnNode } from './scripts/own-node.mjs';

// What runs in the tests is what users run.
requireOwnNode('npm test or npx vitest');

// Three projects: unit tests run together; tests with machines run one file at a time, because every
// machine is software-emulated where there is no KVM.
export default defineConfig({
  test: {
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
