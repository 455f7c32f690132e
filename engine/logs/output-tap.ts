import { AsyncQueue } from '../../base/queue.ts';
import type { OutputChunk } from '../../guest/types.ts';

/** Bytes that a reader may be behind before the workload has to wait for it. */
const MAX_BEHIND = 1 << 20;

/** The output of a run for one attached client, byte for byte. A slow reader holds the workload up, as a terminal does. */
export type OutputTap = AsyncQueue<OutputChunk>;

export const openTap = (onClose: () => void): OutputTap =>
  new AsyncQueue({ limit: MAX_BEHIND, weigh: (chunk) => chunk.data.length, onClose });
