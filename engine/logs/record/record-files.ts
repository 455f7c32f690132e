import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../../../base/errors.ts';
import { diskError } from '../../../base/host/files.ts';

/*
 * What happened to the machines, images, networks and volumes of a home: lines of JSON in `events/N.jsonl`, which every process of the home
 * appends to. A file that is full is followed by the next number, and all but the one before go. Nothing is ever renamed, so that several
 * writers need no lock: one that still appends to the file before loses nothing.
 */

/** Two files of this size: some thousand events. */
const MOST_BYTES = 2 * 1024 * 1024;

/** The newest file, or the one after it when that is full. */
export const currentFile = (folder: string): string => {
  const last = fileNumbers(folder).at(-1) ?? 1;
  if (fileSize(folder, last) < MOST_BYTES) {
    return filePath(folder, last);
  }
  removeOlder(folder);
  return filePath(folder, last + 1);
};

/** All but the newest file. */
export const removeOlder = (folder: string): void => {
  for (const number of fileNumbers(folder).slice(0, -1)) {
    rmSync(filePath(folder, number), { force: true });
  }
};

/** In ascending order. None where the folder is not there. Throws HYPR_PERMISSION and the like. */
export const fileNumbers = (folder: string): number[] =>
  namesIn(folder)
    .flatMap((name) => (/^\d{1,9}\.jsonl$/.test(name) ? [Number.parseInt(name, 10)] : []))
    .sort((a, b) => a - b);

export const filePath = (folder: string, number: number): string => join(folder, `${number}.jsonl`);

/** In bytes; 0 where it is not there. */
export const fileSize = (folder: string, number: number): number =>
  statSync(filePath(folder, number), { throwIfNoEntry: false })?.size ?? 0;

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw diskError(error, folder);
  }
};
