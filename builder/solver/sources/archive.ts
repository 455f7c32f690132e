import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { HyprError, isErrno, messageOf } from '../../../base/errors.ts';
import { diskError } from '../../../base/host/files.ts';
import { stagingName } from '../../../base/host/staging.ts';
import { BLOCK } from '../../../base/tar/block.ts';
import { readFlag } from '../../../base/tar/header.ts';
import type { IgnoreRules } from '../../context/ignore.ts';
import type { FileTree, TreeEntry } from '../../context/tree.ts';
import { type Selection, selectSources } from '../layer/copy-select.ts';
import { indexTar, LayerTree } from '../layer/layer-tree.ts';
import { StepFault } from '../layer/step-error.ts';
import { buildStagingFolder } from '../layer/sweep.ts';

type Compression = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const MAGIC: ReadonlyArray<readonly [Compression, string]> = [
  ['gzip', '1f8b08'],
  ['bzip2', '425a68'],
  ['xz', 'fd377a585a00'],
  ['zstd', '28b52ffd'],
];
const MAX_UNPACKED = 32 * 1024 ** 3;

/** Archives that a step has opened; their unpacked copies are removed when the step ends. */
export class ArchiveOpener {
  readonly #folder: string;
  readonly #files: string[] = [];

  constructor(buildFolder: string) {
    this.#folder = buildStagingFolder(buildFolder);
  }

  /**
   * A tar (plain, gzip, bzip2, xz, zstd; told by content) as a selection of its root, or undefined when the
   * file is none. Throws StepFault when it is one but cannot be unpacked.
   */
  async open(
    tree: FileTree,
    entry: TreeEntry,
    context: { exclude: IgnoreRules; signal: AbortSignal },
  ): Promise<{ tree: FileTree; selections: Selection[] } | undefined> {
    const compression = entry.type === 'file' ? sniff(await readHead(tree, entry)) : undefined;
    if (compression === undefined) {
      return undefined;
    }
    const file = join(this.#folder, stagingName('archive'));
    this.#files.push(file);
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await unpack(tree.read(entry), { compression, file, name: entry.path, signal: context.signal });
    const index = await openIndex(file, compression);
    if (index === undefined) {
      return undefined;
    }
    const unpacked = LayerTree.empty.withLayer(index, { whiteouts: false });
    return { tree: unpacked, selections: selectSources({ tree: unpacked, sources: ['/'], exclude: context.exclude, parents: false }) };
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.splice(0).map((file) => rm(file, { force: true })));
  }
}

/**
 * A file of the host as a tree when it is a tar, told by its content; what is unpacked goes with `close`.
 * Throws StepFault when it cannot be unpacked, IMAGE_LAYER for a damaged one.
 */
export const openTar = async (
  file: string,
  { name, folder, signal }: { name: string; folder: string; signal: AbortSignal },
): Promise<{ tree: FileTree; close(): Promise<void> } | undefined> => {
  const handle = await open(file, 'r');
  const head = Buffer.alloc(BLOCK);
  const { bytesRead } = await handle.read(head, 0, BLOCK, 0).finally(() => handle.close());
  const compression = sniff(head.subarray(0, bytesRead));
  if (compression === undefined) {
    return undefined;
  }
  const unpacked = join(folder, stagingName('archive'));
  const close = () => rm(unpacked, { force: true });
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await (compression === 'none' ? undefined : unpack(createReadStream(file), { compression, file: unpacked, name, signal }));
    const index = await openIndex(compression === 'none' ? file : unpacked, compression);
    if (index === undefined) {
      throw new StepFault(`${name} is compressed, but holds no tar archive`);
    }
    return { tree: LayerTree.empty.withLayer(index, { whiteouts: false }), close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** Compressed data need not be a tar; a plain tar was told by its header. */
const openIndex = async (file: string, compression: Compression) => {
  try {
    const index = await indexTar(file);
    return index.items.length === 0 && compression !== 'none' ? undefined : index;
  } catch (error) {
    if (compression !== 'none' && error instanceof HyprError && error.code === 'IMAGE_LAYER') {
      return undefined;
    }
    throw error;
  }
};

const readHead = async (tree: FileTree, entry: TreeEntry): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for await (const chunk of tree.read(entry)) {
    parts.push(Buffer.from(chunk));
    if (parts.reduce((sum, part) => sum + part.length, 0) >= BLOCK) {
      break;
    }
  }
  return Buffer.concat(parts).subarray(0, BLOCK);
};

const sniff = (head: Buffer): Compression | undefined => {
  const found = MAGIC.find(([, magic]) => head.subarray(0, magic.length / 2).toString('hex') === magic);
  if (found !== undefined) {
    return found[0];
  }
  try {
    return head.length === BLOCK && head[0] !== 0 && readFlag(head) !== '' ? 'none' : undefined;
  } catch {
    return undefined;
  }
};

const unpack = async (
  data: AsyncIterable<Uint8Array>,
  options: { compression: Compression; file: string; name: string; signal: AbortSignal },
): Promise<void> => {
  const { compression, file, name, signal } = options;
  const output = createWriteStream(file, { flags: 'wx', mode: 0o600 });
  const source = Readable.from(data);
  try {
    if (compression === 'none') {
      await pipeline(source, limitSize, output, { signal });
    } else if (compression === 'gzip') {
      await pipeline(source, createGunzip({ chunkSize: 1 << 20 }), limitSize, output, { signal });
    } else {
      await unpackWith(compression, { source, output, signal });
    }
  } catch (error) {
    const known = diskError(error, file);
    if (known instanceof StepFault || known instanceof HyprError || signal.aborted) {
      throw known;
    }
    throw new StepFault(`failed to unpack ${name}: ${messageOf(error)}`);
  }
};

/** Formats that Node does not know are left to the host's tools of the same name. */
const unpackWith = async (
  tool: Compression,
  { source, output, signal }: { source: Readable; output: NodeJS.WritableStream; signal: AbortSignal },
): Promise<void> => {
  const child = spawn(tool, ['-d', '-c'], { stdio: ['pipe', 'pipe', 'ignore'], signal });
  const exited = new Promise<void>((resolve, reject) => {
    child.on('error', (error) =>
      reject(isErrno(error, 'ENOENT') ? new StepFault(`${tool} is needed to unpack this archive and is not on this host`) : error),
    );
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${tool} ended with exit code ${code}`))));
  });
  const fed = pipeline(source, child.stdin, { signal });
  const drained = pipeline(child.stdout, limitSize, output, { signal });
  const results = await Promise.allSettled([exited, fed, drained]);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
};

async function* limitSize(data: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of data) {
    size += chunk.length;
    if (size > MAX_UNPACKED) {
      throw new StepFault(`the archive unpacks to more than ${MAX_UNPACKED / 1024 ** 3} GiB`);
    }
    yield chunk;
  }
}
