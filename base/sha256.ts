/*
 * SHA-256 (FIPS 180-4) for short texts. node:crypto takes 4 ms to load, a tenth of a whole `exec`, and every command needs
 * one hash of a few bytes: that of HYPR_HOME, for the path of the sockets.
 */

/** Section 4.2.2: fractional parts of the cube roots of the first 64 primes. */
const K = Uint32Array.from(
  (
    '428a2f98 71374491 b5c0fbcf e9b5dba5 3956c25b 59f111f1 923f82a4 ab1c5ed5 d807aa98 12835b01 243185be 550c7dc3 72be5d74 80deb1fe ' +
    '9bdc06a7 c19bf174 e49b69c1 efbe4786 0fc19dc6 240ca1cc 2de92c6f 4a7484aa 5cb0a9dc 76f988da 983e5152 a831c66d b00327c8 bf597fc7 ' +
    'c6e00bf3 d5a79147 06ca6351 14292967 27b70a85 2e1b2138 4d2c6dfc 53380d13 650a7354 766a0abb 81c2c92e 92722c85 a2bfe8a1 a81a664b ' +
    'c24b8b70 c76c51a3 d192e819 d6990624 f40e3585 106aa070 19a4c116 1e376c08 2748774c 34b0bcb5 391c0cb3 4ed8aa4a 5b9cca4f 682e6ff3 ' +
    '748f82ee 78a5636f 84c87814 8cc70208 90befffa a4506ceb bef9a3f7 c67178f2'
  )
    .split(' ')
    .map((word) => Number.parseInt(word, 16)),
);

/** Section 5.3.3: of the square roots of the first 8. */
const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19] as const;

const BLOCK = 64;

/** The hash of a text's UTF-8, in hexadecimal. */
export const sha256 = (text: string): string => {
  const bytes = pad(Buffer.from(text));
  const state = Uint32Array.from(START);
  for (let at = 0; at < bytes.length; at += BLOCK) {
    addBlock(state, schedule(bytes, at));
  }
  return [...state].map((word) => word.toString(16).padStart(8, '0')).join('');
};

/** Section 5.1.1: a bit, zeroes, the length in bits. */
const pad = (text: Buffer): Buffer => {
  const bytes = Buffer.alloc(Math.ceil((text.length + 9) / BLOCK) * BLOCK);
  text.copy(bytes);
  bytes[text.length] = 0x80;
  bytes.writeBigUInt64BE(BigInt(text.length) * 8n, bytes.length - 8);
  return bytes;
};

/** Section 6.2.2, step 1. */
const schedule = (bytes: Buffer, at: number): Uint32Array => {
  const words = new Uint32Array(BLOCK);
  const word = (index: number): number => words[index] ?? 0;
  for (let i = 0; i < BLOCK; i += 1) {
    const [a, b] = [word(i - 15), word(i - 2)];
    const mixed = (rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3)) + (rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10));
    words[i] = i < 16 ? bytes.readUInt32BE(at + i * 4) : mixed + word(i - 16) + word(i - 7);
  }
  return words;
};

/** Section 6.2.2, steps 2 to 4. */
const addBlock = (state: Uint32Array, words: Uint32Array): void => {
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (const [i, word] of words.entries()) {
    const first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + (K[i] ?? 0) + word;
    const second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) {
    state[i] = (state[i] ?? 0) + value;
  }
};

const rotate = (word: number, by: number): number => (word >>> by) | (word << (32 - by));
