import { describe, expect, test } from 'vitest';
import type { Service } from '../../../compose/model/model.ts';
import { buildInput, planImages, platformOf } from '../../../engine/images/images.ts';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { projectOf } from '../support/project.ts';

const withDefault = (service: Service, platform?: string) =>
  projectOf({ web: { image: 'web', ...service } }, { environment: platform === undefined ? {} : { DOCKER_DEFAULT_PLATFORM: platform } });

describe('DOCKER_DEFAULT_PLATFORM', () => {
  test.each<[string, Service, string | undefined, string | undefined]>([
    ['is the platform of an image that has none', {}, 'linux/arm64', 'linux/arm64'],
    ['is none when it is empty', {}, '', undefined],
    ['yields to the platform of the service', { platform: 'linux/amd64' }, 'linux/arm64', 'linux/amd64'],
    ['is one of those to build for', { build: { platforms: ['linux/amd64', 'linux/arm64'] } }, 'linux/arm64', 'linux/arm64'],
    ['is not needed', { build: { platforms: ['linux/arm64'] } }, undefined, 'linux/arm64'],
  ])('%s', (_, service, platform, expected) => {
    const project = withDefault(service, platform);
    expect(platformOf(project, 'web', project.services.web ?? {})).toBe(expected);
  });

  test('that is none of those to build for is refused with its place, before anything is built', async () => {
    const project = withDefault({ build: { context: '.', platforms: ['linux/amd64'] } }, 'windows/amd64');
    const refusal = {
      code: 'COMPOSE_INVALID',
      message: 'service "web" build.platforms does not support value set by DOCKER_DEFAULT_PLATFORM: windows/amd64',
      path: ['services', 'web', 'build', 'platforms'],
    };
    const platform = { findImage: async () => undefined } as unknown as Parameters<typeof planImages>[0]['platform'];
    await expect(planImages({ project, services: ['web'], options: UP_DEFAULTS, platform })).rejects.toMatchObject(refusal);
    expect(() => buildInput(project, 'web', { noCache: false, pull: false, buildArgs: {} })).toThrow(expect.objectContaining(refusal));
  });
});
