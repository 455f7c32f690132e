import { expect, test } from 'vitest';
import { neverAborts } from '../../../base/abort.ts';
import { HyprError } from '../../../base/errors.ts';
import { ensureImages } from '../../../engine/images/ensure-images.ts';
import type { ImagePlatform } from '../../../engine/model/platform.ts';
import { projectOf } from '../support/project.ts';

const failing = (error: Error): ImagePlatform =>
  ({ pullImage: () => Promise.reject(error), buildImage: () => Promise.reject(error) }) as unknown as ImagePlatform;

const ensure = (error: Error, action: 'pull' | 'build') => {
  const project = projectOf({ web: { image: 'nginx:nope', build: { context: '/app' } } });
  const actions = [{ service: 'web', reference: 'nginx:nope', action, cause: 'it is missing' }] as const;
  return ensureImages({ project, actions, platform: failing(error), progress: () => {}, onBuild: () => {} }, neverAborts());
};

test('an image that cannot be had says which line asks for it; what went wrong in a Dockerfile shows that one', async () => {
  const missing = new HyprError('IMAGE_NOT_FOUND', 'nginx:nope does not exist');
  await expect(ensure(missing, 'pull')).rejects.toMatchObject({ message: missing.message, path: ['services', 'web', 'image'] });
  const noFile = new HyprError('DOCKERFILE_NOT_FOUND', 'there is no Dockerfile at /app/Dockerfile');
  await expect(ensure(noFile, 'build')).rejects.toMatchObject({ path: ['services', 'web', 'build'] });
  await expect(ensure(new HyprError('BUILD_FAILED', 'exit code: 1'), 'build')).rejects.toMatchObject({ path: undefined });
  const placed = new HyprError('IMAGE_NOT_FOUND', 'x', { where: { file: 'Dockerfile', line: 1 } });
  await expect(ensure(placed, 'pull')).rejects.toBe(placed);
});
