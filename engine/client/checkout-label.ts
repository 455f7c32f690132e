import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const USUAL_BRANCHES = new Set(['main', 'master', 'trunk', 'develop']);
const MAX_LENGTH = 40;

/**
 * A short word for a checkout of the project `name`, of letters that a stack's name may have: its git worktree's name, else its
 * branch (if that is not a usual one), else its folder's name, or that of the folder above where the folder is called as the project.
 */
export const checkoutLabel = async (dir: string, name: string): Promise<string> => {
  const git = await findGit(dir);
  const top = git === undefined ? dir : dirname(git);
  const words = [git === undefined ? undefined : await gitLabel(git), basename(top), basename(dirname(top))];
  const labels = words.map((word) => clean(word ?? '').replace(new RegExp(`^${name}(-|$)`), ''));
  return labels.find((label) => label !== '') ?? 'copy';
};

const findGit = async (dir: string): Promise<string | undefined> => {
  for (let at = dir; ; at = dirname(at)) {
    const found = await stat(join(at, '.git')).catch(() => undefined);
    if (found !== undefined) {
      return join(at, '.git');
    }
    if (dirname(at) === at) {
      return undefined;
    }
  }
};

/** A worktree's `.git` is a file that names its folder in the repository (gitrepository-layout). */
const gitLabel = async (git: string): Promise<string | undefined> => {
  const pointer = await readFile(git, 'utf8').catch(() => undefined);
  const folder = pointer === undefined ? git : (/^gitdir: (.+)$/m.exec(pointer)?.[1] ?? git);
  if (pointer !== undefined && basename(dirname(folder)) === 'worktrees') {
    return basename(folder);
  }
  const head = await readFile(join(folder, 'HEAD'), 'utf8').catch(() => '');
  const branch = /^ref: refs\/heads\/(.+)$/m.exec(head)?.[1];
  return branch === undefined || USUAL_BRANCHES.has(branch) ? undefined : branch;
};

const clean = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_LENGTH)
    .replace(/^-+|-+$/g, '');
