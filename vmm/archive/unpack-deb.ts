import { createReadStream } from 'node:fs';
import { type FileHandle, link, mkdir, open, realpath, rm, symlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import type { TarHeader } from '../../base/tar/header.ts';
import { readTar, StreamSource } from '../../base/tar/reader.ts';
import { decompress } from './decompress.ts';

const CHUNK = 256 << 10;
/** ar(5): the magic, then 60 bytes of head before each member. */
const AR = { magic: '!<arch>\n', head: 60 } as const;

/**
 * Unpacks a package's files (deb(5)) into a folder, as `dpkg-deb -x` does: owners and devices are left out. Links to folders that are
 * there already are followed, but never out of the folder. Throws TOOLCHAIN_FAILED for what is no package.
 */
export const unpackDeb = async (deb: string, folder: string, signal: AbortSignal): Promise<void> => {
  const member = await findData(deb);
  const compressed = createReadStream(deb, { start: member.offset, end: member.offset + member.size - 1 });
  const source = new StreamSource(await decompress(compressed, member.name));
  const writer = new TreeWriter(await realpath(folder));
  try {
    for await (const { header } of readTar(source)) {
      signal.throwIfAborted();
      await writer.write(header, source);
    }
    // To its end, where the checksum of the compression is.
    while ((await source.take(CHUNK)).length > 0) {}
  } catch (error) {
    compressed.destroy();
    // The decompressor may complain that it was cancelled; the first error is the one to tell.
    await source.close().catch(() => {});
    throw error;
  }
};

const findData = async (deb: string): Promise<{ name: string; offset: number; size: number }> => {
  await using file = await open(deb);
  const at = async (offset: number, length: number) => (await file.read(Buffer.alloc(length), 0, length, offset)).buffer.toString('latin1');
  if ((await at(0, AR.magic.length)) === AR.magic) {
    for (let offset = AR.magic.length; ; ) {
      const [, name = '', size] = /^(\S+?)\/? +.{32}(\d+) *`\n$/s.exec(await at(offset, AR.head)) ?? [];
      if (size === undefined) {
        break;
      }
      if (/^data\.tar(\.[a-z]+)?$/.test(name)) {
        return { name, offset: offset + AR.head, size: Number(size) };
      }
      offset += AR.head + Number(size) + (Number(size) % 2);
    }
  }
  throw new HyprError('TOOLCHAIN_FAILED', `${deb} is no Debian package`);
};

class TreeWriter {
  readonly #root: string;
  /** Folders that exist and lie within the root. */
  readonly #known = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  async write(header: TarHeader, source: StreamSource): Promise<void> {
    const path = await this.#place(header.name, header.type === 'dir');
    if (path === undefined || header.type === 'dir') {
      return;
    }
    if (header.type === 'symlink') {
      await rm(path, { force: true });
      await symlink(header.link, path);
    } else if (header.type === 'hardlink') {
      await rm(path, { force: true });
      await link((await this.#place(header.link, false)) ?? this.#root, path);
    } else if (header.type === 'file') {
      await rm(path, { force: true });
      const file = await open(path, 'wx', header.mode & 0o755);
      await copyContent(source, header.size, file).finally(() => file.close());
    }
  }

  /** The path of an entry, whose folder exists then; undefined for the root itself. */
  async #place(name: string, isFolder: boolean): Promise<string | undefined> {
    const parts = name.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.includes('..')) {
      throw this.#outside(name);
    }
    if (parts.length === 0) {
      return undefined;
    }
    const path = join(this.#root, ...parts);
    const folder = isFolder ? path : dirname(path);
    if (!this.#known.has(folder)) {
      await mkdir(folder, { recursive: true, mode: 0o755 });
      const real = await realpath(folder);
      if (real !== this.#root && !real.startsWith(this.#root + sep)) {
        throw this.#outside(name);
      }
      this.#known.add(folder);
    }
    return path;
  }

  #outside(name: string): HyprError {
    return new HyprError('TOOLCHAIN_FAILED', `a package has an entry that leaves its folder: ${name}`);
  }
}

const copyContent = async (source: StreamSource, size: number, file: FileHandle): Promise<void> => {
  for (let left = size; left > 0; ) {
    const data = await source.take(Math.min(left, CHUNK));
    if (data.length === 0) {
      throw new HyprError('TOOLCHAIN_FAILED', 'a package ends within the content of a file');
    }
    await file.write(data);
    left -= data.length;
  }
};
