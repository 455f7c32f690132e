import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HyprError } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { withLock } from '../../base/host/lock.ts';
import { stagingName } from '../../base/host/staging.ts';
import { type GitAccess, type GitRun, gitError, mustGit, runGit } from './git-program.ts';
import type { GitSource } from './git-url.ts';

export interface GitOptions {
  /** Holds bare repositories in `git`, locks in `locks`, staging in `tmp`. */
  readonly buildFolder: string;
  readonly access: GitAccess;
  readonly signal: AbortSignal;
}

export interface Commit {
  /** 40 (or 64) hex digits. */
  readonly id: string;
  /** The requested `refs/…`; undefined for a commit id. */
  readonly ref: string | undefined;
}

const FULL_ID = /^([0-9a-f]{40}|[0-9a-f]{64})$/;
const LOCK_TIMEOUT = 3_600_000;

/** Resolves a ref to a commit by asking the server; a full commit id is returned as it is. Branches win over tags. Throws BUILD_FAILED. */
export const resolveCommit = async (source: GitSource, options: GitOptions): Promise<Commit> => {
  const { remote, ref, checksum } = source;
  const commit = ref !== undefined && FULL_ID.test(ref) ? { id: ref, ref: undefined } : await askRemote(source, options);
  if (checksum !== undefined && !commit.id.startsWith(checksum)) {
    throw new HyprError('BUILD_FAILED', `expected checksum to match ${checksum}, got ${commit.id}`, { details: [`of ${remote}`] });
  }
  return commit;
};

/** A bare repository on this host that has the commit; concurrent builds fetch it once. Throws BUILD_FAILED, HYPR_LOCKED. */
export const fetchCommit = async (source: GitSource, commit: Commit, options: GitOptions): Promise<string> => {
  const { buildFolder, signal } = options;
  const name = createHash('sha256').update(source.remote).digest('hex').slice(0, 40);
  const folder = join(buildFolder, 'git', name);
  const lock = join(buildFolder, 'locks', `git-${name}`);
  return await withLock(lock, { what: `the repository ${source.remote}`, signal, timeout: LOCK_TIMEOUT }, async () => {
    await makeBare(folder, options);
    if (!(await hasCommit(folder, commit.id, options))) {
      await fetch(folder, { source, commit, options });
    }
    return folder;
  });
};

const askRemote = async (source: GitSource, { access, signal }: GitOptions): Promise<Commit> => {
  const { remote, credentials, ref } = source;
  const patterns = ref === undefined ? ['HEAD'] : [ref, `${ref}^{}`];
  const run = { access, signal, remote: { url: remote, credentials } };
  const text = await mustGit(`cannot list ${remote}`, ['ls-remote', '--', remote, ...patterns], run);
  const found = new Map(
    text.split('\n').flatMap((line): Array<[string, string]> => {
      const [id = '', name = ''] = line.split('\t');
      return FULL_ID.test(id) ? [[name, id]] : [];
    }),
  );
  const names =
    ref === undefined ? ['HEAD'] : [...(ref.startsWith('refs/') ? [ref] : []), `refs/heads/${ref}`, `refs/tags/${ref}`, `refs/${ref}`];
  const name = names.find((each) => found.has(each));
  const id = name === undefined ? undefined : (found.get(`${name}^{}`) ?? found.get(name));
  if (name === undefined || id === undefined) {
    throw new HyprError('BUILD_FAILED', `repository does not contain ref ${ref ?? 'HEAD'}: ${remote}`, {
      hint: 'name a branch, a tag, or a commit by all of its 40 digits',
    });
  }
  return { id, ref: name };
};

const makeBare = async (folder: string, { buildFolder, access, signal }: GitOptions): Promise<void> => {
  if (await exists(join(folder, 'HEAD'))) {
    return;
  }
  const staging = join(buildFolder, 'tmp', stagingName('git'));
  await mkdir(dirname(staging), { recursive: true, mode: 0o700 });
  await mkdir(dirname(folder), { recursive: true, mode: 0o700 });
  try {
    await mustGit('cannot make a repository', ['init', '-q', '--bare', '--', staging], { access, signal });
    await rm(folder, { recursive: true, force: true });
    await rename(staging, folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
};

/** A commit that was fetched completely has a ref; one of a killed fetch has none. */
const hasCommit = async (folder: string, id: string, { access, signal }: GitOptions): Promise<boolean> => {
  const { code } = await runGit(['--git-dir', folder, 'rev-parse', '--verify', '-q', `refs/hypr/${id}^{commit}`], { access, signal });
  return code === 0;
};

const fetch = async (
  folder: string,
  { source, commit, options }: { source: GitSource; commit: Commit; options: GitOptions },
): Promise<void> => {
  const { remote, credentials } = source;
  const local: GitRun = { access: options.access, signal: options.signal };
  const run: GitRun = { ...local, remote: { url: remote, credentials } };
  // We hold the lock, so these files are leftovers of a git that was killed.
  await rm(join(folder, 'shallow.lock'), { force: true });
  const git = ['--git-dir', folder];
  const verbs = ['fetch', '-q', '--no-tags', '--no-recurse-submodules', '--force'];
  const attempts = [
    [...verbs, '--depth=1', '--', remote, commit.id],
    ...(commit.ref === undefined || commit.ref === 'HEAD' ? [] : [[...verbs, '--depth=1', '--', remote, commit.ref]]),
    // Some servers do not send single commits: fetch all branches and tags instead.
    [...verbs, '--', remote, '+refs/heads/*:refs/all/heads/*', '+refs/tags/*:refs/all/tags/*'],
  ];
  let last = { code: 1, stdout: '', stderr: '' };
  for (const attempt of attempts) {
    last = await runGit([...git, ...attempt], run);
    const has = await runGit([...git, 'cat-file', '-e', `${commit.id}^{commit}`], local);
    if (last.code === 0 && has.code === 0) {
      await mustGit(`cannot keep ${commit.id}`, [...git, 'update-ref', `refs/hypr/${commit.id}`, `${commit.id}^{commit}`], local);
      return;
    }
    options.signal.throwIfAborted();
  }
  throw last.code === 0
    ? new HyprError('BUILD_FAILED', `repository does not contain the commit ${commit.id}: ${remote}`)
    : gitError(`cannot fetch ${commit.id} of ${remote}`, last);
};
