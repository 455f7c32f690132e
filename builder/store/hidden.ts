import type { ByteString } from '../../base/tar/block.ts';
import { baseName, cleanPath, dirName, joinPath } from '../context/tree.ts';
import { scanTarFile } from '../layers/scan-file.ts';
import type { TarLimits } from '../layers/tar-scanner.ts';
import { OPAQUE, WHITEOUT } from '../layers/whiteouts.ts';

/** From the lowest to the highest layer that has the folder. */
interface Span {
  low: number;
  high: number;
}

/**
 * Paths that layers hide and mkfs.erofs would show when it merges them: it believes the topmost entry of a folder alone, so
 * what a middle layer says by an opaque folder, a whiteout or a file in a folder's place is lost as soon as a layer above has that
 * folder, too. `tars` are layers in normal form, bottom first; `topped` are the folders that the layer merged on top of them will
 * have, for which even the topmost of `tars` is a middle one. Only the outermost paths are given; whoever merges hides them
 * with whiteouts on top. Reads the headers of all layers once, and again only where there is something to find.
 */
export const hiddenPaths = async (tars: readonly string[], topped: ReadonlySet<ByteString>, limits: TarLimits): Promise<ByteString[]> => {
  const layers = tars.length + (topped.size > 0 ? 1 : 0);
  const covers = layers < 3 ? new Map<ByteString, number>() : await findCovers(tars, topped, limits);
  if (covers.size === 0) {
    return [];
  }
  const hidden = new Set<ByteString>();
  // For each path below a cover the highest layer that has it: layers are read from the top.
  const highest = new Map<ByteString, number>();
  for (let layer = tars.length - 1; layer >= 0; layer -= 1) {
    await scanTarFile(tars[layer] as string, limits, (entry) => {
      const path = cleanPath(entry.path);
      const cover = coverOf(covers, path);
      if (cover === undefined || baseName(path).startsWith(WHITEOUT)) {
        return;
      }
      const top = highest.get(path) ?? layer;
      highest.set(path, top);
      if (top < cover) {
        hidden.add(path);
      }
    });
  }
  return [...hidden].filter((path) => !hasAncestor(hidden, path)).sort();
};

/** The highest layer that covers what is below it at the folder of this path or further up. */
const coverOf = (covers: ReadonlyMap<ByteString, number>, path: ByteString): number | undefined => {
  let highest: number | undefined;
  for (let above = dirName(path); above !== ''; above = dirName(above)) {
    highest = Math.max(highest ?? 0, covers.get(above) ?? 0) || undefined;
  }
  return highest;
};

/**
 * Folders that layers above and below have, while a layer between says that what is below is gone; with the highest such layer.
 * Read from the top down, so that of what is not a folder only what upper layers have as one is kept.
 */
const findCovers = async (
  tars: readonly string[],
  topped: ReadonlySet<ByteString>,
  limits: TarLimits,
): Promise<Map<ByteString, number>> => {
  const folders = new Map<ByteString, Span>();
  const found: Array<{ path: ByteString; layer: number }> = [];
  for (let layer = tars.length - 1; layer >= 0; layer -= 1) {
    const cover = (path: ByteString) => {
      const high = folders.get(path)?.high ?? -1;
      if (high > layer || (high === layer && topped.has(path))) {
        found.push({ path, layer });
      }
    };
    await scanTarFile(tars[layer] as string, limits, (entry) => {
      const path = cleanPath(entry.path);
      const name = baseName(path);
      if (name === OPAQUE) {
        cover(dirName(path));
      } else if (name.startsWith(WHITEOUT)) {
        cover(joinPath(dirName(path), name.slice(WHITEOUT.length)));
      } else if (entry.type === 'dir') {
        const span = folders.get(path) ?? { low: layer, high: layer };
        span.low = layer;
        folders.set(path, span);
      } else {
        cover(path);
      }
    });
  }
  const covers = new Map<ByteString, number>();
  for (const { path, layer } of found) {
    if ((folders.get(path)?.low ?? layer) < layer) {
      covers.set(path, Math.max(layer, covers.get(path) ?? 0));
    }
  }
  return covers;
};

const hasAncestor = (paths: ReadonlySet<ByteString>, path: ByteString): boolean => {
  for (let above = dirName(path); above !== ''; above = dirName(above)) {
    if (paths.has(above)) {
      return true;
    }
  }
  return false;
};
