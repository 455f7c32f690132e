import { type ByteString, END_MARK } from '../../base/tar/block.ts';
import { baseName, cleanPath, dirName, joinPath } from '../context/tree.ts';
import { type Attributes, encodeHeader } from '../layers/layer-format.ts';
import { scanTarFile } from '../layers/scan-file.ts';
import type { TarLimits } from '../layers/tar-scanner.ts';
import { OPAQUE, WHITEOUT } from '../layers/whiteouts.ts';
import { hiddenPaths } from './hidden.ts';

export interface StackedLayer {
  /** Path of its tar in normal form. */
  readonly tar: string;
  readonly implied: readonly ByteString[];
}

/** What a layer says about the wanted paths. */
interface Stacked {
  readonly entries: ReadonlyMap<ByteString, Attributes>;
  readonly whiteouts: ReadonlySet<ByteString>;
  readonly opaque: ReadonlySet<ByteString>;
  readonly implied: ReadonlySet<ByteString>;
}

/** These tars are our own and passed the real limits when they were added. */
const NO_LIMITS: TarLimits = { extension: 2 * 1024 ** 2, fileSize: Number.MAX_SAFE_INTEGER };
const NOTHING: Attributes = {
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: '0',
  link: '',
  devMajor: 0,
  devMinor: 0,
  xattrs: [],
};

/**
 * A layer with an entry for /tmp/x but none for /tmp must not reset /tmp to 0755: unpacked over its lower layers, the
 * folder would already exist. Gives a tar of such folders with the attributes they have in lower layers, and of whiteouts for
 * what `hiddenPaths` finds, to be merged on top; undefined when there is neither. Layers are bottom first.
 */
export const inheritedFolders = async (layers: readonly StackedLayer[]): Promise<Buffer | undefined> => {
  const implied = layers.slice(1).flatMap((layer) => layer.implied);
  const { hidden, wanted } = await settle(
    layers.map(({ tar }) => tar),
    implied,
  );
  if (hidden.length === 0 && implied.length === 0) {
    return undefined;
  }
  const stack = await Promise.all(layers.map((layer) => loadLayer(layer, wanted)));
  const blocks: Buffer[] = [];
  const folders = new Set<ByteString>(['']);
  for (const path of [...wanted].sort()) {
    const attributes = folderAttributes(stack, path);
    if (attributes !== undefined) {
      blocks.push(encodeHeader(path, attributes, 0));
      folders.add(path);
    }
  }
  for (const path of hidden) {
    // Otherwise its folder is gone, too.
    if (folders.has(dirName(path))) {
      blocks.push(encodeHeader(joinPath(dirName(path), `${WHITEOUT}${baseName(path)}`), NOTHING, 0));
    }
  }
  return Buffer.concat([...blocks, END_MARK]);
};

/**
 * What is to be hidden, and all folders that the layer on top must have for it. A folder there takes the place of the topmost
 * one below, so that an opaque mark of that one counts no longer, and there can be more to hide: until nothing is added.
 */
const settle = async (
  tars: readonly string[],
  implied: readonly ByteString[],
): Promise<{ hidden: ByteString[]; wanted: ReadonlySet<ByteString> }> => {
  const wanted = withParents(implied);
  for (;;) {
    const hidden = await hiddenPaths(tars, wanted, NO_LIMITS);
    const before = wanted.size;
    for (const path of withParents(hidden.map(dirName))) {
      wanted.add(path);
    }
    if (wanted.size === before) {
      return { hidden, wanted };
    }
  }
};

/** These folders and all above them, without the root. */
const withParents = (folders: readonly ByteString[]): Set<ByteString> => {
  const all = new Set<ByteString>();
  for (const folder of folders) {
    for (let path = folder; path !== ''; path = dirName(path)) {
      all.add(path);
    }
  }
  return all;
};

/** Keeps only the wanted paths in memory, because a layer can have millions of files. Names in our own tars are clean and unique. */
const loadLayer = async ({ tar, implied }: StackedLayer, wanted: ReadonlySet<ByteString>): Promise<Stacked> => {
  const entries = new Map<ByteString, Attributes>();
  const whiteouts = new Set<ByteString>();
  const opaque = new Set<ByteString>();
  await scanTarFile(tar, NO_LIMITS, (entry) => {
    const path = cleanPath(entry.path);
    const name = baseName(path);
    const hidden = joinPath(dirName(path), name.slice(WHITEOUT.length));
    if (wanted.has(path)) {
      entries.set(path, { ...entry, link: '' });
    } else if (name === OPAQUE && wanted.has(dirName(path))) {
      opaque.add(dirName(path));
    } else if (name.startsWith(WHITEOUT) && wanted.has(hidden)) {
      whiteouts.add(hidden);
    }
  });
  return { entries, whiteouts, opaque, implied: new Set(implied) };
};

/**
 * Attributes from the topmost layer that describes the folder, unless a layer above removed it; undefined if the path is
 * not a folder in the end.
 */
const folderAttributes = (stack: readonly Stacked[], path: ByteString): Attributes | undefined => {
  let implied: Attributes | undefined;
  for (const layer of [...stack].reverse()) {
    const entry = layer.entries.get(path);
    if (entry !== undefined && entry.type !== 'dir') {
      return implied;
    }
    if (entry !== undefined && !layer.implied.has(path)) {
      return entry;
    }
    implied ??= entry;
    if (hides(layer, path)) {
      return implied;
    }
  }
  return implied;
};

/** Whether this layer hides the path in lower layers: by a whiteout, below an opaque folder, or below something that is not a folder. */
const hides = (layer: Stacked, path: ByteString): boolean => {
  if (layer.whiteouts.has(path)) {
    return true;
  }
  const above = dirName(path);
  const entry = layer.entries.get(above);
  return above !== '' && (layer.opaque.has(above) || (entry !== undefined && entry.type !== 'dir') || hides(layer, above));
};
