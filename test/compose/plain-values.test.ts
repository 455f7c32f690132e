import { expect, test } from 'vitest';
import { runConfig } from '../../compose/index.ts';
import { projectFolder } from './project-folder.ts';

/** What docker compose 5.5 makes of scalars where the model wants text; recorded. */
const REFUSED = [
  '.inf',
  '-.inf',
  '+.inf',
  '.Inf',
  '.nan',
  '.NaN',
  '-',
  '!!bool yes',
  '!!null x',
  '!!float .inf',
  '!!int x',
  '!!int 1.5',
  '!!int .inf',
  '!!float x',
  '!!bool 1',
  '!!timestamp x',
  '!!binary "!!!"',
  '!!binary aG k=',
  '!!float "1e400"',
];
const AS_WRITTEN = [
  '-.nan',
  '1e400',
  '-1e400',
  '2026-13-40',
  '2001-12-14 21:59:43.10 -5',
  'tRUE',
  '0o8',
  '0b12',
  '0x',
  '1e',
  'e3',
  '.',
  '+',
  '..',
  '.e3',
  '"5"',
  '_1',
  'infinity',
  'Inf',
  'nan',
  'NaN',
  'inf',
  '2026-11-30T1:2:3',
  '2026-11-30 10:00',
  '2026-11-30T10:00:00+0100',
  '2026-11-30T10:00:00+01',
  '2026-11-30T10:00:00z',
  '2026-11-30 10:00:00Z',
  '2026-11-30 10:00:00 Z',
  '2026-02-30',
  '2023-02-29',
  '2026-00-10',
  '2026-1-30T24:00:00Z',
  '2026-1-30T23:60:00Z',
  '2026-1-30 23:59:60',
  '12026-1-1',
  '2026-11-30T10:00:00.Z',
  '2026-011-30',
  '2026-11-031',
  '2026-11-30T10:00:00+25:00',
  '2026-11-30T010:00:00Z',
];
const IN_SINGLE_QUOTES = ['yes', 'no', 'on', 'off', 'y', 'n', 'Yes', 'NO', '12:30:45', '1:20'];
const CHANGED: ReadonlyArray<readonly [string, string]> = [
  ['0x1F', '"31"'],
  ['0X1f', '"31"'],
  ['-0x1F', '"-31"'],
  ['0o17', '"15"'],
  ['017', '"15"'],
  ['-017', '"-15"'],
  ['0b11', '"3"'],
  ['1e3', '"1000"'],
  ['1E3', '"1000"'],
  ['1e+3', '"1000"'],
  ['1.5e-7', '"1.5e-07"'],
  ['1e-7', '"1e-07"'],
  ['1e20', '"1e+20"'],
  ['1e21', '"1e+21"'],
  ['1e22', '"1e+22"'],
  ['1.5e300', '"1.5e+300"'],
  ['1_000', '"1000"'],
  ['1_000.5', '"1000.5"'],
  ['1.0', '"1"'],
  ['1.50', '"1.5"'],
  ['100.0', '"100"'],
  ['0.1', '"0.1"'],
  ['-0.0', '"-0"'],
  ['0.0', '"0"'],
  ['1e5', '"100000"'],
  ['1.0e6', '"1e+06"'],
  ['1234567.0', '"1.234567e+06"'],
  ['123456789.5', '"1.234567895e+08"'],
  ['12345678901234567890.5', '"1.2345678901234567e+19"'],
  ['123456789012345678901234567890', '"1.2345678901234568e+29"'],
  ['18446744073709551615', '"18446744073709551615"'],
  ['18446744073709551616', '"1.8446744073709552e+19"'],
  ['9223372036854775807', '"9223372036854775807"'],
  ['9223372036854775808', '"9223372036854775808"'],
  ['-9223372036854775808', '"-9223372036854775808"'],
  ['-9223372036854775809', '"-9.223372036854776e+18"'],
  ['9007199254740993', '"9007199254740993"'],
  ['-0', '"-0"'],
  ['+1', '"1"'],
  ['-1', '"-1"'],
  ['.5', '"0.5"'],
  ['5.', '"5"'],
  ['+.5', '"0.5"'],
  ['2026-11-30', '2026-11-30 00:00:00 +0000 UTC'],
  ['2026-1-3', '2026-01-03 00:00:00 +0000 UTC'],
  ['2026-11-30T10:00:00Z', '2026-11-30 10:00:00 +0000 UTC'],
  ['2026-11-30 10:00:00', '2026-11-30 10:00:00 +0000 UTC'],
  ['2001-12-14t21:59:43.10-05:00', '2001-12-14 21:59:43.1 -0500 -0500'],
  ['true', '"true"'],
  ['True', '"true"'],
  ['TRUE', '"true"'],
  ['false', '"false"'],
  ['0777', '"511"'],
  ['08', '"8"'],
  ['09.5', '"9.5"'],
  ['!!str 5', '"5"'],
  ['!!str .inf', '".inf"'],
  ['!!int "5"', '"5"'],
  ['!!float 5', '"5"'],
  ["'.inf'", '".inf"'],
  ['!!str', '""'],
  ['1__0', '"10"'],
  ['1_', '"1"'],
  ['0_7', '"7"'],
  ['0x_1', '"1"'],
  ['!!binary aGk=', 'hi'],
  ['!!timestamp 2026-11-30', '2026-11-30 00:00:00 +0000 UTC'],
  ['!!int 0x10', '"16"'],
  ['2026-11-30T1:2:3Z', '2026-11-30 01:02:03 +0000 UTC'],
  ['2026-11-30 1:2:3', '2026-11-30 01:02:03 +0000 UTC'],
  ['2026-11-30T10:00:00.5Z', '2026-11-30 10:00:00.5 +0000 UTC'],
  ['2026-11-30T10:00:00+01:00', '2026-11-30 10:00:00 +0100 +0100'],
  ['2026-11-30t10:00:00Z', '2026-11-30 10:00:00 +0000 UTC'],
  ['2026-11-30 10:00:00.123456789', '2026-11-30 10:00:00.123456789 +0000 UTC'],
  ['2026-11-30 10:00:00.1234567891', '2026-11-30 10:00:00.123456789 +0000 UTC'],
  ['2024-02-29', '2024-02-29 00:00:00 +0000 UTC'],
  ['0000-1-1', '0000-01-01 00:00:00 +0000 UTC'],
  ['2026-1-1  10:00:00', '2026-01-01 10:00:00 +0000 UTC'],
  ['2026-11-30T10:00:00,5Z', '2026-11-30 10:00:00.5 +0000 UTC'],
  ['2026-11-30T10:00:00-00:00', '2026-11-30 10:00:00 +0000 UTC'],
  ['2026-11-30T10:00:00+00:00', '2026-11-30 10:00:00 +0000 UTC'],
  ['2026-11-30T10:00:00.120Z', '2026-11-30 10:00:00.12 +0000 UTC'],
  ['2026-11-30T10:00:00+01:60', '2026-11-30 10:00:00 +0200 +0200'],
  ['!!float 1', '"1"'],
  ['!!bool true', '"true"'],
  ['!!bool "true"', '"true"'],
  ['!!timestamp "2026-11-30"', '2026-11-30 00:00:00 +0000 UTC'],
  ['!!int 5', '"5"'],
  ['!!int "0x1F"', '"31"'],
  ['!!str 2026-11-30', '"2026-11-30"'],
];
const NOTHING = ['~', 'null', 'Null', 'NULL', ''];

const TABLE: ReadonlyArray<readonly [string, string | undefined]> = [
  ...REFUSED.map((value) => [value, undefined] as const),
  ...AS_WRITTEN.map((value) => [value, value] as const),
  ...IN_SINGLE_QUOTES.map((value) => [value, `'${value}'`] as const),
  ...CHANGED,
];

const service = (attributes: string): string => `services: \n  a:\n    image: x\n${attributes}`;
const PLACES: Readonly<Record<string, (value: string) => string>> = {
  environment: (value) => service(`    environment:\n      K: ${value}\n`),
  labels: (value) => service(`    labels:\n      K: ${value}\n`),
  sysctls: (value) => service(`    sysctls:\n      K: ${value}\n`),
  annotations: (value) => service(`    annotations:\n      K: ${value}\n`),
  'build.args': (value) => service(`    build:\n      context: .\n      args:\n        K: ${value}\n`),
  'build.labels': (value) => service(`    build:\n      context: .\n      labels:\n        K: ${value}\n`),
  'hook environment': (value) => service(`    post_start:\n      - command: [a]\n        environment:\n          K: ${value}\n`),
  'network labels': (value) => `${service('    networks: [n]\n')}networks:\n  n:\n    labels:\n      K: ${value}\n`,
};

const printed = async (file: string): Promise<string | undefined> => {
  const cwd = await projectFolder({ 'compose.yaml': file });
  try {
    return /^ +K: ?(.*)$/m.exec((await runConfig({ cwd, env: {} })).stdout)?.[1] ?? 'nothing';
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^COMPOSE_(INVALID|SYNTAX)$/), where: { line: expect.any(Number) } });
    return undefined;
  }
};

test.each(Object.entries(PLACES))('%s: each scalar is what docker compose makes of it', async (_, place) => {
  const ours: Array<readonly [string, string | undefined]> = [];
  for (const [value] of TABLE) {
    ours.push([value, await printed(place(value))]);
  }
  expect(ours).toEqual(TABLE);
});

test('nothing is null in an environment, empty text in labels and sysctls, and no build argument', async () => {
  for (const value of NOTHING) {
    const places = ['environment', 'labels', 'sysctls', 'build.args'].map((name) => PLACES[name]?.(value) ?? '');
    expect(await Promise.all(places.map(printed))).toEqual(['null', '""', '""', 'nothing']);
  }
});

test('a number that only YAML has is refused in x- too, wherever it is', async () => {
  for (const file of ['x-a: .inf\n', 'x-a: [{b: [.nan]}]\n', 'services: {a: {image: x, x-b: {c: -.inf}}}\n']) {
    const cwd = await projectFolder({ 'compose.yaml': file.startsWith('x-') ? `services: {a: {image: x}}\n${file}` : file });
    await expect(runConfig({ cwd, env: {} })).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
  }
});

/** What docker compose 5.5 prints of extensions, where nothing asks for text; recorded. */
const EXTENSIONS: ReadonlyArray<readonly [string, string, unknown]> = [
  ['2020-01-01', '2020-01-01T00:00:00Z', '2020-01-01T00:00:00Z'],
  ['2020-1-2T10:00:00+02:00', '2020-01-02T10:00:00+02:00', '2020-01-02T10:00:00+02:00'],
  ['2020-01-01 10:00:00.120', '2020-01-01T10:00:00.12Z', '2020-01-01T10:00:00.12Z'],
  ['2020-01-01T10:00:00-00:30', '2020-01-01T10:00:00-00:30', '2020-01-01T10:00:00-00:30'],
  ["'2020-01-01'", '"2020-01-01"', '2020-01-01'],
  ['1e6', '1e+06', 1_000_000],
  ['-1e7', '-1e+07', -10_000_000],
  ['1000000.0', '1e+06', 1_000_000],
  ['1.0', '1', 1],
  ['1000000', '1000000', 1_000_000],
];

test.each(EXTENSIONS)('x-k: %s', async (value, yaml, json) => {
  const cwd = await projectFolder({ 'compose.yaml': `${service(`    x-k: ${value}\n`)}x-k: [${value}]\n` });
  for (const interpolate of [true, false]) {
    const { stdout } = await runConfig({ cwd, env: {}, interpolate });
    expect(stdout).toContain(`    x-k: ${yaml}\n`);
    expect(stdout).toContain(`x-k:\n  - ${yaml}\n`);
  }
  // JSON has those of the top only.
  expect(JSON.parse((await runConfig({ cwd, env: {}, format: 'json' })).stdout)).toMatchObject({ 'x-k': [json] });
});

test.each(['1.5', '5.0', 'true', '2020-01-01', '18446744073709551615'])('storage_opt takes no %s, as docker compose', async (value) => {
  const cwd = await projectFolder({ 'compose.yaml': service(`    storage_opt: {size: ${value}}\n`) });
  await expect(runConfig({ cwd, env: {} })).rejects.toMatchObject({ code: 'COMPOSE_INVALID', where: { line: 4 } });
});

test('storage_opt makes text of whole numbers and of nothing', async () => {
  const cwd = await projectFolder({ 'compose.yaml': service('    storage_opt: {a: 5, b: ~, c: x}\n') });
  expect((await runConfig({ cwd, env: {} })).stdout).toContain('a: "5"\n      b: ""\n      c: x\n');
});

test.each(['[x]', '{a: b}', '2020-01-01'])(
  'a name that is %s is refused also where nothing else is checked, unless another is given',
  async (name) => {
    const cwd = await projectFolder({ 'compose.yaml': `name: ${name}\nservices: {a: {image: x}}\n` });
    await expect(runConfig({ cwd, env: {}, listVariables: true })).rejects.toMatchObject({ code: 'COMPOSE_INVALID', where: { line: 1 } });
    await runConfig({ cwd, env: {}, listVariables: true, projectName: 'p' });
  },
);

test.each(['command', 'entrypoint'])('%s: a date says that it is to be quoted', async (attribute) => {
  const cwd = await projectFolder({ 'compose.yaml': service(`    ${attribute}: 2020-01-01\n`) });
  await expect(runConfig({ cwd, env: {} })).rejects.toThrow('not a date: quote it ("2020-01-01")');
});
