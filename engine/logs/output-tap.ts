import { AsyncQueue } from '../../base/queue.ts';
import type { OutputChunk } from '../../guest/types.ts';

/** How many bytes a reader may lag behind before the workload has to wait for it. */
const MAX_BEHIND = 1 << 20;

/** The output of a run, byte for byte, for one attached client. A slow reader blocks the workload, as a terminal does. */
export type OutputTap = AsyncQueue<OutputChunk>;

export const openTap = (onClose: () => void): OutputTap =>
  new AsyncQueue({ limit: MAX_BEHIND, weigh: (chunk) => chunk.data.length, onClose });
