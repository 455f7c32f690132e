import type { CommandSpec } from '../core/command-spec.ts';
import { bool, type FlagSpec, int, list, string } from '../core/flag-spec.ts';
import { createFlags } from './lifecycle.ts';

const index = int('index', 'Which replica, counting from 1', { value: 'N' });

const processFlags: readonly FlagSpec[] = [
  bool('d,detach', 'Run in the background and print the id'),
  list('e,env', 'Set a variable', { value: 'KEY=VALUE' }),
  string('entrypoint', 'Program to run instead of the image’s', { value: 'COMMAND' }),
  list('l,label', 'Add a label', { value: 'KEY=VALUE' }),
  string('name', 'Name of the machine', { value: 'NAME' }),
  list('p,publish', 'Publish a port', { value: '[[IP:]HOST:]PORT' }),
  bool('rm', 'Remove it when it has ended'),
  string('u,user', 'Run as this user', { value: 'USER' }),
  list('v,volume', 'Mount a folder or volume', { value: 'SOURCE:TARGET' }),
  string('w,workdir', 'Run in this folder', { value: 'DIR' }),
  list('volumes', 'As --volume', { value: 'SOURCE:TARGET', hidden: true }),
  list('labels', 'As --label', { value: 'KEY=VALUE', hidden: true }),
  list('cap-add', 'Add a capability', { value: 'CAP' }),
  list('cap-drop', 'Drop a capability', { value: 'CAP' }),
];

export const composeRun: CommandSpec = {
  name: 'run',
  usage: '[OPTIONS] SERVICE [COMMAND] [ARGS...]',
  summary: 'Run a one-off command in a machine of its own (images: hypr run)',
  setsUp: true,
  examples: [
    'hypr compose run --rm web sh',
    'hypr compose run --rm -T db pg_dump -h db app > app.sql',
    'hypr compose run -d --name worker web worker',
  ],
  flags: [
    ...processFlags,
    list('env-from-file', 'Set variables from a file', { value: 'FILE' }),
    bool('i,interactive', 'Keep standard input open (default)'),
    bool('T,no-tty', 'Allocate no terminal (default when not on one)'),
    bool('t,tty', 'Allocate a terminal (default on one)', { hidden: true }),
    bool('P,service-ports', 'Publish the ports of the service'),
    bool('use-aliases', 'Use the names of the service on its networks'),
    bool('no-deps', 'Do not start what the service needs'),
    bool('build', 'Build the image first'),
    string('pull', 'Pull images first: always, missing, never, policy', { value: 'WHEN' }),
    bool('quiet-pull', 'No progress of pulls'),
    bool('quiet-build', 'No progress of builds'),
    bool('q,quiet', 'No progress'),
    bool('remove-orphans', 'Remove machines of services that are no longer in the file'),
  ],
  minArgs: 1,
  passThrough: true,
  load: async () => (await import('../commands/run.ts')).runComposeRun,
};

const noSwarm = 'there is one machine, on this host';
const noKernelSharing = 'a machine has a kernel of its own';

/** Docker's flags about sharing one kernel among containers. */
const WITHOUT_EFFECT = [
  ...['blkio-weight', 'cgroup-parent', 'cgroupns', 'cpu-period', 'cpu-quota', 'cpu-shares', 'cpuset-cpus', 'cpuset-mems', 'isolation'],
  ...['memory-reservation', 'memory-swap', 'memory-swappiness', 'oom-score-adj', 'pids-limit', 'storage-opt'],
];

export const dockerRun: CommandSpec = {
  name: 'run',
  usage: '[OPTIONS] IMAGE [COMMAND] [ARGS...]',
  summary: 'Run an image in a machine of its own (services: hypr compose run)',
  setsUp: true,
  examples: ['hypr run --rm -it alpine sh', 'hypr run -d --name web -p 8080:80 nginx', 'hypr -p web down      stop and remove it'],
  flags: [
    ...processFlags,
    bool('i,interactive', 'Keep standard input open'),
    bool('t,tty', 'Allocate a terminal'),
    list('env-file', 'Set variables from a file', { value: 'FILE' }),
    string('h,hostname', 'Name of the host inside', { value: 'NAME' }),
    string('m,memory', 'Memory of the machine', { value: 'BYTES' }),
    string('cpus', 'Processors of the machine', { value: 'N' }),
    list('network', 'bridge, none, isolated (no NIC; ports through the supervisor), or a network of hypr network create', {
      value: 'NETWORK',
    }),
    list('net', 'As --network', { value: 'NETWORK', hidden: true }),
    list('add-host', 'Add a name to /etc/hosts', { value: 'NAME:ADDRESS' }),
    list('dns', 'DNS server', { value: 'ADDRESS' }),
    list('dns-search', 'Search domain', { value: 'DOMAIN' }),
    list('dns-option', 'Option of the resolver', { value: 'OPTION' }),
    string('ip', 'Address on the network', { value: 'ADDRESS' }),
    string('ip6', 'IPv6 address on the network', { value: 'ADDRESS' }),
    list('network-alias', 'Further name on the network', { value: 'NAME' }),
    string('mac-address', 'MAC address', { value: 'ADDRESS' }),
    string('domainname', 'Domain of the host inside', { value: 'NAME' }),
    list('expose', 'Port that it listens on', { value: 'PORT' }),
    list('group-add', 'Further group of the program', { value: 'GROUP' }),
    bool('no-healthcheck', 'Do not run the health check of the image'),
    string('health-cmd', 'Health check', { value: 'COMMAND' }),
    string('health-interval', 'Time between health checks', { value: 'DURATION' }),
    string('health-timeout', 'Time that a health check may take', { value: 'DURATION' }),
    string('health-start-period', 'Time in which failures do not count', { value: 'DURATION' }),
    string('health-start-interval', 'Time between health checks in the start period', { value: 'DURATION' }),
    int('health-retries', 'Failures in a row that make it unhealthy', { value: 'N' }),
    list('tmpfs', 'Mount a tmpfs', { value: 'TARGET[:OPTIONS]' }),
    list('ulimit', 'Limit of the program', { value: 'NAME=SOFT[:HARD]' }),
    list('sysctl', 'Kernel parameter', { value: 'KEY=VALUE' }),
    string('shm-size', 'Size of /dev/shm', { value: 'BYTES' }),
    string('restart', 'no, on-failure[:N], always, unless-stopped', { value: 'POLICY' }),
    string('stop-signal', 'Signal that stops it', { value: 'SIGNAL' }),
    int('stop-timeout', 'Seconds to wait for the program to stop by itself', { value: 'SECONDS' }),
    string('pull', 'Pull the image first: always, missing, never', { value: 'WHEN' }),
    string('platform', 'Platform of the image', { value: 'OS/ARCH' }),
    bool('q,quiet', 'No progress of pulls'),
    bool('privileged', 'Give all capabilities'),
    bool('read-only', 'Make the root file system read-only'),
    bool('init', 'An init that reaps and passes signals on', { hidden: true }),
    string('detach-keys', 'Keys that detach', { value: 'KEYS' }),
    bool('P,publish-all', 'Publish all exposed ports on free ports of this host'),
    list('link', 'Link', { refused: 'machines of one Compose file reach each other by name' }),
    list('mount', 'Mount a folder, a volume or a tmpfs', { value: 'type=bind,src=DIR,dst=DIR[,readonly]' }),
    list('device', 'Only /dev/kvm: the machine runs machines itself', { value: '/dev/kvm' }),
    string('gpus', 'GPUs', { refused: 'GPUs of the host are not passed into a machine' }),
    list('volumes-from', 'Volumes of another', { refused: 'name the volume in both: -v NAME:TARGET' }),
    string('pid', 'PID namespace', { refused: noKernelSharing }),
    string('ipc', 'IPC namespace', { refused: noKernelSharing }),
    string('uts', 'UTS namespace', { refused: noKernelSharing }),
    string('userns', 'User namespace', { ignored: noKernelSharing }),
    list('security-opt', 'Security option', { ignored: noKernelSharing }),
    string('runtime', 'Runtime', { ignored: noSwarm }),
    string('log-driver', 'Log driver', { ignored: 'logs are kept by hypr: hypr -p NAME logs' }),
    list('log-opt', 'Log option', { ignored: 'logs are kept by hypr: hypr -p NAME logs' }),
    ...WITHOUT_EFFECT.map((name) => list(name, '', { hidden: true, ignored: noKernelSharing })),
    string('volume-driver', 'Driver of volumes', { hidden: true, refused: 'docker plug-ins are not loaded' }),
    list('a,attach', 'Streams to attach', { hidden: true, refused: 'the streams of a program are all attached, or none with -d' }),
    string('cidfile', 'Write the id into this file, which must not be there', { value: 'FILE' }),
  ],
  minArgs: 1,
  passThrough: true,
  load: async () => (await import('../commands/docker-run.ts')).runDockerRun,
};

/** docker's `create IMAGE`; with names of services, or without any, docker compose's. */
export const dockerCreate: CommandSpec = {
  ...dockerRun,
  name: 'create',
  usage: '[OPTIONS] IMAGE [COMMAND] [ARGS...] | [SERVICE...]',
  summary: 'Create a machine of an image, or those of services, without starting it',
  examples: ['hypr create --name web -p 8080:80 nginx', 'hypr start web', 'hypr create web db      services of the Compose file here'],
  flags: [
    ...(dockerRun.flags ?? []),
    ...createFlags
      .filter(({ name }) => !dockerRun.flags?.some((flag) => flag.name === name))
      .map(({ short: _, ...flag }) => ({ ...flag, hidden: true })),
  ],
  minArgs: 0,
  dryRun: true,
  load: async () => (await import('../commands/up/docker-create.ts')).runDockerCreate,
};

/** Commands for the program and the files of a replica. */
export const replicaCommands: readonly CommandSpec[] = [
  {
    name: 'commit',
    usage: '[OPTIONS] SERVICE [REPOSITORY[:TAG]]',
    summary: 'Make an image of what a service changed on its disk',
    examples: ['hypr commit web shop-web:debug', 'hypr commit -m "with tools" -c "ENV DEBUG=1" shop-web-1 shop-web:tools'],
    flags: [
      string('a,author', 'Author of the image', { value: 'AUTHOR' }),
      list('c,change', 'Instruction of a Dockerfile for its config', { value: 'INSTRUCTION' }),
      index,
      string('m,message', 'Comment in its history', { value: 'TEXT' }),
      bool('p,pause', 'Pause it meanwhile', { hidden: true, ignored: 'its guest has to run to be read' }),
    ],
    minArgs: 1,
    maxArgs: 2,
    load: async () => (await import('../commands/commit.ts')).runCommit,
  },
  {
    name: 'attach',
    usage: '[OPTIONS] SERVICE',
    summary: 'Attach the terminal to the program of a service',
    flags: [
      string('detach-keys', 'Keys that detach (default: ctrl-p,ctrl-q)', { value: 'KEYS' }),
      index,
      bool('no-stdin', 'Do not attach standard input'),
      bool('sig-proxy', 'Pass signals on to the program (default)'),
    ],
    minArgs: 1,
    maxArgs: 1,
    load: async () => (await import('../commands/attach.ts')).runAttach,
  },
  {
    name: 'cp',
    usage: '[OPTIONS] SERVICE:SRC_PATH DEST_PATH|- | SRC_PATH|- SERVICE:DEST_PATH',
    summary: 'Copy files between a service and this host',
    examples: ['hypr cp web:/var/log ./log', 'hypr cp ./site/. web:/www', 'hypr cp db:/data - > data.tar'],
    flags: [
      bool('a,archive', 'Keep owners and modes'),
      bool('L,follow-link', 'Copy what a link points to'),
      bool('q,quiet', 'Say nothing of how far it is, which hypr never does', { hidden: true }),
      bool('all', 'One-offs, too', { ignored: 'the replicas of the service are copied to' }),
      index,
    ],
    minArgs: 2,
    maxArgs: 2,
    load: async () => (await import('../commands/cp.ts')).runCp,
  },
  {
    name: 'watch',
    usage: '[SERVICE...]',
    summary: 'Start services and keep them up to date with their develop.watch',
    flags: [
      bool('no-up', 'Do not start services; they run already'),
      bool('quiet', 'Do not print what is done'),
      bool('prune', 'Remove images that were replaced', { ignored: 'images that nothing uses are removed by: hypr image prune' }),
    ],
    load: async () => (await import('../commands/watch.ts')).runWatch,
  },
  {
    name: 'export',
    usage: '[OPTIONS] SERVICE',
    summary: 'Write the file system of a service to an archive',
    flags: [string('o,output', 'Archive to write (default: standard output)', { value: 'FILE' }), index],
    minArgs: 1,
    maxArgs: 1,
    load: async () => (await import('../commands/export.ts')).runExport,
  },
];
