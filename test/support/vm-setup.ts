import { spawn } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { mustHypr, root } from './cli.ts';

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
  project.provide('mirrors', `docker.io=${registry.url}`);
  return registry.close;
}

const link = async (target: string, path: string): Promise<void> => {
  await symlink(target, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') {
      throw error;
    }
  });
};

/** `dist/fixtures.js serve` prints one JSON line when it listens, and ends when its stdin does. */
const serveFixtures = (): Promise<{ url: string; close: () => Promise<void> }> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'dist', 'fixtures.js'), 'serve'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let text = '';
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    child.once('exit', (code) => reject(new Error(`the fixture registry ended with ${code}`)));
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const line = text.split('\n').find((candidate) => candidate.startsWith('{'));
      if (line !== undefined && text.includes('\n')) {
        resolve({
          url: (JSON.parse(line) as { url: string }).url,
          close: async () => {
            child.stdin.end();
            await ended;
          },
        });
      }
    });
  });

declare module 'vitest' {
  export interface ProvidedContext {
    hyprHome: string;
    mirrors: string;
  }
}
