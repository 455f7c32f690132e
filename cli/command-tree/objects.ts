import type { CommandSpec } from '../core/command-spec.ts';
import { bool, type FlagSpec, list, string } from '../core/flag-spec.ts';
import { network } from './network.ts';
import { refusedCommand } from './refusal.ts';

const listFlags = (filters: string): readonly FlagSpec[] => [
  string('format', 'table, json, or a Go template', { value: 'FORMAT' }),
  list('f,filter', `Only those that match (${filters})`, { value: 'KEY=VALUE' }),
];

const inspectFormat = string('f,format', 'json, or a Go template', { value: 'FORMAT' });

const inspectSize = bool('s,size', 'Sizes of files', { ignored: 'the sizes of all are told by: hypr system df' });

const volumeLs: CommandSpec = {
  name: 'ls',
  usage: '[OPTIONS]',
  summary: 'List the named volumes of all stacks',
  flags: [...listFlags('name=, label=, dangling=true'), bool('q,quiet', 'Print names only')],
  maxArgs: 0,
  load: async () => (await import('../commands/volume.ts')).runVolumeLs,
};

const volumeRm: CommandSpec = {
  name: 'rm',
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  summary: 'Remove volumes that no replica has, with their data',
  flags: [bool('f,force', 'Ignore volumes that do not exist')],
  minArgs: 1,
  load: async () => (await import('../commands/volume.ts')).runVolumeRm,
};

const volume: CommandSpec = {
  name: 'volume',
  usage: 'COMMAND',
  summary: 'Commands on volumes: ls, inspect, create, export, import, rm, prune',
  commands: [
    volumeLs,
    { ...volumeLs, name: 'list', hidden: true },
    {
      name: 'inspect',
      usage: '[OPTIONS] VOLUME [VOLUME...]',
      summary: 'Print details of volumes as JSON',
      flags: [inspectFormat],
      minArgs: 1,
      load: async () => (await import('../commands/volume.ts')).runVolumeInspect,
    },
    {
      name: 'create',
      usage: '[OPTIONS] NAME',
      summary: 'Make a volume, for Compose files that say external: true',
      flags: [
        list('label', 'Label of the volume', { value: 'KEY=VALUE' }),
        string('d,driver', 'local', { value: 'DRIVER' }),
        string('name', 'Old form of NAME', { hidden: true }),
        list('o,opt', 'Option of the driver', {
          value: 'KEY=VALUE',
          refused: 'write driver_opts into the Compose file that uses the volume',
        }),
      ],
      maxArgs: 1,
      load: async () => (await import('../commands/volume.ts')).runVolumeCreate,
    },
    {
      name: 'export',
      usage: '[OPTIONS] VOLUME',
      summary: 'Write what a volume holds as a tar, also while it is in use',
      flags: [string('o,output', 'Write to a file, instead of STDOUT', { value: 'FILE' })],
      minArgs: 1,
      maxArgs: 1,
      load: async () => (await import('../commands/volume-archive.ts')).runVolumeExport,
    },
    {
      name: 'import',
      usage: 'VOLUME [FILE]',
      summary: 'Unpack a tar (of STDIN: -) into a volume, also while it is in use',
      minArgs: 1,
      maxArgs: 2,
      load: async () => (await import('../commands/volume-archive.ts')).runVolumeImport,
    },
    volumeRm,
    { ...volumeRm, name: 'remove', hidden: true },
    {
      name: 'prune',
      usage: '[OPTIONS]',
      summary: 'Remove volumes that nothing uses',
      flags: [
        bool('a,all', 'Also named volumes that no replica has'),
        list('filter', 'Only those that match: label=, label!=, all=', { value: 'KEY=VALUE' }),
        bool('f,force', 'Do not ask'),
      ],
      maxArgs: 0,
      load: async () => (await import('../commands/volume.ts')).runVolumePrune,
    },
    { ...refusedCommand('update', "docker's volume update", 'it is for volumes of a cluster'), hidden: true },
  ],
};

const gpu: CommandSpec = {
  name: 'gpu',
  usage: 'COMMAND',
  summary: 'GPUs and other cards of the host that machines can have',
  commands: ['list', 'ls'].map((name) => ({
    name,
    usage: '[OPTIONS]',
    summary: 'List GPUs of this host, and whether a machine can have them',
    flags: [bool('a,all', 'All PCI cards'), string('format', 'table, json, or a Go template', { value: 'FORMAT' })],
    maxArgs: 0,
    hidden: name === 'ls',
    load: async () => (await import('../commands/gpu.ts')).runGpuList,
  })),
};

/** `container inspect`. */
export const replicaInspect: CommandSpec = {
  name: 'inspect',
  usage: '[OPTIONS] REPLICA [REPLICA...]',
  summary: 'Print details of replicas as JSON',
  flags: [inspectFormat, inspectSize],
  minArgs: 1,
  load: async () => (await import('../commands/inspect.ts')).runReplicaInspect,
};

/** Docker's own commands on networks, volumes and other objects of stacks. */
export const objectCommands: readonly CommandSpec[] = [
  volume,
  network,
  gpu,
  {
    ...replicaInspect,
    usage: '[OPTIONS] NAME|ID [NAME|ID...]',
    summary: 'Print details of replicas, images, networks and volumes as JSON',
    examples: [
      'hypr inspect shop-db-1',
      "hypr inspect -f '{{.State.Health.Status}}' shop-db-1",
      "hypr inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' shop-db-1",
    ],
    flags: [inspectFormat, string('type', 'container, image, network or volume', { value: 'TYPE' }), inspectSize],
    load: async () => (await import('../commands/inspect.ts')).runObjectInspect,
  },
];

const sockets = "each stack's supervisor has its API on a unix socket (docs/architecture.md, The API)";

/** What the seeds and HYPR have names for, and hypr does not do. */
export const seedCommands: readonly CommandSpec[] = [
  refusedCommand('ingress', 'Names in the browser', 'every stack has names by itself; use: hypr url, hypr proxy status'),
  ...['api', 'daemon', 'hyprd'].map((name) =>
    refusedCommand(
      name,
      'A daemon',
      `there is no daemon; docker's API and a JSON API are there on demand: hypr serve --rest 41001; ${sockets}`,
    ),
  ),
  refusedCommand('debug', 'Debugging', 'there is no such command; use: hypr doctor, hypr inspect, hypr network inspect'),
].map((command) => ({ ...command, hidden: true }));
