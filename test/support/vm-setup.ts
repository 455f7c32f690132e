import type { TestProject } from 'vitest/node';
import { serveFixtures } from '../../scripts/serve-fixtures.mjs';
import { mustHypr } from './cli.ts';
import { openTestHome } from './test-home.ts';

/** Once for all tests that boot machines: the toolchain, a home for the run, and the fixture images served from loopback. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await mustHypr(['setup'], { timeout: 900_000 });
  const home = await openTestHome();
  const registry = await serveFixtures(process.env.HYPR_TEST_IMAGES?.split(','));
  project.provide('hyprHome', home.dir);
  project.provide('mirrors', registry.mirrors);
  return async () => {
    await registry.close();
    await home.close();
  };
}

declare module 'vitest' {
  export interface ProvidedContext {
    hyprHome: string;
    mirrors: string;
  }
}
