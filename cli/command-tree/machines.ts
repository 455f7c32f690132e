import type { CommandSpec } from '../core/command-spec.ts';
import { bool, list } from '../core/flag-spec.ts';
import { replicaInspect } from './objects.ts';
import { refusedCommand } from './refusal.ts';
import { dockerCreate, dockerRun } from './run.ts';

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
        flags: [bool('f,force', 'Do not ask'), list('filter', 'Only those that match: label=, until=', { value: 'KEY=VALUE' })],
        maxArgs: 0,
        load: async () => (await import('../commands/container-prune.ts')).runContainerPrune,
      },
      refusedCommand('update', 'Change limits of a container', 'a machine has its size from its start on'),
    ],
  };
};
