import { labelsOf } from '../../engine/docker/shapes/container.ts';
import { stateWord } from '../../engine/docker/shapes/status.ts';
import { DOWN_DEFAULTS } from '../../engine/model/option-defaults.ts';
import type { ReplicaDetail } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { confirm } from '../core/confirm.ts';
import { openStack } from '../core/project.ts';
import { compileFilters, labelJudges, untilJudge } from '../format/filters.ts';

const QUESTION = 'WARNING! This will remove all machines that stand alone and do not run.\nAre you sure you want to continue? [y/N] ';

/** docker's `container prune`: machines of `hypr run` and `create` that have ended or never ran. Replicas go with their stacks. */
export const runContainerPrune: Handler = async (invocation) => {
  const { context, flags } = invocation;
  const matches = compileFilters<ReplicaDetail>(flags.list('filter'), {
    ...labelJudges(labelsOf),
    ...untilJudge<ReplicaDetail>(flags.list('filter'), context.now(), ({ status }) => status.createdAt),
  });
  if (!flags.bool('force') && !(await confirm(context, QUESTION, 'hypr container prune --force'))) {
    return 0;
  }
  const machines = (await (await context.engine()).openObjects())
    .replicas()
    .filter((detail) => detail.standalone && ['created', 'exited', 'dead'].includes(stateWord(detail.status)) && matches(detail));
  for (const { stack } of machines) {
    await openStack(invocation, stack, (opened) =>
      opened.down(undefined, { ...DOWN_DEFAULTS, removeOrphans: true, timeout: 0 }, () => {}, context.interrupts.signal),
    );
  }
  const list = machines.length === 0 ? '' : `Deleted Containers:\n${machines.map(({ status }) => `${status.id}\n`).join('')}\n`;
  context.stdout.write(`${list}Total reclaimed space: 0B\n`);
  return 0;
};
