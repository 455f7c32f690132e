import type { CommandSpec } from '../core/command-spec.ts';
import { bool, int, list, string } from '../core/flag-spec.ts';
import { systemEvents } from './inspect.ts';

const force = bool('f,force', 'Do not ask');
const until = list('filter', 'Remove only what is older: until=24h', { value: 'KEY=VALUE' });

/** `hypr image prune`, beside the other commands on images. */
export const imagePrune: CommandSpec = {
  name: 'prune',
  usage: '[OPTIONS]',
  summary: 'Remove images that nothing uses',
  flags: [
    bool('a,all', 'Also images with a name, unless a replica was made from them'),
    list('filter', 'Only those that match: until=, label=, label!=, dangling=', { value: 'KEY=VALUE' }),
    force,
  ],
  maxArgs: 0,
  load: async () => (await import('../commands/prune.ts')).runImagePrune,
};

/** `hypr builder prune`. */
export const builderPrune: CommandSpec = {
  name: 'prune',
  usage: '[OPTIONS]',
  summary: 'Remove the build cache',
  flags: [
    bool('a,all', 'Accepted; everything is removed'),
    until,
    force,
    string('keep-storage', 'Keep so much', { hidden: true, refused: 'the build cache is removed by age: --filter until=24h' }),
  ],
  maxArgs: 0,
  load: async () => (await import('../commands/prune.ts')).runBuilderPrune,
};

const info: CommandSpec = {
  name: 'info',
  usage: '[OPTIONS]',
  summary: 'Show counts, versions and this host, in the shape of docker info',
  flags: [string('f,format', 'json or a Go template', { value: 'FORMAT' })],
  maxArgs: 0,
  load: async () => (await import('../commands/info.ts')).runInfo,
};

const dockerApi: readonly CommandSpec[] = [
  {
    name: 'serve',
    usage: '[OPTIONS]',
    summary: "Serve docker's Engine API for docker's own clients, in the foreground",
    examples: [
      'hypr serve',
      'hypr serve --idle 10m',
      'hypr serve --rest 41001 --metrics 41002',
      'DOCKER_HOST=unix://$XDG_RUNTIME_DIR/hypr/docker.sock docker ps',
    ],
    flags: [
      string('idle', 'End after this time without a client', { value: '10m' }),
      string('port', 'TCP', {
        hidden: true,
        refused:
          "nothing listens on TCP: each stack's supervisor has its API on a unix socket (docs/architecture.md, The API), and docker's is one, too",
      }),
      int('rest', 'Also a JSON API on this port of 127.0.0.1, with a token (docs/docker-api.md)', { value: '41001' }),
      int('metrics', 'Also metrics of all stacks for Prometheus on this port of 127.0.0.1, with the token', { value: '41002' }),
      int('grpc', 'Also gRPC on this port of 127.0.0.1, with the token', { value: '41000' }),
      string('socket', 'Listen here instead of $XDG_RUNTIME_DIR/hypr/docker.sock', { value: 'PATH' }),
    ],
    maxArgs: 0,
    load: async () => (await import('../commands/serve.ts')).runServe,
  },
  {
    name: 'mcp',
    usage: '',
    summary: 'Serve the Model Context Protocol on standard input and output, for agents: list, logs, why, url, exec, up, down',
    examples: ['hypr mcp', '{"mcpServers": {"hypr": {"command": "hypr", "args": ["mcp"]}}}'],
    maxArgs: 0,
    load: async () => (await import('../commands/mcp.ts')).runMcp,
  },
  {
    name: 'with-docker',
    usage: '-- COMMAND [ARG...]',
    summary: 'Run a command whose docker is hypr',
    examples: ['hypr with-docker -- npx vitest', 'hypr with-docker -- docker ps'],
    minArgs: 1,
    passThrough: true,
    load: async () => (await import('../commands/serve.ts')).runWithDocker,
  },
];

/** Commands for hypr's disk usage, and what is here. */
export const systemCommands: readonly CommandSpec[] = [
  info,
  ...dockerApi,
  {
    name: 'system',
    usage: 'COMMAND',
    summary: 'Commands on the whole: df, events, info, prune, check',
    commands: [
      info,
      systemEvents,
      {
        name: 'df',
        usage: '[OPTIONS]',
        summary: 'Show what takes space on the disk',
        flags: [
          bool('v,verbose', 'Each image, machine, volume and piece of the build cache'),
          string('format', 'table, json, or a Go template', { value: 'FORMAT' }),
        ],
        maxArgs: 0,
        load: async () => (await import('../commands/system.ts')).runSystemDf,
      },
      {
        name: 'prune',
        usage: '[OPTIONS]',
        summary: 'Remove images and builds that nothing uses',
        flags: [
          bool('a,all', 'Also images with a name, unless a replica was made from them'),
          bool('volumes', 'Also anonymous volumes that no replica has'),
          list('filter', 'Only what matches: until=, label=, label!=', { value: 'KEY=VALUE' }),
          force,
        ],
        maxArgs: 0,
        load: async () => (await import('../commands/prune.ts')).runSystemPrune,
      },
      {
        name: 'check',
        usage: '[OPTIONS]',
        summary: 'Check every image, and the record of all stacks, against their digests',
        flags: [bool('repair', 'Make damaged parts again, and remove what cannot be; images are then pulled or built again by `up`')],
        maxArgs: 0,
        load: async () => (await import('../commands/system.ts')).runSystemCheck,
      },
    ],
  },
];
