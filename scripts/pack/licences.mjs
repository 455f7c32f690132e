// The licences of the npm packages that are in the bundles.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The production packages of the lock file: `{ name, version, license, integrity }`, sorted by name. */
export const npmPackages = async (root) => {
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, entry]) => path.startsWith('node_modules/') && !entry.dev && !entry.optional && !entry.peer)
    .map(([path, { version, license, integrity }]) => ({ path, name: path.replace(/^.*node_modules\//, ''), version, license, integrity }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
};

/** Name and version → licence text, of all but `separate`. */
export const npmLicences = async (root, separate) => {
  const found = new Map();
  for (const { path, name, version, license } of await npmPackages(root)) {
    if (!separate.includes(name)) {
      found.set(`${name} ${version}`, (await licenceText(join(root, path))) ?? `Licence: ${license}`);
    }
  }
  return found;
};

const licenceText = async (folder) => {
  const file = (await readdir(folder)).find((name) => /^licen[cs]e/i.test(name));
  return file === undefined ? undefined : readFile(join(folder, file), 'utf8');
};
