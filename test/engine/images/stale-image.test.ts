import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Service } from '../../../compose/model/model.ts';
import { planImages } from '../../../engine/images/images.ts';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { projectOf } from '../support/project.ts';

const CHANGED = 'image web:1 was built before its Dockerfile changed: hypr up --build builds it again';

/** What there is to say of the image of a service whose Dockerfile is `FROM x`, written in the future, and that was built from this one. */
const staleFrom = async (
  built: string | undefined,
  build: Partial<NonNullable<Service['build']>> = {},
  options = {},
): Promise<string | undefined> => {
  const workingDir = await mkdtemp(join(tmpdir(), 'hypr-stale-'));
  onTestFinished(() => rm(workingDir, { recursive: true, force: true }));
  await writeFile(join(workingDir, 'Dockerfile'), 'FROM x\n');
  await utimes(join(workingDir, 'Dockerfile'), new Date(), new Date(Date.now() + 3_600_000));
  const isBuiltFrom = async (_: string, text: string) => (built === undefined ? undefined : built === text);
  const platform = { findImage: async () => ({}), isBuiltFrom } as unknown as Parameters<typeof planImages>[0]['platform'];
  const project = { ...projectOf({ web: { build: { context: '.', ...build } } as Service }), workingDir };
  const [action] = await planImages({ project, services: ['web'], options: { ...UP_DEFAULTS, ...options }, platform });
  return action?.stale;
};

describe('an image that is there', () => {
  test('is said to be built before its Dockerfile changed when it was built from another one', async () => {
    expect(await staleFrom('FROM y\n')).toBe(CHANGED);
  });

  test('is not when the Dockerfile is the same, whatever its time, nor when it is not known what it was built from', async () => {
    expect(await staleFrom('FROM x\n')).toBeUndefined();
    expect(await staleFrom(undefined)).toBeUndefined();
  });

  test('is not where there is no Dockerfile to look at, nor when it is built anyway', async () => {
    expect(await staleFrom('FROM y\n', { dockerfile: 'other' })).toBeUndefined();
    expect(await staleFrom('FROM y\n', { dockerfile_inline: 'FROM x' })).toBeUndefined();
    expect(await staleFrom('FROM y\n', { context: 'https://git.example/x.git' })).toBeUndefined();
    expect(await staleFrom('FROM y\n', {}, { build: true })).toBeUndefined();
  });
});
