import { mkdir, symlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { serveFixtures } from '../../scripts/serve-fixtures.mjs';
import { mustHypr } from './cli.ts';

/**
 * Once for all tests that boot machines: the toolchain, and the fixture images served from loopback.
 * The tests share one HYPR_HOME of their own (never the user's), so that an image is pulled once.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const realHome = process.env.HYPR_HOME ?? join(homedir(), '.hypr');
  await mustHypr(['setup'], { timeout: 900_000 });
  const home = join(tmpdir(), `hypr-test-${process.getuid?.() ?? 0}`);
  await mkdir(home, { recursive: true, mode: 0o700 });
  await link(join(realHome, 'toolchain'), join(home, 'toolchain'));
  const registry = await serveFixtures();
  project.provide('hyprHome', home);
  project.provide('mirrors', registry.mirrors);
  return registry.close;
}

const link = async (target: string, path: string): Promise<void> => {
  await symlink(target, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') {
      throw error;
    }
  });
};

declare module 'vitest' {
  export interface ProvidedContext {
    hyprHome: string;
    mirrors: string;
  }
}
