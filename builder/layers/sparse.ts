import type { FileHandle } from 'node:fs/promises';
import { BLOCK } from '../tar/block.ts';
import { layerError, layerNumber } from './layer-format.ts';

/** One run of real bytes of a sparse file: where they belong in the file, and how many. */
export interface SparsePiece {
  readonly offset: number;
  readonly length: number;
}

/** `in-data`: PAX 1.0 keeps the map in front of the content. */
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

/** The map of PAX 0.0 (repeated records) or 0.1 (`GNU.sparse.map`): numbers by turns offset and length. */
export const paxPieces = (numbers: readonly string[]): SparsePiece[] => {
  const values = numbers.map(Number);
  if (values.length % 2 !== 0 || values.some((value) => !Number.isSafeInteger(value) || value < 0)) {
    throw layerError('a sparse file has a malformed map');
  }
  return values.filter((_, index) => index % 2 === 0).map((offset, index) => ({ offset, length: values[index * 2 + 1] ?? 0 }));
};

/** Reads the map of PAX 1.0 at `at`: decimal lines, a count first, filled to a block. Gives the bytes it takes, too. */
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

/** Pieces must follow each other, lie in the file and be exactly what is stored. Throws IMAGE_LAYER. */
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
