// Where docker.io cannot be reached, the images that a fixture needs are made from Debian packages and
// served from loopback; `use` gives the environment with which hypr finds them there.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './own-node.mjs';
import { serveFixtures } from './serve-fixtures.mjs';

const PROBE = 'https://registry-1.docker.io/v2/';
const PROBE_MS = 4_000;

/** Calls `work` with the environment for hypr. Makes nothing if all images are in the store or docker.io is reachable. */
export const withFixtureImages = async (names, references, work) => {
  if ((await hasImages(references)) || (await canReachDockerHub())) {
    return work({});
  }
  process.stderr.write('docker.io cannot be reached: making the images from Debian packages (once)…\n');
  const registry = await serveFixtures(names);
  try {
    return await work({ HYPR_REGISTRY_MIRRORS: registry.mirrors });
  } finally {
    await registry.close();
  }
};

const hasImages = async (references) => {
  const results = await Promise.all(references.map((reference) => quiet([join(root, 'bin', 'hypr'), 'image', 'inspect', reference])));
  return results.every((code) => code === 0);
};

const quiet = ([file, ...args]) =>
  new Promise((resolve) => {
    const child = spawn(file, args, { stdio: 'ignore' });
    child.on('error', () => resolve(1));
    child.on('exit', resolve);
  });

const canReachDockerHub = async () => {
  try {
    const response = await fetch(PROBE, { signal: AbortSignal.timeout(PROBE_MS) });
    return response.status === 200 || response.status === 401;
  } catch {
    return false;
  }
};
