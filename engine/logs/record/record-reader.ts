import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { isErrno } from '../../../base/errors.ts';
import { diskError } from '../../../base/host/files.ts';
import type { RecordedEvent } from '../../model/events.ts';
import { eventOf } from './event-lines.ts';
import { fileNumbers, filePath, fileSize } from './record-files.ts';

const NEWLINE = 0x0a;

/** Reads each event once, whichever of the files it is in. */
export class RecordReader {
  readonly #folder: string;
  readonly #read = new Map<number, number>();

  /** `skips`: what is there already. */
  constructor(folder: string, skips: boolean) {
    this.#folder = folder;
    for (const number of skips ? fileNumbers(folder) : []) {
      this.#read.set(number, fileSize(folder, number));
    }
  }

  /** What was recorded since the last reading. */
  read(): RecordedEvent[] {
    return fileNumbers(this.#folder).flatMap((number) => {
      const text = readFrom(filePath(this.#folder, number), this.#read.get(number) ?? 0);
      const end = text.lastIndexOf(NEWLINE) + 1;
      this.#read.set(number, (this.#read.get(number) ?? 0) + end);
      return text
        .subarray(0, end)
        .toString()
        .split('\n')
        .flatMap((line) => eventOf(line) ?? []);
    });
  }
}

/** A file that went meanwhile is empty. */
const readFrom = (path: string, position: number): Buffer => {
  try {
    const file = openSync(path, 'r');
    try {
      const data = Buffer.alloc(Math.max(0, fstatSync(file).size - position));
      return data.subarray(0, data.length === 0 ? 0 : readSync(file, data, 0, data.length, position));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return Buffer.alloc(0);
    }
    throw diskError(error, path);
  }
};
