import { mkdir, realpath, rename, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { exists } from '../../base/host/files.ts';
import { checkoutCommit } from '../../builder/git/git-checkout.ts';
import { type GitOptions, resolveCommit } from '../../builder/git/git-repository.ts';
import { parseGitSource } from '../../builder/git/git-url.ts';
import { DEFAULT_FILES } from '../../compose/files/file-names.ts';

/**
 * The Compose file of a git repository, in a checkout named by its commit: the file that the reference names, or the one of a usual name
 * in the folder that it names. Throws COMPOSE_NOT_FOUND, and BUILD_FAILED with what git said.
 */
export const fetchGit = async (
  text: string,
  { buildFolder, cache, signal }: { readonly buildFolder: string; readonly cache: string; readonly signal: AbortSignal },
): Promise<string> => {
  const source = parseGitSource(text);
  const { SSH_AUTH_SOCK: socket } = process.env;
  const options: GitOptions = { buildFolder, signal, access: { secrets: {}, ssh: socket ? { socket } : undefined } };
  const commit = await resolveCommit(source, options);
  const folder = join(cache, commit.id);
  if (!(await exists(folder))) {
    await mkdir(cache, { recursive: true, mode: 0o700 });
    const tree = await checkoutCommit({ ...source, subdir: '' }, commit, { ...options, keepGitDir: false });
    try {
      await rename(tree.folder, folder).catch((error: unknown) => {
        // Another process was faster; by its commit it is the same.
        if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) {
          throw error;
        }
      });
    } finally {
      await tree.close();
    }
  }
  return findFile(folder, source.subdir, text);
};

export const findFile = async (folder: string, subdir: string, text: string): Promise<string> => {
  const named = join(folder, subdir);
  for (const candidate of [named, ...DEFAULT_FILES.map((name) => join(named, name))]) {
    const info = await stat(candidate).catch(() => undefined);
    if (info?.isFile() !== true) {
      continue;
    }
    // A link of the repository may lead anywhere on this host.
    if (!(await realpath(candidate)).startsWith((await realpath(folder)) + sep)) {
      throw new HyprError('COMPOSE_INVALID', `the Compose file of ${text} is a link to outside the repository`);
    }
    return candidate;
  }
  throw new HyprError('COMPOSE_NOT_FOUND', `${text} has no Compose file ${subdir === '' ? 'at its top' : `at ${subdir}`}`, {
    hint: 'name it behind the reference: https://host/repository.git#REF:folder/compose.yaml',
  });
};
