import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatProjectJson, formatProjectYaml, runConfig } from '../../compose/index.ts';
import { Budget } from '../../compose/model/limits.ts';
import { toPlain } from '../../compose/source/node.ts';
import { SourceFile } from '../../compose/source/source.ts';
import { compareNatural, emitYaml } from '../../compose/yaml/emit.ts';
import { parseYaml } from '../../compose/yaml/parse.ts';
import { runs } from '../support/seed.ts';
import { load, projectFolder } from './project-folder.ts';

describe('YAML output', () => {
  test.each([
    ['', '""'],
    ['y', "'y'"],
    ['No', "'No'"],
    ['012', '"012"'],
    ['1e3', '"1e3"'],
    ['10:30', "'10:30'"],
    ['2020-01-01', '"2020-01-01"'],
    ['~', '"~"'],
    ["it's", "it's"],
    ["'quoted'", "'''quoted'''"],
    ['#comment', "'#comment'"],
    ['...', "'...'"],
    ['a: b', "'a: b'"],
    ['a #b', "'a #b'"],
    ['-x', '-x'],
    ['- x', "'- x'"],
    [' x', "' x'"],
    ['a\tb', '"a\\tb"'],
    ['a\nb', '|-\n    a\n    b'],
    ['a\nb\n', '|\n    a\n    b'],
    ['a \nb', '"a \\nb"'],
    ['\u001b', '"\\e"'],
    ['µ', 'µ'],
  ])('%j', (value, expected) => {
    expect(emitYaml({ k: [value] })).toBe(`k:\n  - ${expected}\n`);
  });

  // What go.yaml.in/yaml/v4 4.0.0-rc.5 writes, which docker compose 5.5 prints with.
  test('folds what is longer than a line at a space', () => {
    const words = (first: string, count: number) => `${first}${'word '.repeat(count)}end`;
    const folded = (first: string, count: number, rest: number) => `${first}${'word '.repeat(count).trimEnd()}\n    ${words('', rest)}`;
    expect(emitYaml({ k: [words('', 30)] })).toBe(`k:\n  - ${folded('', 16, 14)}\n`);
    expect(emitYaml({ k: [words('# ', 30)] })).toBe(`k:\n  - '${folded('# ', 15, 15)}'\n`);
    expect(emitYaml({ k: [words('a\tb ', 30)] })).toBe(`k:\n  - "${folded('a\\tb ', 15, 15)}"\n`);
    // Only a space that stands alone is broken at, and a key never.
    expect(emitYaml({ k: `${'a'.repeat(84)}  b c` })).toBe(`k: ${'a'.repeat(84)}  b\n  c\n`);
    expect(emitYaml({ ['k '.repeat(50)]: 1 })).toBe(`'${'k '.repeat(50)}': 1\n`);
  });

  test.each([' ', '"', "'", 'a', '\t', '#'])('is read as what was written when lines are folded: %j', async (odd) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('word', 'ä', ' ', '  ', ': ', odd), { maxLength: 80 }), async (parts) => {
        const value = { k: [parts.join(' ')] };
        const [document] = await parseYaml(new SourceFile('f', emitYaml(value)), new Budget());
        expect(document === undefined ? undefined : toPlain(document.root)).toEqual(value);
      }),
      runs(100),
    );
  });

  test('has its keys in natural order', () => {
    const keys = ['FOOA', 'FOO10', 'FOO2', 'FOO_A', 'FOO1', 'FOO'];
    expect(keys.sort(compareNatural)).toEqual(['FOO', 'FOO_A', 'FOO1', 'FOO2', 'FOO10', 'FOOA']);
    expect(['ab', 'a10', 'a2', 'a_b', 'a.b', 'a-b'].sort(compareNatural)).toEqual(['a-b', 'a.b', 'a_b', 'a2', 'a10', 'ab']);
  });

  test('any text survives writing and reading', async () => {
    const text = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc
        .array(fc.constantFrom(' ', '\n', 'a', ':', '#', '-', "'", '"', '\t', '\\', '1', '|'), { maxLength: 8 })
        .map((parts) => parts.join('')),
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        text,
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(text, tie('any'), { maxKeys: 3, noNullPrototype: true }),
      ),
    })).any;
    await fc.assert(
      fc.asyncProperty(value, async (plain) => {
        const emitted = emitYaml({ k: plain });
        const [document] = await parseYaml(new SourceFile('f', emitted), new Budget());
        expect(document && JSON.parse(JSON.stringify(toPlain(document.root)))).toEqual(JSON.parse(JSON.stringify({ k: plain })));
      }),
      runs(2000),
    );
  });
});

describe('the output is its own input', () => {
  const text = `
name: full
x-top: {b: 1, a: [2]}
services:
  web:
    build: {context: ., args: {A: 1, B: null}, ssh: [default], secrets: [s]}
    command: sh -c "echo $$HOME"
    ports: ['8080:80', '127.0.0.1::81/udp', '7000-7002']
    volumes: ['./a:/a:ro', 'v:/v:nocopy', '/anon', {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}]
    environment: [A=1, B, "C=multi\\nline"]
    healthcheck: {test: curl -f x, interval: 90s, retries: 3}
    deploy: {replicas: 2, resources: {limits: {cpus: '0.5', memory: 1g}}}
    depends_on: {db: {condition: service_healthy, restart: true}}
    extra_hosts: {h: 1.2.3.4, g: [1.1.1.1, '::1']}
    ulimits: {nofile: 1024, nproc: {soft: 1, hard: 2}}
    secrets: [{source: s, mode: 0440}]
    configs: [c]
    labels: {a: '', b: 1.50}
    x-service: {z: 1}
  db: {image: db, init: false, stop_grace_period: 1m30s}
volumes: {v: {driver_opts: {a: 1}}}
secrets: {s: {environment: S}}
configs: {c: {content: 'x'}}
`;

  test('is the same when it is read again, as YAML and as JSON', async () => {
    const cwd = await projectFolder({ 'compose.yaml': text });
    for (const format of ['yaml', 'json'] as const) {
      const once = await runConfig({ cwd, env: {}, format });
      const stdin = () => Promise.resolve(Buffer.from(once.stdout));
      const twice = await runConfig({ cwd, env: {}, format, files: ['-'], stdin });
      expect(twice.stdout).toBe(once.stdout);
    }
  });

  test('is the same when it is read again without interpolation', async () => {
    const cwd = await projectFolder({ 'compose.yaml': text });
    const options = { cwd, env: {}, interpolate: false } as const;
    const once = await runConfig(options);
    const twice = await runConfig({ ...options, files: ['-'], stdin: () => Promise.resolve(Buffer.from(once.stdout)) });
    expect(twice.stdout).toBe(once.stdout);
  });

  test('the empty content of a config is not printed, and is in the model', async () => {
    const { project } = await load("services: {a: {image: x, configs: [c]}}\nconfigs: {c: {content: ''}}\n");
    expect(project.configs.c?.content).toBe('');
    expect(formatProjectYaml(project) + formatProjectJson(project)).not.toContain('content');
  });

  test('the content of secrets is not printed', async () => {
    const { project } = await load('services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: S}}\n', { env: { S: 'hunter2' } });
    expect(formatProjectYaml(project) + formatProjectJson(project)).not.toContain('hunter2');
  });
});
