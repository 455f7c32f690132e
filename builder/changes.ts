import type { TarHeader } from '../base/tar/header.ts';
import { readTar, StreamSource } from '../base/tar/reader.ts';
import { WHOLE_FOLDERS } from './commit.ts';
import { baseName, cleanPath, dirName, joinPath } from './context/tree.ts';
import { OPAQUE, WHITEOUT } from './layers/whiteouts.ts';
import { indexTar, LayerTree } from './solver/layer/layer-tree.ts';
import type { ImageStore } from './store/store.ts';

export interface ChangesRequest {
  /** The image that the machine was made of. */
  readonly imageId: string;
  /** What differs from it, as a layer. */
  readonly layer: AsyncIterable<Uint8Array>;
  /** Absolute paths that are hypr's and not the program's. */
  readonly leaveOut: readonly string[];
  /** Where something is mounted: the place itself counts, what is below it does not. */
  readonly mounts: readonly string[];
}

export interface Change {
  /** Absolute. */
  readonly path: string;
  readonly kind: 'added' | 'changed' | 'deleted';
}

/** What differs between a machine's disk and its image, sorted by path; a folder counts as changed when something in it is. */
export const listChanges = async (store: Pick<ImageStore, 'need' | 'layerTar'>, request: ChangesRequest): Promise<Change[]> => {
  const base = await treeOf(store, request.imageId);
  const hidden = [...WHOLE_FOLDERS, ...request.leaveOut].map(cleanPath);
  const mounts = request.mounts.map(cleanPath);
  const isHidden = (path: string): boolean =>
    hidden.some((each) => path === each || path.startsWith(`${each}/`)) || mounts.some((each) => path.startsWith(`${each}/`));
  const changes = new Map<string, Change['kind']>();
  /** Folders that the layer has beside the image's, which may be there for what is in them alone. */
  const folders: TarHeader[] = [];
  const note = (path: string, kind: Change['kind']): void => {
    if (path !== '' && !isHidden(path)) {
      changes.set(path, kind);
    }
  };
  const source = new StreamSource(request.layer);
  try {
    for await (const { header } of readTar(source)) {
      const path = cleanPath(header.name);
      const name = baseName(path);
      if (name === OPAQUE) {
        for (const each of base.list(dirName(path))) {
          note(joinPath(dirName(path), each), 'deleted');
        }
      } else if (name.startsWith(WHITEOUT)) {
        note(joinPath(dirName(path), name.slice(WHITEOUT.length)), 'deleted');
      } else if (header.type === 'dir' && base.get(path)?.type === 'dir') {
        folders.push(header);
      } else if (!isSame(base, path, header)) {
        note(path, base.get(path) === undefined ? 'added' : 'changed');
      }
    }
  } finally {
    await source.close();
  }
  const parents = new Set([...changes.keys()].flatMap(foldersAbove));
  for (const header of folders) {
    const path = cleanPath(header.name);
    if (parents.has(path) || hasOtherOwner(base, path, header)) {
      note(path, 'changed');
    }
  }
  return [...changes].map(([path, kind]) => ({ path: `/${path}`, kind })).sort((a, b) => (a.path < b.path ? -1 : 1));
};

const treeOf = async (store: Pick<ImageStore, 'need' | 'layerTar'>, imageId: string): Promise<LayerTree> => {
  let tree = LayerTree.empty;
  for (const diffId of (await store.need(imageId)).layers) {
    tree = tree.withLayer(await indexTar(store.layerTar(diffId)));
  }
  return tree;
};

const foldersAbove = (path: string): string[] => {
  const found: string[] = [];
  for (let folder = dirName(path); folder !== ''; folder = dirName(folder)) {
    found.push(folder);
  }
  return found;
};

/** What was only opened for writing is copied into the layer, too. */
const isSame = (base: LayerTree, path: string, header: TarHeader): boolean => {
  const entry = base.get(path);
  return (
    entry !== undefined &&
    entry.type === header.type &&
    entry.size === header.size &&
    Math.floor(entry.mtime) === Math.floor(header.mtime) &&
    !hasOtherOwner(base, path, header)
  );
};

const hasOtherOwner = (base: LayerTree, path: string, header: TarHeader): boolean => {
  const entry = base.get(path);
  return entry?.mode !== header.mode || entry.uid !== header.uid || entry.gid !== header.gid;
};
