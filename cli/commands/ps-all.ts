import { HyprError } from '../../base/errors.ts';
import { labelsOf } from '../../engine/docker/shapes/container.ts';
import { shortId } from '../../engine/docker/shapes/names.ts';
import { psState } from '../../engine/docker/shapes/status.ts';
import type { ReplicaDetail } from '../../engine/model/types.ts';
import type { Invocation } from '../core/command-spec.ts';
import { compileFilters, hasLabel, type Judges } from '../format/filters.ts';
import { formatListing } from '../format/output.ts';
import { psRow } from '../format/replica.ts';

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

/** docker's filters that compose's `ps` does not have, and its status. */
const JUDGES: Judges<ReplicaDetail> = {
  label: (replica, value) => hasLabel(labelsOf(replica), value),
  // As docker: any part of the name.
  name: ({ status }, value) => patternOf(value).test(status.name),
  id: ({ status }, value) => status.id.startsWith(value),
  status: ({ status }, value) => status.state === value || psState(status) === value,
};

/** Whether these filters are docker's, so that all stacks are meant. */
export const hasDockerFilter = (filters: readonly string[]): boolean => filters.some((filter) => /^(label|name|id)=/.test(filter));

/** docker's `ps`: the machines of all stacks, one-offs too, the newest first. */
export const printAllMachines = async ({ context, flags }: Invocation): Promise<number> => {
  const objects = await (await context.engine()).openObjects();
  const filters = flags.list('filter');
  const matches = compileFilters(filters, JUDGES);
  const all = flags.bool('all') || filters.some((filter) => filter.startsWith('status='));
  const shown = objects
    .replicas()
    .filter(matches)
    .filter(({ status }) => all || !['created', 'exited', 'dead'].includes(psState(status)))
    .sort((a, b) => b.status.createdAt - a.status.createdAt);
  const noTrunc = flags.bool('no-trunc');
  if (flags.bool('quiet')) {
    context.stdout.write(shown.map(({ status }) => `${noTrunc ? status.id : shortId(status.id)}\n`).join(''));
    return 0;
  }
  const rows = shown.map(({ status, stack }) => psRow(status, { stack, now: context.now(), noTrunc }));
  context.stdout.write(formatListing({ columns: COLUMNS, headers: HEADERS, rows, json: 'lines' }, flags.string('format')));
  return 0;
};

const patternOf = (text: string): RegExp => {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new HyprError('HYPR_USAGE', `--filter: "${text}" is not a regular expression`, { cause: error });
  }
};
