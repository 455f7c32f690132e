import type { Project } from '../../compose/model/model.ts';
import type { DownOptions } from '../../engine/model/types.ts';
import type { Handler } from '../core/command-spec.ts';
import { say } from '../core/output.ts';
import { checkServices, isSet, projectEnv, withStack } from '../core/project.ts';
import { createRenderer } from '../render/create.ts';
import { feedEvent } from '../render/types.ts';
import { endProviders } from './providers.ts';
import { servicesOf } from './verbs.ts';

/** `down`: stops and removes; on a terminal it lists the data that `-v` removes. */
export const runDown: Handler = async (invocation) => {
  const { context, args, flags } = invocation;
  return withStack(invocation, async (stack, project) => {
    const options: DownOptions = {
      services: args,
      volumes: flags.bool('volumes'),
      removeImages: flags.choice('rmi', ['local', 'all']) ?? 'none',
      removeOrphans: flags.bool('remove-orphans') || isSet(projectEnv(context, project), 'COMPOSE_REMOVE_ORPHANS'),
      timeout: flags.int('timeout'),
    };
    if (args.length > 0) {
      checkServices(args, project ? { ...project.services, ...project.disabledServices } : await servicesOf(stack));
    }
    if (options.volumes && context.stderr.isTTY && project) {
      sayLoss(context, project);
    }
    const renderer = await createRenderer(context, flags, 'down');
    try {
      await stack.down(project, options, (event) => feedEvent(renderer, event), context.interrupts.signal);
    } finally {
      renderer.close();
    }
    await endProviders(invocation, project, 'down');
    return 0;
  });
};

const sayLoss = (context: Parameters<typeof say>[0], project: Project): void => {
  const names = Object.values(project.volumes)
    // A host folder that backs a volume is not removed.
    .filter((volume) => !volume.external && volume.driver_opts?.device === undefined)
    .map((volume) => volume.name);
  if (names.length > 0) {
    say(context, `Removing volumes with their data: ${names.sort().join(', ')}`);
  }
};
