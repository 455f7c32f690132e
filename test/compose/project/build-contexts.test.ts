import { describe, expect, test } from 'vitest';
import type { Service } from '../../../compose/model/model.ts';
import { contextServices, orderBuilds, withContextServices } from '../../../compose/project/build-contexts.ts';
import { failure, load } from '../project-folder.ts';

const reading = (...names: string[]): Service =>
  ({ build: { additional_contexts: Object.fromEntries(names.map((name, i) => [`x${i}`, `service:${name}`])) } }) as Service;
const projectOf = (services: Record<string, Service>, disabledServices: Record<string, Service> = {}) => ({ services, disabledServices });

describe('order of builds', () => {
  test('each after those it reads, which come in by themselves, once, and also when they are not enabled', () => {
    const project = projectOf({ web: reading('mid', 'low'), other: reading() }, { mid: reading('low'), low: reading() });
    expect(orderBuilds(project, ['web'])).toEqual(['low', 'mid', 'web']);
    expect(orderBuilds(project, ['other', 'web', 'low'])).toEqual(['other', 'low', 'mid', 'web']);
    expect([...withContextServices(project, ['web'])].sort()).toEqual(['low', 'mid', 'web']);
  });

  test('a circle and a service without a build are refused', () => {
    const circle = projectOf({ web: reading('a'), a: reading('b'), b: reading('a') });
    expect(() => orderBuilds(circle, ['web'])).toThrow('the builds need one another in a circle: a → b → a');
    expect([...withContextServices(circle, ['web'])].sort()).toEqual(['a', 'b', 'web']);
    expect(() => orderBuilds(projectOf({ web: reading('img'), img: { image: 'x' } as Service }), ['web'])).toThrow(
      'service "web" uses the build of service "img", which is not built',
    );
    expect(() => orderBuilds(projectOf({ web: reading('constructor') }), ['web'])).toThrow('which is not built');
  });

  test('other contexts are no services', () => {
    const contexts = { a: './service:x', b: 'docker-image://service:x', c: 'service:y', d: 'service:y' };
    expect(contextServices({ build: { additional_contexts: contexts } } as unknown as Service)).toEqual(['y']);
    expect(contextServices(undefined)).toEqual([]);
  });
});

describe('in a file', () => {
  const file = (a: string, b = '{build: .}') => `services:\n  a:\n    build:\n      additional_contexts:\n        x: ${a}\n  b: ${b}\n`;

  test('a service that does not exist, is not built, or is in an inactive profile', async () => {
    expect(await failure(file('service:bb'))).toMatchObject({
      code: 'COMPOSE_INVALID',
      message: 'service "a" uses the build of service "bb", which does not exist',
      at: 'compose.yaml:5:12',
    });
    expect(await failure(file('service:b', '{image: x}'))).toMatchObject({
      message: 'service "a" uses the build of service "b", which is not built',
      at: 'compose.yaml:5:12',
    });
    expect(await failure(file('service:b', '{build: ., profiles: [p]}'))).toMatchObject({
      message: 'service "a" uses the build of service "b", which is only in the inactive profile p',
    });
  });

  test('a circle, of two and of one, for commands that build; others take it as it is', async () => {
    const two = file('service:b', '{build: {context: ., additional_contexts: {y: "service:a"}}}');
    expect(await failure(two, { builds: true })).toMatchObject({
      code: 'COMPOSE_INVALID',
      message: 'the builds need one another in a circle: a → b → a',
      at: 'compose.yaml:5:12',
      hint: 'remove one of these additional_contexts, or move what both need into a service of its own',
    });
    expect(await failure(file('service:a'), { builds: true })).toMatchObject({
      message: 'the builds need one another in a circle: a → a',
    });
    expect((await load(two)).project.services.b?.build?.additional_contexts).toEqual({ y: 'service:a' });
    expect((await load(two, { consistency: false, builds: true })).project.services.a).toBeDefined();
  });

  test('a build that reads another is no dependency, and a dependency the other way round no circle', async () => {
    const text = `${file('service:b', '{build: {context: ., secrets: [s]}, depends_on: [a]}')}secrets: {s: {file: ./s}, t: {file: ./t}}\n`;
    const { project } = await load(text, { services: ['a'] });
    expect([Object.keys(project.services), Object.keys(project.disabledServices)]).toEqual([['a'], ['b']]);
    // The build of b will need it.
    expect(Object.keys(project.secrets)).toEqual(['s']);
  });
});
