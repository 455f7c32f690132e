import { type FileHandle, open } from 'node:fs/promises';
import { HyprError } from '../../../base/errors.ts';
import { cleanPath } from '../../context/tree.ts';
import { scanTarFile } from '../../layers/scan-file.ts';

/** An image archive on disk whose members can be read in any order. */
export interface ArchiveFile extends AsyncDisposable {
  has(name: string): boolean;
  /** Reads a small member. Throws IMAGE_CORRUPT if it is missing or longer than `limit`. */
  read(name: string, limit: number): Promise<Buffer>;
  stream(name: string): AsyncGenerator<Buffer>;
}

interface Member {
  readonly at: number;
  readonly size: number;
}

const CHUNK = 1024 * 1024;
const LIMITS = { extension: 1024 * 1024, fileSize: 1024 ** 4 };
const MAX_MEMBERS = 100_000;

/** Archives of an old `docker save` contain a layer that occurs twice as a link; links are followed inside the archive only. */
export const openArchiveFile = async (path: string): Promise<ArchiveFile> => {
  const members = new Map<string, Member>();
  const links = new Map<string, string>();
  await scanTarFile(path, LIMITS, (entry) => {
    const name = cleanPath(entry.path);
    if (members.size + links.size >= MAX_MEMBERS) {
      throw new HyprError('IMAGE_CORRUPT', `${path} has more than ${MAX_MEMBERS} members`);
    }
    if (entry.type === 'file') {
      members.set(name, { at: entry.data, size: entry.stored });
    } else if (entry.type === 'hardlink') {
      links.set(name, cleanPath(entry.link));
    } else if (entry.type === 'symlink') {
      links.set(name, cleanPath(`${name.slice(0, name.lastIndexOf('/') + 1)}${entry.link}`));
    }
  });
  const find = (name: string): Member | undefined => members.get(cleanPath(name)) ?? members.get(links.get(cleanPath(name)) ?? '');
  const file = await open(path, 'r');
  const need = (name: string): Member => {
    const member = find(name);
    if (member === undefined) {
      throw new HyprError('IMAGE_CORRUPT', `${path} has no ${name}`, {
        hint: 'it is not a whole archive of docker save or of an OCI layout',
      });
    }
    return member;
  };
  const stream = (name: string) => readRange(file, need(name));
  return {
    has: (name) => find(name) !== undefined,
    stream,
    read: async (name, limit) => {
      if (need(name).size > limit) {
        throw new HyprError('IMAGE_CORRUPT', `${name} in ${path} has ${need(name).size} bytes`);
      }
      const chunks: Buffer[] = [];
      for await (const chunk of stream(name)) {
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
};

async function* readRange(file: FileHandle, { at, size }: Member): AsyncGenerator<Buffer> {
  for (let done = 0; done < size; ) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size - done));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at + done);
    if (bytesRead === 0) {
      throw new HyprError('IMAGE_CORRUPT', 'the archive changed while it was read');
    }
    yield buffer.subarray(0, bytesRead);
    done += bytesRead;
  }
}
