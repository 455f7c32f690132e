import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { readEnvFiles } from '../files/discover.ts';
import { statOf } from '../files/read-file.ts';
import { fetchRemoteFile, isRemoteFile } from '../files/remote-file.ts';
import { mergeNodes } from '../merge/merge.ts';
import { describeKind, isNull, type MapNode, map, mapAt, type Node, stringOf, withEntries } from '../source/node.ts';
import { errorAt, type Mark } from '../source/source.ts';
import type { FileSet, LoadContext } from './load-context.ts';

interface IncludeOptions {
  readonly file: string;
  readonly set: FileSet;
  readonly context: LoadContext;
  readonly load: (set: FileSet, context: LoadContext) => Promise<MapNode>;
}

/**
 * Loads the files of `include`, each with its own folder and variables, and adds their resources. An existing resource
 * of the same name (in the including file, or an earlier include) is merged over the included one.
 * @throws COMPOSE_INVALID on cycles
 */
export const applyIncludes = async (root: MapNode, options: IncludeOptions): Promise<MapNode> => {
  const include = root.entries.get('include');
  if (include === undefined) {
    return root;
  }
  if (isNull(include)) {
    return withEntries(root, { include: undefined });
  }
  if (include.kind !== 'list') {
    throw errorAt('COMPOSE_INVALID', 'include must be a list', {
      mark: include.keyMark ?? include.mark,
      hint: 'write "include: [file.yaml]"',
    });
  }
  let model = root;
  for (const entry of include.items) {
    const imported = await loadEntry(entry, options);
    model = importResources(model, imported, entry.mark);
  }
  return withEntries(model, { include: undefined });
};

const loadEntry = async (entry: Node, options: IncludeOptions): Promise<MapNode> => {
  const { set, context } = options;
  const paths: string[] = [];
  for (const path of textsOf(entry.kind === 'map' ? entry.entries.get('path') : entry)) {
    context.budget.countInclude(entry.mark);
    paths.push(await localPath(path, { folder: set.folder, fetchFile: context.fetchFile, mark: entry.mark }));
  }
  const named = entry.kind === 'map' ? entry.entries.get('env_file') : undefined;
  const files = named === undefined ? undefined : textsOf(named);
  const [first] = paths;
  if (first === undefined) {
    return map([], entry);
  }
  const including = [...set.including, options.file];
  if (including.includes(first)) {
    throw errorAt('COMPOSE_INVALID', `include forms a cycle: ${[...including, first].join(' → ')}`, {
      mark: entry.mark,
      hint: 'remove one of these includes',
    });
  }
  const given = entry.kind === 'map' ? entry.entries.get('project_directory') : undefined;
  const directory = stringOf(given);
  if (given !== undefined && directory === undefined && !isNull(given)) {
    throw errorAt('COMPOSE_INVALID', `project_directory must be text, not ${describeKind(given)}`, { mark: given.mark });
  }
  const folder = directory ? resolve(set.folder, directory) : dirname(first);
  const environment = new Map([...(await includeVariables(files, folder, set)), ...set.environment]);
  // A relative base keeps the output of --no-path-resolution relative; the outermost files make it absolute.
  const imported = await options.load(
    { files: paths, folder, base: relative(set.folder, folder) || '.', environment, including, from: entry.mark, resolvePaths: true },
    context,
  );
  keepVariables(imported, { environment, outer: set.environment, kept: context.objectVariables });
  return imported;
};

/** Keeps variables that only the include's env files define and that its secrets and configs use, because those are read later. */
const keepVariables = (
  imported: MapNode,
  variables: {
    readonly environment: ReadonlyMap<string, string>;
    readonly outer: ReadonlyMap<string, string>;
    readonly kept: Map<string, string>;
  },
): void => {
  const objects = ['secrets', 'configs'].flatMap((kind) => [...(mapAt(imported, kind)?.entries.values() ?? [])]);
  for (const object of objects) {
    const name = object.kind === 'map' ? stringOf(object.entries.get('environment')) : undefined;
    const value = name === undefined ? undefined : variables.environment.get(name);
    if (name !== undefined && value !== undefined && !variables.outer.has(name)) {
      variables.kept.set(name, value);
    }
  }
};

/** Absolute; of a remote file, of its local copy. */
export const localPath = async (
  path: string,
  { folder, fetchFile, mark }: { folder: string; fetchFile: LoadContext['fetchFile']; mark: Mark },
): Promise<string> => {
  if (isRemoteFile(path)) {
    return fetchRemoteFile(path, { fetchFile, mark });
  }
  return isAbsolute(path) ? path : join(folder, path);
};

const includeVariables = async (files: readonly string[] | undefined, folder: string, set: FileSet): Promise<Map<string, string>> => {
  if (files !== undefined) {
    const named = files.filter((file) => file !== '/dev/null').map((file) => resolve(set.folder, file));
    return readEnvFiles(named, set.environment);
  }
  const file = join(folder, '.env');
  return statOf(file)?.isFile() ? readEnvFiles([file], set.environment) : new Map();
};

/** A text or a list of texts; empty when absent. */
const textsOf = (node: Node | undefined): string[] => {
  const items = node?.kind === 'list' ? node.items : node === undefined ? [] : [node];
  return items.flatMap((item) => {
    const text = stringOf(item);
    if (text === undefined && !(isNull(item) && node?.kind !== 'list')) {
      throw errorAt('COMPOSE_INVALID', `include needs the path of a file, not ${describeKind(item)}`, {
        mark: item.mark,
        hint: 'write "include: [file.yaml]"',
      });
    }
    return text === undefined ? [] : [text];
  });
};

const importResources = (root: MapNode, imported: MapNode, mark: Mark): MapNode => {
  const changes: Record<string, Node> = {};
  for (const kind of ['services', 'volumes', 'networks', 'secrets', 'configs', 'models']) {
    const from = mapAt(imported, kind);
    if (from === undefined) {
      continue;
    }
    const own = root.entries.get(kind);
    const entries = new Map(own?.kind === 'map' ? own.entries : []);
    for (const [name, resource] of from.entries) {
      const existing = entries.get(name);
      entries.set(name, existing === undefined ? resource : mergeNodes(resource, existing, [kind, name]));
    }
    changes[kind] = map(entries, own ?? { mark });
  }
  return withEntries(root, changes);
};
