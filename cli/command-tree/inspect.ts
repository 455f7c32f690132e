import type { CommandSpec } from '../core/command-spec.ts';
import { bool, int, list, string } from '../core/flag-spec.ts';

const quiet = bool('q,quiet', 'Print ids only');
const index = int('index', 'Which replica, counting from 1', { value: 'N' });
const format = string('format', 'table, json, or a Go template', { value: 'FORMAT' });

export const inspectCommands: readonly CommandSpec[] = [
  {
    name: 'ps',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'List the replicas of the stack',
    examples: ['hypr ps -a', "hypr ps --format '{{.Name}} {{.Addresses}} {{.Ports}}'"],
    flags: [
      bool('a,all', 'Stopped ones, too'),
      format,
      quiet,
      bool('services', 'Print names of services'),
      list('status', 'Only those in this state', { value: 'STATE' }),
      list('filter', 'Only those that match: status=running; of all stacks: label=KEY=VALUE, name=, id=', { value: 'KEY=VALUE' }),
      bool('no-trunc', 'Do not shorten'),
      bool('orphans', 'Include services that are no longer in the file (default)'),
    ],
    load: async () => (await import('../commands/ps.ts')).runPs,
  },
  {
    name: 'logs',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'Show what services wrote',
    examples: ['hypr logs -f web', 'hypr logs --since 10m -t'],
    flags: [
      bool('f,follow', 'Go on as more comes'),
      string('n,tail', 'Lines per replica, or all', { value: 'LINES' }),
      string('since', 'From then on: 10m, or a time', { value: 'TIME' }),
      string('until', 'Up to then', { value: 'TIME' }),
      bool('t,timestamps', 'Show the time of each line'),
      bool('no-color', 'No colours'),
      bool('no-log-prefix', 'No names before the lines'),
      index,
    ],
    load: async () => (await import('../commands/logs.ts')).runLogs,
  },
  {
    name: 'ls',
    usage: '[OPTIONS]',
    summary: 'List stacks',
    flags: [
      bool('a,all', 'Stopped ones, too'),
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
    usage: '[OPTIONS] SERVICE PRIVATE_PORT',
    summary: 'Print where a port of a service is published',
    flags: [index, string('protocol', 'tcp or udp', { value: 'PROTOCOL' })],
    minArgs: 2,
    maxArgs: 2,
    load: async () => (await import('../commands/port.ts')).runPort,
  },
  {
    name: 'url',
    usage: '[OPTIONS] [SERVICE]',
    summary: 'Print the address of a service that works now',
    examples: ['hypr url', 'hypr url web --format json', 'curl -s "$(hypr url api --port 3000)"'],
    flags: [
      int('port', 'Port in the service, instead of the one for browsers', { value: 'N' }),
      string('format', 'text or json', { value: 'FORMAT' }),
    ],
    maxArgs: 1,
    load: async () => (await import('../commands/url.ts')).runUrl,
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
      bool('a,all', 'Stopped ones, too'),
      string('format', 'table, json, or a Go template', { value: 'FORMAT' }),
      bool('no-stream', 'Print once'),
      bool('no-trunc', 'Do not shorten'),
    ],
    load: async () => (await import('../commands/stats.ts')).runStats,
  },
  {
    name: 'events',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'Print what happens to replicas, as it happens',
    flags: [
      bool('json', 'One JSON object per line'),
      string('format', 'json: the same', { value: 'FORMAT' }),
      string('since', 'Earlier events', { value: 'TIME', refused: 'events are not kept; they are shown from now on' }),
      string('until', 'End then', { value: 'TIME' }),
    ],
    load: async () => (await import('../commands/events.ts')).runEvents,
  },
  {
    name: 'exec',
    usage: '[OPTIONS] SERVICE COMMAND [ARGS...]',
    summary: 'Run a command in a running service',
    examples: ['hypr exec web sh', 'hypr exec -T db pg_dump -U postgres app > app.sql'],
    flags: [
      bool('d,detach', 'Do not wait for its end'),
      list('e,env', 'Set a variable', { value: 'KEY=VALUE' }),
      string('u,user', 'Run as this user', { value: 'USER' }),
      string('w,workdir', 'Run in this folder', { value: 'DIR' }),
      bool('T,no-tty', 'No terminal (default when not on one)'),
      bool('privileged', 'With all capabilities'),
      index,
      bool('i,interactive', 'Keep standard input open (default)', { hidden: true }),
      bool('t,tty', 'With a terminal (default on one)', { hidden: true }),
    ],
    minArgs: 2,
    passThrough: true,
    load: async () => (await import('../commands/exec.ts')).runExec,
  },
];
