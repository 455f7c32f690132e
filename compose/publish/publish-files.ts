import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { readNamedFile } from '../../base/host/read-named.ts';
import { readSource, statOf } from '../files/read-file.ts';
import { isRemoteFile } from '../files/remote-file.ts';
import { substitute } from '../interpolate/template.ts';
import { LIMITS } from '../model/limits.ts';
import type { Project } from '../model/model.ts';
import { rewritePaths } from './rewrite-paths.ts';

/** A file of a published project. `extended` ones are those that `extends.file` names. */
export interface PublishedFile {
  readonly kind: 'compose' | 'extended' | 'env';
  /** A plain file name. Extended and env files are named by a digest of their path, which is nobody's business. */
  readonly name: string;
  readonly content: string;
}

/**
 * The files of a project as `publish` pushes them: its Compose files with variables and includes as they are written, the local files
 * that they extend, and with `withEnv` their env files. As in docker compose env files are renamed also where they are not pushed.
 */
export const collectFiles = async (
  project: Pick<Project, 'files' | 'workingDir' | 'environment'>,
  { withEnv, signal }: { withEnv: boolean; signal: AbortSignal },
): Promise<PublishedFile[]> => {
  const extended = new Map<string, PublishedFile>();
  const env = new Map<string, string>();
  const read = async (file: string, folder: string): Promise<string> => {
    const { text } = await readSource(file, { signal });
    const named: string[] = [];
    const content = rewritePaths(text, (kind, written) => {
      if (kind === 'extends' && isRemoteFile(written)) {
        return undefined;
      }
      const path = localFile(written, kind === 'extends' ? project.workingDir : folder, project.environment);
      if (kind === 'extends') {
        named.push(path);
        return hashedName(path, 'yaml');
      }
      if (statOf(path) !== undefined) {
        env.set(path, hashedName(path, 'env'));
      }
      return hashedName(path, 'env');
    });
    for (const path of named.filter((each) => !extended.has(each))) {
      extended.set(path, { kind: 'extended', name: hashedName(path, 'yaml'), content: '' });
      extended.set(path, { kind: 'extended', name: hashedName(path, 'yaml'), content: await read(path, dirname(path)) });
    }
    return content;
  };
  const files: PublishedFile[] = [];
  for (const file of project.files) {
    files.push({ kind: 'compose', name: basename(file), content: await read(file, project.workingDir) });
  }
  const envFiles = withEnv ? await Promise.all([...env].map(([path, name]) => readEnvFile(path, name))) : [];
  return [...files, ...extended.values(), ...envFiles];
};

const readEnvFile = async (path: string, name: string): Promise<PublishedFile> => ({
  kind: 'env',
  name,
  content: Buffer.from(await readNamedFile(path, { what: 'env file', maxBytes: LIMITS.fileBytes, limitCode: 'COMPOSE_LIMIT' })).toString(),
});

/** As docker compose names it. */
const hashedName = (path: string, ending: string): string => `${createHash('sha256').update(path).digest('hex')}.${ending}`;

/** A path as it is written in the file, variables filled in. */
export const localFile = (written: string, folder: string, environment: Readonly<Record<string, string>>): string => {
  const filled = substitute(written, { lookup: (name) => environment[name] });
  return filled.startsWith('~/') ? join(environment.HOME || homedir(), filled.slice(2)) : resolve(folder, filled);
};

/** Text of a file that a project names; undefined where it cannot be read or is none. */
export const readText = async (path: string): Promise<string | undefined> => {
  try {
    const bytes = await readFile(path);
    return bytes.length > LIMITS.fileBytes || bytes.includes(0) ? undefined : bytes.toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES')) {
      return undefined;
    }
    throw error;
  }
};
