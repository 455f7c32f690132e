import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { diskError } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { stagingPathBeside } from '../../base/host/staging.ts';
import type { HomePaths } from '../../base/paths.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { END_MARK, padding } from '../../base/tar/block.ts';
import { encodePlainFile } from '../../base/tar/header.ts';
import { findKernelPackage } from './kernel.ts';
import { findNative } from './native.ts';
import { archiveFolder, openOwnArchive } from './package-source.ts';
import { packagesFor } from './prefix.ts';
import { track } from './steps.ts';

/**
 * Writes everything that `hypr setup` would fetch into one tar, as a mirror with the signed index: `hypr setup --from` verifies it as it
 * would a mirror's. Throws TOOLCHAIN_FAILED, HYPR_DISK_FULL.
 */
export const writeBundle = async (input: {
  paths: HomePaths;
  file: string;
  progress: ProgressSink;
  signal: AbortSignal;
}): Promise<void> => {
  const { paths, progress, signal } = input;
  const onWait = () => progress({ id: 'Bundle', status: 'working', text: 'Waiting', details: 'another hypr is writing one' });
  await withLock(join(paths.locks, 'bundle.lock'), { what: 'a bundle', timeout: BUNDLE_MS, signal, onWait }, () => fetchAndWrite(input));
};

const BUNDLE_MS = 30 * 60_000;

const fetchAndWrite = async ({ paths, file, progress, signal }: Parameters<typeof writeBundle>[0]): Promise<void> => {
  const names = packagesFor(await findNative());
  const folder = join(paths.cache, 'bundle');
  try {
    await using archive = await openOwnArchive({ folder, signal });
    const kernel = await findKernelPackage(archive);
    const bytes = (await archive.resolve(names)).reduce((sum, each) => sum + each.bytes, 0);
    await track(progress, { id: 'QEMU and disk tools', done: 'Fetched' }, (report) =>
      archive.download(names, (percent) => report({ text: 'Downloading', percent, bytes })),
    );
    await track(progress, { id: 'Guest kernel', done: 'Fetched' }, (report) =>
      archive.downloadAlone(kernel.name, (percent) => report({ text: 'Downloading', percent, bytes: kernel.bytes })),
    );
    const files = await archive.files(names, [kernel.name]);
    await track(progress, { id: 'Bundle', done: 'Written' }, () => writeTar(archiveFolder(folder), [...new Set(files)], file, signal));
  } finally {
    await rm(archiveFolder(folder), { recursive: true, force: true });
  }
};

const writeTar = async (folder: string, names: readonly string[], file: string, signal: AbortSignal): Promise<void> => {
  const staging = await stagingPathBeside(file);
  try {
    await pipeline(Readable.from(tarOf(folder, names)), createWriteStream(staging, { flags: 'wx', flush: true }), { signal });
    await rename(staging, file);
  } catch (error) {
    await rm(staging, { force: true });
    throw diskError(error, file);
  }
};

async function* tarOf(folder: string, names: readonly string[]): AsyncGenerator<Buffer> {
  for (const name of names) {
    const path = join(folder, name);
    const { size } = await stat(path);
    yield encodePlainFile(name, size);
    yield* createReadStream(path) as AsyncIterable<Buffer>;
    yield Buffer.alloc(padding(size));
  }
  yield END_MARK;
}
