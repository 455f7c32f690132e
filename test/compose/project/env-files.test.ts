import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runConfig } from '../../../compose/index.ts';
import { onlyWhere } from '../../support/needs.ts';
import { projectFolder } from '../project-folder.ts';

/** What went wrong with a service's file, or with one of the command line. */
const failureOf = async (cwd: string, attribute: string | undefined, options: object = {}) => {
  writeFileSync(join(cwd, 'compose.yaml'), `services:\n  a:\n    image: x\n${attribute === undefined ? '' : `    ${attribute}\n`}`);
  return runConfig({ cwd, env: {}, ...options }).catch((error: unknown) => error);
};

const OWN_LINE = { file: expect.stringMatching(/\/compose\.yaml$/), line: 4 };

describe('an env file that cannot be read says which, and where it is named', () => {
  const make = async () => {
    const cwd = await projectFolder({
      'nul.env': 'A=1\nB=x\0y\n',
      'noname.env': 'A=1\n=3\n',
      'big.env': 'A'.repeat(50 << 20),
      '.keep': '',
    });
    mkdirSync(join(cwd, 'dir'));
    return cwd;
  };

  test.each([
    ["env_file: ''", { code: 'COMPOSE_ENV_FILE', message: 'the path of this file is empty', where: OWN_LINE }],
    ["env_file: [{path: ''}]", { code: 'COMPOSE_ENV_FILE', message: 'the path of this file is empty', where: OWN_LINE }],
    ["label_file: ''", { code: 'COMPOSE_ENV_FILE', message: 'the path of this file is empty', where: OWN_LINE }],
    [
      'env_file: dir',
      { message: expect.stringMatching(/dir is a folder, not an env file$/), hint: expect.stringContaining('a file'), where: OWN_LINE },
    ],
    ['label_file: dir', { message: expect.stringMatching(/dir is a folder, not a label file$/), where: OWN_LINE }],
    [
      'env_file: absent-entirely',
      {
        message: expect.stringMatching(/^env file \S+absent-entirely not found$/),
        hint: expect.stringContaining('optional'),
        where: OWN_LINE,
      },
    ],
    ['label_file: no', { message: expect.stringMatching(/^label file \S+no not found$/), hint: expect.not.stringContaining('optional') }],
    ['env_file: big.env', { code: 'COMPOSE_LIMIT', message: expect.stringContaining('larger than 8 MiB'), where: OWN_LINE }],
    ['env_file: nul.env', { code: 'COMPOSE_SYNTAX', where: { file: expect.stringMatching(/nul\.env$/), line: 2, column: 4 } }],
    ['env_file: noname.env', { code: 'COMPOSE_ENV_FILE', where: { file: expect.stringMatching(/noname\.env$/), line: 2 } }],
  ])('%s', async (attribute, expected) => {
    expect(await failureOf(await make(), attribute)).toMatchObject(expected);
  });

  test.each([
    ['', { code: 'COMPOSE_ENV_FILE', message: '--env-file has an empty path' }],
    [
      'dir',
      {
        code: 'COMPOSE_ENV_FILE',
        message: expect.stringMatching(/dir is a folder, not an env file$/),
        hint: expect.stringContaining('a file'),
      },
    ],
    [
      'absent-entirely',
      { message: expect.stringMatching(/^env file \S+absent-entirely not found$/), hint: expect.not.stringContaining('optional') },
    ],
    ['big.env', { code: 'COMPOSE_LIMIT' }],
    ['nul.env', { code: 'COMPOSE_SYNTAX', where: { line: 2, column: 4 } }],
    ['noname.env', { code: 'COMPOSE_ENV_FILE', where: { line: 2 } }],
  ])('--env-file "%s"', async (file, expected) => {
    expect(await failureOf(await make(), undefined, { envFiles: [file] })).toMatchObject(expected);
  });

  onlyWhere(process.getuid?.() === 0 && 'root may read every file').it('nor may be read', async () => {
    const cwd = await projectFolder({ 'secret.env': 'A=1\n', 'compose.yaml': '' });
    chmodSync(join(cwd, 'secret.env'), 0);
    expect(await failureOf(cwd, 'env_file: secret.env')).toMatchObject({ code: 'HYPR_PERMISSION', where: OWN_LINE });
    expect(await failureOf(cwd, undefined, { envFiles: ['secret.env'] })).toMatchObject({ code: 'HYPR_PERMISSION' });
  });
});
