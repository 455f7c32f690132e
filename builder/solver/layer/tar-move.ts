import { renameTar } from '../../../base/tar/rename.ts';
import { cleanPath, joinPath } from '../../context/tree.ts';

/**
 * The tar of a folder as guests give it (names begin with the folder's own, as in docker's archives) as
 * one whose names begin with `target`, so that a cache can be mounted at another place than last time.
 */
export const moveTar = (tar: AsyncIterable<Uint8Array>, target: string): AsyncGenerator<Uint8Array> => {
  const to = cleanPath(target);
  return renameTar(tar, (name, type) => {
    const below = withoutFirst(cleanPath(name));
    const moved = below === '' ? to : joinPath(to, below);
    return type === 'dir' ? `${moved}/` : moved;
  });
};

const withoutFirst = (path: string): string => (path.includes('/') ? path.slice(path.indexOf('/') + 1) : '');
