import { stringify } from 'yaml';
import { Random } from '../../support/random.ts';
import { JUNK, RESOURCES, SERVICE_FRAGMENTS, WRONG_FRAGMENTS } from './fragments.ts';

/** A project of generated files and the ways to ask for its config. */
export interface Generated {
  readonly files: Record<string, string>;
  readonly env: Record<string, string>;
  readonly args: readonly string[][];
}

type Tree = { [key: string]: unknown };

/** Attributes that name other services: mostly only `a` has them, so that there are few circles. */
const REFERRING = new Set(['depends_on', 'links', 'ipc', 'pid', 'network_mode', 'volumes_from', 'container_name']);
const SERVICES = ['a', 'b', 'c'];
/** Further flags, one set of which is tried on each project besides YAML and JSON. */
const VARIANTS = [
  ['--no-interpolate'],
  ['--no-interpolate', '--format', 'json'],
  ['--no-normalize'],
  ['--no-path-resolution'],
  ['--no-consistency'],
  ['--profile', '*'],
  ['--profile', 'p1'],
  ['--services'],
  ['--images'],
  ['--volumes'],
  ['--networks'],
  ['--profiles'],
  ['--hash', '*'],
  ['--compatibility', '--images'],
  ['--variables'],
  ['b'],
  ['a', 'c'],
];

/**
 * Project number `index` of a seed: fragments put together into one to three files that merge, extend
 * and include each other, some of them then damaged.
 */
export const generateProject = (seed: number, index: number): Generated => {
  const random = new Random(seed * 1_000_003 + index);
  const wild = random.chance(0.2);
  const base = makeModel(random, { complete: true });
  const files: Record<string, string> = { ...FIXED_FILES };
  for (const folder of ['inc', 'sub']) {
    Object.assign(files, Object.fromEntries(Object.entries(FIXED_FILES).map(([name, text]) => [`${folder}/${name}`, text])));
  }
  const names = ['compose.yaml'];
  if (random.chance(0.5)) {
    base.name = random.pick(['proj', 'My-App', 'x_1', '${E2:-dflt}']);
  }
  if (random.chance(0.2)) {
    files['inc/inc.yaml'] = write(makeModel(random, { complete: true, prefix: 'i' }), random, false);
    base.include = [
      random.pick<unknown>([
        'inc/inc.yaml',
        { path: 'inc/inc.yaml', project_directory: '.' },
        { path: ['inc/inc.yaml'], env_file: 'e1.env' },
      ]),
    ];
  }
  if (random.chance(0.25)) {
    files['sub/base.yaml'] = write(makeModel(random, { complete: true }), random, false);
    extendSome(base, random, 'sub/base.yaml');
  } else if (random.chance(0.15)) {
    extendSome(base, random, undefined);
  }
  files['compose.yaml'] = write(base, random, wild);
  for (const extra of ['over.yaml', 'last.yaml']) {
    if (random.chance(extra === 'over.yaml' ? 0.6 : 0.2)) {
      files[extra] = write(makeModel(random, { complete: false }), random, wild && random.chance(0.5));
      names.push(extra);
    }
  }
  const from = names.flatMap((name) => ['-f', name]);
  const args = [['config'], ['config', '--format', 'json'], argsOf(random.pick(VARIANTS))].map((words) => [...from, ...words]);
  return { files, env: { E1: 'one', E2: '', T: 'true' }, args };
};

const FIXED_FILES: Record<string, string> = {
  'e1.env': 'F1=x\nF2="a b"\nF3=$E1-${F1}\nF4=\'raw $E1\'\n#c\nexport F5=5 # c\nA=file\n',
  'e2.env': 'F1=y\nG1: colon\nG2=\nG3=a#b\n',
  'l1.env': 'lab=one\na=from-file\n',
  '.env': 'DOT=1\nTAG=9\n',
  's1.txt': 'secret',
  'c1.txt': 'config',
  'raw.env': 'R1="kept"\nR2=$E1 # kept\nR3\n',
};

/**
 * Every pair of values of one attribute as a file and its override, without what is wrong by itself:
 * number `index` of them; undefined past the last one.
 */
export const mergeProject = (index: number): Generated | undefined => {
  let at = index;
  for (const [name, values] of Object.entries(SERVICE_FRAGMENTS)) {
    const pairs = values.length ** 2;
    if (at < pairs) {
      const [first, second] = [values[Math.floor(at / values.length)], values[at % values.length]];
      const wrap = (value: unknown): Tree =>
        name.startsWith('build.') ? { build: { context: '.', [name.slice('build.'.length)]: value } } : { [name]: value };
      const others = { b: { image: 'b' }, c: { image: 'c' } };
      const resources = Object.fromEntries(
        Object.entries(RESOURCES).map(([section, entries]) => [
          section,
          Object.fromEntries(Object.entries(entries).map(([key, all]) => [key, all[0]])),
        ]),
      );
      const base = { services: { a: { image: 'i', ...wrap(first) }, ...others }, ...resources };
      const files = { ...FIXED_FILES, 'compose.yaml': stringify(base), 'over.yaml': stringify({ services: { a: wrap(second) } }) };
      const from = ['-f', 'compose.yaml', '-f', 'over.yaml', 'config'];
      return { files, env: { E1: 'one', E2: '', T: 'true' }, args: [from, [...from, '--no-interpolate', '--format', 'json']] };
    }
    at -= pairs;
  }
  return undefined;
};

/** `--profile` is a flag of compose, the others of config. */
const argsOf = (variant: readonly string[]): string[] =>
  variant[0] === '--profile'
    ? [...variant, 'config']
    : variant[0] === '--compatibility'
      ? ['--compatibility', 'config', ...variant.slice(1)]
      : ['config', ...variant];

const makeModel = (random: Random, options: { complete: boolean; prefix?: string }): Tree => {
  const services: Tree = {};
  const count = options.complete ? SERVICES.length : 1 + random.below(2);
  for (const name of SERVICES.slice(0, count)) {
    services[(options.prefix ?? '') + name] = makeService(random, { complete: options.complete, refers: name === 'a' });
  }
  const model: Tree = { services };
  if (options.prefix !== undefined) {
    return model;
  }
  for (const [section, entries] of Object.entries(RESOURCES)) {
    const chosen: Tree = {};
    for (const [name, values] of Object.entries(entries)) {
      if (random.chance(name === 'default' || !options.complete ? 0.15 : 0.9)) {
        chosen[name] = structuredClone(random.pick(values));
      }
    }
    if (Object.keys(chosen).length > 0) {
      model[section] = chosen;
    }
  }
  if (random.chance(0.1)) {
    model['x-top'] = structuredClone(random.pick(JUNK));
  }
  return model;
};

const makeService = (random: Random, options: { complete: boolean; refers: boolean }): Tree => {
  const { complete, refers } = options;
  const service: Tree = complete ? { image: random.pick(['i', 'i:1']) } : {};
  const names = Object.keys(SERVICE_FRAGMENTS);
  for (let count = random.below(6); count >= 0; count--) {
    const isWrong = random.chance(0.004);
    const name = random.pick(isWrong ? Object.keys(WRONG_FRAGMENTS) : names);
    if (!refers && REFERRING.has(name) && random.chance(0.9)) {
      continue;
    }
    const value = structuredClone(random.pick((isWrong ? WRONG_FRAGMENTS : SERVICE_FRAGMENTS)[name] ?? [null]));
    const attribute = name.startsWith('build.') ? name.slice('build.'.length) : undefined;
    if (attribute === undefined) {
      service[name] = value;
    } else {
      const { build } = service;
      service.build = { context: '.', ...(build !== null && typeof build === 'object' ? build : {}), [attribute]: value };
    }
  }
  if (service.network_mode !== undefined && random.chance(0.8)) {
    delete service.networks;
  }
  return service;
};

const extendSome = (model: Tree, random: Random, file: string | undefined): void => {
  const services = model.services as Record<string, Tree>;
  const [name, target] = file === undefined ? ['a', random.pick(['b', 'c'])] : [random.pick(SERVICES), random.pick(SERVICES)];
  const service = services[name];
  if (service !== undefined) {
    service.extends = file === undefined ? random.pick<unknown>([{ service: target }, target]) : { file, service: target };
    if (random.chance(0.5)) {
      delete service.image;
    }
  }
};

const write = (model: Tree, random: Random, wild: boolean): string => {
  let changed: unknown = model;
  for (let times = wild ? 1 + random.below(3) : 0; times > 0; times--) {
    changed = mutate(changed, random);
  }
  if (random.chance(0.3)) {
    changed = wrapLeaf(changed, random);
  }
  const text = random.chance(0.1) ? `${JSON.stringify(changed)}\n` : stringify(changed, { version: '1.1', aliasDuplicateObjects: false });
  const anchored = random.chance(0.15) ? addAnchors(text, random) : text;
  const tagged = random.chance(0.15) ? addTag(anchored, random) : anchored;
  const documents = random.chance(0.05)
    ? `${tagged}---\n${stringify({ services: { a: makeService(random, { complete: false, refers: true }) } })}`
    : tagged;
  return wild && random.chance(0.15) ? damage(documents, random) : documents;
};

/** Replaces, removes, renames or copies one value somewhere below. */
const mutate = (node: unknown, random: Random, depth = 0): unknown => {
  if (node === null || typeof node !== 'object' || (depth > 2 && random.chance(0.25))) {
    return structuredClone(random.pick(JUNK));
  }
  if (Array.isArray(node)) {
    return mutateList(node, random, depth);
  }
  const keys = Object.keys(node);
  const key = random.pick(keys.length === 0 ? ['x'] : keys);
  const { [key]: value, ...rest } = node as Tree;
  const roll = random.next();
  if (depth > 1 && roll < 0.08) {
    return rest;
  }
  if (depth > 1 && roll < 0.14) {
    return { ...rest, [random.pick(['x-ext', `${key}s`, 'labels', 'name', 'image'])]: value };
  }
  return { ...node, [key]: mutate(value, random, depth + 1) };
};

const mutateList = (items: readonly unknown[], random: Random, depth: number): unknown[] => {
  const at = random.below(items.length);
  const roll = random.next();
  if (roll < 0.2 || items.length === 0) {
    return [...items, structuredClone(random.pick(JUNK))];
  }
  if (roll < 0.4) {
    return [...items, items[at]];
  }
  return roll < 0.5 ? items.filter((_, i) => i !== at) : items.map((item, i) => (i === at ? mutate(item, random, depth + 1) : item));
};

/** Puts one value below `services` into a reference that comes to it, or nearly so. */
const wrapLeaf = (node: unknown, random: Random, depth = 0): unknown => {
  if (Array.isArray(node)) {
    const at = random.below(node.length);
    return node.map((item, i) => (i === at ? wrapLeaf(item, random, depth + 1) : item));
  }
  if (node !== null && typeof node === 'object') {
    const keys = Object.keys(node);
    const key = depth === 0 && keys.includes('services') ? 'services' : random.pick(keys.length === 0 ? [''] : keys);
    // Without interpolation the name of a file to extend would be taken as it is.
    return key === '' || key === 'extends' ? node : { ...node, [key]: wrapLeaf((node as Tree)[key], random, depth + 1) };
  }
  return node === null || depth < 3 ? node : random.pick(FORMS).replace('VALUE', () => String(node).replaceAll('}', ''));
};

const FORMS = [
  '${NOPE:-VALUE}',
  '${NOPE-VALUE}',
  '${E2:-VALUE}',
  '${E2-VALUE}',
  '${E1:+VALUE}',
  '${E2+VALUE}',
  '${E1+VALUE}',
  '${NOPE+VALUE}',
  '${NOPE:-${E2:-VALUE}}',
  '${NOPE:-${E1:+VALUE}}',
  '${NOPE-${DOT:+VALUE}}',
  '${E2:?VALUE}',
  '${T:?VALUE}',
  '${E1?VALUE}',
  '${NOPE?VALUE}',
  'VALUE$$',
  'VALUE${E2}',
  '${E2}VALUE',
  '$E2${NOPE:-}VALUE',
  '${e1:-VALUE}',
];

/** Anchors above the services, and services that merge or alias them. */
const addAnchors = (text: string, random: Random): string => {
  const lines = text.split('\n').flatMap((line) => {
    const isService = /^ {2}i?[abc]:$/.test(line);
    return isService && random.chance(0.6) ? [line, random.pick(MERGES)] : [line];
  });
  return text.startsWith('{') ? text : `${ANCHORS}${lines.join('\n')}`;
};

const ANCHORS = `x-common: &common
  restart: always
  environment: &env {A: 1, B: $E1, Z: null}
  logging: &log {driver: json-file, options: {max-size: 1m}}
x-other: &other {<<: *common, restart: "no", init: true}
x-labels: &lab [q=1, "r=$E1"]
x-text: &text "t \${E2:-d}"
`;
const MERGES = [
  '    <<: *common',
  '    <<: *other',
  '    <<: [*other, *common]',
  '    <<: {stdin_open: true, tty: false}',
  '    x-e: {<<: *env, A: 2}',
  '    x-l: [*lab, *text]',
  '    hostname: *text',
  '    annotations: {<<: *env, A: 3, t: *text}',
  '    <<: [{labels: *lab}, *common]',
  '    x-log: *log',
];

/** Puts `!reset` or `!override` before the value of a key. */
const addTag = (text: string, random: Random): string => {
  const lines = text.split('\n');
  const keys = [...lines.keys()].filter((i) => /^ {4}[\w.]+:/.test(lines[i] ?? ''));
  if (keys.length === 0) {
    return text;
  }
  const at = random.pick(keys);
  const tag = random.pick(['!reset', '!override']);
  return lines.map((line, i) => (i === at ? line.replace(/^( {4}[\w.]+:)/, `$1 ${tag}`) : line)).join('\n');
};

/** A change of the text: a character dropped, doubled or put in. */
const damage = (text: string, random: Random): string => {
  const at = random.below(text.length);
  const insert = random.pick([
    '',
    ' ',
    '\n',
    ':',
    '#',
    '"',
    "'",
    '- ',
    '\t',
    '*a',
    '&a ',
    '{',
    ']',
    '$',
    '!!str ',
    '|',
    '? ',
    '%',
    '@',
    ', ',
  ]);
  return text.slice(0, at) + insert + text.slice(at + random.below(2));
};
