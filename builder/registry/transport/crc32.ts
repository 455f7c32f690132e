import * as zlib from 'node:zlib';

const TABLE = Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) {
    value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value >>> 0;
});

/** For Node before 20.15, which does not export zlib's crc32. */
export const crc32ByTable = (data: Uint8Array, before = 0): number => {
  let value = ~before;
  for (const byte of data) {
    value = (TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
  }
  return ~value >>> 0;
};

/** CRC-32 of `data`, continued from `before`, the CRC-32 of what precedes it (RFC 1952 8). */
export const crc32: (data: Uint8Array, before?: number) => number =
  (zlib as { crc32?: (data: Uint8Array, before?: number) => number }).crc32 ?? crc32ByTable;
