import type { CommandSpec } from '../core/command-spec.ts';
import { bool, type FlagSpec, list, string } from '../core/flag-spec.ts';
import { PROGRESS_MODES } from '../core/modes.ts';
import { builderPrune, imagePrune } from './system.ts';

/** Why flags that choose or tune another builder change nothing. */
export const OWN_CACHE = 'hypr builds with its own builder and cache';

const dockerBuildFlags: readonly FlagSpec[] = [
  list('t,tag', 'Name of the image', { value: 'NAME' }),
  string('f,file', 'Dockerfile ("-" reads standard input)', { value: 'FILE' }),
  string('target', 'Stage to build', { value: 'STAGE' }),
  list('build-arg', 'Value of an ARG', { value: 'KEY=VALUE' }),
  list('build-context', 'Further context: a folder, git, URL, docker-image:// or oci-layout://', { value: 'NAME=PATH' }),
  list('label', 'Label of the image', { value: 'KEY=VALUE' }),
  list('secret', 'Secret for RUN --mount=type=secret', { value: 'id=ID[,src=FILE|,env=NAME]' }),
  list('add-host', 'Add a name to /etc/hosts of RUN steps', { value: 'NAME:ADDRESS' }),
  string('network', 'Network of RUN steps: default, none, or proxy (package registries only)', { value: 'MODE' }),
  string('platform', 'Platform of the image', { value: 'OS/ARCH' }),
  string('shm-size', 'Size of /dev/shm', { value: 'BYTES' }),
  string('progress', 'auto, tty, plain, rawjson, quiet, none', { value: 'MODE', words: PROGRESS_MODES }),
  list('o,output', 'Where the result goes: a folder, "-", or type=local|tar|oci|docker|image,…', { value: 'SPEC' }),
  bool('push', 'Push the image: short for -o type=registry'),
  bool('load', 'Put the image into the store: short for -o type=docker'),
  string('iidfile', 'Write the image id to a file', { value: 'FILE' }),
  string('metadata-file', 'Write metadata of the build to a file, as JSON', { value: 'FILE' }),
  list('annotation', 'Annotation of the image', { value: '[manifest:|index:]KEY=VALUE' }),
  list('cache-from', 'Where to look for steps: type=local|registry,… or an image', { value: 'SPEC' }),
  list('cache-to', 'Where to put the steps: type=local|registry|inline,…', { value: 'SPEC' }),
  string('provenance', 'Attest how the image was made: true, false or mode=min', { value: 'MODE' }),
  string('sbom', 'Attestation', { value: 'MODE', hidden: true }),
  list('attest', 'Attestation: type=provenance,mode=min', { value: 'SPEC' }),
  bool('no-cache', 'Build every step anew, without the cache'),
  list('no-cache-filter', 'Build every step of these stages anew', { value: 'STAGE' }),
  bool('pull', 'Look for newer base images'),
  bool('q,quiet', 'Print the image id only'),
  bool('check', 'Check the Dockerfile, and build nothing: short for --call=check'),
  string('call', 'build, check, outline or targets: what to do with the Dockerfile', { value: 'METHOD[,format=json]' }),
  bool('rm', 'Old flag of docker build', { hidden: true }),
  bool('force-rm', 'Old flag of docker build', { hidden: true }),
  string('builder', 'Builder to use', { value: 'NAME', ignored: OWN_CACHE }),
  list('ssh', 'SSH agent or key for RUN --mount=type=ssh', { value: 'default|ID[=SOCKET|KEY]' }),
  bool('debug', 'A shell in the machine where a RUN fails'),
  string('m,memory', 'Memory of a build machine (default 2g)', { value: 'BYTES' }),
  string('cpus', 'Processors of a build machine (default: all)', { value: 'NUMBER' }),
  string('disk', 'Disk of a build machine (default 64g)', { value: 'BYTES' }),
  string('timeout', 'Time that a RUN may take (default: any)', { value: 'DURATION' }),
  list('ulimit', 'Limit of the processes of RUN steps', { value: 'NAME=SOFT[:HARD]' }),
  string('memory-swap', '', { hidden: true, ignored: 'build machines have no swap' }),
  string('cgroup-parent', 'Cgroup of RUN steps', {
    value: 'NAME',
    refused: 'RUN steps have a machine of their own, and no cgroup of this host',
  }),
  string('isolation', '', { hidden: true, ignored: 'every build has machines of its own' }),
  ...['cpu-period', 'cpu-quota', 'c,cpu-shares', 'cpuset-cpus', 'cpuset-mems'].map((name) =>
    string(name, '', { hidden: true, ignored: 'every build has machines of its own: --cpus' }),
  ),
  list('security-opt', '', { hidden: true, ignored: 'every build has machines of its own' }),
  bool('compress', 'Compress the context', { hidden: true, ignored: 'the context is read where it is' }),
  bool('disable-content-trust', 'Skip signatures', { hidden: true }),
];

export const dockerBuild: CommandSpec = {
  name: 'build',
  usage: '[OPTIONS] PATH',
  summary: 'Build an image from a Dockerfile (services: hypr compose build)',
  setsUp: true,
  examples: [
    'hypr build -t app .',
    'hypr build -f deploy/Dockerfile --target prod .',
    'hypr build -o out .',
    'hypr build -o type=oci,dest=app.tar --cache-to type=local,dest=cache --cache-from type=local,src=cache .',
    'hypr compose build web',
  ],
  flags: dockerBuildFlags,
  load: async () => (await import('../commands/build/docker-build.ts')).runDockerBuild,
};

const dockerPull: CommandSpec = {
  name: 'pull',
  usage: '[OPTIONS] IMAGE',
  summary: 'Pull an image (of services: hypr compose pull)',
  setsUp: true,
  flags: [
    string('platform', 'Platform of the image', { value: 'OS/ARCH' }),
    bool('q,quiet', 'No progress'),
    bool('a,all-tags', 'Every tag', { refused: 'name the tags that are needed' }),
    bool('disable-content-trust', 'Skip signatures', { hidden: true }),
  ],
  load: async () => (await import('../commands/pull.ts')).runDockerPull,
};

const dockerPush: CommandSpec = {
  name: 'push',
  usage: '[OPTIONS] NAME[:TAG]',
  summary: 'Push an image to its registry (of services: hypr compose push)',
  examples: ['hypr tag app ghcr.io/me/app:1 && hypr push ghcr.io/me/app:1', 'hypr push -a localhost:5000/app'],
  flags: [
    bool('a,all-tags', 'Every tag of the name'),
    bool('q,quiet', 'Print the name only'),
    bool('disable-content-trust', 'Accepted; nothing is signed', { hidden: true }),
    string('platform', 'Platform of the image', { value: 'OS/ARCH', ignored: 'an image of the store has one platform' }),
  ],
  minArgs: 1,
  maxArgs: 1,
  load: async () => (await import('../commands/push.ts')).runDockerPush,
};

const login: CommandSpec = {
  name: 'login',
  usage: '[OPTIONS] [SERVER]',
  summary: 'Log in to a registry (default: Docker Hub)',
  examples: ['hypr login', 'hypr login ghcr.io', 'hypr login -u me --password-stdin localhost:5000 < password.txt'],
  flags: [
    string('u,username', 'User name', { value: 'NAME' }),
    string('p,password', 'Password or access token; others on this host can see it', { value: 'PASSWORD' }),
    bool('password-stdin', 'Take the password from standard input'),
  ],
  maxArgs: 1,
  load: async () => (await import('../commands/login.ts')).runLogin,
};

const logout: CommandSpec = {
  name: 'logout',
  usage: '[SERVER]',
  summary: 'Log out from a registry (default: Docker Hub)',
  maxArgs: 1,
  load: async () => (await import('../commands/login.ts')).runLogout,
};

const listFlags: readonly FlagSpec[] = [
  bool('a,all', 'Accepted; there are no intermediate images'),
  bool('q,quiet', 'Print ids only'),
  bool('no-trunc', 'Do not shorten ids'),
  bool('digests', 'Show digests'),
  string('format', 'table, json, or a Go template', { value: 'FORMAT' }),
  list('f,filter', 'Only those that match (reference=…, dangling=true)', { value: 'KEY=VALUE' }),
];

const dockerImages: CommandSpec = {
  name: 'images',
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  summary: 'List images (of services: hypr compose images)',
  flags: listFlags,
  maxArgs: 1,
  load: async () => (await import('../commands/images.ts')).runImages,
};

const rmi: CommandSpec = {
  name: 'rmi',
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Remove images',
  flags: [
    bool('f,force', 'Remove even images with several names, or that stopped replicas use'),
    bool('no-prune', 'Keep parents', { hidden: true }),
  ],
  minArgs: 1,
  load: async () => (await import('../commands/images.ts')).runRmi,
};

const tag: CommandSpec = {
  name: 'tag',
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  summary: 'Give an image a further name',
  minArgs: 2,
  maxArgs: 2,
  load: async () => (await import('../commands/images.ts')).runTag,
};

const load: CommandSpec = {
  name: 'load',
  usage: '[OPTIONS]',
  summary: 'Load images from an archive (docker or OCI)',
  examples: ['hypr load -i app.tar', 'hypr load < app.tar'],
  flags: [string('i,input', 'Archive to read (default: standard input)', { value: 'FILE' }), bool('q,quiet', 'No progress')],
  maxArgs: 0,
  load: async () => (await import('../commands/image-archive.ts')).runLoad,
};

const importCommand: CommandSpec = {
  name: 'import',
  usage: '[OPTIONS] FILE|- [REPOSITORY[:TAG]]',
  summary: 'Make an image from an archive of files',
  examples: ['hypr export web | hypr import -c "CMD /app" - web:flat'],
  flags: [
    list('c,change', 'Instruction of a Dockerfile for its config', { value: 'INSTRUCTION' }),
    string('m,message', 'Comment in its history', { value: 'TEXT' }),
    string('platform', 'Platform of the image', { value: 'OS/ARCH' }),
  ],
  minArgs: 1,
  maxArgs: 2,
  load: async () => (await import('../commands/import.ts')).runImport,
};

const save: CommandSpec = {
  name: 'save',
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Write images to an archive',
  examples: ['hypr save -o app.tar app', 'hypr save app | gzip > app.tar.gz'],
  flags: [
    string('o,output', 'Archive to write (default: standard output)', { value: 'FILE' }),
    string('format', 'docker or oci', { value: 'FORMAT' }),
  ],
  minArgs: 1,
  load: async () => (await import('../commands/image-archive.ts')).runSave,
};

const inspect: CommandSpec = {
  name: 'inspect',
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Print details of images as JSON',
  flags: [string('f,format', 'json, or a Go template', { value: 'FORMAT' })],
  minArgs: 1,
  load: async () => (await import('../commands/images.ts')).runInspect,
};

const history: CommandSpec = {
  name: 'history',
  usage: '[OPTIONS] IMAGE',
  summary: 'Show the steps that made an image',
  flags: [
    string('format', 'table, json, or a Go template', { value: 'FORMAT' }),
    bool('no-trunc', 'Do not shorten'),
    bool('q,quiet', 'Print ids only'),
    bool('H,human', 'Sizes in words (default)'),
  ],
  minArgs: 1,
  maxArgs: 1,
  load: async () => (await import('../commands/history.ts')).runHistory,
};

/** Image commands as docker has them: `hypr build .`, `hypr images`, `hypr image inspect`. */
export const imageCommands: readonly CommandSpec[] = [
  dockerBuild,
  dockerPull,
  dockerPush,
  login,
  logout,
  dockerImages,
  rmi,
  history,
  tag,
  load,
  importCommand,
  save,
  {
    name: 'image',
    usage: 'COMMAND',
    summary: 'Commands on images: ls, inspect, history, build, pull, push, rm, tag, load, import, save, prune',
    commands: [
      { ...dockerImages, name: 'ls' },
      inspect,
      history,
      dockerBuild,
      dockerPull,
      dockerPush,
      { ...rmi, name: 'rm' },
      tag,
      load,
      importCommand,
      save,
      imagePrune,
    ],
  },
  {
    name: 'builder',
    usage: 'COMMAND',
    summary: 'Commands on builds: build, prune',
    commands: [dockerBuild, builderPrune],
  },
];
