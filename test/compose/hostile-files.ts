/** A project made to cost much: its files by name, the first the one to load, and the code that refuses it. */
export interface HostileProject {
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** Undefined: it loads, within the same time and memory. */
  readonly code: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
}

const repeat = (text: string, times: number): string => text.repeat(times);
const list = (count: number, make: (index: number) => string): string => Array.from({ length: count }, (_, i) => make(i)).join('');
const app = 'services: {a: {image: x}}\n';
const laughs = `x-0: &a0 [${repeat('1,', 10)}]\n${list(9, (i) => `x-${i + 1}: &a${i + 1} [${repeat(`*a${i},`, 10)}]\n`)}`;

const refusedTexts: Record<string, [text: string, code: string]> = {
  'aliases of aliases': [laughs + app, 'COMPOSE_LIMIT'],
  'a long text used often': [`x-s: &s '${repeat('y', 900_000)}'\nx-l: [${repeat('*s,', 3000)}]\n${app}`, 'COMPOSE_LIMIT'],
  'a text of megabytes': [`services: {a: {image: ${repeat('x', 2_000_000)}}}`, 'COMPOSE_LIMIT'],
  'an alias inside of its anchor': [`x-a: &a {b: *a}\n${app}`, 'COMPOSE_SYNTAX'],
  'an alias without anchor': [`x-a: *a\n${app}`, 'COMPOSE_SYNTAX'],
  'brackets nested deeply': [`x: ${repeat('[', 100_000)}`, 'COMPOSE_LIMIT'],
  'brackets nested rather deeply': [`x-a: ${repeat('[', 500)}${repeat(']', 500)}\n${app}`, 'COMPOSE_LIMIT'],
  'mappings nested deeply': [list(3000, (i) => `${' '.repeat(i)}a:\n`), 'COMPOSE_LIMIT'],
  'dashes on one line': [`x:\n  ${repeat('- ', 50_000)}1\n`, 'COMPOSE_LIMIT'],
  'merge keys that multiply': [
    `x-a: &a {${list(2000, (i) => `k${i}: v,`)}}\nservices:\n${list(500, (i) => `  s${i}: {image: x, labels: {<<: *a}}\n`)}`,
    'COMPOSE_LIMIT',
  ],
  'merge keys of merge keys': [
    `x-0: &a0 {${list(50, (i) => `k${i}: v,`)}}\n${list(60, (i) => `x-${i + 1}: &a${i + 1} {<<: [${repeat(`*a${i},`, 100)}], n${i}: v}\n`)}${app}`,
    'COMPOSE_LIMIT',
  ],
  'defaults nested deeply': [`services: {a: {image: '${repeat('${A:-', 400)}${repeat('}', 400)}'}}`, 'COMPOSE_LIMIT'],
  'defaults nested absurdly': [`services: {a: {image: '${repeat('${A:-', 100_000)}${repeat('}', 100_000)}'}}`, 'COMPOSE_LIMIT'],
  'references side by side that never close': [`services: {a: {image: '${repeat('${A:-', 100_000)}'}}`, 'COMPOSE_INTERPOLATION'],
  'port ranges': [`services: {a: {image: x, ports: [${list(10, (i) => `'127.0.0.${i}:1-65535:1-65535',`)}]}}`, 'COMPOSE_LIMIT'],
  'as many labels as fit': [`services: {a: {image: x, labels: {${list(150_000, (i) => `l${i}: v,`)}}}}`, 'COMPOSE_LIMIT'],
  'blank lines': [`${app}${repeat('\n', 5_000_000)}`, 'COMPOSE_LIMIT'],
  comments: [`${app}${repeat('#\n', 2_000_000)}`, 'COMPOSE_LIMIT'],
  'empty documents': [`${app}${repeat('---\n{}\n', 500_000)}`, 'COMPOSE_LIMIT'],
  'aliases side by side': [`x-a: &a 1\nx-l: [${repeat('*a,', 1_000_000)}]\n${app}`, 'COMPOSE_LIMIT'],
  'quotes side by side': [`x: ${repeat('"a" ', 1_000_000)}`, 'COMPOSE_LIMIT'],
  'services that hand on what they inherit': [
    `services:\n${list(
      150,
      (i) => `  s${i}:\n    image: x\n${i > 0 ? `    extends: s${i - 1}\n` : ''}    labels: {${list(200, (j) => `l${i}x${j}: a,`)}}\n`,
    )}`,
    'COMPOSE_LIMIT',
  ],
  'services that extend one another in a long row': [
    `services:\n${list(2000, (i) => `  s${i}: {image: x, extends: s${i + 1}}\n`)}  s2000: {image: x}\n`,
    'COMPOSE_LIMIT',
  ],
  'services that extend one another in a circle': [
    `services:\n${list(400, (i) => `  s${i}: {image: x, extends: s${(i + 1) % 400}}\n`)}`,
    'COMPOSE_INVALID',
  ],
  'anchors that grow deep': [`x-0: &a0 [1]\n${list(300, (i) => `x-${i + 1}: &a${i + 1} [*a${i}]\n`)}${app}`, 'COMPOSE_LIMIT'],
  'a NUL': ['services: {a: {image: "x\0"}}', 'COMPOSE_SYNTAX'],
  'a megabyte of one word': [repeat('a', 8_000_000), 'COMPOSE_LIMIT'],
  'question marks': [`${repeat('? ', 40_000)}a\n`, 'COMPOSE_LIMIT'],
};

const chain = (count: number, link: (next: number) => string, end: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [i === 0 ? 'compose.yaml' : `f${i}.yaml`, i + 1 < count ? link(i + 1) : end]));

/** Files that cost more than they are worth to read: for the tests, which load them, and `npm run bench -- hostile`, which measures. */
export const HOSTILE_PROJECTS: Readonly<Record<string, HostileProject>> = {
  ...Object.fromEntries(Object.entries(refusedTexts).map(([name, [text, code]]) => [name, { files: { 'compose.yaml': text }, code }])),
  'includes of includes': { files: chain(700, (next) => `include: [f${next}.yaml]\n`, app), code: 'COMPOSE_LIMIT' },
  'an include of itself': { files: { 'compose.yaml': 'include: [compose.yaml]\n' }, code: 'COMPOSE_INVALID' },
  'includes that multiply': {
    files: chain(40, (next) => `include: [${repeat(`f${next}.yaml,`, 2)}]\n`, app),
    code: 'COMPOSE_LIMIT',
  },
  'a row of files that extend': {
    files: chain(700, (next) => `services: {a: {extends: {file: f${next}.yaml, service: a}}}\n`, app),
    code: 'COMPOSE_LIMIT',
  },
  'files that extend in a circle': {
    files: {
      'compose.yaml': 'services: {a: {extends: {file: f1.yaml, service: a}}}\n',
      'f1.yaml': 'services: {a: {extends: {file: compose.yaml, service: a}}}\n',
    },
    code: 'COMPOSE_INVALID',
  },
  'UTF-16 that breaks off': { files: { 'compose.yaml': Buffer.from(`\ufeff${app}`, 'utf16le').subarray(0, -1) }, code: 'COMPOSE_SYNTAX' },
  'Latin-1': { files: { 'compose.yaml': Buffer.from(app.replace('x', 'caf\u00e9'), 'latin1') }, code: 'COMPOSE_SYNTAX' },
  'a file of random length': { files: { 'compose.yaml': new Uint8Array(9 << 20) }, code: 'COMPOSE_LIMIT' },
  'an env file of megabytes': {
    files: { 'compose.yaml': 'services: {a: {image: x, env_file: big.env}}\n', 'big.env': repeat('A=1\n', 3_000_000) },
    code: 'COMPOSE_LIMIT',
  },
  'an env file of many names': {
    files: { 'compose.yaml': 'services: {a: {image: x, env_file: big.env}}\n', 'big.env': list(600_000, (i) => `A${i}=1\n`) },
    code: 'COMPOSE_LIMIT',
  },
  'an env file whose values double': {
    files: {
      'compose.yaml': 'services: {a: {image: x, env_file: e.env}}\n',
      'e.env': `A0=xxxxxxxxxx\n${list(60, (i) => `A${i + 1}=$A${i}$A${i}\n`)}`,
    },
    code: 'COMPOSE_LIMIT',
  },
  'an env file of many names that many services read': {
    files: {
      'compose.yaml': `services:\n${list(40, (i) => `  s${i}: {image: x, env_file: big.env}\n`)}`,
      'big.env': list(10_000, (i) => `A${i}=1\n`),
    },
    code: 'COMPOSE_LIMIT',
  },
  'a value that grows by its variables': {
    files: { 'compose.yaml': `services: {a: {image: '${repeat('$A', 20)}'}}` },
    env: { A: repeat('x', 100_000) },
    code: 'COMPOSE_LIMIT',
  },
  '20,000 labels': {
    files: { 'compose.yaml': `services: {a: {image: x, labels: {${list(20_000, (i) => `l${i}: v,`)}}}}` },
    code: undefined,
  },
  '500 documents': {
    files: { 'compose.yaml': `${app}${list(500, (i) => `---\nservices: {a: {labels: {l${i}: v}}}\n`)}` },
    code: undefined,
  },
  'a chain of 400 services that extend': {
    files: { 'compose.yaml': `services:\n${list(400, (i) => `  s${i}: {image: x, extends: s${i + 1}}\n`)}  s400: {image: x}\n` },
    code: undefined,
  },
};
