import type { CommandSpec } from '../core/command-spec.ts';
import { bool, string } from '../core/flag-spec.ts';
import { refusedCommand } from './refusal.ts';

const config: CommandSpec = {
  name: 'config',
  usage: '[OPTIONS] [SERVICE...]',
  summary: 'Print the Compose file as hypr reads it',
  examples: ['hypr config', 'hypr config --format json', 'hypr config --services', 'hypr config -q && echo valid'],
  flags: [
    string('format', 'yaml or json', { value: 'FORMAT' }),
    bool('q,quiet', 'Check only'),
    bool('services', 'Print names of services'),
    bool('volumes', 'Print names of volumes'),
    bool('networks', 'Print names of networks'),
    bool('models', 'Print names of models'),
    bool('images', 'Print names of images'),
    bool('profiles', 'Print names of profiles'),
    string('hash', 'Print configuration hashes, "*" for all', { value: 'SERVICE,…' }),
    bool('variables', 'Print the variables that are used'),
    bool('environment', 'Print the environment used for variables'),
    bool('no-interpolate', 'Leave ${VARIABLES} as they are'),
    bool('no-normalize', 'Do not fill in what is implied'),
    bool('no-path-resolution', 'Leave relative paths'),
    bool('no-consistency', 'Do not check that parts fit together'),
    bool('no-env-resolution', 'Do not read env_file of services'),
    bool('resolve-image-digests', 'Name images by their digest, asked of their registries'),
    bool('lock-image-digests', 'Print an override file that pins the images'),
    string('explain', 'Say where a value comes from', { value: 'services.web.image' }),
    string('o,output', 'Write to a file', { value: 'FILE' }),
  ],
  load: async () => (await import('../commands/config.ts')).runConfig,
};

const env: CommandSpec = {
  name: 'env',
  usage: 'SERVICE [NAME]',
  summary: 'Show the environment of a service, and which file and line set each variable',
  examples: ['hypr env web', 'hypr env web DATABASE_URL'],
  minArgs: 1,
  maxArgs: 2,
  load: async () => (await import('../commands/env.ts')).runEnv,
};

/** Commands of docker compose that hypr refuses, with the reason. */
const refused: readonly CommandSpec[] = [
  {
    ...refusedCommand(
      'bridge',
      'Convert the model',
      'docker has its converters in images of its own; for Kubernetes use: hypr compose config -o all.yaml && kompose convert -f all.yaml',
    ),
    hidden: true,
  },
  { ...refusedCommand('alpha', 'Experiments of docker compose', 'hypr has no experimental commands'), hidden: true },
  { ...refusedCommand('convert', 'Old name of config', 'it was removed from docker compose; use: hypr config'), hidden: true },
];

const publish: CommandSpec = {
  name: 'publish',
  usage: '[OPTIONS] REPOSITORY[:TAG]',
  summary: 'Push the Compose files to a registry, for -f oci://REPOSITORY and include',
  examples: ['hypr compose publish ghcr.io/me/shop:1', 'hypr compose -f oci://ghcr.io/me/shop:1 up'],
  flags: [
    bool('resolve-image-digests', 'Pin images to their digests'),
    string('oci-version', 'Form of the manifest: 1.0 or 1.1 (what the registry takes)', { value: 'VERSION' }),
    bool('with-env', 'Push env files as well, and do not ask about the environment'),
    bool('y,yes', 'Answer yes to every question'),
    bool('app', 'Push the images as well', { refused: 'push them first (hypr push), and publish the files without it' }),
    bool('insecure-registry', 'The registry speaks plain HTTP', { hidden: true }),
  ],
  minArgs: 1,
  maxArgs: 1,
  dryRun: true,
  load: async () => (await import('../commands/publish.ts')).runPublish,
};

export const stackCommands: readonly CommandSpec[] = [config, publish, ...refused];

/** docker's contexts choose an engine: there is one, which is docker's default. */
const context: CommandSpec = {
  name: 'context',
  usage: 'COMMAND',
  summary: "docker's contexts: the one engine of this host",
  commands: [
    {
      name: 'ls',
      usage: '[OPTIONS]',
      summary: 'List the one context',
      flags: [string('format', 'table, json, or a Go template', { value: 'FORMAT' }), bool('q,quiet', 'Print the name only')],
      maxArgs: 0,
      load: async () => (await import('../commands/context.ts')).runContextLs,
    },
    {
      name: 'show',
      usage: '',
      summary: 'Print the name of the context',
      maxArgs: 0,
      load: async () => (await import('../commands/context.ts')).runContextShow,
    },
    {
      name: 'use',
      usage: 'CONTEXT',
      summary: 'Choose the one context',
      minArgs: 1,
      maxArgs: 1,
      load: async () => (await import('../commands/context.ts')).runContextUse,
    },
    ...['create', 'export', 'import', 'inspect', 'rm', 'update'].map((name) =>
      refusedCommand(name, `docker's context ${name}`, 'there is one engine, on this host; choose a stack with -p or a file with -f'),
    ),
  ],
};

/** Docker's own commands that somebody may try: what there is instead. */
const notHere: readonly CommandSpec[] = [
  refusedCommand('search', 'Search a registry', 'registries have no search that works for all of them; look for images in the browser'),
  ...['swarm', 'node', 'service', 'stack', 'secret', 'checkpoint', 'plugin'].map((name) =>
    refusedCommand(name, `docker's ${name}`, 'hypr runs on one host, without a daemon and its clusters and plugins'),
  ),
  refusedCommand('manifest', 'Manifests in registries', 'images of several platforms are pushed by: hypr build --platform … --push'),
  context,
].map((command) => ({ ...command, hidden: true }));

export const versionCommand: CommandSpec = {
  name: 'version',
  usage: '[OPTIONS]',
  summary: 'Print the version',
  flags: [string('f,format', 'pretty, json, or a Go template', { value: 'FORMAT' }), bool('short', 'Print the number only')],
  load: async () => (await import('../commands/version.ts')).runVersion,
};

export const hostCommands: readonly CommandSpec[] = [
  env,
  {
    name: 'setup',
    usage: '[OPTIONS]',
    summary: 'Fetch everything hypr needs, once; or make names of services work in browsers and programs',
    examples: [
      'hypr setup',
      'hypr setup --bundle hypr.tar',
      'hypr setup --from hypr.tar',
      'hypr setup --browser',
      'hypr setup --system --dry-run',
      'hypr setup --docker',
      'hypr setup --undo',
    ],
    flags: [
      bool('browser', 'Make https names work in browsers of this user; needs no root'),
      bool('system', 'Make names work in every program; prints what it will do, then asks for root once'),
      bool('docker', "Make a context of docker's command line, and a socket of systemd's user manager that starts hypr serve"),
      bool('links', 'With --docker: also docker and docker-compose as programs, where there are none'),
      bool('undo', 'Remove what --browser, --system and --docker made'),
      string('bundle', 'Write everything that setup fetches into a file, for hosts without a network', { value: 'FILE' }),
      string('from', 'Take everything from such a file', { value: 'FILE' }),
      bool('ci', 'For automation: plain progress, and what was set up as lines of NAME=VALUE'),
      bool('y,yes', 'Do not ask'),
    ],
    dryRun: true,
    maxArgs: 0,
    load: async () => (await import('../commands/setup.ts')).runSetup,
  },
  {
    name: 'uninstall',
    usage: '[OPTIONS]',
    summary: 'Remove all stacks with their data, everything hypr made, and hypr where its install script put it',
    flags: [bool('y,yes', 'Do not ask')],
    dryRun: true,
    maxArgs: 0,
    load: async () => (await import('../commands/uninstall.ts')).runUninstall,
  },
  {
    name: 'ui',
    usage: '',
    summary: 'All stacks on a screen, as hypr alone shows them; Enter opens the dashboard of one',
    maxArgs: 0,
    load: async () => (await import('../commands/ui.ts')).runUi,
  },
  {
    name: 'doctor',
    usage: '[OPTIONS]',
    summary: 'Check this host, and say how to fix what is missing',
    examples: ['hypr doctor', 'hypr doctor --fix'],
    flags: [
      string('format', 'text or json', { value: 'FORMAT' }),
      bool('fix', 'Mend what needs no root: fetch what is missing, clean up after a crash'),
    ],
    maxArgs: 0,
    load: async () => (await import('../commands/setup.ts')).runDoctor,
  },
  {
    name: 'support-bundle',
    usage: '[OPTIONS]',
    summary: 'Write what a report of a fault needs into one file, without secrets and without the output of services',
    examples: ['hypr support-bundle', 'hypr support-bundle -o fault.tar.gz --logs'],
    flags: [
      string('o,output', 'Where to write it', { value: 'FILE' }),
      bool('logs', 'Include the last output of services, also without what looks like a secret'),
    ],
    maxArgs: 0,
    load: async () => (await import('../commands/support-bundle.ts')).runSupportBundle,
  },
  {
    name: 'trust',
    usage: '[OPTIONS]',
    summary: "Show hypr's certificate authority, what trusts it, and what leads names to services",
    examples: ['hypr trust', 'hypr trust --format json', 'hypr trust --print-ca > ca.pem'],
    flags: [string('format', 'text or json', { value: 'FORMAT' }), bool('print-ca', 'Print the certificate (PEM)')],
    maxArgs: 0,
    load: async () => (await import('../commands/trust.ts')).runTrust,
  },
  {
    name: 'proxy',
    usage: 'COMMAND',
    summary: 'Names of services: status, serve',
    commands: [
      {
        name: 'status',
        usage: '[OPTIONS]',
        summary: 'Show where names are served, and what is missing',
        flags: [string('format', 'text or json', { value: 'FORMAT' })],
        maxArgs: 0,
        load: async () => (await import('../commands/proxy.ts')).runProxyStatus,
      },
      {
        name: 'serve',
        usage: '',
        summary: 'Serve names in the foreground, also while no stack runs',
        maxArgs: 0,
        load: async () => (await import('../commands/proxy.ts')).runProxyServe,
      },
    ],
  },
  {
    name: 'dns',
    usage: 'COMMAND',
    summary: 'DNS for names of services: status, serve',
    commands: [
      {
        name: 'status',
        usage: '[OPTIONS]',
        summary: 'Show where DNS answers, whether the system asks there, and all names',
        flags: [string('format', 'text or json', { value: 'FORMAT' })],
        maxArgs: 0,
        load: async () => (await import('../commands/dns.ts')).runDnsStatus,
      },
      {
        name: 'serve',
        usage: '',
        summary: 'Serve DNS alone, in the foreground',
        maxArgs: 0,
        load: async () => (await import('../commands/dns.ts')).runDnsServe,
      },
    ],
  },
  ...notHere,
];
