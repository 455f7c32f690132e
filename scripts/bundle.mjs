// Makes one bundle for base/host/load-bundle.ts: a program cut into chunks, so that a start reads and deserialises what it uses.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build, transform } from 'esbuild';
import { LATE } from '../base/host/load-bundle.ts';

/**
 * Writes `<dist>/<name>.cjs`, with all chunks that the modules of `core` import statically (undefined: all chunks), and the
 * other chunks as `<dist>/<name>/<chunk>.cjs`. esbuild makes the chunks: modules reachable by the same import()s are one. It
 * only splits ES modules, so each chunk is then converted to a function of (module, exports, require, __url, __load).
 * `options` are esbuild's. Returns the names of the files of the other chunks.
 */
export const makeBundle = async ({ dist, name, entry, core, options }) => {
  const { outputFiles, metafile } = await build({
    ...options,
    entryPoints: { [name]: entry },
    format: 'esm',
    splitting: true,
    write: false,
    metafile: true,
    sourcemap: 'inline',
    chunkNames: `${name}/[name]-[hash]`,
    define: { ...options.define, 'import.meta.url': '__url' },
  });
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [chunkName(path), output]));
  const chunks = await Promise.all(outputFiles.map(async ({ path, text }) => ({ name: chunkName(path), ...(await toFunction(text)) })));
  const together = core === undefined ? new Set(outputs.keys()) : closure(outputs, [entry, ...core]);
  await writeScript(
    join(dist, `${name}.cjs`),
    chunks.filter((chunk) => together.has(chunk.name)),
  );
  const alone = chunks.filter((chunk) => !together.has(chunk.name));
  for (const chunk of alone) {
    await mkdir(join(dist, name), { recursive: true });
    await writeScript(join(dist, name, `${chunk.name}.cjs`), [chunk]);
  }
  return alone.map((chunk) => `${chunk.name}.cjs`).sort();
};

const chunkName = (path) => basename(path, '.js');

/** Names of the chunks of these source files, and of all that they import at once. */
const closure = (outputs, entries) => {
  const found = new Set();
  const visit = (name) => {
    if (!found.has(name)) {
      found.add(name);
      for (const { path, kind, external } of outputs.get(name).imports) {
        if (kind === 'import-statement' && !external) {
          visit(chunkName(path));
        }
      }
    }
  };
  for (const entry of entries) {
    const [name] = [...outputs].find(([, output]) => output.entryPoint === entry) ?? [];
    if (name === undefined) {
      throw new Error(`${entry} is in no chunk of its own: nothing imports it by import()`);
    }
    visit(name);
  }
  return found;
};

const toFunction = async (text) => {
  const { code, map } = await transform(text, {
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    minifyWhitespace: true,
    // A script has no import(); its target is a chunk or a module of Node.
    supported: { 'dynamic-import': false },
    sourcemap: 'external',
  });
  return { code: lateDefaults(code), map: JSON.parse(map) };
};

/**
 * esbuild would copy, and so load, a lazy module that is imported as a whole (`import x from`, `import * as x`). The object
 * from loadBundle has a `default` already. The text keeps its length, so that the source map stays valid.
 */
const lateDefaults = (code) =>
  code.replace(/__toESM\(require\("([\w/:]+)"\)\)/g, (call, specifier) =>
    LATE.test(specifier) ? `(require("${specifier}"))`.padEnd(call.length) : call,
  );

/** A script that returns its chunks by name, its source map, and at its end the hash that ties a cache to it. */
const writeScript = async (path, chunks) => {
  let text = '({\n';
  let line = 1;
  const sections = [];
  for (const { name, code, map } of chunks) {
    const body = `${JSON.stringify(name)}(module, exports, require, __url, __load) {\n${code}\n},\n`;
    sections.push({ offset: { line: line + 1, column: 0 }, map });
    text += body;
    line += body.split('\n').length - 1;
  }
  text += '})\n';
  await writeFile(path, `${text}//${createHash('sha256').update(text).digest('hex')}`);
  await writeFile(`${path}.map`, JSON.stringify({ version: 3, sections }));
};
