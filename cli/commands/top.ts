import { formatProcesses, listProcesses } from '../../engine/docker/machines/processes.ts';
import type { Handler } from '../core/command-spec.ts';
import { checkServices, withStack } from '../core/project.ts';
import { formatTable, TOP_TABLE } from '../format/table.ts';

const HEAD = ['SERVICE', '#', 'UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'];
/** `top`: processes of the running replicas, one table, CMD last. */
export const runTop: Handler = async (invocation) => {
  const { context, args } = invocation;
  return withStack(invocation, async (stack, project) => {
    const replicas = await stack.ps();
    checkServices(args, { ...project?.services, ...Object.fromEntries(replicas.map((replica) => [replica.service, true])) });
    const running = replicas
      .filter((replica) => replica.state === 'running' && (args.length === 0 || args.includes(replica.service)))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const tables = await Promise.all(running.map((replica) => listProcesses(stack, replica, context.interrupts.signal)));
    const now = context.now();
    const rows = running.flatMap((replica, index) => formatProcesses(replica, tables[index] ?? '', now));
    context.stdout.write(formatTable([HEAD, ...rows], TOP_TABLE));
    return 0;
  });
};
