// The house: its floors, low first, and the rooms of each. check-house.mjs holds every import against this table, and
// CONTRIBUTING's map is written from it. An import goes to the same room or to one that stands before it.

/** Floor → what it is, and the floors below that it may import. */
export const FLOORS = {
  base: { is: 'errors, clean-up, deadlines, paths, log; `host/`: files, locks, processes', imports: [] },
  compose: { is: 'Compose files → `Project`', imports: ['base'] },
  guest: { is: 'kestrel (C), its protocol, its host side', imports: ['base'] },
  vmm: { is: 'a spec → a running machine; the toolchain', imports: ['base', 'guest'] },
  net: { is: 'the gateway of a network (`gateway/`, Go) and its client, addresses, names, certificates, ports', imports: ['base'] },
  builder: { is: 'image name or Dockerfile → image in the store', imports: ['base', 'guest', 'vmm', 'net'] },
  engine: {
    is: 'observe → reconcile → plan → execute; the supervisor, its state and API',
    imports: ['base', 'compose', 'guest', 'vmm', 'net', 'builder'],
  },
  cli: { is: 'argv in, pixels and exit codes out', imports: ['base', 'compose', 'engine'] },
};

/** Floor → its rooms, low first. `.` is the floor's own folder; a name with an ending is one file of it, which stands elsewhere than the others. */
export const ROOMS = {
  base: ['.', 'host', 'pattern', 'tar', 'trace'],
  compose: ['source', 'model', 'interpolate', 'merge', 'files', 'yaml', 'schema', 'project', 'load', 'config', 'publish', '.'],
  guest: ['.', 'protocol', 'client', 'image'],
  vmm: ['model', 'archive', 'toolchain', 'devices', 'vfio', 'qemu', 'template', 'zygote', 'backend', 'host', '.'],
  net: [
    '.',
    'addresses',
    'names',
    'certificates',
    'client',
    'ports',
    'dns',
    'http',
    'edge/http',
    'edge/pages',
    'edge',
    'downloads',
    'outbound',
  ],
  builder: [
    ...['model', 'registry/config', 'registry/transport', 'context', 'layers', 'store/format', 'store', 'store/archive', 'registry'],
    ...['dockerfile', 'dockerfile/checks', 'git', 'ssh', 'options', 'solver/layer', 'solver/frame', 'solver/sources', 'solver/machine'],
    ...['export', 'cache-export', 'solver/steps', 'solver', '.'],
  ],
  engine: [
    ...[
      'model',
      'state',
      'resolve',
      'logs',
      'logs/record',
      'machine',
      'resources',
      'images',
      'artifacts',
      'plan',
      'replica/boot',
      'replica/edits',
      'replica/parts',
      'replica',
      'stack/names',
      'stack/operations',
      'stack',
    ],
    ...[
      'api/gen',
      'api/messages',
      'api',
      'api/server',
      'api/client',
      'host.ts',
      'client/link',
      'client/changes',
      'client/files',
      'client',
      'names',
      'edge',
    ],
    ...['trust/system', 'trust', 'docker/http', 'docker/shapes', 'docker/machines', 'docker/buildkit/gen', 'docker/buildkit'],
    ...['docker/routes', 'docker/rest', 'docker/grpc', 'docker/inside', 'docker'],
    ...['process', '.'],
  ],
  cli: [
    ...[
      'core',
      'format',
      'render',
      'session',
      'dashboard/logs',
      'dashboard/state',
      'dashboard/screen',
      'dashboard/draw',
      'dashboard/objects',
      'dashboard',
    ],
    ...['commands', 'commands/build', 'commands/up', 'command-tree', 'entry'],
  ],
};

/** What stands at the top: one who looks in sees the whole of it. What a test or a trace leaves there is a stranger. */
export const TOP = [
  ...['.ci', '.gitattributes', '.github', '.gitignore', 'CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'SECURITY.md'],
  ...['base', 'bin', 'biome.json', 'builder', 'cli', 'compose', 'docs', 'engine', 'fixtures', 'guest', 'net', 'package-lock.json'],
  ...['package.json', 'scripts', 'test', 'tsconfig.json', 'vitest.config.ts', 'vmm'],
];

/** Most source files of a folder: TypeScript, JavaScript, Go and C, without headers and Go's tests, which stand beside what they test. */
export const MOST_FILES = 20;

/** Folders that are lists of one kind, one file for each, and may be longer. */
export const LISTS = ['cli/commands', 'test/cli/commands'];
