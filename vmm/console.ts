import { open } from 'node:fs/promises';
import { isErrno } from '../base/errors.ts';

const TAIL_BYTES = 16 * 1024;

/** The last lines of a console log, without control characters: a guest wrote them. */
export const lastLines = async (path: string, count: number): Promise<string[]> => {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      const length = Math.min(size, TAIL_BYTES);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
      const text = buffer.subarray(0, bytesRead).toString('utf8');
      return text
        .split(/\r?\n/)
        .map((line) => line.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, '').replaceAll(/[\x00-\x08\x0b-\x1f\x7f]/g, ''))
        .filter((line) => line.trim() !== '')
        .slice(-count);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      return [];
    }
    throw error;
  }
};
