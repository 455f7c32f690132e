import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { type DotenvOptions, parseDotenv } from '../interpolate/dotenv.ts';
import type { LoadOptions } from '../model/options.ts';
import type { Warnings } from '../model/warnings.ts';
import { Origins } from '../source/origins.ts';
import { errorAt, type Mark } from '../source/source.ts';
import { DEFAULT_FILES, HYPR_FILES, NO_COMPOSE_FILE } from './file-names.ts';
import { type ReadOptions, readSource, statOf } from './read-file.ts';
import { fetchRemoteFile, isRemoteFile } from './remote-file.ts';

/** The files to load, the folder and the variables. */
export interface Discovered {
  /** Absolute paths; `-` is standard input. */
  readonly files: readonly string[];
  readonly workingDir: string;
  readonly environment: Map<string, string>;
  readonly profiles: readonly string[];
  /** Env files that were named, absolute; without them the `.env` beside the files is read. */
  readonly envFiles: readonly string[];
  readonly origins: Origins;
}

/**
 * Finds files, working folder, variables and profiles with docker compose's precedence: the process's
 * environment always wins; then `.env` here (or the `--env-file`s), which may set COMPOSE_FILE; then
 * the `.env` next to the first file.
 * @throws COMPOSE_NOT_FOUND, COMPOSE_ENV_FILE
 */
export const discover = async (options: LoadOptions, warnings: Warnings): Promise<Discovered> => {
  const environment = new Map<string, string>();
  for (const [name, value] of Object.entries(options.env ?? process.env)) {
    if (value !== undefined) {
      environment.set(name, value);
    }
  }
  setDefault(environment, 'PWD', options.cwd);
  const origins = new Origins(options.env ?? process.env);
  const context: Context = { options, environment, warnings, origins, files: absoluteFiles(options.files ?? [], options.cwd) };
  await loadEnvFiles(context);
  if (context.files.length === 0) {
    context.files = filesFromEnvironment(context) ?? defaultFiles(workingDirOf(context), warnings);
    await loadEnvFiles(context);
  }
  if (context.files.length === 0) {
    throw new HyprError('COMPOSE_NOT_FOUND', `no Compose file in ${workingDirOf(context)} or a folder above it`, {
      hint: 'write a compose.yaml, or name a file with -f',
      reason: NO_COMPOSE_FILE,
    });
  }
  return {
    ...(await fetchFiles(context)),
    environment,
    origins,
    envFiles: namedEnvFiles(context).map((file) => resolve(options.cwd, file)),
    // With none there is the one without a name.
    profiles: options.profiles?.length
      ? options.profiles
      : (environment.get('COMPOSE_PROFILES') ?? '').split(',').map((name) => name.trim()),
  };
};

/** The project's name: -p, COMPOSE_PROJECT_NAME, the last `name:` of the files, the folder's name. */
export const projectName = (
  options: LoadOptions,
  found: Discovered,
  named: { readonly text: string; readonly mark: Mark } | undefined,
): string => {
  const explicit = options.projectName || found.environment.get('COMPOSE_PROJECT_NAME');
  if (explicit) {
    if (normalizeProjectName(explicit) !== explicit) {
      throw new HyprError('COMPOSE_INVALID', `"${explicit}" is not a project name`, {
        hint: `use only lower-case letters, digits, - and _, and start with a letter or digit, e.g. "${normalizeProjectName(explicit) || 'app'}"`,
      });
    }
    return explicit;
  }
  const name = normalizeProjectName(named === undefined ? basename(found.workingDir) : named.text);
  if (name === '') {
    throw errorAt(
      'COMPOSE_INVALID',
      named?.text === ''
        ? 'the project has no name: "name:" comes to nothing'
        : `the project has no name: ${named === undefined ? "the folder's name" : `"${named.text}"`} has no letter or digit that a name may have`,
      {
        mark: named?.mark,
        hint: 'give it one with -p NAME or a line "name: NAME" in the Compose file',
      },
    );
  }
  return name;
};

/** Lower case; only a–z, 0–9, `_` and `-`; starting with a letter or digit. */
export const normalizeProjectName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^-_a-z0-9]/g, '')
    .replace(/^[-_]+/, '');

/** Local copies of remote files; the folder of the first one is what relative paths start from, as in docker compose. */
const fetchFiles = async (context: Context): Promise<Pick<Discovered, 'files' | 'workingDir'>> => {
  const { options } = context;
  let folder = options.projectDirectory ? workingDirOf(context) : undefined;
  const files: string[] = [];
  for (const file of context.files) {
    const local = isRemoteFile(file) ? await fetchRemoteFile(file, { fetchFile: options.fetchFile, mark: undefined }) : file;
    folder ??= local === file ? undefined : dirname(local);
    files.push(local);
  }
  return { files, workingDir: folder ?? workingDirOf(context) };
};

interface Context {
  readonly options: LoadOptions;
  readonly environment: Map<string, string>;
  readonly warnings: Warnings;
  readonly origins: Origins;
  files: string[];
}

const workingDirOf = ({ options, files }: Context): string => {
  if (options.projectDirectory) {
    return resolve(options.cwd, options.projectDirectory);
  }
  const first = files.find((file) => file !== '-');
  return first === undefined || isRemoteFile(first) ? options.cwd : dirname(first);
};

const absoluteFiles = (files: readonly string[], cwd: string): string[] =>
  files.map((file) => (file === '-' || isAbsolute(file) || isRemoteFile(file) ? file : resolve(cwd, file)));

const filesFromEnvironment = ({ environment, options }: Context): string[] | undefined => {
  const value = environment.get('COMPOSE_FILE');
  if (!value) {
    return undefined;
  }
  // A remote file cannot be one of several with the usual separator, as in docker compose.
  const files = isRemoteFile(value) ? [value] : value.split(environment.get('COMPOSE_PATH_SEPARATOR') || ':').filter(Boolean);
  return absoluteFiles(files, options.cwd);
};

const defaultFiles = (from: string, warnings: Warnings): string[] => {
  for (let folder = from; ; folder = dirname(folder)) {
    for (const { names, overrides } of FILE_NAMES) {
      const main = firstOf(names, folder, warnings);
      if (main !== undefined) {
        const override = firstOf(overrides, folder, warnings);
        return override === undefined ? [main] : [main, override];
      }
    }
    if (folder === dirname(folder)) {
      return [];
    }
  }
};

const firstOf = (names: readonly string[], folder: string, warnings: Warnings): string | undefined => {
  const found: string[] = [];
  for (const name of names) {
    if (statOf(join(folder, name)) !== undefined) {
      found.push(join(folder, name));
    }
  }
  if (found.length > 1) {
    warnings.add('several-files', `Found multiple config files with supported names: ${found.join(', ')}; using ${found[0]}`);
  }
  return found[0];
};

const loadEnvFiles = async (context: Context): Promise<void> => {
  const { options, environment } = context;
  const named = namedEnvFiles(context);
  const files = named.length > 0 ? named : defaultEnvFile(context);
  const said: Array<{ name: string; value: string; mark: Mark }> = [];
  if (files.includes('')) {
    throw new HyprError('COMPOSE_ENV_FILE', '--env-file has an empty path', {
      hint: 'if it comes from a variable, give that a value or a default: ${NAME:-app.env}',
    });
  }
  const values = await readEnvFiles(
    files.map((file) => resolve(options.cwd, file)),
    environment,
    {
      onValue: (name, value, mark) => said.push({ name, value, mark }),
      onUnset: (name, mark) => warnUnset(name, mark, context.warnings),
      pipes: named.length > 0,
      signal: options.signal,
    },
  );
  context.origins.addFiles(said);
  for (const [key, value] of values) {
    setDefault(environment, key, value);
  }
};

const namedEnvFiles = ({ options }: Context): readonly string[] =>
  options.envFiles !== undefined && options.envFiles.length > 0
    ? options.envFiles
    : splitList((options.env ?? process.env).COMPOSE_ENV_FILES);

/** The usual cause is a password with a `$`. */
const warnUnset = (name: string, mark: Mark, warnings: Warnings): void =>
  warnings.add('unset-variable', `The "${name}" variable is not set. Defaulting to a blank string.`, mark, {
    hint: `if "$${name}" is not a variable, put the value in single quotes`,
  });

const defaultEnvFile = (context: Context): string[] => {
  const disabled = (context.options.env ?? process.env).COMPOSE_DISABLE_ENV_FILE;
  if (disabled !== undefined && /^(1|t|true)$/i.test(disabled)) {
    return [];
  }
  const path = join(workingDirOf(context), '.env');
  try {
    const found = statOf(path);
    return found === undefined || found.isDirectory() ? [] : [path];
  } catch {
    return [];
  }
};

/** Reads env files in order, later ones winning; values may use the environment and earlier lines. */
export const readEnvFiles = async (
  files: readonly string[],
  environment: ReadonlyMap<string, string>,
  options: DotenvOptions & Pick<ReadOptions, 'pipes' | 'signal'> = {},
): Promise<Map<string, string>> => {
  const out = new Map<string, string>();
  for (const file of files) {
    const source = await readEnvSource(file, options);
    const parsed = parseDotenv(source, (name) => environment.get(name), { ...options, fallback: (name) => out.get(name) });
    for (const [key, value] of parsed) {
      out.set(key, value);
    }
  }
  return out;
};

/** An env file's text. Throws COMPOSE_ENV_FILE if it is missing or unreadable. */
export const readEnvSource = async (file: string, options: ReadOptions & { readonly missingHint?: string } = {}) => {
  const { from, pipes = false, signal, what = 'env file', missingHint = 'create it, or correct the path' } = options;
  try {
    return await readSource(file, { what, from, pipes, signal });
  } catch (error) {
    if (error instanceof HyprError && error.code === 'COMPOSE_NOT_FOUND') {
      const isFolder = !isErrno(error.cause, 'ENOENT', 'ENOTDIR');
      const message = isFolder ? error.message : `${what} ${file} not found`;
      throw new HyprError('COMPOSE_ENV_FILE', message, {
        details: error.details,
        cause: error,
        ...(error.where === undefined ? {} : { where: error.where }),
        hint: isFolder ? 'name a file, not the folder that it is in' : (error.hint ?? missingHint),
      });
    }
    throw error;
  }
};

const splitList = (value: string | undefined): string[] => (value === undefined ? [] : value.split(',').filter(Boolean));

const setDefault = (environment: Map<string, string>, key: string, value: string): void => {
  if (!environment.has(key)) {
    environment.set(key, value);
  }
};

const OVERRIDE_FILES = ['compose.override.yml', 'compose.override.yaml', 'docker-compose.override.yml', 'docker-compose.override.yaml'];

const FILE_NAMES = [
  { names: HYPR_FILES, overrides: ['hypr-compose.override.yml', 'hypr-compose.override.yaml'] },
  { names: DEFAULT_FILES, overrides: OVERRIDE_FILES },
];
