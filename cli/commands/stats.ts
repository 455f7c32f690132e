import { isAbort } from '../../base/errors.ts';
import { shortId } from '../../engine/docker/shapes/names.ts';
import type { ReplicaStatus, ReplicaUsage } from '../../engine/model/events.ts';
import type { Stack } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { findMachines } from '../core/machines.ts';
import { checkServices, openStack, withStack } from '../core/project.ts';
import { formatListing } from '../format/output.ts';
import { binarySize, humanSize } from '../format/units.ts';

const COLUMNS = {
  ID: 'CONTAINER ID',
  Name: 'NAME',
  CPUPerc: 'CPU %',
  MemUsage: 'MEM USAGE / LIMIT',
  MemPerc: 'MEM %',
  NetIO: 'NET I/O',
  BlockIO: 'BLOCK I/O',
  PIDs: 'PIDS',
};

/** `stats`: one table, redrawn as figures come in; `--no-stream` prints once. */
export const runStats: Handler = async (invocation) => {
  const { args } = invocation;
  const [machine, ...more] = args.length === 0 ? [] : (await findMachines(invocation, args)).machines;
  if (machine !== undefined && more.every((each) => each?.stack === machine.stack)) {
    return openStack(invocation, machine.stack, async (stack) => {
      const names = [machine, ...more].map((each) => each?.status.name);
      return showStats(
        invocation,
        stack,
        (await stack.ps()).filter(({ name }) => names.includes(name)),
      );
    });
  }
  return withStack(invocation, async (stack) => {
    const replicas = await stack.ps();
    checkServices(args, Object.fromEntries(replicas.map((replica) => [replica.service, true])));
    return showStats(
      invocation,
      stack,
      replicas.filter(({ service }) => args.length === 0 || args.includes(service)),
    );
  });
};

const showStats = async (invocation: Invocation, stack: Stack, replicas: readonly ReplicaStatus[]): Promise<number> => {
  const { context, flags } = invocation;
  const usage = new Map((await stack.stats()).map((each) => [each.replica, each]));
  const known = new Map(replicas.map((replica) => [replica.name, replica]));
  if (flags.bool('no-stream')) {
    context.stdout.write(formatStats(known, usage, invocation));
    return 0;
  }
  await streamStats({ stack, known, usage, invocation });
  return context.interrupts.signal.aborted ? 130 : 0;
};

interface Streaming {
  readonly stack: Stack;
  readonly known: Map<string, ReplicaStatus>;
  readonly usage: Map<string, ReplicaUsage>;
  readonly invocation: Invocation;
}

/** Draws at most twice a second, and only when something new came. */
const streamStats = async ({ stack, known, usage, invocation }: Streaming): Promise<void> => {
  const { context, flags } = invocation;
  const inPlace = context.stdout.isTTY === true && flags.string('format') !== 'json';
  const draw = (): void => {
    context.stdout.write(`${inPlace ? '\u001b[H\u001b[J' : ''}${formatStats(known, usage, invocation)}`);
  };
  const { args } = invocation;
  // Those of a machine named by itself are there from the start.
  const isMeant = ({ name, service }: ReplicaStatus): boolean => args.length === 0 || args.includes(service) || known.has(name);
  let timer: NodeJS.Timeout | undefined;
  draw();
  try {
    for await (const event of stack.events({ logs: false, usage: true }, context.interrupts.signal)) {
      if (event.type === 'usage') {
        usage.set(event.usage.replica, event.usage);
      } else if (event.type === 'replica' && event.gone) {
        known.delete(event.replica.name);
        usage.delete(event.replica.name);
      } else if (event.type === 'replica' && isMeant(event.replica)) {
        known.set(event.replica.name, event.replica);
      } else {
        continue;
      }
      timer ??= setTimeout(() => {
        timer = undefined;
        draw();
      }, 500);
    }
  } catch (error) {
    if (!context.interrupts.signal.aborted || !isAbort(error)) {
      throw error;
    }
  } finally {
    clearTimeout(timer);
  }
};

const formatStats = (
  known: ReadonlyMap<string, ReplicaStatus>,
  usage: ReadonlyMap<string, ReplicaUsage>,
  { flags }: Invocation,
): string => {
  const rows = [...known.values()]
    .filter((replica) => flags.bool('all') || replica.state === 'running' || replica.state === 'paused')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((replica) => statsRow(replica, usage.get(replica.name) ?? usage.get(replica.id), flags.bool('no-trunc')));
  return formatListing({ columns: COLUMNS, rows, json: 'lines' }, flags.string('format'));
};

/** Keys in the order of docker's JSON; `--` where nothing is known, as docker prints it. */
export const statsRow = (replica: ReplicaStatus, usage: ReplicaUsage | undefined, noTrunc = false): Record<string, string> => {
  const id = noTrunc ? replica.id : shortId(replica.id);
  const pair = (one: number | undefined, two: number | undefined, format: (bytes: number) => string): string =>
    one === undefined || two === undefined ? '-- / --' : `${format(one)} / ${format(two)}`;
  const percent = usage && usage.memoryLimit > 0 ? `${((usage.memory * 100) / usage.memoryLimit).toFixed(2)}%` : '--';
  return {
    BlockIO: pair(usage?.blockRead, usage?.blockWrite, humanSize),
    CPUPerc: usage ? `${usage.cpu.toFixed(2)}%` : '--',
    Container: replica.name,
    ID: id,
    MemPerc: percent,
    MemUsage: pair(usage?.memory, usage?.memoryLimit, binarySize),
    Name: replica.name,
    NetIO: pair(usage?.netRx, usage?.netTx, humanSize),
    PIDs: usage ? String(usage.pids) : '--',
  };
};
