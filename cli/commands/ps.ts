import { HyprError } from '../../base/errors.ts';
import { psState } from '../../engine/docker/shapes/status.ts';
import type { ReplicaStatus } from '../../engine/model/events.ts';
import type { Handler } from '../core/command-spec.ts';
import type { CliContext } from '../core/context.ts';
import type { Flags } from '../core/flags.ts';
import { checkServices, findStackName, withStack } from '../core/project.ts';
import { formatListing } from '../format/output.ts';
import { psRow } from '../format/replica.ts';
import type { ServiceUrls } from '../format/summary.ts';
import { hasDockerFilter, printAllMachines } from './ps-all.ts';
import { configuredFormat } from './ps-format.ts';

const COLUMNS = {
  Name: 'NAME',
  Image: 'IMAGE',
  Command: 'COMMAND',
  Service: 'SERVICE',
  RunningFor: 'CREATED',
  Status: 'STATUS',
  Ports: 'PORTS',
};
const HEADERS = { ID: 'CONTAINER ID', Names: 'NAMES', CreatedAt: 'CREATED AT', LocalVolumes: 'LOCAL VOLUMES', ExitCode: 'EXIT CODE' };
const STATES = ['created', 'restarting', 'running', 'removing', 'paused', 'suspended', 'exited', 'dead', 'starting', 'stopping'];

/**
 * `compose ps`, and `ps` of a stack or services that are named: running replicas by name; table, one JSON object per line, template, ids
 * or service names. `ps` alone is docker's: machines of all stacks, wherever it is typed, because scripts take it for that;
 * docker's filters, -n and -l are of the machines of the stack that is named, else of all.
 */
export const runPs: Handler = async (invocation) => {
  const { args, flags, viaCompose } = invocation;
  const namesStack =
    flags.string('project-name') !== undefined || flags.string('project-directory') !== undefined || flags.list('file').length > 0;
  const isStacks = viaCompose || namesStack || args.length > 0 || flags.bool('services') || flags.list('status').length > 0;
  const isDockers = flags.bool('latest') || flags.int('last') !== undefined || hasDockerFilter(flags.list('filter'));
  if (isStacks && (viaCompose || !isDockers)) {
    return printStack(invocation);
  }
  return printAllMachines(invocation, isStacks ? await findStackName(invocation) : undefined);
};

const printStack: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  const statuses = wantedStates(flags);
  return withStack(invocation, async (stack) => {
    const all = await stack.ps();
    checkServices(args, Object.fromEntries(all.map((replica) => [replica.service, true])));
    const shown = all
      .filter((replica) => args.length === 0 || args.includes(replica.service))
      .filter((replica) => flags.bool('all') || !replica.oneOff)
      .filter((replica) => isWanted(replica, statuses, flags.bool('all')))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const isListed = !flags.bool('quiet') && !flags.bool('services');
    const format = flags.string('format') ?? (isListed ? await configuredFormat(context) : undefined);
    const urls = isListed && shown.some(({ state }) => state === 'running') ? await urlsOf(context, stack.name) : new Map();
    context.stdout.write(formatReplicas(shown, { flags, format, stack: stack.name, now: context.now(), urls }));
    return 0;
  });
};

const formatReplicas = (
  replicas: readonly ReplicaStatus[],
  at: { flags: Flags; format: string | undefined; stack: string; now: number; urls: ServiceUrls },
): string => {
  const { flags } = at;
  if (flags.bool('quiet')) {
    return replicas.map((replica) => `${replica.id}\n`).join('');
  }
  if (flags.bool('services')) {
    return [...new Set(replicas.map((replica) => replica.service))].map((service) => `${service}\n`).join('');
  }
  const rows = replicas.map((replica) =>
    // Not a copy, which would read what is only made when it is asked for.
    Object.assign(psRow(replica, { stack: at.stack, now: at.now, noTrunc: flags.bool('no-trunc') }), {
      URL: replica.state === 'running' ? (at.urls.get(replica.service) ?? '') : '',
    }),
  );
  // Where no name answers the table is docker's.
  const columns = rows.some(({ URL }) => URL !== '') ? { ...COLUMNS, URL: 'URL' } : COLUMNS;
  return formatListing({ columns, headers: HEADERS, rows, json: 'lines' }, at.format);
};

/** The best URL of each service that has one. A resolver that says nothing does not hold the list up. */
const urlsOf = async (context: CliContext, stack: string): Promise<ServiceUrls> => {
  const { signal } = context.interrupts;
  try {
    return await (await context.engine()).listUrls(stack, AbortSignal.any([signal, AbortSignal.timeout(URLS_MS)]));
  } catch {
    signal.throwIfAborted();
    return new Map();
  }
};

const URLS_MS = 1_500;

const wantedStates = (flags: Flags): readonly string[] => {
  const filters = flags.list('filter').map((filter) => {
    const [key, value] = filter.split('=', 2);
    if (key !== 'status' || value === undefined) {
      throw new HyprError('HYPR_USAGE', `invalid filter '${key}': --filter does not know "${filter}"`, {
        hint: 'of a stack the only filter is status=STATE; those of docker ps are for all stacks: hypr container ls',
      });
    }
    return value;
  });
  const states = [...flags.list('status'), ...filters];
  const unknown = states.find((state) => !STATES.includes(state));
  if (unknown !== undefined) {
    throw new HyprError('HYPR_USAGE', `--status does not know "${unknown}"`, { hint: `states are: ${STATES.join(', ')}` });
  }
  return states;
};

const isWanted = (replica: ReplicaStatus, states: readonly string[], all: boolean): boolean => {
  if (states.length > 0) {
    return states.includes(replica.state) || states.includes(psState(replica));
  }
  return all || !['created', 'exited', 'dead'].includes(replica.state);
};
