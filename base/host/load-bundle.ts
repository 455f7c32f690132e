import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

/** Length of the hash (hexadecimal SHA-256) at the end of a script and the start of its cache, which says that they belong together. */
export const MARK_LENGTH = 64;

/** A chunk of a program; scripts/bundle.mjs makes them. */
type Chunk = (
  module: { exports: unknown },
  exports: unknown,
  require: (specifier: string) => unknown,
  url: string,
  load: (file: string) => unknown,
) => void;

export interface LoadedScript {
  readonly path: string;
  /** For createCachedData, which makes the cache. */
  readonly script: Script;
  /** False if the code was compiled instead of taken from the cache. */
  readonly fromCache: boolean;
}

export interface Bundle {
  readonly exports: unknown;
  /** The scripts read so far; other chunks are read when they are needed. */
  readonly scripts: readonly LoadedScript[];
}

/**
 * Runs `<folder>/<name>.cjs` and, when needed, chunks of `<folder>/<name>/`, each with V8's code cache from
 * `<file>.cache` beside it. The files are only read, so they may belong to another user. A cache of another
 * text is not used (V8 itself only compares lengths), and V8 rejects one of another Node version or with other flags;
 * then everything is compiled. `requireFrom` resolves packages that are not in the bundle. `fileName` is what V8 is told of a path:
 * it is part of a cache, but where a cache is used, the user's own counts. Throws what Node throws if the file does not exist.
 */
export const loadBundle = (folder: string, name: string, requireFrom: NodeJS.Require, fileName = fileUrl): Bundle => {
  const scripts: LoadedScript[] = [];
  const chunks = new Map<string, Chunk>();
  const modules = new Map<string, { exports: unknown }>();
  const url = pathToFileURL(join(folder, `${name}.cjs`)).href;
  const read = (path: string): void => {
    const { found, ...script } = readScript(path, fileName(path));
    scripts.push(script);
    for (const [each, chunk] of Object.entries(found)) {
      chunks.set(each, chunk);
    }
  };
  const load = (file: string): unknown => import(pathToFileURL(join(folder, file)).href);
  const requireChunk = (specifier: string): unknown => {
    const chunk = /^\.\.?\/(?:.*\/)?(.+)\.js$/.exec(specifier)?.[1];
    if (chunk !== undefined) {
      return run(chunk);
    }
    return LATE.test(specifier) ? lateModule(() => requireFrom(specifier) as object) : requireFrom(specifier);
  };
  const run = (chunk: string): unknown => {
    const known = modules.get(chunk);
    if (known !== undefined) {
      return known.exports;
    }
    if (!chunks.has(chunk)) {
      read(join(folder, name, `${chunk}.cjs`));
    }
    const module = { exports: {} };
    modules.set(chunk, module);
    chunks.get(chunk)?.(module, module.exports, requireChunk, url, load);
    return module.exports;
  };
  read(join(folder, `${name}.cjs`));
  return { exports: run(name), scripts };
};

/**
 * Modules that Node does not load at its own start and that take milliseconds: 6 for child_process, 4 for crypto. Many of
 * our modules import them for something that most commands never do. scripts/bundle.mjs leaves their default import to us.
 */
export const LATE = /^node:(child_process|cluster|crypto|dgram|dns|fs\/promises|https?|http2|net|readline|tls|worker_threads|zlib)(\/|$)/;

/** Loads the module at the first use of one of its exports: code from esbuild looks up an imported name at each use. */
const lateModule = (load: () => object): object => {
  let loaded: object | undefined;
  const module = (): object => {
    loaded ??= load();
    return loaded;
  };
  return new Proxy(
    {},
    {
      get: (_, name) => (name === 'default' ? module() : Reflect.get(module(), name)),
      has: (_, name) => Reflect.has(module(), name),
      ownKeys: () => Reflect.ownKeys(module()),
      getOwnPropertyDescriptor: (_, name) => {
        const found = Reflect.getOwnPropertyDescriptor(module(), name);
        // A proxy may only report properties that its target lacks as configurable.
        return found && { ...found, configurable: true };
      },
    },
  );
};

/** A URL, as for modules, so that source maps work for stack frames. */
const fileUrl = (path: string): string => pathToFileURL(path).href;

const readScript = (path: string, filename: string): LoadedScript & { found: Readonly<Record<string, Chunk>> } => {
  // esbuild writes ASCII, which takes half the memory and time of UTF-8.
  const text = readFileSync(path).toString('latin1');
  const cachedData = readCache(`${path}.cache`, text);
  const script = new Script(text, { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  const fromCache = cachedData !== undefined && script.cachedDataRejected === false;
  return { path, script, fromCache, found: script.runInThisContext() as Readonly<Record<string, Chunk>> };
};

const readCache = (path: string, text: string): Buffer | undefined => {
  try {
    const cache = readFileSync(path);
    return cache.toString('latin1', 0, MARK_LENGTH) === text.slice(-MARK_LENGTH) ? cache.subarray(MARK_LENGTH) : undefined;
  } catch {
    return undefined;
  }
};
