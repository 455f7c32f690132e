import { describe, expect, test } from 'vitest';
import { NO_COMPOSE_FILE } from '../../compose/files/file-names.ts';
import { failure } from './project-folder.ts';

describe('errors say the place, with a caret, and what to do', () => {
  test('an unknown attribute, with the one that was meant', async () => {
    expect(await failure('services:\n  web:\n    image: x\n    enviroment: {A: 1}\n')).toEqual({
      code: 'COMPOSE_INVALID',
      message: 'services.web: "enviroment" is not known here',
      hint: 'did you mean "environment"?',
      at: 'compose.yaml:4:5',
      details: ['4 |     enviroment: {A: 1}', '  |     ^'],
    });
  });

  test('a value of the wrong type inside of a long form', async () => {
    expect(await failure('services:\n  web:\n    image: x\n    ports:\n      - target: [80]\n')).toMatchObject({
      message: 'services.web.ports[0].target: must be a whole number or a string, not a list',
      at: 'compose.yaml:5:17',
    });
  });

  test('an attribute that takes several forms', async () => {
    expect(await failure('services:\n  web:\n    image: x\n    command: 5\n')).toMatchObject({
      message: 'services.web.command: must be nothing or a string or a list, not a number',
      at: 'compose.yaml:4:14',
    });
  });

  test('a value that is not one of a few', async () => {
    expect(await failure('services:\n  a: {image: x, depends_on: {b: {condition: service_helthy}}}\n  b: {image: y}\n')).toMatchObject({
      hint: 'did you mean "service_healthy"?',
      at: 'compose.yaml:2:45',
    });
  });

  test('a value from the override file is shown there', async () => {
    const files = { 'compose.yaml': 'services: {a: {image: x}}\n', 'compose.override.yaml': 'services:\n  a:\n    restrat: always\n' };
    expect(await failure(files)).toMatchObject({ at: 'compose.override.yaml:3:5', hint: 'did you mean "restart"?' });
  });

  test('a value inherited by extends is shown in the file that says it', async () => {
    const files = {
      'compose.yaml': 'services:\n  a:\n    extends: {file: base.yaml, service: b}\n',
      'base.yaml': 'services:\n  b:\n    image: x\n    networks: [missing]\n',
    };
    expect(await failure(files)).toMatchObject({
      message: 'service "a" uses the network "missing", which is not defined',
      at: 'base.yaml:4:16',
    });
  });

  test('a dependency that is mistyped', async () => {
    expect(await failure('services:\n  web: {image: x, depends_on: [postgrs]}\n  postgres: {image: y}\n')).toMatchObject({
      message: 'service "web" depends on service "postgrs", which does not exist',
      hint: 'did you mean "postgres"?',
      at: 'compose.yaml:2:32',
    });
  });

  test('a dependency that is only in an inactive profile', async () => {
    expect(await failure('services:\n  web: {image: x, depends_on: [db]}\n  db: {image: y, profiles: [dev]}\n')).toMatchObject({
      message: 'service "web" depends on service "db", which is only in the inactive profile dev',
      hint: 'add --profile dev, or make the dependency optional with "required: false"',
    });
  });

  test('a circle of dependencies', async () => {
    expect(
      await failure('services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n'),
    ).toMatchObject({
      message: 'the dependencies go in a circle: a → b → c → a',
    });
  });

  test('a required variable that is not set is named with the words of its author', async () => {
    expect(await failure('services:\n  a:\n    image: x:${TAG:?say which}\n')).toMatchObject({
      code: 'COMPOSE_INTERPOLATION',
      message: 'services.a.image: the variable TAG must be set: say which',
      hint: 'set it in the environment or in .env: TAG=…',
      at: 'compose.yaml:3:12',
    });
  });

  test('a variable of the wrong type', async () => {
    expect(await failure('services:\n  a: {image: x, privileged: "${P}"}\n', { env: { P: 'maybe' } })).toMatchObject({
      code: 'COMPOSE_INTERPOLATION',
      message: 'services.a.privileged must be true or false, not "maybe"',
    });
  });

  test('broken YAML and tabs are refused where they stand', async () => {
    expect(await failure('services:\n  a:\n\timage: x\n')).toMatchObject({ code: 'COMPOSE_SYNTAX', at: 'compose.yaml:3:1' });
    expect(await failure('services: {a: {image: "x}}\n')).toMatchObject({ code: 'COMPOSE_SYNTAX' });
  });

  test('a key that is there twice names the first line', async () => {
    expect(await failure('services:\n  a: {image: x}\n  a: {image: y}\n')).toMatchObject({
      message: 'the key "a" is already defined in line 2',
      at: 'compose.yaml:3:3',
    });
  });

  test('bytes that are not UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('services:\n  a: {image: "caf'), Buffer.from([0xe9]), Buffer.from('"}\n')]);
    expect(await failure({ 'compose.yaml': bytes })).toMatchObject({
      code: 'COMPOSE_SYNTAX',
      hint: 'save the file as UTF-8',
      at: 'compose.yaml:2:18',
    });
  });

  test('no file here is told from one that was named and is missing', async () => {
    const named = { 'compose.yaml': 'include: [typo.yaml]\nservices: {a: {image: x}}\n' };
    const codes = await Promise.all([
      failure({}),
      failure({}, { files: ['typo.yaml'] }),
      failure({}, { env: { COMPOSE_FILE: 'typo.yaml' } }),
      failure(named),
    ]);
    expect(codes.map(({ code, reason }) => [code, reason])).toEqual([
      ['COMPOSE_NOT_FOUND', NO_COMPOSE_FILE],
      ...codes.slice(1).map(() => ['COMPOSE_NOT_FOUND', undefined]),
    ]);
  });

  test('a folder instead of a file, with the file that was meant', async () => {
    const files = { 'sub/compose.yml': 'services: {a: {image: x}}\n' };
    expect(await failure(files, { files: ['sub'] })).toMatchObject({
      code: 'COMPOSE_NOT_FOUND',
      hint: expect.stringMatching(/^name the file in it: .*sub\/compose\.yml$/),
    });
  });

  test('a broken .env is refused at its own line', async () => {
    expect(await failure({ 'compose.yaml': 'services: {a: {image: x}}', '.env': 'A=1\nB="open\n' })).toMatchObject({
      code: 'COMPOSE_ENV_FILE',
      at: '.env:2:3',
      details: ['2 | B="open', '  |   ^'],
    });
  });

  test('a missing env_file is shown where it is asked for', async () => {
    expect(await failure('services:\n  a:\n    image: x\n    env_file: [nope.env]\n')).toMatchObject({
      code: 'COMPOSE_ENV_FILE',
      message: 'env file nope.env not found',
      at: 'compose.yaml:4:16',
    });
  });

  test('a duration or size that is none', async () => {
    expect(await failure('services:\n  a: {image: x, stop_grace_period: soon}\n')).toMatchObject({
      message: 'services.a.stop_grace_period: "soon" is not a duration',
      at: 'compose.yaml:2:36',
    });
    expect(await failure('services:\n  a: {image: x, mem_limit: lots}\n')).toMatchObject({
      message: 'services.a.mem_limit: "lots" is not a size',
    });
  });

  test('an unquoted date is refused where it stands', async () => {
    expect(await failure('services:\n  a: {image: x, hostname: 2020-01-01}\n')).toMatchObject({ at: 'compose.yaml:2:27' });
  });

  test('merges of different kinds', async () => {
    const files = { 'a.yaml': 'services: {a: {image: x, cap_add: [A]}}', 'b.yaml': 'services:\n  a:\n    cap_add: {b: c}\n' };
    expect(await failure(files, { files: ['a.yaml', 'b.yaml'] })).toMatchObject({ code: 'COMPOSE_INVALID', at: 'b.yaml:3:5' });
  });

  test('a service asked for that is not there', async () => {
    const text = 'services:\n  web: {image: x}\n  api: {image: y}\n';
    expect(await failure(text, { services: ['wep'] })).toMatchObject({ code: 'COMPOSE_NO_SERVICE', hint: 'did you mean "web"?' });
  });

  test('escape sequences of a file do not reach the terminal', async () => {
    const { message } = await failure('services:\n  a:\n    image: "${\\e[31m}"\n');
    expect(message).toContain('\\x1b[31m');
    expect(message).not.toContain('\u001b');
  });
});

describe('names and paths that come to nothing', () => {
  test.each([
    ['a secret', 'services: {a: {image: x, secrets: ["${E}"]}}\nsecrets: {s: {external: true}}\n', 'COMPOSE_INVALID'],
    ['a config', 'services: {a: {image: x, configs: ["${E}"]}}\nconfigs: {c: {external: true}}\n', 'COMPOSE_INVALID'],
    ['a secret of a build', 'services: {a: {build: {context: ., secrets: ["${E}"]}}}\nsecrets: {s: {external: true}}\n', 'COMPOSE_INVALID'],
    ['an env file', 'services: {a: {image: x, env_file: "${E}"}}\n', 'COMPOSE_ENV_FILE'],
    ['a label file', 'services: {a: {image: x, label_file: ["${E}"]}}\n', 'COMPOSE_ENV_FILE'],
    ['the name of the project', 'name: ${E}\nservices: {a: {image: x}}\n', 'COMPOSE_INVALID'],
  ])('%s', async (_, text, code) => {
    expect(await failure(text, { env: { HOME: '/h', E: '' } })).toMatchObject({ code, at: expect.stringMatching(/^compose\.yaml:1:/) });
  });
});
