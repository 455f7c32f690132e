import { expect, test } from 'vitest';
import { runConfig } from '../../../compose/index.ts';
import { load, projectFolder } from '../project-folder.ts';

const files = {
  'compose.yaml':
    "services:\n  a:\n    image: x:${TAG:-1}\n    ports: ['80:80']\n    cap_add: [A]\n    env_file: [one.env, two.env]\n    environment: {B: own}\n",
  'compose.override.yaml': "services:\n  a:\n    ports: !override ['81:80']\n    cap_add: !reset []\n    labels: [l=$WHO]\n",
  '.env': 'TAG=2\nWHO=file\n',
  'one.env': 'A=1\nB=1\n',
  'two.env': '\nA=2\n',
};

const explain = async (path: string, env: Record<string, string> = {}) => {
  const cwd = await projectFolder(files);
  return (await runConfig({ cwd, env, explain: path })).stdout.replaceAll(`${cwd}/`, '');
};

test('variables: what was written, who set them, who lost', async () => {
  expect(await explain('services.a.image')).toBe(
    'services.a.image: "x:2"  # compose.yaml:3:12\n    written "x:${TAG:-1}"\n    TAG is "2"  # .env:1:1\n',
  );
  expect(await explain('services.a.image', { TAG: '3' })).toBe(
    'services.a.image: "x:3"  # compose.yaml:3:12\n    written "x:${TAG:-1}"\n    TAG is "3"  # the environment\n        not "2"  # .env:1:1\n',
  );
});

test('an item of a list of NAME=value by its name', async () => {
  expect(await explain('services.a.labels.l')).toBe(
    'services.a.labels.l: "l=file"  # compose.override.yaml:5:14\n    written "l=$WHO"\n    WHO is "file"  # .env:2:1\n',
  );
});

test('variables in the list form of environment, each with its own line and what it replaced', async () => {
  const cwd = await projectFolder({
    'compose.yaml': 'services:\n  web:\n    image: x\n    environment:\n      - A=1\n      - B2=two\n      - C=3\n',
    'compose.override.yaml': 'services:\n  web:\n    environment:\n      - B2=over\n      - D=4\n',
  });
  const of = async (name: string) =>
    (await runConfig({ cwd, env: {}, explain: `services.web.environment${name}` })).stdout.replaceAll(`${cwd}/`, '');
  expect(await of('.C')).toBe('services.web.environment.C: "C=3"  # compose.yaml:7:9\n');
  expect(await of('.D')).toBe('services.web.environment.D: "D=4"  # compose.override.yaml:5:9\n');
  expect(await of('[1]')).toContain('"B2=over"  # compose.override.yaml:4:9');
  expect(await of('.B2')).toBe(
    'services.web.environment.B2: "B2=over"  # compose.override.yaml:4:9\n    replaces "B2=two"  # compose.yaml:6:9\n',
  );
});

test('what !reset and !override took away', async () => {
  expect(await explain('services.a.cap_add')).toBe('services.a.cap_add: removed by !reset; was ["A"]  # compose.yaml:5:14\n');
  const all = await explain('services.a');
  expect(all).toMatch(/ {4}replaces \[\{.*"published":"80".*\}\] {2}# compose.yaml:4:12\n/);
  expect(all).toContain('services.a.cap_add: removed by !reset');
});

test('env files of a service: the last one counts, and environment before all', async () => {
  expect(await explain('services.a.environment')).toBe(
    [
      'services.a.environment.B: "own"  # compose.yaml:7:22',
      'services.a.environment.A: "2"  # two.env:2:1',
      '    replaces "1"  # one.env:1:1',
      'services.a.environment.B: set under environment',
      '    replaces "1"  # one.env:2:1',
      '',
    ].join('\n'),
  );
  expect(await explain('services.a.environment.A')).toBe('services.a.environment.A: "2"  # two.env:2:1\n    replaces "1"  # one.env:1:1\n');
});

test('a dollar in a .env that is no variable is warned about, with its place', async () => {
  const { warnings } = await load({ 'compose.yaml': 'services: {a: {image: x}}', '.env': "OK='a$b'\nPASSWORD=pa$word\n" });
  expect(warnings).toMatchObject([
    {
      message: 'The "word" variable is not set. Defaulting to a blank string.',
      where: { line: 2, column: 10 },
      hint: 'if "$word" is not a variable, put the value in single quotes',
    },
  ]);
});
