import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

/** Length of the mark that ends a bundle and begins its cache: which text a cache was made of (hexadecimal SHA-256). */
export const MARK_LENGTH = 64;

/** How a bundle's text begins; scripts/build.mjs puts it there. */
type BundleFunction = (module: { exports: unknown }, require: NodeJS.Require, url: string, load: (file: string) => unknown) => void;

export interface Bundle {
  readonly exports: unknown;
  /** For createCachedData, when the cache is made. */
  readonly script: Script;
  /** Whether the code came from the cache; else it was compiled. */
  readonly fromCache: boolean;
}

/**
 * Runs `<folder>/<name>.cjs`, made by scripts/build.mjs, with V8's code cache from `<name>.cjs.cache` beside it. Only
 * read, so that who runs it need not own it. A cache of another text is not used (V8 itself compares no more
 * than lengths), one of another version of Node or of other V8 flags is refused by V8, and then all is compiled.
 * `requireFrom` finds packages that are not in the bundle. Throws what Node throws when there is no such file.
 */
export const loadBundle = (folder: string, name: string, requireFrom: NodeJS.Require): Bundle => {
  const path = join(folder, `${name}.cjs`);
  // As a URL, as modules have it, so that frames of stacks are found in the map.
  const filename = pathToFileURL(path).href;
  // esbuild writes ASCII, which takes half the memory and time of UTF-8.
  const text = readFileSync(path).toString('latin1');
  const cachedData = readCache(`${path}.cache`, text);
  const script = new Script(text, { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  const module = { exports: {} };
  const run = script.runInThisContext() as BundleFunction;
  // A script has no import() of its own.
  run(module, requireFrom, filename, (file) => import(pathToFileURL(join(folder, file)).href));
  return { exports: module.exports, script, fromCache: cachedData !== undefined && script.cachedDataRejected === false };
};

const readCache = (path: string, text: string): Buffer | undefined => {
  try {
    const cache = readFileSync(path);
    return cache.toString('latin1', 0, MARK_LENGTH) === text.slice(-MARK_LENGTH) ? cache.subarray(MARK_LENGTH) : undefined;
  } catch {
    return undefined;
  }
};
