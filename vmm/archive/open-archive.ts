import { createReadStream } from 'node:fs';
import { readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { linkedController } from '../../base/abort.ts';
import { HyprError, isErrno, messageOf } from '../../base/errors.ts';
import type { Apt, ResolvedPackage } from '../../base/host/apt.ts';
import { writeFileAtomic } from '../../base/host/files.ts';
import { DEBIAN_KEYS } from './debian-keys.ts';
import { decompress } from './decompress.ts';
import { fetchFile } from './fetch-file.ts';
import type { Mirror } from './mirror.ts';
import { type Package, type PackageIndex, readPackageIndex, resolveClosure } from './package-index.ts';
import { type Release, readRelease } from './release.ts';

export interface ArchiveSource {
  readonly mirror: Mirror;
  readonly suite: string;
  /** Armoured OpenPGP keys, one of which must have signed the index. */
  readonly keys: string;
}

/** A Debian archive; its files are kept in the archive's own layout below `folder`. */
export interface Archive extends Apt {
  /** Paths of all files of the index and of these packages, relative to `folder`; they have been fetched. */
  files(packages: readonly string[], alone: readonly string[]): Promise<string[]>;
}

const INDEX_AGE_MS = 24 * 3600 * 1000;
const PARALLEL = 4;
const MAX_RELEASE = 4 * 1024 * 1024;
const INDEX = 'main/binary-amd64/Packages';

/** Debian 13 from a mirror. */
export const debianSource = (mirror: Mirror): ArchiveSource => ({ mirror, suite: 'trixie', keys: DEBIAN_KEYS });

/**
 * hypr's own client of a Debian archive, for hosts without apt: no program of the host is run. The index is verified by the keys of
 * `source`, every file by the digest in the index. Throws TOOLCHAIN_FAILED.
 */
export const openArchive = async (folder: string, source: ArchiveSource, signal: AbortSignal): Promise<Archive> => {
  const place = { folder, source, signal };
  let index = await loadIndex(place, false);
  const packagesOf = (names: readonly string[]): Package[] => resolveClosure(index, names);
  const fetchAll = async (select: () => Package[], onPercent: (percent: number) => void): Promise<string[]> => {
    try {
      return await fetchPackages(place, select(), onPercent);
    } catch (error) {
      // An old index can name files that the mirror no longer has.
      if (!(error instanceof HyprError) || error.reason !== GONE || !source.mirror.isRemote) {
        throw error;
      }
      index = await loadIndex(place, true);
      return await fetchPackages(place, select(), onPercent);
    }
  };
  const alone = (name: string): Package[] => {
    const found = index.byName.get(name);
    if (found === undefined) {
      throw new HyprError('TOOLCHAIN_FAILED', `${source.mirror.place} has no package ${name}`);
    }
    return [found];
  };
  return {
    resolve: async (names) =>
      packagesOf(names)
        .map(toResolved)
        .sort((a, b) => (a.file < b.file ? -1 : 1)),
    download: (names, onPercent = () => {}) => fetchAll(() => packagesOf(names), onPercent),
    downloadAlone: async (name, onPercent = () => {}) => (await fetchAll(() => alone(name), onPercent))[0] ?? '',
    files: async (names, single) => {
      const packages = [...packagesOf(names), ...single.flatMap(alone)];
      return ['InRelease', `${INDEX}.xz`].map((name) => `dists/${source.suite}/${name}`).concat(packages.map(({ path }) => path));
    },
    clean: () => rm(join(folder, 'pool'), { recursive: true, force: true }),
  };
};

interface Place {
  readonly folder: string;
  readonly source: ArchiveSource;
  readonly signal: AbortSignal;
}

/** As apt names its files. */
const toResolved = ({ name, version, architecture, sha256, bytes }: Package): ResolvedPackage => ({
  file: `${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb`,
  hash: `SHA256:${sha256}`,
  bytes,
});

const GONE = 'gone';

const fetchPackages = async (place: Place, packages: readonly Package[], onPercent: (percent: number) => void): Promise<string[]> => {
  const { folder, source } = place;
  const total = packages.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const onBytes = (bytes: number): void => {
    done += bytes;
    onPercent((100 * done) / total);
  };
  const limit = pLimit(PARALLEL);
  const stop = linkedController(place.signal);
  const { signal } = stop;
  const fetchOne = async ({ path, ...wanted }: Package): Promise<string> => {
    signal.throwIfAborted();
    const target = join(folder, path);
    if (!(await fetchFile([path], target, wanted, { mirror: source.mirror, signal, onBytes }))) {
      throw new HyprError('TOOLCHAIN_FAILED', `${source.mirror.place} does not have ${path}`, {
        reason: GONE,
        hint: source.mirror.isRemote ? 'use another mirror: HYPR_DEBIAN_MIRROR' : 'make the bundle again, with this version of hypr',
      });
    }
    return target;
  };
  const fetching = packages.map((each) => limit(fetchOne, each));
  try {
    return await Promise.all(fetching);
  } catch (error) {
    // Whoever tries again writes to the same files: nothing may still be under way, least of all to a file that was verified.
    stop.abort(error);
    await Promise.allSettled(fetching);
    throw error;
  } finally {
    stop.abort();
  }
};

/** A fresh index is taken from the folder; a mirror's older than the one in the folder is not taken. */
const loadIndex = async (place: Place, refresh: boolean): Promise<PackageIndex> => {
  const { folder, source, signal } = place;
  const release = await loadRelease(place, refresh);
  const name = `${INDEX}.xz`;
  const wanted = release.files.get(name);
  if (wanted === undefined) {
    throw new HyprError('TOOLCHAIN_FAILED', `the index of ${source.mirror.place} does not have ${name}`);
  }
  const target = join(folder, 'dists', source.suite, name);
  const base = `dists/${source.suite}/main/binary-amd64`;
  const paths = [...(release.byHash ? [`${base}/by-hash/SHA256/${wanted.sha256}`] : []), `${base}/Packages.xz`];
  if (!(await fetchFile(paths, target, wanted, { mirror: source.mirror, signal }))) {
    throw new HyprError('TOOLCHAIN_FAILED', `${source.mirror.place} does not have ${name}`);
  }
  return readPackageIndex(await decompress(createReadStream(target), name));
};

/** Nothing vouches for it yet, so that its size is nobody's word. */
const readLimited = async (body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> => {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    if (size > MAX_RELEASE) {
      throw new HyprError('TOOLCHAIN_FAILED', 'the index of the mirror has no end', { hint: 'use another mirror: HYPR_DEBIAN_MIRROR' });
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
};

const loadRelease = async (place: Place, refresh: boolean): Promise<Release> => {
  const { folder, source, signal } = place;
  const file = join(folder, 'dists', source.suite, 'InRelease');
  const known = await readKnown(file);
  if (known !== undefined && !refresh && source.mirror.isRemote && Date.now() - known.fetched < INDEX_AGE_MS) {
    return readRelease(known.text, source);
  }
  const answer = await source.mirror.read(`dists/${source.suite}/InRelease`, 0, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error instanceof HyprError
      ? error
      : new HyprError('TOOLCHAIN_FAILED', `${source.mirror.place} cannot be reached`, {
          hint: 'check the network and the proxy (HTTP_PROXY), or use another mirror: HYPR_DEBIAN_MIRROR',
          details: [messageOf(error), ...(error instanceof Error && error.cause !== undefined ? [messageOf(error.cause)] : [])],
          cause: error,
        });
  });
  if (answer === undefined) {
    throw new HyprError('TOOLCHAIN_FAILED', `${source.mirror.place} has no Debian ${source.suite}`, {
      hint: 'use another mirror: HYPR_DEBIAN_MIRROR',
    });
  }
  const content = await readLimited(answer.body);
  const release = await readRelease(content, source);
  if (known !== undefined && source.mirror.isRemote) {
    const earlier = await readRelease(known.text, source).catch(() => undefined);
    if (earlier !== undefined && earlier.date > release.date) {
      await utimes(file, new Date(), new Date());
      return earlier;
    }
  }
  await writeFileAtomic(file, content);
  return release;
};

const readKnown = async (file: string): Promise<{ text: string; fetched: number } | undefined> => {
  try {
    return { text: await readFile(file, 'utf8'), fetched: (await stat(file)).mtimeMs };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return undefined;
    }
    throw error;
  }
};
