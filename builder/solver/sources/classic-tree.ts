import { parseIgnoreFile } from '../../context/ignore.ts';
import { type FileTree, findEntry, joinPath } from '../../context/tree.ts';

const IGNORE_FILE = '.dockerignore';
const MAX_BYTES = 1 << 20;

/**
 * A context as docker's classic builder sees it once it has read its Dockerfile: without the Dockerfile and `.dockerignore` where the latter
 * excludes them. Its client sends both in any case. Throws DOCKERFILE_SYNTAX.
 */
export const classicTree = async (tree: FileTree, dockerfile: string): Promise<FileTree> => {
  const entry = findEntry(tree, IGNORE_FILE);
  if (entry?.type !== 'file' || entry.size > MAX_BYTES) {
    return tree;
  }
  const parts: Uint8Array[] = [];
  for await (const part of tree.read(entry)) {
    parts.push(part);
  }
  const rules = parseIgnoreFile(Buffer.concat(parts).toString('utf8'), IGNORE_FILE);
  const gone = new Set([IGNORE_FILE, dockerfile].filter((path) => rules.excludes(path)));
  return gone.size === 0 ? tree : without(tree, gone);
};

const without = (tree: FileTree, gone: ReadonlySet<string>): FileTree => ({
  get: (path) => (gone.has(path) ? undefined : tree.get(path)),
  list: (path) => tree.list(path).filter((name) => !gone.has(joinPath(path, name))),
  read: (entry) => tree.read(entry),
  ...(tree.readSmall === undefined
    ? {}
    : { readSmall: (entry, into) => (tree.readSmall as NonNullable<FileTree['readSmall']>)(entry, into) }),
  digest: (entry) => tree.digest(entry),
});
