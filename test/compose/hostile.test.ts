import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../base/errors.ts';
import { decodeSource } from '../../compose/files/read-file.ts';
import { loadProject } from '../../compose/index.ts';
import { parseDotenv } from '../../compose/interpolate/dotenv.ts';
import { substitute, TemplateError } from '../../compose/interpolate/template.ts';
import { parsePort } from '../../compose/merge/ports.ts';
import { parseVolume } from '../../compose/merge/volumes.ts';
import { Budget } from '../../compose/model/limits.ts';
import { SourceFile, syntheticMark } from '../../compose/source/source.ts';
import { parseYaml } from '../../compose/yaml/parse.ts';
import { runs } from '../support/seed.ts';
import { HOSTILE_PROJECTS } from './hostile-files.ts';
import { failure, load } from './project-folder.ts';

describe('hostile projects', () => {
  test.each(Object.keys(HOSTILE_PROJECTS))('%s', async (name) => {
    const { files = {}, code, env = {} } = HOSTILE_PROJECTS[name] ?? {};
    const options = { env: { HOME: '/home/u', ...env } };
    expect(code === undefined ? (await load(files, options)).project.name : (await failure(files, options)).code).toEqual(
      code ?? expect.any(String),
    );
  });

  test('files in other encodings are read or refused', () => {
    const refused = (bytes: Uint8Array) => {
      try {
        decodeSource('f', bytes);
      } catch (error) {
        return (error as HyprError).code;
      }
      return undefined;
    };
    expect(refused(Buffer.from('\ufeffservices: {}', 'utf16le'))).toBeUndefined();
    expect(refused(Buffer.from('\ufeffservices: {}', 'utf16le').subarray(0, -1))).toBe('COMPOSE_SYNTAX');
    expect(refused(Buffer.from('\ufeff\ud800', 'utf16le'))).toBe('COMPOSE_SYNTAX');
    expect(refused(Uint8Array.of(0x61, 0xff, 0xfe))).toBe('COMPOSE_SYNTAX');
    expect(refused(new Uint8Array(9 << 20))).toBe('COMPOSE_LIMIT');
    expect(refused(Buffer.from('\ufeffservices: {}'))).toBeUndefined();
  });

  test('names of the language are names like others', async () => {
    const { project } = await load(
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
    const { project } = await load(`services:\n${services.join('')}`, { services: ['s999'] });
    expect(Object.keys(project.services)).toHaveLength(1000);
  });
});

const only = async (run: () => unknown): Promise<void> => {
  try {
    await run();
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
  const run = runs(1500);

  test('YAML › gives a value or an error of the catalogue whatever comes', async () => {
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
    await fc.assert(
      fc.asyncProperty(yaml, (text) => only(() => parseYaml(new SourceFile('f', text), new Budget()))),
      run,
    );
  });

  test('templates › give a text or an error of the catalogue whatever comes', async () => {
    await fc.assert(
      fc.asyncProperty(soup('$', '{', '}', ':-', ':?', '+', 'A', '$$', '\n'), (text) =>
        only(() => substitute(text, { lookup: (name) => (name === 'A' ? 'v' : undefined) })),
      ),
      run,
    );
  });

  test('env files › give values or an error of the catalogue whatever comes', async () => {
    await fc.assert(
      fc.asyncProperty(soup('A', '=', '\n', '"', "'", '\\', '#', ' ', 'export ', ':', '$A', '${', '}'), (text) =>
        only(() => parseDotenv(new SourceFile('f', text), () => undefined)),
      ),
      run,
    );
  });

  test('ports and volumes › give a form or an error of the catalogue whatever comes', async () => {
    const text = soup(':', '-', '/', '80', '[', ']', '::1', 'tcp', '.', 'c', ',', 'ro', '${');
    await fc.assert(
      fc.asyncProperty(text, async (spec) => {
        await only(() => (spec.length < 30 ? parsePort(spec, mark) : undefined));
        await only(() => parseVolume(spec, mark));
      }),
      run,
    );
  });

  test('whole files › give a project or an error of the catalogue whatever comes', async () => {
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
      runs(600),
    );
  });
});
