import { cleanPath, joinPath } from '../context/tree.ts';
import { BLOCK, encodeHeader, padding } from './tar-format.ts';
import { readTar, StreamSource } from './tar-read.ts';

/**
 * The tar of one folder (whose own entry comes first, under any name) as a tar that puts the same folder
 * at `target`. Hard links keep pointing to each other.
 */
export async function* moveTar(tar: AsyncIterable<Uint8Array>, target: string): AsyncGenerator<Uint8Array> {
  const source = new StreamSource(tar);
  const to = cleanPath(target);
  let base: string | undefined;
  try {
    for await (const { header } of readTar(source)) {
      const path = cleanPath(header.name);
      base ??= header.type === 'dir' ? path : '';
      if (header.type === 'other') {
        continue;
      }
      const move = (name: string) =>
        joinPath(to, base !== '' && base !== undefined && isBelow(name, base) ? name.slice(base.length + 1) : name);
      const moved = path === base ? to : move(path);
      const link = header.type === 'hardlink' ? move(cleanPath(header.link)) : header.link;
      yield encodeHeader({ ...header, name: header.type === 'dir' ? `${moved}/` : moved, link });
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

const isBelow = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);
