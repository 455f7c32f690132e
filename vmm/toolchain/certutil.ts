import { join } from 'node:path';
import { exists } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { type HomePaths, shortHash } from '../../base/paths.ts';
import type { Tool } from '../model/tools.ts';
import { findInPath } from './host-programs.ts';
import { openPackages } from './package-source.ts';
import { prefixTool, unpackAll } from './prefix.ts';

const PACKAGE = 'libnss3-tools';

/**
 * certutil, which edits the certificate stores of browsers: the host's, else Debian's, unpacked into a folder of the toolchain
 * and run from there; nothing is installed. Throws TOOLCHAIN_FAILED where it cannot be fetched.
 */
export const findCertutil = async (paths: HomePaths, signal: AbortSignal): Promise<Tool> => {
  const own = await findInPath('certutil');
  if (own !== undefined) {
    return { file: own, prefix: [], version: 'unknown', origin: 'path' };
  }
  return await withLock(join(paths.locks, 'certutil.lock'), { what: 'certutil', signal }, async () => {
    await using packages = await openPackages({ folder: join(paths.cache, 'apt-certutil'), signal });
    const resolved = await packages.resolve([PACKAGE]);
    const root = join(paths.toolchain, `certutil-${shortHash(resolved.map(({ hash }) => hash).join('\n'), 12)}`);
    if (!(await exists(root))) {
      await unpackAll(await packages.download([PACKAGE]), root, packages, signal);
      await packages.clean();
    }
    return prefixTool(root, 'usr/bin/certutil', resolved, PACKAGE);
  });
};
