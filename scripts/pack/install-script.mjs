// scripts/install.sh with the versions, the digests and the registry of this release.
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from '../own-node.mjs';
import { npmPackages } from './licences.mjs';
import { SEPARATE } from './stage.mjs';

/** `integrity`: of the packages made here, by their name; those of the others are in the lock file. */
export const installScript = async ({ version, integrity }) => {
  const others = (await npmPackages(root)).filter(({ name }) => SEPARATE.includes(name));
  const packages = [...Object.entries(integrity).map(([name, digest]) => ({ name, version, integrity: digest })), ...others];
  const lines = packages.map((each) => `${each.name} ${each.version} ${toHex(each.integrity)}`);
  const registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim().replace(/\/$/, '');
  const text = await readFile(join(root, 'scripts', 'install.sh'), 'utf8');
  return text.replace('@VERSION@', version).replace('@REGISTRY@', registry).replace('@PACKAGES@', lines.join('\n'));
};

const toHex = (integrity) => Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex');
