import { readTar, StreamSource } from '../../../base/tar/reader.ts';
import { refusalReason } from '../../../guest/protocol/refusal.ts';

/** The type of the first entry of a path's tar; undefined when the replica has no such path. The rest is not read. */
export const statTar = async (tar: AsyncIterable<Uint8Array>): Promise<'dir' | 'file' | undefined> => {
  const source = new StreamSource(tar);
  try {
    for await (const { header } of readTar(source)) {
      return header.type === 'dir' ? 'dir' : 'file';
    }
    return 'dir';
  } catch (error) {
    if (refusalReason(error) === 'notFound') {
      return undefined;
    }
    throw error;
  } finally {
    await source.close();
  }
};
