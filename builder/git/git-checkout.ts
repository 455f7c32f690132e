import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { diskError } from '../../base/host/files.ts';
import { stagingName } from '../../base/host/staging.ts';
import { mustGit, runGit } from './git-program.ts';
import { type Commit, fetchCommit, type GitOptions, resolveCommit } from './git-repository.ts';
import { type GitSource, parseGitSource, resolveSubmodule, splitAddress } from './git-url.ts';

export interface GitTree {
  /** The folder on this host, with `subdir` applied. No part of it is a symlink of the repository. */
  readonly folder: string;
  close(): Promise<void>;
}

const MAX_DEPTH = 10;

/**
 * Checks out a commit into a folder of its own, which `close` removes: modes 0644, 0755 and symlinks as git records
 * them, submodules included, no `.git` unless requested. Throws BUILD_FAILED.
 */
export const checkoutCommit = async (
  source: GitSource,
  commit: Commit,
  options: GitOptions & { readonly keepGitDir: boolean },
): Promise<GitTree> => {
  const stagingFolder = join(options.buildFolder, 'tmp');
  const staging = join(stagingFolder, stagingName('checkout'));
  const close = () => rm(staging, { recursive: true, force: true });
  try {
    const folder = join(staging, 'tree');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await checkoutInto(folder, { source, commit, options, depth: 0, top: source.remote });
    await normalise(folder);
    return { folder: await findSubdir(folder, source), close };
  } catch (error) {
    await close();
    throw diskError(error, options.buildFolder);
  }
};

interface Checkout {
  readonly source: GitSource;
  readonly commit: Commit;
  readonly options: GitOptions & { readonly keepGitDir: boolean };
  readonly depth: number;
  /** The remote that the user or the Dockerfile named. */
  readonly top: string;
}

const checkoutInto = async (folder: string, checkout: Checkout): Promise<void> => {
  const { source, commit, options, depth } = checkout;
  const { access, signal } = options;
  const bare = await fetchCommit(source, commit, options);
  const scratch = join(options.buildFolder, 'tmp', stagingName('index'));
  await mkdir(scratch, { mode: 0o700 });
  try {
    const run = { access, signal, cwd: folder, env: { GIT_INDEX_FILE: join(scratch, 'index'), GIT_DIR: bare, GIT_WORK_TREE: folder } };
    const what = `cannot check out ${commit.id} of ${source.remote}`;
    await mustGit(what, ['read-tree', commit.id], run);
    await mustGit(what, ['checkout-index', '-a', '-f', '-q'], run);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  if (source.submodules) {
    await checkoutSubmodules(folder, bare, checkout);
  }
  if (options.keepGitDir && depth === 0) {
    await makeGitDir(folder, bare, checkout);
  }
};

/** Makes a shallow repository with that one commit and the remote as its origin. */
const makeGitDir = async (folder: string, bare: string, { source, commit, options }: Checkout): Promise<void> => {
  const run = { access: options.access, signal: options.signal, cwd: folder };
  const what = 'cannot keep the .git folder';
  await mustGit(what, ['init', '-q'], run);
  const env = { GIT_ALLOW_PROTOCOL: 'file' };
  // Fetches from the host's own bare repository by path: the only place where git may read this host.
  const fetch = ['-c', 'protocol.file.allow=always', 'fetch', '-q', '--depth=1', '--no-tags', '--', `file://${bare}`];
  await mustGit(what, [...fetch, `refs/hypr/${commit.id}`], { ...run, env });
  const branch = /^refs\/heads\/(.+)$/.exec(commit.ref ?? '')?.[1];
  await mustGit(what, ['update-ref', ...(branch ? [`refs/heads/${branch}`] : ['--no-deref', 'HEAD']), commit.id], run);
  await (branch ? mustGit(what, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`], run) : undefined);
  if (/^refs\/tags\//.test(commit.ref ?? '')) {
    await mustGit(what, ['update-ref', commit.ref ?? '', commit.id], run);
  }
  await mustGit(what, ['read-tree', 'HEAD'], run);
  await mustGit(what, ['remote', 'add', 'origin', source.remote], run);
  for (const name of ['FETCH_HEAD', 'logs', 'hooks']) {
    await rm(join(folder, '.git', name), { recursive: true, force: true });
  }
};

const checkoutSubmodules = async (folder: string, bare: string, checkout: Checkout): Promise<void> => {
  const { source, commit, options, depth, top } = checkout;
  const run = { access: options.access, signal: options.signal };
  const listed = await mustGit(`cannot read ${commit.id}`, ['--git-dir', bare, 'ls-tree', '-r', '-z', commit.id], run);
  const links = listed.split('\0').flatMap((line) => {
    const [, id, path] = /^160000 commit ([0-9a-f]+)\t(.*)$/s.exec(line) ?? [];
    return id === undefined || path === undefined ? [] : [{ id, path }];
  });
  if (links.length === 0) {
    return;
  }
  if (depth >= MAX_DEPTH) {
    throw new HyprError('BUILD_FAILED', `submodules of ${source.remote} are nested deeper than ${MAX_DEPTH}`);
  }
  const urls = await readModules(bare, checkout);
  for (const { id, path } of links) {
    const url = urls.get(path);
    if (url === undefined) {
      throw new HyprError('BUILD_FAILED', `no submodule mapping found in .gitmodules for path ${JSON.stringify(path)} of ${source.remote}`);
    }
    const target = join(folder, path);
    await requirePlain(folder, path);
    const address = splitAddress(resolveSubmodule(source.remote, url));
    // Credentials in the URL are only sent to the URL's own host.
    const isSame = address.credentials === undefined && sameOrigin(address.remote, source.remote);
    const inner = isSame ? { ...address, credentials: source.credentials } : address;
    const plain = { ref: id, subdir: '', checksum: undefined, keepGitDir: false, submodules: true };
    // A repository names its submodules: secrets that name no host are for the server that was asked for.
    const access = { ...options.access, onlyNamed: !sameOrigin(address.remote, top) };
    const below = { options: { ...options, access }, depth: depth + 1, top };
    await checkoutInto(target, { source: { ...plain, ...inner }, commit: { id, ref: undefined }, ...below });
  }
};

const sameOrigin = (one: string, other: string): boolean =>
  /^https?:/i.test(one) && /^https?:/i.test(other) && new URL(one).origin === new URL(other).origin;

/** Path → URL of .gitmodules. */
const readModules = async (bare: string, { commit, options }: Checkout): Promise<Map<string, string>> => {
  const args = ['--git-dir', bare, 'config', '--blob', `${commit.id}:.gitmodules`, '-z', '--get-regexp', '^submodule\\..*\\.(path|url)$'];
  const { stdout } = await runGit(args, { access: options.access, signal: options.signal });
  const modules = new Map<string, { path?: string; url?: string }>();
  for (const entry of stdout.split('\0')) {
    const [, name, key, value] = /^submodule\.(.*)\.(path|url)\n(.*)$/s.exec(entry) ?? [];
    if (name !== undefined && key !== undefined && value !== undefined) {
      modules.set(name, { ...modules.get(name), [key]: value });
    }
  }
  return new Map([...modules.values()].flatMap(({ path, url }) => (path && url ? [[path, url] as const] : [])));
};

/** Requires every part of the path to be a real folder. Throws BUILD_FAILED, DOCKERFILE_NOT_FOUND. */
const requirePlain = async (root: string, path: string): Promise<void> => {
  let current = root;
  for (const part of path.split('/').filter((each) => each !== '')) {
    current = join(current, part);
    const info = await lstat(current).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
        return undefined;
      }
      throw error;
    });
    if (part === '..' || part === '.git' || info?.isDirectory() !== true) {
      const reason = info === undefined ? 'not found' : 'not a directory';
      throw new HyprError('DOCKERFILE_NOT_FOUND', `the folder ${JSON.stringify(path)} of the repository: ${reason}`);
    }
  }
};

const findSubdir = async (folder: string, { subdir }: GitSource): Promise<string> => {
  await requirePlain(folder, subdir);
  return join(folder, subdir);
};

/** Sets the modes that git records, whatever this process's umask is. */
const normalise = async (folder: string): Promise<void> => {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await normalise(path);
    } else if (entry.isFile()) {
      await chmod(path, ((await lstat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
    }
  }
};

/** `git ls-remote`, then the files. Throws HYPR_USAGE, BUILD_FAILED. */
export const openGit = async (
  text: string,
  options: GitOptions & { readonly keepGitDir: boolean },
): Promise<GitTree & { readonly source: GitSource; readonly commit: Commit }> => {
  const source = parseGitSource(text);
  const commit = await resolveCommit(source, options);
  const keepGitDir = source.keepGitDir ?? options.keepGitDir;
  return { ...(await checkoutCommit(source, commit, { ...options, keepGitDir })), source, commit };
};
