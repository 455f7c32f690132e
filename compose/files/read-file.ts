import { type Stats, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { readNamedFile } from '../../base/host/read-named.ts';
import { LIMITS, limitError } from '../model/limits.ts';
import { didYouMean } from '../model/suggest.ts';
import { errorAt, type Mark, SourceFile } from '../source/source.ts';
import { DEFAULT_FILES, HYPR_FILES } from './file-names.ts';

export interface ReadOptions {
  readonly from?: Mark | undefined;
  readonly what?: string;
  /** The file was named on the command line, so it may be a pipe. */
  readonly pipes?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a text file: UTF-8, or UTF-16 with a byte-order mark.
 * @throws COMPOSE_NOT_FOUND, HYPR_FILE (a device, a pipe that no command line names, or too large), COMPOSE_SYNTAX (not UTF-8, control characters), HYPR_PERMISSION
 */
export const readSource = async (path: string, options: ReadOptions = {}): Promise<SourceFile> => {
  const what = options.what ?? 'Compose file';
  try {
    const { pipes = false, signal } = options;
    return decodeSource(path, await readNamedFile(path, { what, maxBytes: LIMITS.fileBytes, limitCode: 'COMPOSE_LIMIT', pipes, signal }));
  } catch (error) {
    if (error instanceof HyprError && (error.code === 'HYPR_FILE' || error.code === 'COMPOSE_LIMIT') && options.from !== undefined) {
      throw errorAt(error.code, error.message, { mark: options.from, hint: error.hint, cause: error });
    }
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      throw errorAt('COMPOSE_NOT_FOUND', `the ${what} ${path} does not exist`, {
        mark: options.from,
        hint: await similarFile(path),
        cause: error,
      });
    }
    if (isErrno(error, 'EISDIR')) {
      throw errorAt('COMPOSE_NOT_FOUND', `${path} is a folder, not ${/^[aeiou]/i.test(what) ? 'an' : 'a'} ${what}`, {
        mark: options.from,
        hint: await fileWithin(path),
        cause: error,
      });
    }
    if (isErrno(error, 'EACCES', 'EPERM')) {
      throw errorAt('HYPR_PERMISSION', `no permission to read the ${what} ${path}`, {
        mark: options.from,
        hint: !isReachable(path) ? 'one of its parent folders does not allow access' : `its owner can allow it: chmod +r ${path}`,
        cause: error,
      });
    }
    throw error;
  }
};

/** False when a folder on the way cannot be searched. */
const isReachable = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
};

/** Stats of a path; undefined when nothing exists there. Rethrows other errors of stat. */
export const statOf = (path: string): Stats | undefined => {
  try {
    return statSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      return undefined;
    }
    throw error;
  }
};

/** A file in that folder with a name similar to the missing one. */
const similarFile = async (path: string): Promise<string | undefined> => {
  const names = await readdir(dirname(path)).catch(() => []);
  return didYouMean(basename(path), names.slice(0, MAX_NAMES));
};

/** For `-f FOLDER`: the Compose file in it, if it has a usual name. */
const fileWithin = async (folder: string): Promise<string | undefined> => {
  const names = await readdir(folder).catch((): string[] => []);
  const found = [...HYPR_FILES, ...DEFAULT_FILES].find((name) => names.includes(name));
  return found === undefined ? undefined : `name the file in it: ${join(folder, found)}`;
};

/** Decodes UTF-8, or UTF-16 with a byte-order mark, which is dropped. Refuses other encodings and control characters. */
export const decodeSource = (path: string, bytes: Uint8Array): SourceFile => {
  if (bytes.byteLength > LIMITS.fileBytes) {
    throw limitError(`${path} is larger than ${LIMITS.fileBytes >> 20} MiB`, undefined);
  }
  const text = decode(path, bytes);
  const control = CONTROL.exec(text);
  if (control !== null) {
    const code = control[0].charCodeAt(0).toString(16).padStart(2, '0');
    throw errorAt('COMPOSE_SYNTAX', `${path} contains the control character 0x${code}`, {
      mark: { source: new SourceFile(path, text), offset: control.index },
      hint: 'remove it, or write it as an escape in double quotes',
    });
  }
  return new SourceFile(path, text);
};

/** YAML 1.2.2 section 5.2, without UTF-32. */
const decode = (path: string, bytes: Uint8Array): string => {
  const encoding = encodingOf(bytes);
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (error) {
    // Invalid bytes are decoded as U+FFFD; the caret points at the first one.
    const shown = new TextDecoder(encoding).decode(bytes).replace(CONTROLS, '\ufffd');
    throw errorAt('COMPOSE_SYNTAX', `${path} is not ${encoding === 'utf-8' ? 'UTF-8' : 'UTF-16'} text`, {
      mark: { source: new SourceFile(path, shown), offset: Math.max(0, shown.indexOf('\ufffd')) },
      hint: 'save the file as UTF-8',
      cause: error,
    });
  }
};

const encodingOf = ([first, second]: Uint8Array): 'utf-8' | 'utf-16le' | 'utf-16be' => {
  if (first === 0xff && second === 0xfe) {
    return 'utf-16le';
  }
  return first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
};

const MAX_NAMES = 1000;
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;
const CONTROLS = new RegExp(CONTROL, 'g');
