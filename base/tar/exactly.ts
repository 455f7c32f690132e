/**
 * The data, of which there must be `size` bytes, as the header before it says: what is too much would be read as further entries.
 * Throws the error of `refuse` in place of the first byte too many, or at the end.
 */
export async function* exactly(data: AsyncIterable<Uint8Array>, size: number, refuse: () => Error): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const piece of data) {
    left -= piece.length;
    if (left < 0) {
      throw refuse();
    }
    yield piece;
  }
  if (left > 0) {
    throw refuse();
  }
}
