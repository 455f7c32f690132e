import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { HyprError, isErrno } from '../base/errors.ts';
import { LIMITS, limitError } from './limits.ts';
import { errorAt, type Mark, SourceFile } from './source.ts';
import { didYouMean } from './suggest.ts';

/**
 * Reads a text file of the user's, as UTF-8.
 * @throws COMPOSE_NOT_FOUND, COMPOSE_LIMIT (size), COMPOSE_SYNTAX (not UTF-8, control characters), HYPR_PERMISSION
 */
export const readSource = async (path: string, options: { from?: Mark | undefined; what?: string } = {}): Promise<SourceFile> => {
  const what = options.what ?? 'Compose file';
  try {
    const { size } = await stat(path);
    if (size > LIMITS.fileBytes) {
      throw limitError(`${path} is larger than ${LIMITS.fileBytes >> 20} MiB`, options.from);
    }
    return decodeSource(path, await readFile(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) {
      throw errorAt('COMPOSE_NOT_FOUND', `the ${what} ${path} does not exist`, {
        mark: options.from,
        hint: await similarFile(path),
        cause: error,
      });
    }
    if (isErrno(error, 'EISDIR')) {
      throw errorAt('COMPOSE_NOT_FOUND', `${path} is a folder, not a ${what}`, { mark: options.from, cause: error });
    }
    if (isErrno(error, 'EACCES', 'EPERM')) {
      throw errorAt('HYPR_PERMISSION', `the ${what} ${path} may not be read`, { mark: options.from, cause: error });
    }
    throw error;
  }
};

/** A file of that folder whose name is much like the one that is missing. */
const similarFile = async (path: string): Promise<string | undefined> => {
  const names = await readdir(dirname(path)).catch(() => []);
  return didYouMean(basename(path), names.slice(0, MAX_NAMES));
};

/** Bytes to text: a byte-order mark is dropped, other encodings and control characters are refused. */
export const decodeSource = (path: string, bytes: Uint8Array): SourceFile => {
  if (bytes.byteLength > LIMITS.fileBytes) {
    throw limitError(`${path} is larger than ${LIMITS.fileBytes >> 20} MiB`, undefined);
  }
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw notUtf8(path, 'it is UTF-16');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw notUtf8(path, 'some bytes are not UTF-8', error);
  }
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

const notUtf8 = (path: string, reason: string, cause?: unknown): HyprError =>
  new HyprError('COMPOSE_SYNTAX', `${path} is not UTF-8 text: ${reason}`, { hint: 'save the file as UTF-8', where: { file: path }, cause });

const MAX_NAMES = 1000;
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;
