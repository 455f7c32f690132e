import { BLOCK, padding } from './block.ts';
import { type EntryType, encodeHeader } from './header.ts';
import { readTar, StreamSource } from './reader.ts';

/** A tar with other names; entries whose name is undefined are left out. Hard links lead to the new names. Throws IMAGE_LAYER. */
export async function* renameTar(
  tar: AsyncIterable<Uint8Array>,
  rename: (name: string, type: EntryType) => string | undefined,
): AsyncGenerator<Uint8Array> {
  const source = new StreamSource(tar);
  try {
    for await (const { header } of readTar(source)) {
      const name = header.type === 'other' ? undefined : rename(header.name, header.type);
      if (name === undefined) {
        continue;
      }
      yield encodeHeader({
        ...header,
        name,
        link: header.type === 'hardlink' ? (rename(header.link, 'file') ?? header.link) : header.link,
      });
      for (let left = header.size + padding(header.size); left > 0; ) {
        const part = await source.take(left);
        if (part.length === 0) {
          // The reader says what is missing.
          break;
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

/** Of a whole root, whose entries are named from `./` on, as `docker export` names them: without it, and nothing for the root itself. */
export const exportNames = (tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> =>
  renameTar(tar, (name) => withoutDot(name) || undefined);

/** The same as docker's archive of the path `/`: from `/` on. */
export const absoluteNames = (tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> =>
  renameTar(tar, (name) => `/${withoutDot(name)}`);

const withoutDot = (name: string): string => name.replace(/^\.(\/|$)/, '');
