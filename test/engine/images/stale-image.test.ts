import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Service } from '../../../compose/model/model.ts';
import { planImages } from '../../../engine/images/images.ts';
import { UP_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { projectOf } from '../support/project.ts';

const NAMED = 1_700_000_000_000;

/** What there is to say of the image of a service that was named at NAMED, with a Dockerfile written this many seconds later. */
const staleAfter = async (
  seconds: number,
  build: Partial<NonNullable<Service['build']>> = {},
  options = {},
): Promise<string | undefined> => {
  const workingDir = await mkdtemp(join(tmpdir(), 'hypr-stale-'));
  onTestFinished(() => rm(workingDir, { recursive: true, force: true }));
  await writeFile(join(workingDir, 'Dockerfile'), 'FROM x\n');
  await utimes(join(workingDir, 'Dockerfile'), new Date(NAMED), new Date(NAMED + seconds * 1000));
  const platform = { findImage: async () => ({}), imageNamedAt: async () => NAMED } as unknown as Parameters<
    typeof planImages
  >[0]['platform'];
  const project = { ...projectOf({ web: { build: { context: '.', ...build } } as Service }), workingDir };
  const [action] = await planImages({ project, services: ['web'], options: { ...UP_DEFAULTS, ...options }, platform });
  return action?.stale;
};

describe('an image that is there', () => {
  test('is said to be older than its Dockerfile when that was written after the image got its name', async () => {
    expect(await staleAfter(1)).toBe('image web:1 is older than its Dockerfile: hypr up --build builds it again');
  });

  test('is not when it got its name later, nor where there is no Dockerfile to look at, nor when it is built anyway', async () => {
    expect(await staleAfter(-1)).toBeUndefined();
    expect(await staleAfter(1, { dockerfile: 'other' })).toBeUndefined();
    expect(await staleAfter(1, { dockerfile_inline: 'FROM x' })).toBeUndefined();
    expect(await staleAfter(1, { context: 'https://git.example/x.git' })).toBeUndefined();
    expect(await staleAfter(1, {}, { build: true })).toBeUndefined();
  });
});
