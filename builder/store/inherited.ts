import { type LayerLimits, LayerModel } from '../layers/layer-model.ts';
import { scanTarFile } from '../layers/scan-file.ts';
import { type Attributes, type ByteString, END_MARK, encodeHeader } from '../layers/tar-format.ts';
import type { TarLimits } from '../layers/tar-scanner.ts';

export interface StackedLayer {
  /** Path of its tar in normal form. */
  readonly tar: string;
  readonly implied: readonly ByteString[];
}

interface Stacked {
  readonly model: LayerModel;
  readonly implied: ReadonlySet<ByteString>;
}

/** The tars are our own: they passed the real limits when they were added. */
const NO_LIMITS: LayerLimits & TarLimits = {
  entries: Number.MAX_SAFE_INTEGER,
  path: 8192,
  depth: 8192,
  bytes: Number.MAX_SAFE_INTEGER,
  xattrs: Number.MAX_SAFE_INTEGER,
  extension: 2 * 1024 ** 2,
  fileSize: Number.MAX_SAFE_INTEGER,
};

/**
 * A layer without an entry for /tmp but with one for /tmp/x must not make /tmp 0755: unpacked over its
 * lower layers, the folder is there already. Gives a tar of such folders with the attributes they have
 * below, to be merged on top; undefined when no layer but the bottom one (bottom first) implies any.
 */
export const inheritedFolders = async (layers: readonly StackedLayer[]): Promise<Buffer | undefined> => {
  if (layers.slice(1).every(({ implied }) => implied.length === 0)) {
    return undefined;
  }
  const stack = await Promise.all(layers.map(loadLayer));
  const wanted = new Set<ByteString>();
  for (const path of layers.slice(1).flatMap(({ implied }) => implied)) {
    const parts = path.split('/');
    for (let length = 1; length <= parts.length; length++) {
      wanted.add(parts.slice(0, length).join('/'));
    }
  }
  const blocks: Buffer[] = [];
  for (const path of [...wanted].sort()) {
    const attributes = folderAttributes(stack, path);
    if (attributes !== undefined) {
      blocks.push(encodeHeader(path, attributes, 0));
    }
  }
  return Buffer.concat([...blocks, END_MARK]);
};

const loadLayer = async ({ tar, implied }: StackedLayer): Promise<Stacked> => {
  const model = new LayerModel(NO_LIMITS);
  await scanTarFile(tar, NO_LIMITS, (entry) => model.add(entry));
  return { model, implied: new Set(implied) };
};

/** Of the topmost layer that describes the folder, as long as no layer above it removed it; undefined if it is none in the end. */
const folderAttributes = (stack: readonly Stacked[], path: ByteString): Attributes | undefined => {
  let implied: Attributes | undefined;
  const parts = path.split('/');
  for (const layer of [...stack].reverse()) {
    const node = layer.model.find(parts);
    if (node !== undefined && node.children === undefined) {
      return implied;
    }
    if (node !== undefined && !layer.implied.has(path)) {
      return node.attributes;
    }
    implied ??= node?.attributes;
    if (hides(layer, parts)) {
      return implied;
    }
  }
  return implied;
};

/** Whether nothing of lower layers is left at that path: whited out, below an opaque folder, or below something that is no folder. */
const hides = ({ model }: Stacked, parts: readonly ByteString[]): boolean => {
  for (let length = 1; length <= parts.length; length++) {
    const node = model.find(parts.slice(0, length));
    const isAncestor = length < parts.length;
    if (
      model.whiteouts.has(parts.slice(0, length).join('/')) ||
      (isAncestor && node !== undefined && (node.opaque || node.children === undefined))
    ) {
      return true;
    }
  }
  return false;
};
