import type { CommandSpec } from '../core/command-spec.ts';
import { bool, type FlagSpec, int, list, string } from '../core/flag-spec.ts';

const quiet = bool('q,quiet', 'Print ids only');
const index = int('index', 'Which replica, counting from 1', { value: 'N' });
const format = string('format', 'table, json, or a Go template', { value: 'FORMAT' });

const eventFilter = list('f,filter', 'Only those that match: container=, event=, image=, label=, network=, type=, volume=', {
  value: 'KEY=VALUE',
});
const eventTimes: readonly FlagSpec[] = [
  string('since', 'Earlier ones, too: a time, or how long ago', { value: 'TIME' }),
  string('until', 'Stop at this time; a past one ends it at once', { value: 'TIME' }),
];

/** docker's, of all stacks. */
export const systemEvents: CommandSpec = {
  name: 'events',
  usage: '[OPTIONS]',
  summary: 'Print events of all stacks, as they happen and earlier ones',
  flags: [string('format', 'json, or a Go template', { value: 'FORMAT' }), eventFilter, ...eventTimes],
  maxArgs: 0,
  load: async () => (await import('../commands/events.ts')).runSystemEvents,
};

export const inspectCommands: readonly CommandSpec[] = [
  {
    name: 'ps',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'List the machines of all stacks (of one stack: hypr compose ps)',
    examples: [
      'hypr ps -a',
      'hypr compose ps      replicas of the stack of this folder, with their addresses',
      "hypr ps --format '{{.Name}} {{.Addresses}} {{.Ports}}'",
    ],
    flags: [
      bool('a,all', 'Include stopped ones'),
      format,
      quiet,
      bool('services', 'Print names of services'),
      list('status', 'Only those in this state', { value: 'STATE' }),
      list('f,filter', 'Only those that match: status=running; of all stacks: label=KEY=VALUE, name=, id=', { value: 'KEY=VALUE' }),
      bool('no-trunc', 'Do not shorten'),
      int('n,last', 'Of all stacks: this many, the newest first, in any state', { value: 'N' }),
      bool('l,latest', 'Of all stacks: the newest, in any state'),
      bool('s,size', 'Sizes of files', { ignored: 'the sizes of all are told by: hypr system df' }),
      bool('orphans', 'Include services that are no longer in the file (default)'),
    ],
    load: async () => (await import('../commands/ps.ts')).runPs,
  },
  {
    name: 'why',
    usage: '[SERVICE...]',
    summary: 'Say why services do not run or are not ready: what they wait for, how they ended, what they said last',
    examples: ['hypr why', 'hypr why web'],
    load: async () => (await import('../commands/why.ts')).runWhy,
  },
  {
    name: 'logs',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'Show the logs of services',
    examples: ['hypr logs -f web', 'hypr logs --since 10m -t', 'hypr logs shop-web-run-1f2e3d (a replica, also one that is gone)'],
    flags: [
      bool('f,follow', 'Follow the output'),
      string('n,tail', 'Number of last lines to show of each replica, or all', { value: 'LINES' }),
      string('since', 'Show what was written since then: 10m, or a time', { value: 'TIME' }),
      string('until', 'Show what was written before then', { value: 'TIME' }),
      bool('t,timestamps', 'Show the time of each line'),
      bool('no-color', 'No colours'),
      bool('no-log-prefix', 'No names before the lines'),
      bool('details', 'Of a machine by its name: its attributes before each line, of which there are none', { hidden: true }),
      index,
    ],
    load: async () => (await import('../commands/logs.ts')).runLogs,
  },
  {
    name: 'ls',
    usage: '[OPTIONS]',
    summary: 'List stacks',
    flags: [
      bool('a,all', 'Include stopped ones'),
      string('format', 'table or json', { value: 'FORMAT' }),
      list('filter', 'Only those that match (name=REGEXP)', { value: 'KEY=VALUE' }),
      bool('q,quiet', 'Print names only'),
    ],
    maxArgs: 0,
    load: async () => (await import('../commands/ls.ts')).runLs,
  },
  {
    name: 'volumes',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'List the named volumes of the stack',
    flags: [format, bool('q,quiet', 'Print names only')],
    load: async () => (await import('../commands/volumes.ts')).runVolumes,
  },
  {
    name: 'port',
    usage: '[OPTIONS] SERVICE|NAME [PRIVATE_PORT]',
    summary: 'Print where a port of a service is published; of a machine by its name all of them',
    flags: [index, string('protocol', 'tcp or udp', { value: 'PROTOCOL' })],
    minArgs: 1,
    maxArgs: 2,
    load: async () => (await import('../commands/port.ts')).runPort,
  },
  {
    name: 'url',
    usage: '[OPTIONS] [SERVICE]',
    summary: 'Print an address at which a service can be reached now',
    examples: ['hypr url', 'hypr url web --format json', 'curl -s "$(hypr url api --port 3000)"'],
    flags: [
      int('port', 'Port in the service, instead of the one for browsers', { value: 'N' }),
      string('format', 'text or json', { value: 'FORMAT' }),
    ],
    maxArgs: 1,
    load: async () => (await import('../commands/url.ts')).runUrl,
  },
  {
    name: 'open',
    usage: '[OPTIONS] [SERVICE]',
    summary: 'Open a service in the browser',
    examples: ['hypr open', 'hypr open web', 'hypr open api --port 3000 --browser firefox'],
    flags: [
      int('port', 'Port in the service, instead of the one for browsers', { value: 'N' }),
      string('browser', 'chromium, chrome, edge, brave, vivaldi or firefox, with a profile that knows the names', { value: 'NAME' }),
    ],
    maxArgs: 1,
    load: async () => (await import('../commands/open.ts')).runOpen,
  },
  {
    name: 'top',
    usage: '[SERVICES...]',
    summary: 'List the processes in services',
    load: async () => (await import('../commands/top.ts')).runTop,
  },
  {
    name: 'stats',
    usage: '[OPTIONS] [SERVICE]',
    summary: 'Show what services use: processor, memory, network, disk',
    flags: [
      bool('a,all', 'Include stopped ones'),
      string('format', 'table, json, or a Go template', { value: 'FORMAT' }),
      bool('no-stream', 'Print once'),
      bool('no-trunc', 'Do not shorten'),
    ],
    load: async () => (await import('../commands/stats.ts')).runStats,
  },
  {
    name: 'events',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'Print events of replicas, as they happen and earlier ones; without a Compose file, those of all stacks',
    flags: [
      bool('json', 'One JSON object per line'),
      string('format', 'json: the same; or a Go template', { value: 'FORMAT' }),
      eventFilter,
      ...eventTimes,
    ],
    load: async () => (await import('../commands/events.ts')).runEvents,
  },
  {
    name: 'exec',
    usage: '[OPTIONS] SERVICE COMMAND [ARGS...]',
    summary: 'Run a command in a running service',
    examples: ['hypr exec web sh', 'hypr exec -T db pg_dump -U postgres app > app.sql'],
    flags: [
      bool('d,detach', 'Run in the background'),
      list('e,env', 'Set a variable', { value: 'KEY=VALUE' }),
      string('u,user', 'Run as this user', { value: 'USER' }),
      string('w,workdir', 'Run in this folder', { value: 'DIR' }),
      list('env-file', 'Set variables from a file', { value: 'FILE' }),
      string('detach-keys', 'Keys that leave the program running', {
        value: 'KEYS',
        hidden: true,
        refused: 'a program of exec ends with its client; start it in the background: exec -d',
      }),
      bool('T,no-tty', 'Allocate no terminal (default when not on one)'),
      bool('privileged', 'Give all capabilities'),
      index,
      bool('i,interactive', 'Keep standard input open (default)', { hidden: true }),
      bool('t,tty', 'Allocate a terminal (default on one)', { hidden: true }),
    ],
    minArgs: 2,
    passThrough: true,
    load: async () => (await import('../commands/exec.ts')).runExec,
  },
];
