import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatDuration, parseBytes, parseDuration, runConfig, selectServices, serviceConfigHash } from '../../compose/index.ts';
import { parseNanoseconds } from '../../compose/model/units.ts';
import { load, projectFolder } from './project-folder.ts';

describe('config', () => {
  test('--explain says which file and line a value came from, and what it replaced', async () => {
    const cwd = await projectFolder({
      'compose.yaml': 'services:\n  a:\n    image: x:1\n    environment: {A: one}\n',
      'compose.override.yaml': 'services:\n  a:\n    image: x:2\n    environment: {A: two}\n',
    });
    const explain = async (path: string) => (await runConfig({ cwd, env: {}, explain: path })).stdout.replaceAll(`${cwd}/`, '');
    expect(await explain('services.a.image')).toBe(
      'services.a.image: "x:2"  # compose.override.yaml:3:12\n    replaces "x:1"  # compose.yaml:3:12\n',
    );
    expect(await explain('services.a.environment')).toBe(
      'services.a.environment[0]: "A=two"  # compose.override.yaml:4:19\n    replaces "A=one"  # compose.yaml:4:19\n',
    );
    await expect(explain('services.b')).rejects.toMatchObject({ code: 'HYPR_USAGE' });
  });

  test('-o writes the file and prints nothing; -q prints nothing', async () => {
    const cwd = await projectFolder({ 'compose.yaml': 'name: app\nservices: {a: {image: x}}\n' });
    expect((await runConfig({ cwd, env: {}, output: 'out.yaml' })).stdout).toBe('');
    expect(await readFile(join(cwd, 'out.yaml'), 'utf8')).toMatch(/^name: app\n/);
    expect((await runConfig({ cwd, env: {}, quiet: true })).stdout).toBe('');
  });

  test('listings do not mind a container_name that is there twice; the model does', async () => {
    const cwd = await projectFolder({ 'compose.yaml': 'services: {a: {image: x, container_name: cn}, b: {image: x, container_name: cn}}' });
    expect((await runConfig({ cwd, env: {}, listServices: true })).stdout).toBe('a\nb\n');
    expect((await runConfig({ cwd, env: {}, hash: '*' })).stdout.split('\n')).toHaveLength(3);
    await expect(runConfig({ cwd, env: {} })).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
  });

  test('prints a table of variables when asked by --variables', async () => {
    const cwd = await projectFolder({ 'compose.yaml': 'services: {a: {image: "x:${TAG:-1}", user: "${U:?who}"}}\n' });
    expect((await runConfig({ cwd, env: {}, listVariables: true })).stdout).toBe(
      [
        'NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE',
        'TAG                 false               1                   ',
        'U                   true                                    ',
        '',
      ].join('\n'),
    );
  });

  test('--variables lists what comes before a reference that a short form was split in', async () => {
    const cwd = await projectFolder({ 'compose.yaml': 'services: {a: {image: x, devices: ["$E${N:-}/dev/a:/dev/b"]}}\n' });
    const { stdout } = await runConfig({ cwd, env: {}, listVariables: true });
    expect(stdout.split('\n').map((line) => line.split(' ')[0])).toEqual(['NAME', 'E', '']);
  });

  // What docker compose lists of each, without the nameless variable (docs/compose-divergences.md).
  test.each([
    ['${BAD', []],
    ['x ${BAD ${GOOD}', ['GOOD']],
    ['${A} ${BAD:x} ${GOOD:-d}', ['A', 'GOOD']],
    ['${A} ${BAD:x} $G', ['A', 'G']],
    ['${B!x} ${C:-${D}}', ['C', 'D']],
    ['${} ${X}', ['X']],
    ['${1} $Y', ['Y']],
    ['${A:-x ${B', []],
    ['${A:-${B!} ${C}}', ['A', 'C']],
    ['$A ${-x} $$D ${E}', ['A', 'E']],
  ])('--variables lists what comes before and after a broken reference: %s', async (text, names) => {
    const cwd = await projectFolder({ 'compose.yaml': `services: {a: {image: x, labels: {l: '${text}'}}}\n` });
    const { stdout } = await runConfig({ cwd, env: {}, listVariables: true });
    const rows = stdout.trimEnd().split('\n').slice(1);
    expect(rows.map((line) => line.split(' ')[0])).toEqual(names);
  });

  test('--variables refuses braces that are too tangled to look behind', async () => {
    const cwd = await projectFolder({ 'compose.yaml': `services: {a: {image: x, labels: {l: '${'${A:-'.repeat(20_000)}'}}}\n` });
    await expect(runConfig({ cwd, env: {}, listVariables: true })).rejects.toMatchObject({ code: 'COMPOSE_LIMIT' });
  });

  test('a bind mount without a source is refused, without interpolation too', async () => {
    const cwd = await projectFolder({
      'compose.yaml': 'services:\n  a:\n    image: x\n    volumes:\n      - type: bind\n        target: /x\n',
    });
    for (const options of [{}, { listVariables: true }, { interpolate: false }]) {
      await expect(runConfig({ cwd, env: {}, ...options })).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
    }
  });

  test('a file in a parent folder: the .env here beats the one there', async () => {
    const cwd = await projectFolder({
      'compose.yaml': 'services: {a: {image: "x:$A-$B"}}\n',
      '.env': 'A=up\nB=up\n',
      'sub/.env': 'A=here\n',
    });
    const { stdout } = await runConfig({ cwd: join(cwd, 'sub'), env: {} });
    expect(stdout).toContain('image: x:here-up');
  });
});

describe('selectServices', () => {
  const text = 'services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x}\n  c: {image: x}\n  d: {image: x, profiles: [p]}\n';

  test('keeps dependencies unless told not to', async () => {
    const { project } = await load(text);
    expect(Object.keys(selectServices(project, ['a']).services)).toEqual(['a', 'b']);
    const alone = selectServices(project, ['a'], { noDeps: true });
    expect(alone.services).toMatchObject({ a: { image: 'x' } });
    expect(alone.services.a?.depends_on).toBeUndefined();
  });

  test('a named service brings its profile', async () => {
    const { project } = await load(text);
    expect(Object.keys(selectServices(project, ['d']).services)).toEqual(['d']);
    expect(Object.keys(project.disabledServices)).toEqual(['d']);
  });
});

describe('units', () => {
  test.each([
    ['90s', 90_000, '1m30s'],
    ['1d', 86_400_000, '24h0m0s'],
    ['1h5m30s20ms', 3_930_020, '1h5m30.02s'],
    ['10us', 0.01, '10µs'],
    ['1.5s', 1500, '1.5s'],
    ['0', 0, '0s'],
    ['-3s', -3000, '-3s'],
  ])('the duration %s', (text, ms, printed) => {
    expect(parseDuration(text)).toBe(ms);
    expect(formatDuration(parseNanoseconds(text))).toBe(printed);
  });

  test.each(['', 's', '1', '1x', '1s2', 'soon', '1 s'])('no duration: %j', (text) =>
    expect(() => parseDuration(text)).toThrow(/not a duration/),
  );

  test.each([
    ['1.5gb', 1_610_612_736],
    ['512M', 536_870_912],
    ['2kb', 2048],
    ['64MiB', 67_108_864],
    ['-1', -1],
    ['1024', 1024],
    ['10b', 10],
  ])('the size %s', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  test.each(['', 'm', '1x', '1 2', '1.2.3g', '-1m'])('no size: %j', (text) => expect(() => parseBytes(text)).toThrow(/not a size/));
});

test('the config hash leaves out what does not change a replica', async () => {
  const hash = async (more: string) =>
    serviceConfigHash((await load(`services: {a: {image: x${more}}, b: {image: y}}`)).project.services.a ?? {});
  const plain = await hash('');
  expect(await hash(', pull_policy: always, depends_on: [b], scale: 3')).toBe(plain);
  expect(await hash(', user: "1"')).not.toBe(plain);
});
