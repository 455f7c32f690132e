import { formatProcesses, listProcesses } from '../../engine/docker/machines/processes.ts';
import type { Handler } from '../core/command-spec.ts';
import { onMachine } from '../core/machines.ts';
import { checkServices, withStack } from '../core/project.ts';
import { formatTable, TOP_TABLE } from '../format/table.ts';

const HEAD = ['SERVICE', '#', 'UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD'];
/** `top`: processes of the running replicas, one table, CMD last; of one machine by its name, with docker's columns. */
export const runTop: Handler = async (invocation) => {
  const { context, args } = invocation;
  const [name] = args;
  if (name !== undefined && args.length === 1) {
    const done = await onMachine(invocation, name, async (stack, { status }) => {
      const rows = formatProcesses(status, await listProcesses(stack, status, context.interrupts.signal), context.now());
      context.stdout.write(
        formatTable(
          [HEAD, ...rows].map((row) => row.slice(2)),
          TOP_TABLE,
        ),
      );
      return 0;
    });
    if (done !== undefined) {
      return done;
    }
  }
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
