import { BLOCK, padding } from '../../../base/tar/block.ts';
import { encodeHeader } from '../../../base/tar/header.ts';
import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { cleanPath, joinPath } from '../../context/tree.ts';

/**
 * The tar of a folder as guests give it (names begin with the folder's own, as in docker's archives) as
 * one whose names begin with `target`, so that a cache can be mounted at another place than last time.
 */
export async function* moveTar(tar: AsyncIterable<Uint8Array>, target: string): AsyncGenerator<Uint8Array> {
  const source = new StreamSource(tar);
  const to = cleanPath(target);
  const move = (name: string) => {
    const below = withoutFirst(cleanPath(name));
    return below === '' ? to : joinPath(to, below);
  };
  try {
    for await (const { header } of readTar(source)) {
      if (header.type === 'other') {
        continue;
      }
      const name = header.type === 'dir' ? `${move(header.name)}/` : move(header.name);
      yield encodeHeader({ ...header, name, link: header.type === 'hardlink' ? move(header.link) : header.link });
      for (let left = header.size + padding(header.size); left > 0; ) {
        const part = await source.take(left);
        if (part.length === 0) {
          return;
        }
        left -= part.length;
        yield part;
      }
    }
    yield Buffer.alloc(2 * BLOCK);
  } finally {
    await source.close();
  }
}

const withoutFirst = (path: string): string => (path.includes('/') ? path.slice(path.indexOf('/') + 1) : '');
