import type { FileHandle } from 'node:fs/promises';
import { BLOCK } from '../../base/tar/block.ts';
import { layerError, layerNumber } from './layer-format.ts';

/** A run of data in a sparse file: its offset in the file and its length. */
export interface SparsePiece {
  readonly offset: number;
  readonly length: number;
}

/** `in-data`: PAX 1.0 stores the map in front of the content. */
export type SparseMap = readonly SparsePiece[] | 'in-data';

export const MAX_PIECES = 1_000_000;

/** Map entries of an old GNU sparse header (4 in the header from 386, 21 in each extension block from 0). */
export const gnuPieces = (block: Buffer, from: number, count: number): SparsePiece[] => {
  const pieces: SparsePiece[] = [];
  for (let index = 0; index < count; index++) {
    const at = from + index * 24;
    if (block[at] === 0) {
      break;
    }
    pieces.push({ offset: layerNumber(block, at, 12), length: layerNumber(block, at + 12, 12) });
  }
  return pieces;
};

/** The map of PAX 0.0 (repeated records) or 0.1 (`GNU.sparse.map`): alternating offsets and lengths. */
export const paxPieces = (numbers: readonly string[]): SparsePiece[] => {
  const values = numbers.map(Number);
  if (values.length % 2 !== 0 || values.some((value) => !Number.isSafeInteger(value) || value < 0)) {
    throw layerError('a sparse file has a malformed map');
  }
  return values.filter((_, index) => index % 2 === 0).map((offset, index) => ({ offset, length: values[index * 2 + 1] ?? 0 }));
};

/** Reads the PAX 1.0 map at `at`: decimal lines, beginning with a count, padded to a block. Also returns the number of bytes it takes. */
export const readInlineMap = async (file: FileHandle, at: number, stored: number): Promise<{ pieces: SparsePiece[]; mapBytes: number }> => {
  const numbers: string[] = [];
  let rest = '';
  for (let mapBytes = 0; mapBytes + BLOCK <= stored; ) {
    const block = Buffer.alloc(BLOCK);
    await file.read(block, 0, BLOCK, at + mapBytes);
    mapBytes += BLOCK;
    const lines = (rest + block.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    numbers.push(...lines);
    const count = Number(numbers[0]);
    if (rest.length > 20 && !/^[\d]*\0*$/.test(rest)) {
      break;
    }
    if (numbers.length > 0 && (!Number.isSafeInteger(count) || count < 0 || count > MAX_PIECES)) {
      break;
    }
    if (numbers.length > 2 * count) {
      return { pieces: paxPieces(numbers.slice(1, 1 + 2 * count)), mapBytes };
    }
  }
  throw layerError('a sparse file has a malformed map');
};

/** Checks that pieces are in order, lie within the file and add up to what is stored. Throws IMAGE_LAYER. */
export const checkPieces = (pieces: readonly SparsePiece[], size: number, stored: number): void => {
  let end = 0;
  let bytes = 0;
  for (const { offset, length } of pieces) {
    if (offset < end || offset + length > size) {
      throw layerError('a sparse file has overlapping or misplaced pieces');
    }
    end = offset + length;
    bytes += length;
  }
  if (bytes > stored) {
    throw layerError('a sparse file has less content than its map says');
  }
};
