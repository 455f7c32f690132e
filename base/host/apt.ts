import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../errors.ts';
import { exists } from './files.ts';
import { mustRun, runProgram } from './process.ts';

/** Where packages come from: an archive and the key that signs it. */
export interface AptSource {
  readonly uri: string;
  /** Path of the keyring on this host. */
  readonly keyring: string;
  readonly suite: string;
}

/** A package as apt chose it. `file` is its name in the download folder. */
export interface ResolvedPackage {
  readonly file: string;
  /** `SHA256:…`, from the signed index. */
  readonly hash: string;
  readonly bytes: number;
}

export interface Apt {
  /** The packages and their whole dependency closure, without recommended ones, sorted by file name. */
  resolve(packages: readonly string[]): Promise<ResolvedPackage[]>;
  /** Downloads the closure; returns the paths of the .deb files in the order of `resolve`. `onPercent` is called with the progress. */
  download(packages: readonly string[], onPercent?: (percent: number) => void): Promise<string[]>;
  /** Downloads that one package without its dependencies, and returns its path. */
  downloadAlone(name: string, onPercent?: (percent: number) => void): Promise<string>;
  /** Removes what was downloaded; the index stays. */
  clean(): Promise<void>;
}

export const APT_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const INDEX_AGE = 24 * 3600 * 1000;

/**
 * A private apt below `folder`, with its own index and cache and an empty status file. Signatures are checked with the
 * source's key only; the host's packages are neither read nor changed. Throws TOOLCHAIN_MISSING on a
 * host without apt or without Debian's key, TOOLCHAIN_FAILED with apt's output otherwise.
 */
export const openApt = async (folder: string, source: AptSource | undefined, signal: AbortSignal): Promise<Apt> => {
  const from = source ?? (await findHostSource());
  if (!(await exists('/usr/bin/apt-get')) || !(await exists(from.keyring))) {
    throw new HyprError('TOOLCHAIN_MISSING', 'this host has no apt, or not the key of the Debian archive', {
      hint: `apt-get install apt dpkg debian-archive-keyring (the key is ${from.keyring})`,
    });
  }
  const env = { ...process.env, APT_CONFIG: await writeConfig(folder, from), LC_ALL: 'C' };
  const run = (...args: string[]) => mustRun('apt-get', args, { env, signal });
  const update = async () => {
    await run('-qq', 'update');
    await writeFile(join(folder, 'updated'), '', { mode: 0o600 });
    await makePrivate(folder);
  };
  if (!(await isFresh(join(folder, 'updated')))) {
    await update();
  }
  const resolve = async (packages: readonly string[]) => {
    // The archive folder stays empty, because apt does not list files that are already downloaded.
    const listed = await run('-qq', '-y', '--print-uris', '-o', `Dir::Cache::archives=${join(folder, 'empty')}`, 'install', ...packages);
    return parseUris(listed.stdout);
  };
  const fetch = async (verb: readonly string[], onPercent: (percent: number) => void) => {
    // apt writes its progress to the given descriptor, as lines `dlstatus:COUNT:PERCENT:TEXT`.
    const args = ['-qq', '-y', '-o', 'APT::Status-Fd=1', ...verb];
    const cwd = join(folder, 'archives');
    const onOutput = (chunk: string) => {
      const last = [...chunk.matchAll(/^dlstatus:\d+:([\d.]+):/gm)].at(-1);
      if (last !== undefined) {
        onPercent(Number(last[1]));
      }
    };
    const first = await runProgram('apt-get', args, { env, signal, cwd, onOutput });
    if (first.code !== 0) {
      // An old index can name files that the mirror no longer has.
      await update();
      await mustRun('apt-get', args, { env, signal, cwd });
    }
    await makePrivate(folder);
  };
  return {
    resolve,
    download: async (packages, onPercent = () => {}) => {
      await fetch(['--download-only', 'install', ...packages], onPercent);
      return (await resolve(packages)).map(({ file }) => join(folder, 'archives', file));
    },
    downloadAlone: async (name, onPercent = () => {}) => {
      await fetch(['download', name], onPercent);
      const file = (await readdir(join(folder, 'archives'))).find((candidate) => candidate.startsWith(`${name}_`));
      if (file === undefined) {
        throw new HyprError('TOOLCHAIN_FAILED', `apt-get downloaded no file for the package ${name}`);
      }
      return join(folder, 'archives', file);
    },
    clean: async () => {
      for (const name of ['archives', 'pkgcache.bin', 'srcpkgcache.bin']) {
        await rm(join(folder, name), { recursive: true, force: true });
      }
    },
  };
};

/** Lines of `apt-get --print-uris`: `'URI' FILE SIZE HASH`. */
export const parseUris = (text: string): ResolvedPackage[] =>
  text
    .split('\n')
    .map((line) => /^'[^']*' (\S+\.deb) (\d+) (\S+)$/.exec(line))
    .flatMap((match) => (match?.[1] && match[3] ? [{ file: match[1], hash: match[3], bytes: Number(match[2]) }] : []))
    .sort((a, b) => (a.file < b.file ? -1 : 1));

const writeConfig = async (folder: string, source: AptSource): Promise<string> => {
  for (const sub of ['lists/partial', 'archives/partial', 'empty/partial']) {
    await mkdir(join(folder, sub), { recursive: true, mode: 0o700 });
  }
  const path = join(folder, 'apt.conf');
  await makePrivate(folder);
  await writeFile(join(folder, 'status'), '', { mode: 0o600 });
  await writeFile(join(folder, 'sources.list'), `deb [signed-by=${source.keyring}] ${source.uri} ${source.suite} main\n`, {
    mode: 0o600,
  });
  const settings = {
    'Dir::Etc::SourceList': join(folder, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    // Without the host's apt.conf.d, which may contain hooks for its own packages. Its proxies are kept, below.
    'Dir::Etc::Parts': '/dev/null',
    'Dir::State::Lists': join(folder, 'lists'),
    'Dir::State::status': join(folder, 'status'),
    'Dir::State::extended_states': join(folder, 'extended_states'),
    'Dir::Cache': folder,
    'Dir::Cache::archives': join(folder, 'archives'),
    'Acquire::Languages': 'none',
    'Acquire::ForceHash': 'SHA256',
    'APT::Architecture': 'amd64',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': '',
    'Debug::NoLocking': 'true',
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} "${value}";`);
  await writeFile(path, [...(await hostProxies()), ...lines, ''].join('\n'), { mode: 0o600 });
  return path;
};

/**
 * Removes the rights of others from a folder and everything in it: apt creates its files with the umask of the caller. What goes
 * meanwhile, because another apt beside this one moves what it has fetched, is passed over.
 */
export const makePrivate = async (folder: string): Promise<void> => {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : 0o600).catch((error: unknown) => {
      if (!isErrno(error, 'ENOENT')) {
        throw error;
      }
    });
  }
};

const hostProxies = async (): Promise<string[]> => {
  const dump = await runProgram('apt-config', ['dump', '--format', '%F "%v";%n', 'Acquire']);
  return dump.stdout.split('\n').filter((line) => /^Acquire::https?::(proxy|Proxy)/.test(line) && !line.endsWith(' "";'));
};

const findHostSource = async (): Promise<AptSource> => ({ uri: await findDebianMirror(), keyring: APT_KEYRING, suite: 'trixie' });

/** The Debian archive to use: HYPR_DEBIAN_MIRROR, the one of the host's own apt, or Debian's public one. */
export const findDebianMirror = async (): Promise<string> => {
  const { HYPR_DEBIAN_MIRROR: own } = process.env;
  if (own) {
    if (!/^https?:\/\/./.test(own)) {
      throw new HyprError('HYPR_USAGE', `HYPR_DEBIAN_MIRROR is no address of a mirror: ${own}`, {
        hint: 'HYPR_DEBIAN_MIRROR=http://HOST/debian',
      });
    }
    return own.replace(/\/+$/, '');
  }
  const folder = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list', ...(await listFolder(folder)).map((name) => join(folder, name))];
  for (const file of files) {
    const uri = findDebianUri(await readFile(file, 'utf8').catch(() => ''));
    if (uri !== undefined) {
      return uri;
    }
  }
  return 'http://deb.debian.org/debian';
};

/** The first URI of a sources file (either format) whose last part is `debian`. */
export const findDebianUri = (text: string): string | undefined => {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line));
  const words = lines.flatMap((line) => (/^(deb\s|URIs:)/.test(line) ? line.split(/\s+/) : []));
  return words.find((word) => /^https?:\/\/.*\/debian\/?$/.test(word))?.replace(/\/$/, '');
};

const listFolder = async (folder: string): Promise<string[]> => {
  try {
    return (await readdir(folder)).filter((name) => /\.(list|sources)$/.test(name)).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};

const isFresh = async (stamp: string): Promise<boolean> => {
  try {
    return Date.now() - (await stat(stamp)).mtimeMs < INDEX_AGE;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return false;
    }
    throw error;
  }
};
