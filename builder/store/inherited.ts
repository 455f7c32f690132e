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
  const hidden = await hiddenPaths(
    layers.map(({ tar }) => tar),
    NO_LIMITS,
  );
  if (hidden.length === 0 && layers.slice(1).every(({ implied }) => implied.length === 0)) {
    return undefined;
  }
  const wanted = new Set<ByteString>();
  for (const path of [...layers.slice(1).flatMap(({ implied }) => implied), ...hidden.map(dirName).filter((path) => path !== '')]) {
    const parts = path.split('/');
    for (let length = 1; length <= parts.length; length++) {
      wanted.add(parts.slice(0, length).join('/'));
    }
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
