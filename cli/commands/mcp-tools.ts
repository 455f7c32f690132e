/** JSON of a tool's arguments. */
type Given = Readonly<Record<string, unknown>>;

interface Property {
  readonly type: 'string' | 'integer' | 'boolean' | 'array';
  readonly description: string;
  readonly items?: { readonly type: 'string' };
}

/** What a program or an agent may ask for, as one command of hypr. */
export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly properties: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
  readonly readOnly: boolean;
  /** Throws McpFault for arguments that are not as described. */
  readonly command: (given: Given) => string[];
}

/** Said to whoever asked: the arguments are wrong. */
export class McpFault extends Error {}

const PLACE: Readonly<Record<string, Property>> = {
  directory: { type: 'string', description: 'Folder with the Compose file; default: where hypr mcp was started' },
  stack: { type: 'string', description: 'Name of a stack, instead of that of the folder' },
};
const SERVICE: Property = { type: 'string', description: 'Name of a service of the Compose file' };
const SERVICES: Property = { type: 'array', items: { type: 'string' }, description: 'Names of services; default: all' };

const DEFAULT_LINES = 200;
const MOST_LINES = 5_000;

export const TOOLS: readonly Tool[] = [
  {
    name: 'list',
    description: 'Stacks of this host, or with "stack" or "directory" the machines of one: state, health, ports',
    properties: PLACE,
    readOnly: true,
    command: (given) =>
      given.stack === undefined && given.directory === undefined
        ? ['ls', '-a', '--format', 'json']
        : [...stackOf(given), 'ps', '-a', '--format', 'json'],
  },
  {
    name: 'logs',
    description: 'The last lines that services wrote',
    properties: { ...PLACE, services: SERVICES, lines: { type: 'integer', description: `How many of each; default ${DEFAULT_LINES}` } },
    readOnly: true,
    command: (given) => [...stackOf(given), 'logs', '--no-color', '--tail', String(linesOf(given)), ...namesOf(given)],
  },
  {
    name: 'why',
    description: 'Why services do not run or are not ready: what they wait for, how they ended, what they said last',
    properties: { ...PLACE, services: SERVICES },
    readOnly: true,
    command: (given) => [...stackOf(given), 'why', ...namesOf(given)],
  },
  {
    name: 'url',
    description: 'An address at which a service can be reached now',
    properties: { ...PLACE, service: SERVICE },
    required: ['service'],
    readOnly: true,
    command: (given) => [...stackOf(given), 'url', nameOf(given, 'service')],
  },
  {
    name: 'exec',
    description: 'Runs a command in a running service, and gives what it writes and its exit code',
    properties: {
      ...PLACE,
      service: SERVICE,
      command: { type: 'array', items: { type: 'string' }, description: 'The program and its arguments' },
    },
    required: ['service', 'command'],
    readOnly: false,
    command: (given) => [...stackOf(given), 'exec', '-T', nameOf(given, 'service'), ...textsOf(given, 'command', 1)],
  },
  {
    name: 'up',
    description: 'Makes and starts services, and waits until they are ready',
    properties: { ...PLACE, services: SERVICES, build: { type: 'boolean', description: 'Build images first' } },
    readOnly: false,
    command: (given) => [...stackOf(given), 'up', '-d', '--wait', ...(given.build === true ? ['--build'] : []), ...namesOf(given)],
  },
  {
    name: 'down',
    description: 'Stops and removes the machines and networks of a stack; named volumes stay',
    properties: PLACE,
    readOnly: false,
    command: (given) => [...stackOf(given), 'down'],
  },
];

/** Names begin with a letter or digit, so that none is taken for a flag. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

const nameOf = (given: Given, key: string): string => {
  const value = given[key];
  if (typeof value !== 'string' || !NAME.test(value)) {
    throw new McpFault(`"${key}" has to be a name`);
  }
  return value;
};

const stackOf = (given: Given): string[] => (given.stack === undefined ? [] : ['-p', nameOf(given, 'stack')]);

const textsOf = (given: Given, key: string, least: number): string[] => {
  const value = given[key] ?? [];
  if (!Array.isArray(value) || value.length < least || !value.every((item) => typeof item === 'string')) {
    throw new McpFault(`"${key}" has to be a list of texts`);
  }
  return value;
};

const namesOf = (given: Given): string[] => textsOf(given, 'services', 0).map((name) => nameOf({ name }, 'name'));

const linesOf = ({ lines = DEFAULT_LINES }: Given): number => {
  if (!Number.isInteger(lines) || (lines as number) < 1) {
    throw new McpFault('"lines" has to be a number');
  }
  return Math.min(lines as number, MOST_LINES);
};
