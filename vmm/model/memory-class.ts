/** The least memory with which a kernel and its agent work. */
const SMALLEST_MIB = 128;

/**
 * Pure: the actual memory size of a machine, whether cloned or booted: the next power of two, or 1.5 times
 * one. Memory that a guest does not touch costs the host nothing, and each size needs a template.
 */
export const memoryClass = (mib: number): number => {
  let size = SMALLEST_MIB;
  while (size < mib) {
    size *= 2;
  }
  const between = (size / 4) * 3;
  return between >= mib && between > SMALLEST_MIB ? between : size;
};
