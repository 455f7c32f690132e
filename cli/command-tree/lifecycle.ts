import type { CommandSpec } from '../core/command-spec.ts';
import { bool, type FlagSpec, int, list, string } from '../core/flag-spec.ts';
import { PORT_MODES } from '../core/modes.ts';

const timeout = int('t,timeout', 'Seconds to wait for a service to stop by itself', { value: 'SECONDS' });
const waitFlags = [
  bool('wait', 'Return when services run or are healthy'),
  int('wait-timeout', 'Give up waiting after this many seconds', { value: 'SECONDS' }),
];
const yes = bool('y,yes', 'Answer yes to every question: whether a volume whose configuration changed is made anew');

const portsFlag = string('ports', 'What to do when a published port is taken: fixed (fail) or auto (the next free one)', {
  value: 'MODE',
  words: PORT_MODES,
});

export const createFlags: readonly FlagSpec[] = [
  bool('build', 'Build images first'),
  bool('no-build', 'Never build, even if an image is missing'),
  string('pull', 'Pull images first: always, missing, never, policy', { value: 'WHEN' }),
  bool('quiet-pull', 'No progress of pulls'),
  bool('force-recreate', 'Recreate machines even if nothing changed'),
  bool('no-recreate', 'Leave machines that exist as they are'),
  bool('remove-orphans', 'Remove machines of services that are no longer in the file'),
  list('scale', 'Number of replicas of a service', { value: 'SERVICE=N' }),
  portsFlag,
  yes,
];

const upFlags: readonly FlagSpec[] = [
  bool('d,detach', 'Leave everything running in the background'),
  ...createFlags,
  bool('quiet-build', 'No progress of builds'),
  bool('always-recreate-deps', 'Recreate dependencies as well'),
  bool('V,renew-anon-volumes', 'New anonymous volumes instead of the old data'),
  bool('no-deps', 'Leave dependencies alone'),
  bool('no-start', 'Create machines, start none'),
  timeout,
  bool('abort-on-container-exit', 'Stop everything when one service ends'),
  bool('abort-on-container-failure', 'Stop everything when one service fails'),
  string('exit-code-from', 'Exit with the code of this service', { value: 'SERVICE' }),
  list('attach', 'Show the logs of this service only', { value: 'SERVICE' }),
  list('no-attach', 'Do not show the logs of this service', { value: 'SERVICE' }),
  bool('attach-dependencies', 'Show the logs of dependencies as well'),
  ...waitFlags,
  bool('menu', 'The dashboard, as --ui'),
  bool('ui', 'Show the dashboard (default on a terminal)'),
  bool('no-ui', 'Show a plain stream of logs'),
  bool('stream', 'As --no-ui'),
  bool('timestamps', 'Show the time of each log line'),
  bool('no-color', 'No colours in logs'),
  bool('no-log-prefix', 'No names before log lines'),
  bool('w,watch', 'Keep services up to date with their develop.watch (not with -d)'),
];

const stopSignal = string('s,signal', 'Signal to stop with', {
  hidden: true,
  refused: 'a machine is stopped with the signal that it was created with (--stop-signal); kill sends any other',
});

export const lifecycleCommands: readonly CommandSpec[] = [
  {
    name: 'up',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'Create and start services, each in a machine of its own',
    examples: [
      'hypr up                  start everything and watch it',
      'hypr up -d --wait        start in the background, return when healthy',
      'hypr up --build web      build and start web and what it needs',
      'hypr up --dry-run        print what would be done',
    ],
    flags: upFlags,
    dryRun: true,
    load: async () => (await import('../commands/up/up.ts')).runUp,
  },
  {
    name: 'create',
    usage: '[OPTIONS] [SERVICE...]',
    summary: 'Create machines without starting them',
    flags: createFlags,
    dryRun: true,
    load: async () => (await import('../commands/up/up.ts')).runCreate,
  },
  {
    name: 'down',
    usage: '[OPTIONS] [SERVICES]',
    summary: 'Stop and remove machines and networks',
    examples: ['hypr down          volumes stay', 'hypr down -v       volumes and their data go, too'],
    flags: [
      bool('v,volumes', 'Remove named and anonymous volumes, with their data'),
      string('rmi', 'Remove images: local (without a name of their own) or all', { value: 'WHICH' }),
      bool('remove-orphans', 'Remove machines of services that are no longer in the file'),
      timeout,
    ],
    load: async () => (await import('../commands/down.ts')).runDown,
  },
  verb('start', 'Start services that exist', [
    ...waitFlags,
    bool('a,attach', 'Of one machine by its name: show what it writes, and exit with its code'),
    bool('i,interactive', 'With --attach: also standard input'),
    string('detach-keys', 'With --attach: keys that detach', { value: 'KEYS' }),
  ]),
  verb('stop', 'Stop services, and keep their disks', [timeout, stopSignal]),
  verb('restart', 'Stop and start services', [timeout, bool('no-deps', 'Leave dependents alone'), stopSignal]),
  verb('kill', 'End services at once, or send them a signal', [
    string('s,signal', 'Signal to send', { value: 'SIGNAL' }),
    bool('remove-orphans', 'Remove machines of services that are no longer in the file', {
      refused: 'kill removes nothing; use: hypr down --remove-orphans',
    }),
  ]),
  verb('pause', 'Freeze services', []),
  verb('unpause', 'Continue frozen services', []),
  {
    ...verb('suspend', 'Save the whole stack to disk with its memory, and stop it', []),
    usage: '[OPTIONS]',
    maxArgs: 0,
    examples: ['hypr suspend      to disk', 'hypr resume       and on, where it was; hypr up does the same'],
  },
  { ...verb('resume', 'Continue a suspended stack where it was', []), usage: '[OPTIONS]', maxArgs: 0 },
  {
    ...verb('rm', 'Remove machines of services that are stopped', [
      bool('f,force', 'Do not ask'),
      bool('s,stop', 'Stop them first'),
      bool('v,volumes', 'Remove their anonymous volumes as well'),
      bool('l,link', 'Remove a link', { hidden: true, refused: 'there are no links: machines of a network reach each other by name' }),
    ]),
    load: async () => (await import('../commands/rm.ts')).runRm,
  },
  {
    name: 'scale',
    usage: '[SERVICE=REPLICAS...]',
    summary: 'Change the number of replicas',
    flags: [bool('no-deps', 'Leave dependencies alone'), portsFlag],
    minArgs: 1,
    load: async () => (await import('../commands/up/up.ts')).runScale,
  },
  {
    name: 'wait',
    usage: 'SERVICE [SERVICE...] [OPTIONS]',
    summary: 'Wait until the first of the services has ended and exit with its code',
    flags: [bool('down-project', 'Take the whole stack down afterwards')],
    minArgs: 1,
    load: async () => (await import('../commands/wait.ts')).runWait,
  },
];

function verb(name: string, summary: string, flags: readonly FlagSpec[]): CommandSpec {
  return { name, usage: '[OPTIONS] [SERVICE...]', summary, flags, load: async () => (await import('../commands/verbs.ts')).runVerb };
}
