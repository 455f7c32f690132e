import { availableParallelism, freemem } from 'node:os';
import { type MachineBudget, MachineScheduler } from '../../builder/model/machine-scheduler.ts';

export interface BuildHost {
  readonly cores: number;
  /** Memory that is available without swapping. */
  readonly freeMib: number;
}

/**
 * What build machines of this process may take: one works for each two processors, but two if possible, because a RUN that waits
 * for the network leaves the processor to others; together they take no more memory than was free.
 */
export const buildBudget = ({ cores, freeMib }: BuildHost): MachineBudget => ({
  working: Math.max(2, Math.floor(cores / 2)),
  memoryMib: freeMib,
});

const freeMib = (): number => freemem() / 2 ** 20;

let shared: { readonly scheduler: MachineScheduler; users: number } | undefined;

/** Runs a build with the scheduler that all running builds share; the first build measures the host. */
export const withBuildBudget = async <T>(build: (scheduler: MachineScheduler) => Promise<T>): Promise<T> => {
  shared ??= {
    scheduler: new MachineScheduler({ ...buildBudget({ cores: availableParallelism(), freeMib: freeMib() }), freeMib }),
    users: 0,
  };
  const mine = shared;
  mine.users += 1;
  try {
    return await build(mine.scheduler);
  } finally {
    mine.users -= 1;
    if (mine.users === 0) {
      shared = undefined;
    }
  }
};
