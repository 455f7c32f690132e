/** One end of a mount of another machine's volume: the requests of a kernel, or the answers to them, as bytes in both directions. */
export interface VolumeStream {
  /** What the guest says. Rejects with its reason when its end of the mount is gone. */
  readonly output: AsyncIterable<Uint8Array>;
  write(data: Uint8Array): Promise<void>;
  /** Ends the guest's part. */
  close(): void;
}

export interface VolumeEnd {
  /** Whose end went first. */
  readonly side: 'keeper' | 'borrower';
  readonly reason: unknown;
}

/**
 * Carries requests to the guest that has the volume, and its answers back, until either end is gone; then both are closed.
 * Never rejects.
 */
export const carryVolume = async (keeper: VolumeStream, borrower: VolumeStream): Promise<VolumeEnd> => {
  try {
    return await Promise.race([carry(borrower, keeper, ['borrower', 'keeper']), carry(keeper, borrower, ['keeper', 'borrower'])]);
  } finally {
    keeper.close();
    borrower.close();
  }
};

const carry = async (
  from: VolumeStream,
  to: VolumeStream,
  [reading, writing]: [VolumeEnd['side'], VolumeEnd['side']],
): Promise<VolumeEnd> => {
  try {
    for await (const data of from.output) {
      const failure = await to.write(data).then(
        () => undefined,
        (error: unknown) => ({ side: writing, reason: error }),
      );
      if (failure !== undefined) {
        return failure;
      }
    }
    return { side: reading, reason: undefined };
  } catch (error) {
    return { side: reading, reason: error };
  }
};
