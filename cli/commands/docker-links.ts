import { chmod, lstat, mkdir, readFile, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { firstProgram, writeFileAtomic } from '../../base/host/files.ts';
import { sanitiseText } from '../../base/sanitise.ts';
import type { CliContext } from '../core/context.ts';

type Context = Pick<CliContext, 'env' | 'home' | 'stdout' | 'stderr'>;

const MARK = '# hypr setup --docker --links; hypr setup --undo removes it';
/** Name → what of hypr it is. */
const LINKS: Readonly<Record<string, string>> = { docker: '', 'docker-compose': ' compose' };

/** `docker` and `docker-compose` in ~/.local/bin, as scripts that run hypr; where PATH has one, that stays the one. */
export const setupLinks = async (context: Context, program: string, isDryRun: boolean): Promise<void> => {
  const folder = linkFolder(context);
  for (const [name, verb] of Object.entries(LINKS)) {
    const file = join(folder, name);
    // Also one that cannot be run now: a file without its bit, a link to what is not mounted.
    const other = (await findInPath(context, name)) ?? ((await isThere(file)) ? file : undefined);
    if (other !== undefined && !(await isOwn(other))) {
      context.stderr.write(`${name} is there already (${sanitiseText(other)}) and stays\n`);
      continue;
    }
    if (isDryRun) {
      context.stdout.write(`would write ${sanitiseText(file)}\n`);
      continue;
    }
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(file, `#!/bin/sh\n${MARK}\nexec '${program.replaceAll("'", "'\\''")}'${verb} "$@"\n`, 0o755);
    await chmod(file, 0o755);
    context.stdout.write(`${sanitiseText(file)}\n`);
  }
  if (!paths(context).includes(folder)) {
    context.stderr.write(`${sanitiseText(folder)} is not in PATH: add it\n`);
  }
};

const isThere = (file: string): Promise<boolean> =>
  lstat(file).then(
    () => true,
    () => false,
  );

export const undoLinks = async (context: Context, isDryRun: boolean): Promise<void> => {
  for (const name of Object.keys(LINKS)) {
    const file = join(linkFolder(context), name);
    if (!(await isOwn(file))) {
      continue;
    }
    if (!isDryRun) {
      await rm(file, { force: true });
    }
    context.stdout.write(`${isDryRun ? 'would remove' : 'removed'} ${sanitiseText(file)}\n`);
  }
};

const linkFolder = ({ home }: Context): string => join(home, '.local', 'bin');

const paths = ({ env }: Context): string[] => (env.PATH ?? '').split(delimiter).filter((path) => path !== '');

/** In PATH, or where the link would be. */
const findInPath = (context: Context, name: string): Promise<string | undefined> =>
  firstProgram([...paths(context), linkFolder(context)].map((folder) => join(folder, name)));

const isOwn = async (file: string): Promise<boolean> => {
  try {
    return (await readFile(file, 'latin1')).split('\n', 2)[1] === MARK;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR')) {
      return false;
    }
    throw error;
  }
};
