import { homedir } from 'node:os';
import { dirname, relative } from 'node:path';
import { decodeSource, readSource } from '../files/read-file.ts';
import { interpolate } from '../interpolate/interpolate.ts';
import { toCanonical } from '../merge/canonical.ts';
import { setDefaults } from '../merge/defaults.ts';
import { mergeNodes } from '../merge/merge.ts';
import { resolvePaths } from '../merge/resolve-paths.ts';
import { enforceUnicity } from '../merge/unicity.ts';
import { resolveEnvironment } from '../project/resolve-environment.ts';
import { checkSchema } from '../schema/check-schema.ts';
import { validateModel } from '../schema/validate.ts';
import { type MapNode, map, type Node, type Path, withEntries } from '../source/node.ts';
import { applyResets } from '../source/reset.ts';
import { errorAt, type Mark, syntheticMark } from '../source/source.ts';
import { type ParsedDocument, parseYaml } from '../yaml/parse.ts';
import { applyExtends } from './extends.ts';
import { applyIncludes, localPath } from './include.ts';
import type { ExtendedFile, FileSet, LoadContext, ParsedSource } from './load-context.ts';

/**
 * Loads a set of files into one canonical model with defaults, absolute paths and resolved names.
 * @throws HyprError with the place
 */
export const loadModel = async (set: FileSet, context: LoadContext): Promise<MapNode> => {
  let model: MapNode = map([], { mark: syntheticMark(set.folder) });
  for (const file of set.files) {
    model = await addFile(model, file, set, context);
  }
  const steps: Array<(node: Node) => Node> = [
    setDefaults,
    ...(context.validate ? [validateModel] : []),
    ...(set.resolvePaths ? [(node: Node) => resolvePaths(node, { folder: set.base, home: homeOf(set) })] : []),
    (node) => (context.interpolate ? resolveEnvironment(node, set.environment) : node),
  ];
  return steps.reduce<Node>((node, step) => step(node), model) as MapNode;
};

/** Reads a file once per load. */
export const readParsed = (file: string, context: LoadContext, from?: Mark): Promise<ParsedSource> => {
  const cached = context.cache.get(file);
  if (cached !== undefined) {
    return cached;
  }
  context.budget.countFile(from);
  const reading = (async (): Promise<ParsedSource> => {
    const source =
      file === '-'
        ? decodeSource('<stdin>', await context.stdin())
        : await readSource(file, { from, pipes: from === undefined, signal: context.signal });
    return { source, documents: await parseYaml(source, context.budget) };
  })();
  context.cache.set(file, reading);
  return reading;
};

const addFile = async (before: MapNode, file: string, set: FileSet, context: LoadContext): Promise<MapNode> => {
  const { documents } = await readParsed(file, context, set.from);
  let model = before;
  for (const document of documents) {
    model = await addDocument(model, document, { file, set, context });
  }
  return model;
};

const addDocument = async (
  before: MapNode,
  document: ParsedDocument,
  options: { file: string; set: FileSet; context: LoadContext },
): Promise<MapNode> => {
  const { file, set, context } = options;
  const own = expectMapping(document.root);
  const filled = fillVariables(own, set.environment, context);
  const complete = await applyIncludes(filled, { file, set, context, load: loadModel });
  const earlier = applyResets(before, document.resets);
  const extended = await applyExtends(complete, {
    file,
    resets: document.resets,
    budget: context.budget,
    loadFile: (path, mark) => loadExtended(path, mark, set, context),
  });
  const merged = enforceUnicity(mergeNodes(earlier, extended));
  if (context.validate) {
    checkSchema(merged);
    warnObsolete(own, context);
  }
  const canonical = enforceUnicity(toCanonical(merged, { lenient: !context.interpolate, budget: context.budget })) as MapNode;
  return context.validate ? withEntries(canonical, { version: undefined }) : canonical;
};

/** A file that `extends` names, loaded once for all services of a file set. */
const loadExtended = async (path: string, mark: Mark, set: FileSet, context: LoadContext): Promise<ExtendedFile> => {
  const file = await localPath(path, { folder: set.folder, fetchFile: context.fetchFile, mark });
  const known = context.extended.get(set) ?? new Map<string, Promise<ExtendedFile>>();
  context.extended.set(set, known);
  const loading = known.get(file) ?? prepareExtended(file, mark, set, context);
  known.set(file, loading);
  return loading;
};

/** The services of a file in canonical form, with paths relative to the extending file. */
const prepareExtended = async (file: string, mark: Mark, set: FileSet, context: LoadContext): Promise<ExtendedFile> => {
  const base = relative(set.folder, dirname(file)) || '.';
  const { model, resets } = await loadAlone(file, { ...set, from: mark, base }, context);
  const services = model.kind === 'map' ? model.entries.get('services') : undefined;
  return { services: services?.kind === 'map' ? services : undefined, resets, file };
};

/** One file in canonical form, its paths with `set.base` before them, as it is without what it includes and extends. */
export const loadAlone = async (file: string, set: FileSet, context: LoadContext): Promise<{ model: Node; resets: readonly Path[] }> => {
  const { source, documents } = await readParsed(file, context, set.from);
  let model: Node = map([], { mark: set.from ?? { source, offset: 0 } });
  const resets: Path[] = [];
  for (const document of documents) {
    const filled = fillVariables(expectMapping(document.root), set.environment, context);
    model = enforceUnicity(mergeNodes(applyResets(model, document.resets), filled));
    model = enforceUnicity(toCanonical(model, { lenient: !context.interpolate, budget: context.budget }));
    resets.push(...document.resets);
  }
  return { model: resolvePaths(model, { folder: set.base, home: homeOf(set) }), resets };
};

const homeOf = (set: FileSet): string => set.environment.get('HOME') || homedir();

const fillVariables = (root: MapNode, environment: ReadonlyMap<string, string>, context: LoadContext): MapNode => {
  if (!context.interpolate) {
    return root;
  }
  const { warnings, budget } = context;
  return interpolate(root, { lookup: (name) => environment.get(name), warnings, budget }) as MapNode;
};

const expectMapping = (root: Node): MapNode => {
  if (root.kind !== 'map') {
    throw errorAt('COMPOSE_INVALID', 'a Compose file must be a mapping at the top level', {
      mark: root.mark,
      hint: 'start with "services:"',
    });
  }
  return root;
};

const warnObsolete = (root: MapNode, context: LoadContext): void => {
  const version = root.entries.get('version');
  if (version !== undefined) {
    const message = `${version.mark.source.path}: the attribute \`version\` is obsolete, it will be ignored, please remove it to avoid potential confusion`;
    context.warnings.add('obsolete', message, version.keyMark);
  }
};
