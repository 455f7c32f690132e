import type { ProcessSpec } from '../../guest/types.ts';
import type { ExecOptions } from '../model/types.ts';

/** The process of an exec or a hook: the workload's environment, user and folder unless the options say otherwise. */
export const execProcess = (workload: ProcessSpec, options: Omit<ExecOptions, 'service' | 'index' | 'detach'>): ProcessSpec => {
  const names = new Set(options.env.map((entry) => entry.split('=', 1)[0]));
  return {
    ...workload,
    args: options.args,
    env: [...workload.env.filter((entry) => !names.has(entry.split('=', 1)[0])), ...options.env.filter((entry) => entry.includes('='))],
    cwd: options.workdir ?? workload.cwd,
    user: options.user ?? workload.user,
    tty: options.tty,
    stdin: options.stdin,
    ...(options.size ? { size: options.size } : {}),
    privileged: options.privileged || workload.privileged === true,
  };
};
