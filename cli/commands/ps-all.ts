import { HyprError } from '../../base/errors.ts';
import { containerJudges } from '../../engine/docker/shapes/container-filters.ts';
import { shortId } from '../../engine/docker/shapes/names.ts';
import { psState } from '../../engine/docker/shapes/status.ts';
import type { ReplicaDetail } from '../../engine/model/types.ts';
import type { Invocation } from '../core/command-spec.ts';
import { noSuchMachine } from '../core/machines.ts';
import { checkServices } from '../core/project.ts';
import { compileFilters, nameJudge } from '../format/filters.ts';
import { formatListing } from '../format/output.ts';
import { psRow } from '../format/replica.ts';
import { configuredFormat } from './ps-format.ts';

const COLUMNS = {
  ID: 'CONTAINER ID',
  Image: 'IMAGE',
  Command: 'COMMAND',
  RunningFor: 'CREATED',
  Status: 'STATUS',
  Ports: 'PORTS',
  Names: 'NAMES',
};
const HEADERS = { CreatedAt: 'CREATED AT', State: 'STATE', Labels: 'LABELS', Mounts: 'MOUNTS', Networks: 'NETWORKS', Size: 'SIZE' };

/** Filters that docker compose's `ps` has not, so that all stacks are meant. */
const DOCKERS = /^(label|name|id|ancestor|before|since|exited|expose|publish|health|is-task|network|volume)=/;

export const hasDockerFilter = (filters: readonly string[]): boolean => filters.some((filter) => DOCKERS.test(filter));

/** docker's `ps`: the machines of all stacks (or of services of `only`), one-offs too, the newest first. */
export const printAllMachines = async ({ context, flags, args }: Invocation, only?: string): Promise<number> => {
  const objects = await (await context.engine()).openObjects();
  const meant = objects.replicas().filter(({ stack }) => only === undefined || stack === only);
  checkServices(args, Object.fromEntries(meant.map(({ status }) => [status.service, true])));
  const filters = [...flags.list('filter'), ...flags.list('status').map((state) => `status=${state}`)];
  const judges = containerJudges((reference) => objects.replicas(reference)[0]?.status.createdAt ?? fail(reference));
  const matches = compileFilters<ReplicaDetail>(filters, {
    ...judges,
    // hypr's own states, too. As docker: any part of the name, or a pattern.
    status: ({ status }, value) => status.state === value || psState(status) === checkState(value),
    name: nameJudge(({ status }) => status.name),
  });
  const last = flags.bool('latest') ? 1 : (flags.int('last') ?? 0);
  const all = flags.bool('all') || last > 0 || filters.some((filter) => /^(status|exited)=/.test(filter));
  const shown = meant
    .filter(({ status }) => args.length === 0 || args.includes(status.service))
    .filter(matches)
    .filter(({ status }) => all || !['created', 'exited', 'dead'].includes(psState(status)))
    .sort((a, b) => b.status.createdAt - a.status.createdAt)
    .slice(0, last > 0 ? last : undefined);
  const noTrunc = flags.bool('no-trunc');
  if (flags.bool('quiet')) {
    context.stdout.write(shown.map(({ status }) => `${noTrunc ? status.id : shortId(status.id)}\n`).join(''));
    return 0;
  }
  if (flags.bool('services')) {
    context.stdout.write([...new Set(shown.map(({ status }) => `${status.service}\n`))].join(''));
    return 0;
  }
  const rows = shown.map(({ status, stack }) => psRow(status, { stack, now: context.now(), noTrunc }));
  const format = flags.string('format') ?? (await configuredFormat(context));
  context.stdout.write(formatListing({ columns: COLUMNS, headers: HEADERS, rows, json: 'lines' }, format));
  return 0;
};

const STATES = ['created', 'restarting', 'running', 'removing', 'paused', 'suspended', 'exited', 'dead', 'starting', 'stopping'];

const checkState = (state: string): string => {
  if (!STATES.includes(state)) {
    throw new HyprError('HYPR_USAGE', `invalid filter 'status=${state}'`, { hint: `states are: ${STATES.join(', ')}` });
  }
  return state;
};

const fail = (name: string): never => {
  throw noSuchMachine(name);
};
