import { join } from 'node:path';
import { stackRuntimeDir } from '../../base/paths.ts';

/** The files through which the processes of one stack find each other. */
export const stackPaths = (stack: string) => {
  const runDir = stackRuntimeDir(stack);
  return { runDir, apiSocket: join(runDir, 'api.sock'), lock: join(runDir, 'supervisor.lock') };
};
