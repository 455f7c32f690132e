import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../base/errors.ts';
import { parseDotenv } from '../../compose/dotenv.ts';
import { loadProject } from '../../compose/index.ts';
import { Budget } from '../../compose/limits.ts';
import { parsePort } from '../../compose/ports.ts';
import { decodeSource } from '../../compose/read-file.ts';
import { SourceFile, syntheticMark } from '../../compose/source.ts';
import { substitute, TemplateError } from '../../compose/template.ts';
import { parseVolume } from '../../compose/volumes.ts';
import { parseYaml } from '../../compose/yaml-parse.ts';
import { failure } from './project-folder.ts';

const repeat = (text: string, times: number) => text.repeat(times);
const laughs = `x-0: &a0 [${repeat('1,', 10)}]\n${Array.from({ length: 9 }, (_, i) => `x-${i + 1}: &a${i + 1} [${repeat(`*a${i},`, 10)}]\n`).join('')}`;
const app = 'services: {a: {image: x}}\n';

const bombs: Record<string, [text: string, code: string]> = {
  'aliases of aliases': [laughs + app, 'COMPOSE_LIMIT'],
  'a long text used often': [`x-s: &s '${repeat('y', 900_000)}'\nx-l: [${repeat('*s,', 3000)}]\n${app}`, 'COMPOSE_LIMIT'],
  'a text of megabytes': [`services: {a: {image: ${repeat('x', 2_000_000)}}}`, 'COMPOSE_LIMIT'],
  'an alias inside of its anchor': [`x-a: &a {b: *a}\n${app}`, 'COMPOSE_SYNTAX'],
  'an alias without anchor': [`x-a: *a\n${app}`, 'COMPOSE_SYNTAX'],
  'brackets nested deeply': [`x: ${repeat('[', 100_000)}`, 'COMPOSE_LIMIT'],
  'brackets nested rather deeply': [`x-a: ${repeat('[', 500)}${repeat(']', 500)}\n${app}`, 'COMPOSE_LIMIT'],
  'mappings nested deeply': [Array.from({ length: 3000 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''), 'COMPOSE_LIMIT'],
  'dashes on one line': [`x:\n  ${repeat('- ', 50_000)}1\n`, 'COMPOSE_LIMIT'],
  'merge keys that multiply': [
    `x-a: &a {${Array.from({ length: 2000 }, (_, i) => `k${i}: v`).join(',')}}\nservices:\n${Array.from({ length: 500 }, (_, i) => `  s${i}: {image: x, labels: {<<: *a}}\n`).join('')}`,
    'COMPOSE_LIMIT',
  ],
  'defaults nested deeply': [`services: {a: {image: '${repeat('${A:-', 400)}${repeat('}', 400)}'}}`, 'COMPOSE_LIMIT'],
  'port ranges': [
    `services: {a: {image: x, ports: [${Array.from({ length: 10 }, (_, i) => `'127.0.0.${i}:1-65535:1-65535'`).join(',')}]}}`,
    'COMPOSE_LIMIT',
  ],
  'as many labels as fit': [
    `services: {a: {image: x, labels: {${Array.from({ length: 150_000 }, (_, i) => `l${i}: v`).join(',')}}}}`,
    'COMPOSE_LIMIT',
  ],
  'blank lines': [`${app}${repeat('\n', 5_000_000)}`, 'COMPOSE_LIMIT'],
  comments: [`${app}${repeat('#\n', 2_000_000)}`, 'COMPOSE_LIMIT'],
  'empty documents': [`${app}${repeat('---\n{}\n', 500_000)}`, 'COMPOSE_LIMIT'],
  'aliases side by side': [`x-a: &a 1\nx-l: [${repeat('*a,', 1_000_000)}]\n${app}`, 'COMPOSE_LIMIT'],
  'quotes side by side': [`x: ${repeat('"a" ', 1_000_000)}`, 'COMPOSE_LIMIT'],
  'services that hand on what they inherit': [
    `services:\n${Array.from(
      { length: 150 },
      (_, i) =>
        `  s${i}:\n    image: x\n${i > 0 ? `    extends: s${i - 1}\n` : ''}    labels: {${Array.from({ length: 200 }, (_, j) => `l${i}x${j}: a`).join(',')}}\n`,
    ).join('')}`,
    'COMPOSE_LIMIT',
  ],
  'services that extend one another in a long row': [
    `services:\n${Array.from({ length: 2000 }, (_, i) => `  s${i}: {image: x, extends: s${i + 1}}\n`).join('')}  s2000: {image: x}\n`,
    'COMPOSE_LIMIT',
  ],
  'anchors that grow deep': [
    `x-0: &a0 [1]\n${Array.from({ length: 300 }, (_, i) => `x-${i + 1}: &a${i + 1} [*a${i}]\n`).join('')}${app}`,
    'COMPOSE_LIMIT',
  ],
  'a NUL': ['services: {a: {image: "x\0"}}', 'COMPOSE_SYNTAX'],
};

describe('hostile files are refused', () => {
  test.each(Object.keys(bombs))('%s', async (name) => {
    const [text, code] = bombs[name] ?? ['', ''];
    expect((await failure(text)).code).toBe(code);
  });

  test('a value that grows by its variables', async () => {
    const value = repeat('x', 100_000);
    expect((await failure(`services: {a: {image: '${repeat('$A', 20)}'}}`, { env: { A: value } })).code).toBe('COMPOSE_LIMIT');
  });

  test('other encodings', () => {
    const refused = (bytes: Uint8Array) => {
      try {
        decodeSource('f', bytes);
      } catch (error) {
        return (error as HyprError).code;
      }
      return undefined;
    };
    expect(refused(Buffer.from('\ufeffservices: {}', 'utf16le'))).toBe('COMPOSE_SYNTAX');
    expect(refused(Uint8Array.of(0x61, 0xff, 0xfe))).toBe('COMPOSE_SYNTAX');
    expect(refused(new Uint8Array(9 << 20))).toBe('COMPOSE_LIMIT');
    expect(refused(Buffer.from('\ufeffservices: {}'))).toBeUndefined();
  });

  test('names of the language are names like others', async () => {
    const { project } = await (await import('./project-folder.ts')).load(
      'services:\n  __proto__: {image: x, labels: {__proto__: l, constructor: m}}\n  toString: {image: y, depends_on: [__proto__]}\n',
    );
    expect(Object.keys(project.services).sort()).toEqual(['__proto__', 'toString']);
    expect(Object.entries(Object.getOwnPropertyDescriptor(project.services, '__proto__')?.value.labels)).toEqual([
      ['__proto__', 'l'],
      ['constructor', 'm'],
    ]);
  });
});

describe('1,000 services', () => {
  test('load, and their long chain of dependencies is followed', async () => {
    const services = Array.from(
      { length: 1000 },
      (_, i) => `  s${i}: {image: x, depends_on: [${i > 0 ? `s${i - 1}` : ''}], ports: ['${10_000 + i}:80']}\n`,
    );
    const { load } = await import('./project-folder.ts');
    const { project } = await load(`services:\n${services.join('')}`, { services: ['s999'] });
    expect(Object.keys(project.services)).toHaveLength(1000);
  });
});

const only = (run: () => unknown): void => {
  try {
    run();
  } catch (error) {
    if (!(error instanceof TemplateError) && !(error instanceof HyprError && error.code.startsWith('COMPOSE_'))) {
      throw error;
    }
  }
};

/** Texts made of what means something to the parsers. */
const soup = (...tokens: string[]) =>
  fc
    .array(fc.oneof(fc.constantFrom(...tokens), fc.string({ maxLength: 4, unit: 'binary' })), { maxLength: 40 })
    .map((parts) => parts.join(''));

describe('any text gives a value or a HyprError', () => {
  const mark = syntheticMark('f');
  const run = { numRuns: 1500, seed: 20 };

  test('YAML', () => {
    const yaml = soup(
      '\n',
      '  ',
      '- ',
      ': ',
      'a',
      '&a ',
      '*a',
      '<<: ',
      '[',
      ']',
      '{',
      '}',
      '"',
      "'",
      '|',
      '>',
      '!reset ',
      '!!int ',
      '---\n',
      '#',
      '? ',
      '\t',
      '1',
      '~',
    );
    fc.assert(
      fc.property(yaml, (text) => only(() => parseYaml(new SourceFile('f', text), new Budget()))),
      run,
    );
  });

  test('templates', () => {
    fc.assert(
      fc.property(soup('$', '{', '}', ':-', ':?', '+', 'A', '$$', '\n'), (text) =>
        only(() => substitute(text, { lookup: (name) => (name === 'A' ? 'v' : undefined) })),
      ),
      run,
    );
  });

  test('env files', () => {
    fc.assert(
      fc.property(soup('A', '=', '\n', '"', "'", '\\', '#', ' ', 'export ', ':', '$A', '${', '}'), (text) =>
        only(() => parseDotenv(new SourceFile('f', text), () => undefined)),
      ),
      run,
    );
  });

  test('ports and volumes', () => {
    const text = soup(':', '-', '/', '80', '[', ']', '::1', 'tcp', '.', 'c', ',', 'ro', '${');
    fc.assert(
      fc.property(text, (spec) => {
        only(() => (spec.length < 30 ? parsePort(spec, mark) : undefined));
        only(() => parseVolume(spec, mark));
      }),
      run,
    );
  });

  test('whole files', async () => {
    const key = fc.constantFrom(
      'image',
      'build',
      'ports',
      'volumes',
      'environment',
      'depends_on',
      'deploy',
      'healthcheck',
      'networks',
      'extends',
      'labels',
      'x-a',
    );
    const value = fc.jsonValue({ maxDepth: 3 });
    const service = fc.dictionary(key, value, { maxKeys: 4, noNullPrototype: true });
    const file = fc.record({ services: fc.dictionary(fc.constantFrom('a', 'b', 'c'), service, { noNullPrototype: true }) });
    const stdin = (model: unknown) => () => Promise.resolve(Buffer.from(JSON.stringify(model)));
    await fc.assert(
      fc.asyncProperty(file, async (model) => {
        const loaded = loadProject({ cwd: '/', files: ['-'], env: {}, projectName: 'p', stdin: stdin(model) });
        await loaded.catch((error: unknown) =>
          only(() => {
            throw error;
          }),
        );
      }),
      { numRuns: 600, seed: 21 },
    );
  });
});
