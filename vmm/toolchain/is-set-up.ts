import { type HomePaths, homePaths } from '../../base/paths.ts';
import { readManifest } from './manifest.ts';
import { findNative } from './native.ts';

/**
 * Whether `hypr setup` has run for this version of hypr: of the package's compiled parts, if there are any. A file or two are
 * read, because every `up` asks; whether all parts are still there is asked by openToolchain.
 */
export const isSetUp = async (paths: HomePaths = homePaths()): Promise<boolean> => {
  const [manifest, native] = await Promise.all([readManifest(paths), findNative()]);
  return manifest !== undefined && manifest.native === native?.id;
};
