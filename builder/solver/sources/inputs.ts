import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { HyprError, isErrno } from '../../../base/errors.ts';
import { isOwnDescriptor, readNamedFile } from '../../../base/host/read-named.ts';
import { ContextTree } from '../../context/context-tree.ts';
import { HashCache } from '../../context/hash-cache.ts';
import { type IgnoreRules, parseIgnoreFile } from '../../context/ignore.ts';
import type { BuildRequest } from '../../model/types.ts';

const MAX_DOCKERFILE = 16 * 1024 * 1024;
const IGNORE_FILE = { what: 'ignore file', maxBytes: 4 << 20 };

/** The Dockerfile's text and the name that errors and events give it. Throws DOCKERFILE_NOT_FOUND. */
export const readDockerfile = async (
  request: BuildRequest,
  signal?: AbortSignal,
): Promise<{ text: string; file: string; name: string }> => {
  const { dockerfile } = request;
  if ('text' in dockerfile) {
    return { text: dockerfile.text, file: dockerfile.name, name: basename(dockerfile.name) };
  }
  try {
    const data = await readNamedFile(dockerfile.path, {
      what: 'Dockerfile',
      maxBytes: MAX_DOCKERFILE,
      limitCode: 'DOCKERFILE_SYNTAX',
      pipes: isOwnDescriptor(dockerfile.path),
      signal,
    });
    return { text: data.toString('utf8'), file: dockerfile.path, name: basename(dockerfile.path) };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) {
      throw new HyprError('DOCKERFILE_NOT_FOUND', `there is no Dockerfile at ${dockerfile.path}`, {
        hint: 'name it with build.dockerfile in the Compose file, or correct build.context',
        cause: error,
      });
    }
    throw error;
  }
};

/** `<Dockerfile>.dockerignore` when it is there, else `.dockerignore` of the context. */
export const readIgnoreRules = async (context: string, dockerfile: BuildRequest['dockerfile'] | undefined): Promise<IgnoreRules> => {
  const own = dockerfile && 'path' in dockerfile ? [join(dirname(dockerfile.path), `${basename(dockerfile.path)}.dockerignore`)] : [];
  for (const file of [...own, join(context, '.dockerignore')]) {
    try {
      return parseIgnoreFile((await readNamedFile(file, IGNORE_FILE)).toString('utf8'), file);
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) {
        throw error;
      }
    }
  }
  return parseIgnoreFile('', '.dockerignore');
};

/** A local folder as a build context. The hash cache is to be saved when the build ends. Throws DOCKERFILE_NOT_FOUND. */
export const openContext = async (options: {
  folder: string;
  ignore: IgnoreRules;
  buildFolder: string;
}): Promise<{ tree: ContextTree; hashes: HashCache }> => {
  const folder = resolve(options.folder);
  await requireFolder(folder);
  const hashes = await HashCache.open(options.buildFolder, folder);
  return { tree: new ContextTree(folder, options.ignore, hashes), hashes };
};

const requireFolder = async (folder: string): Promise<void> => {
  const found = await stat(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return undefined;
    }
    throw error;
  });
  if (!found?.isDirectory()) {
    throw new HyprError('DOCKERFILE_NOT_FOUND', `the build context ${folder} is ${found ? 'not a folder' : 'not there'}`, {
      hint: 'correct build.context in the Compose file',
    });
  }
};
