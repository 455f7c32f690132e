import { BLOCK, padding } from '../../../base/tar/block.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { cleanPath } from '../../context/tree.ts';

export interface LayerFilter {
  /** Paths that are dropped with everything below them, including whiteouts. */
  readonly drop: readonly string[];
  /** Folders that are dropped unless something in them stays. */
  readonly dropIfEmpty: readonly string[];
}

/**
 * A layer tar without what the build itself put into the machine: mounts, secrets, certificates and the
 * folders that only had to exist for them. Parents must come before their content.
 */
export async function* filterLayer(tar: AsyncIterable<Uint8Array>, filter: LayerFilter): AsyncGenerator<Uint8Array> {
  const drop = filter.drop.map(cleanPath);
  const stubs = new Set(filter.dropIfEmpty.map(cleanPath));
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
