import { bool, type CommandSpec, type FlagSpec, int, list, string } from './types.ts';

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
  list('cap-add', 'Add a capability', { value: 'CAP' }),
  list('cap-drop', 'Drop a capability', { value: 'CAP' }),
];

export const composeRun: CommandSpec = {
  name: 'run',
  usage: '[OPTIONS] SERVICE [COMMAND] [ARGS...]',
  summary: 'Run a one-off command in a machine of its own (images: hypr run)',
  examples: [
    'hypr compose run --rm web sh',
    'hypr compose run --rm -T db pg_dump -h db app > app.sql',
    'hypr compose run -d --name worker web worker',
  ],
  flags: [
    ...processFlags,
    list('env-from-file', 'Set variables from a file', { value: 'FILE' }),
    bool('i,interactive', 'Keep standard input open (default)'),
    bool('T,no-tty', 'No terminal (default when not on one)'),
    bool('t,tty', 'With a terminal (default on one)', { hidden: true }),
    bool('P,service-ports', 'Publish the ports of the service'),
    bool('use-aliases', 'Answer to the names of the service'),
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

export const dockerRun: CommandSpec = {
  name: 'run',
  usage: '[OPTIONS] IMAGE [COMMAND] [ARGS...]',
  summary: 'Run an image in a machine of its own (services: hypr compose run)',
  examples: ['hypr run --rm -it alpine sh', 'hypr run -d --name web -p 8080:80 nginx', 'hypr -p web down      stop and remove it'],
  flags: [
    ...processFlags,
    bool('i,interactive', 'Keep standard input open'),
    bool('t,tty', 'With a terminal'),
    list('env-file', 'Set variables from a file', { value: 'FILE' }),
    string('hostname', 'Name of the host inside', { value: 'NAME' }),
    string('m,memory', 'Memory of the machine', { value: 'BYTES' }),
    string('cpus', 'Processors of the machine', { value: 'N' }),
    string('network', 'default or none', { value: 'NETWORK' }),
    string('net', 'As --network', { value: 'NETWORK', hidden: true }),
    list('add-host', 'Add a name to /etc/hosts', { value: 'NAME:ADDRESS' }),
    list('dns', 'DNS server', { value: 'ADDRESS' }),
    list('tmpfs', 'Mount a tmpfs', { value: 'TARGET[:OPTIONS]' }),
    list('ulimit', 'Limit of the program', { value: 'NAME=SOFT[:HARD]' }),
    list('sysctl', 'Kernel parameter', { value: 'KEY=VALUE' }),
    string('shm-size', 'Size of /dev/shm', { value: 'BYTES' }),
    string('restart', 'no, on-failure[:N], always, unless-stopped', { value: 'POLICY' }),
    string('stop-signal', 'Signal that stops it', { value: 'SIGNAL' }),
    int('stop-timeout', 'Seconds it gets to stop by itself', { value: 'SECONDS' }),
    string('pull', 'Pull the image first: always, missing, never', { value: 'WHEN' }),
    string('platform', 'Platform of the image', { value: 'OS/ARCH' }),
    bool('q,quiet', 'No progress of pulls'),
    bool('privileged', 'With all capabilities'),
    bool('read-only', 'The file system of the image cannot be written'),
    bool('init', 'An init that reaps and passes signals on', { hidden: true }),
    string('detach-keys', 'Keys that detach', { value: 'KEYS' }),
    bool('P,publish-all', 'Publish all exposed ports', { refused: 'name the ports: -p PORT' }),
    list('link', 'Link', { refused: 'machines of one Compose file reach each other by name' }),
    list('mount', 'Mount', { refused: 'use -v SOURCE:TARGET, or a Compose file' }),
    list('device', 'Device', { refused: 'devices of the host are not passed into a machine' }),
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
    string('cidfile', 'File for the id', { refused: 'hypr run -d prints the id' }),
  ],
  minArgs: 1,
  passThrough: true,
  load: async () => (await import('../commands/docker-run.ts')).runDockerRun,
};

/** Commands on the program and the files of a replica. */
export const replicaCommands: readonly CommandSpec[] = [
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
];
