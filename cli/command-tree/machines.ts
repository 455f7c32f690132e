import type { CommandSpec } from '../core/command-spec.ts';
import { bool, int, list, string } from '../core/flag-spec.ts';
import { replicaInspect } from './objects.ts';
import { dockerCreate, dockerRun } from './run.ts';

const NO_OTHER_LIMITS = 'a machine has a kernel of its own, and is limited by its memory and its processors';

const update: CommandSpec = {
  name: 'update',
  usage: '[OPTIONS] NAME [NAME...]',
  summary: 'Change the restart policy of machines, and the size of those that do not run',
  examples: ['hypr update --restart unless-stopped web', 'hypr stop web && hypr update -m 1g --cpus 2 web && hypr start web'],
  flags: [
    string('restart', 'no, on-failure[:N], always, unless-stopped: at once', { value: 'POLICY' }),
    string('m,memory', 'Memory, from the next start on', { value: 'BYTES' }),
    string('cpus', 'Processors, from the next start on', { value: 'N' }),
    int('cpu-quota', 'Old form of --cpus: microseconds of --cpu-period', { value: 'N', hidden: true }),
    int('cpu-period', 'Microseconds (default: 100000)', { value: 'N', hidden: true }),
    ...['memory-swap', 'memory-reservation'].map((name) => string(name, '', { hidden: true, ignored: 'a machine has no swap' })),
    ...['blkio-weight', 'c,cpu-shares', 'cpuset-cpus', 'cpuset-mems', 'cpu-rt-period', 'cpu-rt-runtime', 'pids-limit'].map((name) =>
      string(name, '', { hidden: true, refused: NO_OTHER_LIMITS }),
    ),
  ],
  minArgs: 1,
  load: async () => (await import('../commands/update.ts')).runUpdate,
};

/** docker's commands on a machine that docker compose has not. */
export const machineCommands: readonly CommandSpec[] = [
  {
    name: 'rename',
    usage: 'NAME NEW_NAME',
    summary: 'Give a machine that stands alone and does not run another name',
    minArgs: 2,
    maxArgs: 2,
    load: async () => (await import('../commands/rename.ts')).runRename,
  },
  update,
  {
    name: 'diff',
    usage: 'NAME',
    summary: 'List what a machine changed on its disk: A added, C changed, D deleted',
    minArgs: 1,
    maxArgs: 1,
    load: async () => (await import('../commands/diff.ts')).runDiff,
  },
];

/** docker's names under `container` that are commands of hypr's as well. */
const SAME = [
  ...['attach', 'commit', 'cp', 'exec', 'export', 'kill', 'logs', 'pause', 'port', 'restart', 'rm', 'start', 'stats', 'stop'],
  ...['top', 'unpause', 'wait'],
];

/** `hypr container X`: docker's long form of `hypr X`; `ls` is that of docker wherever it is called. */
export const dockerContainer = (shared: readonly CommandSpec[]): CommandSpec => {
  const ps = shared.find(({ name }) => name === 'ps');
  const ls: CommandSpec = {
    name: 'ls',
    usage: '[OPTIONS]',
    summary: 'List the machines of all stacks',
    ...(ps?.flags === undefined ? {} : { flags: ps.flags }),
    maxArgs: 0,
    load: async () => (await import('../commands/ps-all.ts')).printAllMachines,
  };
  return {
    name: 'container',
    usage: 'COMMAND',
    summary: "docker's long forms: container ls, container logs, …",
    hidden: true,
    commands: [
      ls,
      { ...ls, name: 'list', hidden: true },
      { ...ls, name: 'ps', hidden: true },
      replicaInspect,
      { ...dockerCreate, minArgs: 1 },
      dockerRun,
      ...machineCommands,
      ...shared.filter(({ name }) => SAME.includes(name)),
      {
        name: 'prune',
        usage: '[OPTIONS]',
        summary: 'Remove machines that stand alone and have ended',
        flags: [bool('f,force', 'Do not ask'), list('filter', 'Only those that match: label=, label!=, until=', { value: 'KEY=VALUE' })],
        maxArgs: 0,
        load: async () => (await import('../commands/container-prune.ts')).runContainerPrune,
      },
    ],
  };
};
