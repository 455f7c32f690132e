import { describe, expect, test } from 'vitest';
import { load } from '../project-folder.ts';

describe('include', () => {
  test('gives its secrets the variables of its own env file when nobody else has them', async () => {
    const { project } = await load({
      'compose.yaml': 'include: [{path: inc/inc.yaml, env_file: [inc/own.env]}]\n',
      'inc/inc.yaml': 'services:\n  a: {image: x, secrets: [s, t]}\nsecrets:\n  s: {environment: OWN}\n  t: {environment: BOTH}\n',
      'inc/own.env': 'OWN=mine\nBOTH=mine\nUNUSED=mine\n',
      '.env': 'BOTH=ours\n',
    });
    expect(project.environment).toMatchObject({ OWN: 'mine', BOTH: 'ours' });
    expect(project.environment).not.toHaveProperty('UNUSED');
  });

  test('gives way to the file that includes it, and to the include before it', async () => {
    const { project } = await load({
      'compose.yaml': 'include: [one.yaml, two.yaml]\nservices:\n  a: {image: mine}\n',
      'one.yaml': 'services:\n  a: {image: one, hostname: one}\n  b: {image: one}\n',
      'two.yaml': 'services:\n  a: {image: two, hostname: two, user: two}\n  b: {image: two, user: two}\n',
    });
    expect(project.services).toMatchObject({
      a: { image: 'mine', hostname: 'one', user: 'two' },
      b: { image: 'one', user: 'two' },
    });
  });
});

describe('files of variables and labels', () => {
  const files = { 'compose.yaml': 'services:\n  a: {image: x, env_file: [none.env], label_file: [none.labels]}\n' };

  test('may be missing when the command needs no environment', async () => {
    const { project } = await load(files, { resolveEnv: false });
    expect(project.services.a?.image).toBe('x');
  });

  test('are an error when it does', async () => {
    await expect(load(files)).rejects.toMatchObject({ code: 'COMPOSE_ENV_FILE' });
  });
});
