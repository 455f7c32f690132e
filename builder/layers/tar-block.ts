/** Bytes of a tar's block. */
export const BLOCK = 512;

const ZERO = 0x30;

/** Out of Node's pool: millions of them, each with memory of its own, would come faster than they are collected. */
export const emptyBlock = (): Buffer => Buffer.allocUnsafe(BLOCK).fill(0);

/** Writes octal digits with zeros in front; of a number that is too large the largest one (a PAX record says the true one). */
export const writeOctal = (block: Buffer, value: number, { from, digits }: { from: number; digits: number }): void => {
  let rest = Math.min(value, 8 ** digits - 1);
  for (let at = from + digits - 1; at >= from; at--) {
    const next = Math.floor(rest / 8);
    block[at] = ZERO + rest - next * 8;
    rest = next;
  }
};

/** The sum of a header's bytes, where its checksum has to be blank. */
export const sumOf = (block: Buffer): number => {
  let sum = 0;
  for (let at = 0; at < BLOCK; at++) {
    sum += block[at] ?? 0;
  }
  return sum;
};
