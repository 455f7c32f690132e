import { freemem } from 'node:os';
import { Slots } from '../../builder/model/slots.ts';

export interface BuildHost {
  readonly cores: number;
  /** Memory that is available without swapping. */
  readonly freeMib: number;
  /** What one machine may use. */
  readonly machineMib: number;
}

/**
 * How many build machines may work at once in this process: one per two processors, but two if possible, because a RUN
 * that waits for the network leaves the processor to others; never more than fit into free memory, and at least one.
 */
export const machinesAtOnce = ({ cores, freeMib, machineMib }: BuildHost): number =>
  Math.max(1, Math.min(Math.max(2, Math.floor(cores / 2)), Math.floor(freeMib / machineMib)));

let shared: { readonly slots: Slots; users: number } | undefined;

/** Runs a build with the slots that all running builds share; the first build measures the host. */
export const withBuildSlots = async <T>(host: Pick<BuildHost, 'cores' | 'machineMib'>, build: (slots: Slots) => Promise<T>): Promise<T> => {
  shared ??= { slots: new Slots(machinesAtOnce({ ...host, freeMib: freemem() / 2 ** 20 })), users: 0 };
  const mine = shared;
  mine.users += 1;
  try {
    return await build(mine.slots);
  } finally {
    mine.users -= 1;
    if (mine.users === 0) {
      shared = undefined;
    }
  }
};
