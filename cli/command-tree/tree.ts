import type { CommandSpec } from '../core/command-spec.ts';
import { imageCommands } from './build.ts';
import { completionCommands } from './completion.ts';
import { composeOnlyCommands } from './compose-images.ts';
import { inspectCommands } from './inspect.ts';
import { lifecycleCommands } from './lifecycle.ts';
import { dockerContainer, machineCommands } from './machines.ts';
import { objectCommands, seedCommands } from './objects.ts';
import { hostCommands, stackCommands, versionCommand } from './other.ts';
import { composeRun, dockerCreate, dockerRun, replicaCommands } from './run.ts';
import { settingsCommands } from './settings.ts';
import { systemCommands } from './system.ts';

const shared: readonly CommandSpec[] = [...lifecycleCommands, ...inspectCommands, ...replicaCommands, ...stackCommands, versionCommand];

/** `hypr` itself: every compose command at the top, docker's image commands, and `hypr compose …`. */
export const rootCommand: CommandSpec = {
  name: 'hypr',
  usage: '[OPTIONS] COMMAND',
  summary: 'docker compose, with a microVM per service',
  examples: [
    'hypr up -d               start the stack of compose.yaml',
    'hypr ps                  see what runs',
    'hypr logs -f web         follow the logs of a service',
    'hypr exec web sh         a shell in a service',
    'hypr down                stop and remove everything but volumes',
    'hypr doctor              check this host',
  ],
  commands: [
    ...shared.filter(({ name }) => name !== 'create'),
    dockerCreate,
    dockerRun,
    dockerContainer(shared),
    ...machineCommands,
    ...imageCommands,
    ...systemCommands,
    ...objectCommands,
    ...hostCommands,
    ...seedCommands,
    ...settingsCommands,
    ...completionCommands(() => rootCommand),
    {
      name: 'compose',
      usage: '[OPTIONS] COMMAND',
      summary: 'The same commands as docker compose has them (alias docker=hypr)',
      commands: [...shared, composeRun, ...composeOnlyCommands],
    },
  ],
};
