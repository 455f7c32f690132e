import { describe, expect, test } from 'vitest';
import { fullReference, runConfig } from '../../../compose/index.ts';
import { projectFolder } from '../project-folder.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

describe('images named by their digest', () => {
  const text = `
services:
  a: {image: x, profiles: [p]}
  b: {image: 'reg.io:5000/u/y:1.2'}
  c: {image: localhost/z}
  d: {image: 'u/v:3@${digest}'}
  e: {build: .}
  f: {image: localhost/z}
`;
  const pinned = async (pinImages: 'resolve' | 'lock', format: 'yaml' | 'json' = 'yaml') => {
    const asked: string[] = [];
    const resolveDigest = async (reference: string) => {
      asked.push(reference);
      return digest;
    };
    const { stdout } = await runConfig({ cwd: await projectFolder({ 'compose.yaml': text }), env: {}, pinImages, format, resolveDigest });
    return { stdout, asked: asked.sort() };
  };

  test('in the whole project; each image is asked for once, and only if it has no digest', async () => {
    const { stdout, asked } = await pinned('resolve');
    expect(stdout.match(/image: .*/g)).toEqual([
      `image: reg.io:5000/u/y:1.2@${digest}`,
      `image: localhost/z:latest@${digest}`,
      `image: docker.io/u/v@${digest}`,
      `image: localhost/z:latest@${digest}`,
    ]);
    expect(asked).toEqual(['localhost/z:latest', 'reg.io:5000/u/y:1.2']);
  });

  test('as an override file, recorded from docker compose', async () => {
    expect((await pinned('lock')).stdout).toBe(
      `services:\n  b:\n    image: reg.io:5000/u/y:1.2@${digest}\n  c:\n    image: localhost/z:latest@${digest}\n` +
        `  d:\n    image: docker.io/u/v@${digest}\n  e: {}\n  f:\n    image: localhost/z:latest@${digest}\n`,
    );
    expect(JSON.parse((await pinned('lock', 'json')).stdout)).toMatchObject({
      name: '',
      services: { e: { command: null, entrypoint: null } },
    });
  });

  test('what is no reference is an error that names the service', async () => {
    const cwd = await projectFolder({ 'compose.yaml': 'services: {a: {image: "x:!"}}' });
    const resolveDigest = () => Promise.resolve(digest);
    await expect(runConfig({ cwd, env: {}, pinImages: 'resolve', resolveDigest })).rejects.toMatchObject({
      code: 'COMPOSE_INVALID',
      message: 'service "a": "x:!" is not an image reference',
    });
  });

  test.each([
    ['x', 'docker.io/library/x:latest'],
    ['a/b:1', 'docker.io/a/b:1'],
    ['docker.io/x', 'docker.io/library/x:latest'],
    ['UPPER/x', 'UPPER/x:latest'],
    ['r.io/a/b/c:t', 'r.io/a/b/c:t'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    ['X', undefined],
    ['a//b', undefined],
    ['a..b', undefined],
  ])('%s in full', (image, full) => expect(fullReference(image)).toBe(full));
});
