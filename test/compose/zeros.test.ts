import { describe, expect, test } from 'vitest';
import { runConfig } from '../../compose/index.ts';
import { failure, load, projectFolder } from './project-folder.ts';

/** Expected values are docker compose 5.5's. */
describe('zero and nothing are values', () => {
  const file = 'services: {a: {image: x, ulimits: {core: 0, nofile: {soft: 0, hard: 5}, nproc: 3}}}\n';

  test('a limit of 0 is one, in YAML with both its sides and in JSON without', async () => {
    expect((await load(file)).project.services.a?.ulimits).toEqual({ core: { soft: 0, hard: 0 }, nofile: { soft: 0, hard: 5 }, nproc: 3 });
    const cwd = await projectFolder({ 'compose.yaml': file });
    expect((await runConfig({ cwd, env: {} })).stdout).toContain('core:\n        soft: 0\n        hard: 0\n');
    const { services } = JSON.parse((await runConfig({ cwd, env: {}, format: 'json' })).stdout);
    expect(services.a.ulimits).toEqual({ core: {}, nofile: { hard: 5 }, nproc: 3 });
  });

  test.each(['0', "'80:0'", '0-2'])('a container has no port 0: %s', async (port) => {
    expect(await failure(`services: {a: {image: x, ports: [${port}]}}\n`)).toMatchObject({ message: expect.stringContaining('no port 0') });
  });

  test('a text that begins with an empty line is written as compose writes it, and read back', async () => {
    const config = { services: { a: { image: 'x', environment: { A: '\n{a}\n', B: '\n  b\n', C: '\n' } } } };
    const cwd = await projectFolder({ 'compose.yaml': JSON.stringify(config) });
    const { stdout } = await runConfig({ cwd, env: {} });
    expect(stdout).toContain('      A: |\n\n        {a}\n');
    expect((await load(stdout)).project.services.a?.environment).toEqual(config.services.a.environment);
  });

  test('a profile without a name is on unless another one is asked for', async () => {
    const text = "services: {a: {image: x, profiles: ['']}, b: {image: x}}\n";
    const named = async (options: object) => Object.keys((await load(text, options)).project.services);
    expect(await named({})).toEqual(['a', 'b']);
    expect(await named({ env: { COMPOSE_PROFILES: 'p' } })).toEqual(['b']);
    expect(await named({ profiles: ['p'] })).toEqual(['b']);
    expect((await load(text)).project.profiles).toBeUndefined();
  });
});
