import { BLOCK, padding } from '../../../base/tar/block.ts';
import { encodeHeader, type TarHeader } from '../../../base/tar/header.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { cleanPath } from '../../context/tree.ts';

export interface LayerFilter {
  /** Paths that are dropped with everything below them, including whiteouts. */
  readonly drop: readonly string[];
  /** Folders that are dropped unless something in them stays. */
  readonly dropIfEmpty: readonly string[];
  readonly stores?: StoreFilter;
}

/** Files that something was added to. */
export interface StoreFilter {
  /** Paths. */
  readonly paths: readonly string[];
  /** What was added: a file that the layer has at such a path is written without it. */
  readonly added?: Uint8Array;
  /** Called when the layer changes or hides one of them. */
  readonly onChanged?: () => void;
}

/** No store of certificates is as large. */
const LARGEST_STORE = 16 * 1024 * 1024;

/**
 * A layer tar without what the build itself put into the machine: mounts, secrets, certificates and the
 * folders that only had to exist for them. Parents must come before their content.
 */
export async function* filterLayer(tar: AsyncIterable<Uint8Array>, filter: LayerFilter): AsyncGenerator<Uint8Array> {
  const drop = filter.drop.map(cleanPath);
  const stubs = new Set(filter.dropIfEmpty.map(cleanPath));
  const stores = filter.stores?.paths.map(cleanPath) ?? [];
  const source = new StreamSource(tar);
  let held: Array<{ path: string; raw: Buffer }> = [];
  try {
    for await (const { header, raw } of readTar(source)) {
      const path = unhide(cleanPath(header.name));
      if (drop.some((prefix) => path === prefix || path.startsWith(`${prefix}/`))) {
        continue;
      }
      held = held.filter((stub) => path.startsWith(`${stub.path}/`));
      if (header.type === 'dir' && stubs.has(path)) {
        held.push({ path, raw });
        continue;
      }
      for (const stub of held) {
        yield stub.raw;
      }
      held = [];
      if (changes(stores, path, header)) {
        filter.stores?.onChanged?.();
      }
      const { added } = filter.stores ?? {};
      if (added !== undefined && header.type === 'file' && header.size <= LARGEST_STORE && stores.includes(path)) {
        const content = await source.read(header.size);
        await source.skip(padding(header.size));
        yield* withoutPart({ header, raw, content }, added);
        continue;
      }
      yield raw;
      yield* copyContent(source, header.size + padding(header.size));
    }
    yield Buffer.alloc(2 * BLOCK);
  } finally {
    await source.close();
  }
}

/** The path that a whiteout is about. */
const unhide = (path: string): string => path.replace(/(^|\/)\.wh\.(?!\.wh\.)([^/]+)$/, '$1$2');

/** Whether an entry is one of the files, or takes the place of a folder that leads to one. */
const changes = (stores: readonly string[], path: string, { type }: TarHeader): boolean => {
  const at = path.replace(/\/\.wh\.\.wh\.\.opq$/, '');
  return type !== 'dir' && stores.some((store) => store === at || store.startsWith(`${at}/`));
};

function* withoutPart(
  { header, raw, content }: { header: TarHeader; raw: Buffer; content: Buffer },
  part: Uint8Array,
): Generator<Uint8Array> {
  const at = part.length === 0 ? -1 : content.indexOf(part);
  const rest = at < 0 ? content : Buffer.concat([content.subarray(0, at), content.subarray(at + part.length)]);
  yield at < 0 ? raw : encodeHeader({ ...header, size: rest.length });
  yield rest;
  yield Buffer.alloc(padding(rest.length));
}

async function* copyContent(source: StreamSource, length: number): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0; ) {
    const part = await source.take(left);
    if (part.length === 0) {
      return;
    }
    left -= part.length;
    yield part;
  }
}
