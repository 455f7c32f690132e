import { createHash } from 'node:crypto';
import { compileGlob, hasWildcards, PatternFault } from '../../context/glob.ts';
import type { IgnoreRules } from '../../context/ignore.ts';
import { baseName, cleanPath, dirName, type FileTree, findEntry, joinPath, resolvePath, type TreeEntry } from '../../context/tree.ts';
import { StepFault } from './step-error.ts';

/** One matched source of a COPY with everything below it. */
export interface Selection {
  /** Last part of the path that matched, which a file keeps in a target folder. */
  readonly name: string;
  /** --parents: the folders between the pivot and the source, outermost first. */
  readonly parents: readonly TreeEntry[];
  /** The source itself (`below` empty; a symlink followed) and, for a folder, what is in it. Parents come first. */
  readonly entries: ReadonlyArray<{ readonly below: string; readonly entry: TreeEntry }>;
}

export interface SelectOptions {
  readonly tree: FileTree;
  readonly sources: readonly string[];
  readonly exclude: IgnoreRules;
  readonly parents: boolean;
  /** Why a path is missing, when the tree knows (it is ignored). */
  readonly explainMissing?: (path: string) => string | undefined;
}

const DIGEST_BATCH = 16;

/** Finds what COPY's sources stand for: Go filepath.Match patterns, `..` clipped, symlinks followed inside the tree. Throws StepFault. */
export const selectSources = (options: SelectOptions): Selection[] => options.sources.flatMap((source) => selectSource(source, options));

/**
 * sha256 over names, attributes and contents of a selection; owner, mode and xattrs count, times and
 * inodes do not.
 */
export const digestSelections = async (tree: FileTree, selections: readonly Selection[], signal?: AbortSignal): Promise<string> => {
  const hash = createHash('sha256');
  for (const { name, parents, entries } of selections) {
    const items = [...parents.map((entry) => ({ below: `^${entry.path}`, entry })), ...entries];
    hash.update(`${JSON.stringify([name, items.length])}\n`);
    for (let start = 0; start < items.length; start += DIGEST_BATCH) {
      signal?.throwIfAborted();
      const batch = items.slice(start, start + DIGEST_BATCH);
      const lines = await Promise.all(batch.map(async ({ below, entry }) => describe(below, entry, await digestOf(tree, entry))));
      hash.update(lines.join(''));
    }
  }
  return hash.digest('hex');
};

const digestOf = async (tree: FileTree, entry: TreeEntry): Promise<string> => (entry.type === 'file' ? await tree.digest(entry) : '');

const describe = (below: string, entry: TreeEntry, digest: string): string => {
  const xattrs = [...entry.xattrs].filter(([key]) => isCounted(key)).map(([key, value]) => [key, value.toString('hex')]);
  const { type, mode, uid, gid, size, link, deviceMajor, deviceMinor } = entry;
  return `${JSON.stringify([below, type, mode, uid, gid, size, link, deviceMajor, deviceMinor, xattrs.sort(), digest])}\n`;
};

const isCounted = (key: string): boolean =>
  key === 'security.capability' || !/^(security|system)\./.test(key) ? !key.startsWith('trusted.overlay.') : false;

const selectSource = (source: string, options: SelectOptions): Selection[] => {
  const { tree } = options;
  if (options.parents) {
    return selectWithParents(source, options);
  }
  if (!hasWildcards(source)) {
    const path = cleanPath(source);
    return [selectPath(path, requireEntry(tree, path, options), options)];
  }
  return expandGlob(tree, cleanPath(source), false).flatMap((path) => {
    // --exclude also applies to the names that a pattern found.
    return options.exclude.excludes(baseName(path)) ? [] : [selectPath(path, requireEntry(tree, path, options), options)];
  });
};

const requireEntry = (tree: FileTree, path: string, options: SelectOptions): TreeEntry => {
  const entry = findEntry(tree, path);
  if (entry === undefined) {
    const reason = options.explainMissing?.(path);
    // Of a link it is what the link leads to that is missing.
    throw new StepFault(`"/${resolvePath(tree, path) ?? path}": not found${reason ? `: ${reason}` : ''}`);
  }
  return entry;
};

const selectPath = (path: string, entry: TreeEntry, options: SelectOptions, parents: readonly TreeEntry[] = []): Selection => {
  const entries: Array<{ below: string; entry: TreeEntry }> = [{ below: '', entry }];
  if (entry.type === 'dir') {
    collect(options.tree, entry.path, '', options.exclude, entries);
  }
  return { name: baseName(path), parents, entries };
};

/** Depth first, sorted; an excluded folder appears only when something in it does. */
const collect = (
  tree: FileTree,
  folder: string,
  prefix: string,
  exclude: IgnoreRules,
  into: Array<{ below: string; entry: TreeEntry }>,
): void => {
  for (const name of tree.list(folder)) {
    const below = joinPath(prefix, name);
    const entry = tree.get(joinPath(folder, name));
    const excluded = !exclude.isEmpty && exclude.excludes(below);
    if (entry === undefined || (excluded && (entry.type !== 'dir' || !exclude.mayIncludeBelow(below)))) {
      continue;
    }
    const at = into.push({ below, entry });
    if (entry.type === 'dir') {
      collect(tree, entry.path, below, exclude, into);
    }
    if (excluded && into.length === at) {
      into.pop();
    }
  }
};

const selectWithParents = (source: string, options: SelectOptions): Selection[] => {
  const { tree } = options;
  const pivotAt = source.search(/\/\.\//);
  const pivot = pivotAt < 0 ? '' : cleanPath(source.slice(0, pivotAt));
  const path = cleanPath(source);
  const paths = hasWildcards(source) ? expandGlob(tree, path, true) : [requireEntry(tree, path, options) && path];
  return paths.flatMap((match) => {
    const entry = findEntry(tree, match);
    const below = pivot === '' ? match : match.slice(pivot.length + 1);
    if (entry === undefined || options.exclude.excludes(below)) {
      return [];
    }
    const parents: TreeEntry[] = [];
    for (let parent = dirName(match); parent !== pivot && parent !== ''; parent = dirName(parent)) {
      const found = findEntry(tree, parent);
      if (found !== undefined) {
        parents.unshift({ ...found, path: pivot === '' ? parent : parent.slice(pivot.length + 1) });
      }
    }
    return [selectPath(match, entry, options, parents)];
  });
};

/** Paths that match, sorted. Literal leading folders may be symlinks; below the first wildcard they are not followed. */
const expandGlob = (tree: FileTree, pattern: string, globstar: boolean): string[] => {
  try {
    const deep = globstar && pattern.includes('**');
    return deep ? walkGlob(tree, pattern) : expandParts(tree, { prefix: '', parts: pattern.split('/'), wild: false });
  } catch (error) {
    if (error instanceof PatternFault) {
      throw new StepFault(`${pattern}: ${error.message}`);
    }
    throw error;
  }
};

const expandParts = (tree: FileTree, at: { prefix: string; parts: readonly string[]; wild: boolean }): string[] => {
  const [part, ...rest] = at.parts;
  if (part === undefined) {
    return [at.prefix];
  }
  const folder = at.wild ? at.prefix : resolvePath(tree, at.prefix);
  if (folder === undefined || tree.get(folder)?.type !== 'dir') {
    if (!at.wild) {
      throw new StepFault(`lstat /${at.prefix}: no such file or directory`);
    }
    return [];
  }
  const glob = compileGlob(part, { globstar: false });
  if (!at.wild && !hasWildcards(part) && tree.get(joinPath(folder, part)) === undefined) {
    throw new StepFault(`lstat /${joinPath(at.prefix, part)}: no such file or directory`);
  }
  const names = hasWildcards(part) ? tree.list(folder).filter((name) => glob.matches(name)) : [part];
  return names
    .filter((name) => tree.get(joinPath(folder, name)) !== undefined)
    .flatMap((name) => expandParts(tree, { prefix: joinPath(at.prefix, name), parts: rest, wild: at.wild || hasWildcards(part) }));
};

/** `**`: every path is tried; a folder that matches is taken whole. */
const walkGlob = (tree: FileTree, pattern: string): string[] => {
  const glob = compileGlob(pattern, { globstar: true });
  const found: string[] = [];
  const visit = (folder: string) => {
    for (const name of tree.list(folder)) {
      const path = joinPath(folder, name);
      if (glob.matches(path)) {
        found.push(path);
      } else if (tree.get(path)?.type === 'dir') {
        visit(path);
      }
    }
  };
  visit('');
  return found;
};
