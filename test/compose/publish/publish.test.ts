import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadProject } from '../../../compose/load/load.ts';
import { findInText, findInValues } from '../../../compose/publish/find-secrets.ts';
import { collectFiles } from '../../../compose/publish/publish-files.ts';
import { publishQuestions } from '../../../compose/publish/publish-questions.ts';
import { rewritePaths } from '../../../compose/publish/rewrite-paths.ts';
import { projectFolder } from '../project-folder.ts';

const { signal } = new AbortController();

const open = async (files: Record<string, string>) => {
  const cwd = await projectFolder(files);
  const { project } = await loadProject({ cwd, env: { HOME: '/home/u' }, profiles: ['*'] });
  return { cwd, project };
};

const hash = (path: string) => createHash('sha256').update(path).digest('hex');

describe('questions before a project is published', () => {
  test('name env files and literal values of suspicious variables, in both forms, not those that are filled in', async () => {
    const { project } = await open({
      'compose.yaml':
        'services:\n  a: {image: x, environment: [DB_PASSWORD=bar, "API_TOKEN=${T:-x}", PLAIN=1]}\n' +
        '  b: {image: x, env_file: b.env, environment: {API_KEY: baz}}\n',
      'b.env': 'X=1\n',
    });
    const [question = '', ...others] = await publishQuestions(project, { withEnv: false, signal });
    expect(others).toEqual([]);
    expect(question.split('\n').filter((line) => line.startsWith('  '))).toEqual([
      '  service "a": literal value for "DB_PASSWORD"',
      '  service "b": env_file declared',
      '  service "b": literal value for "API_KEY"',
    ]);
    expect(await publishQuestions(project, { withEnv: true, signal })).toEqual([]);
  });

  test('name bind mounts, credentials wherever they are, and literal configs', async () => {
    const jwt = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from('{"sub":"1"}').toString('base64url')}.c2ln`;
    const { project } = await open({
      'compose.yaml':
        'services:\n  a:\n    image: x\n    volumes: [./data:/data]\n    environment: {ID: AKIA1234567890ABCDEF}\n    configs: [c, literal]\n' +
        'configs:\n  c: {file: c.txt}\n  literal: {content: "a text"}\n',
      'c.txt': jwt,
    });
    const [binds = '', secrets = '', configs = ''] = await publishQuestions(project, { withEnv: true, signal });
    expect(binds).toContain(`a: ${join(project.workingDir, 'data')}:/data`);
    expect(secrets).toContain('AWS Client ID\n"services.a.environment.ID": AKIA1234567890ABCDEF');
    expect(secrets).toContain(`JSON Web Token\n"": ${jwt}`);
    expect(configs).toContain('config "literal"');
  });

  test('are not asked of what cannot be published', async () => {
    const included = await open({ 'compose.yaml': 'include: [a.yaml]\n', 'a.yaml': 'services: {a: {image: x}}\n' });
    await expect(publishQuestions(included.project, { withEnv: false, signal })).rejects.toMatchObject({
      code: 'COMPOSE_INVALID',
      where: { line: 1 },
    });
    const built = await open({ 'compose.yaml': 'services: {a: {build: .}}\n' });
    await expect(publishQuestions(built.project, { withEnv: false, signal })).rejects.toMatchObject({ details: ['- "a"'] });
  });
});

describe('credentials', () => {
  test.each([
    ['Github authentication', `ghp_${'a1'.repeat(18)}`],
    ['AWS Secret Key', 'aws"12345+67890/abcdefghijklm+NOPQRSTUVWXYZ+"'],
    ['Slack token', 'xoxb-123456-abcdef'],
    ['URL with password', 'postgres://me:word@db/x'],
    ['Stripe API key', `sk_live_${'a'.repeat(24)}`],
  ])('%s', (type, value) => {
    expect(findInValues(new Map([['a.b', value]]))).toEqual([{ type, key: 'a.b', value }]);
    expect(findInText(`NAME=${value}\n`)).toEqual([{ type, key: 'NAME', value }]);
  });

  test('a private key over several lines, a long password, and no variable', () => {
    const key = '-----BEGIN DSA PRIVATE KEY-----\nabcd+ABC=\n-----END DSA PRIVATE KEY-----';
    expect(findInText(`${key}\n`)).toEqual([{ type: 'Private Key', key: '', value: key }]);
    expect(findInValues(new Map([['x.DB_PASSWORD', 'long enough']]))).toHaveLength(1);
    expect(
      findInValues(
        new Map([
          ['x.DB_PASSWORD', '${SECRET}'],
          ['x.TEXT', 'postgres://me:${PASSWORD}@db/x'],
        ]),
      ),
    ).toEqual([]);
  });
});

describe('files of a published project', () => {
  test('keep their text but for paths of env files and extended files', async () => {
    const { cwd, project } = await open({
      'compose.yaml':
        '# a comment\nx-env: &env\n  env_file: common.env\nservices:\n  a:\n    <<: *env\n    extends: {file: sub/base.yaml, service: b}\n' +
        '  c:\n    image: x\n    env_file: [{path: "$NAME.env", required: false}]\n    environment: {A: "${B:-env_file: x}"}\n',
      'sub/base.yaml': 'services:\n  b: {image: y, env_file: b.env}\n',
      'sub/b.env': 'B=1\n',
      'common.env': 'C=1\n',
      '.env': 'NAME=missing\n',
    });
    const base = `${hash(join(cwd, 'sub/base.yaml'))}.yaml`;
    const files = await collectFiles(project, { withEnv: true, signal });
    expect(files.map(({ kind, name }) => [kind, name])).toEqual([
      ['compose', 'compose.yaml'],
      ['extended', base],
      ['env', `${hash(join(cwd, 'common.env'))}.env`],
      ['env', `${hash(join(cwd, 'sub/b.env'))}.env`],
    ]);
    expect(files[0]?.content).toBe(
      `# a comment\nx-env: &env\n  env_file: ${hash(join(cwd, 'common.env'))}.env\nservices:\n  a:\n    <<: *env\n    extends: {file: ${base}, service: b}\n` +
        `  c:\n    image: x\n    env_file: [{path: ${hash(join(cwd, 'missing.env'))}.env, required: false}]\n    environment: {A: "\${B:-env_file: x}"}\n`,
    );
    expect(files[2]?.content).toBe('C=1\n');
    expect((await collectFiles(project, { withEnv: false, signal })).map(({ kind }) => kind)).toEqual(['compose', 'extended']);
  });

  test('are rewritten in every document, and remote extends are left', () => {
    const text = 'services: {a: {extends: {file: "oci://x/y", service: b}}}\n---\nservices:\n  a: {env_file: [one.env, two.env]}\n';
    const seen: string[] = [];
    const out = rewritePaths(text, (kind, path) => {
      seen.push(`${kind} ${path}`);
      return path.includes('://') ? undefined : 'n.env';
    });
    expect(seen).toEqual(['extends oci://x/y', 'env_file one.env', 'env_file two.env']);
    expect(out).toBe('services: {a: {extends: {file: "oci://x/y", service: b}}}\n---\nservices:\n  a: {env_file: [n.env, n.env]}\n');
  });
});
