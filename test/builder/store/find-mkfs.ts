import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { homePaths } from '../../../base/paths.ts';
import type { Tool } from '../../../vmm/model/tools.ts';

const { toolchain, cache } = homePaths();
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';
const roots = existsSync(toolchain) ? readdirSync(toolchain).filter((name) => /^prefix-[0-9a-f]+$/.test(name)) : [];

const find = (program: string): Tool | undefined => {
  const root = roots.map((name) => join(toolchain, name)).find((path) => existsSync(join(path, program)));
  if (root === undefined) {
    return undefined;
  }
  const libraries = join(root, LIBRARIES);
  return {
    file: join(libraries, 'ld-linux-x86-64.so.2'),
    prefix: ['--library-path', libraries, join(root, program)],
    version: '',
    origin: 'toolchain',
  };
};

/** Programs of the toolchain that `hypr setup` made on this machine; undefined where it was not run. */
export const mkfsErofs = find('usr/bin/mkfs.erofs');
export const fsckErofs = find('usr/bin/fsck.erofs');
export const virtiofsd = find('usr/libexec/virtiofsd');
export const igzip = find('usr/bin/igzip');

/** Why tests cannot have what they need, for `needs`; false when it is there. */
export const noMkfs = mkfsErofs === undefined && 'no mkfs.erofs; run hypr setup';
/** Debian's docker-registry comes with the fixture images, by `npm start` or the tests with machines. */
export const noRegistry = noMkfs || (!existsSync(join(cache, 'fixtures', 'registry')) && 'no docker-registry; run npm test once');
