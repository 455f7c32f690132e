import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import type { Progress } from '../../../base/progress.ts';
import { type Images, openImages } from '../../../builder/images.ts';
import { needs } from '../../support/needs.ts';
import { dir, file, rawTar, sha256 } from '../layers/tar-builder.ts';
import { mkfsErofs, noMkfs } from '../store/find-mkfs.ts';
import { type FakeOptions, FakeRegistry, gzipLayer } from './fake-registry.ts';

let home: string;
let registry: FakeRegistry | undefined;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-pull-'));
});
afterEach(async () => {
  await registry?.close();
  registry = undefined;
  rmSync(home, { recursive: true, force: true });
});

const serve = async (options: FakeOptions = {}): Promise<FakeRegistry> => {
  registry = await new FakeRegistry(options).start();
  return registry;
};
const open = (env: NodeJS.ProcessEnv = {}): Promise<Images> =>
  openImages({
    paths: homePaths(home),
    toolchain: { mkfsErofs: mkfsErofs as NonNullable<typeof mkfsErofs> },
    env: { HOME: home, ...env },
    backoff: 1,
  });

const base = gzipLayer(
  rawTar([dir('etc/'), file('etc/hostname', 'base'), dir('bin/'), file('bin/big', randomBytes(300_000).toString('hex'))]),
);
const top = gzipLayer(rawTar([dir('etc/'), file('etc/.wh.hostname', ''), file('etc/motd', 'hi')]));
const silent = () => {};
const always = { policy: 'always' } as const;
const failure = async (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error as { code: string; message: string; hint?: string; details: string[] },
  );

needs(noMkfs).describe('pulling', () => {
  test('brings config, layers and names, in docker compose’s words', async () => {
    const fake = await serve();
    const digest = fake.addImage('library/nginx', '1.26', [base, top]);
    const images = await open({ HYPR_REGISTRY_MIRRORS: `docker.io=${fake.url}` });
    const seen: Progress[] = [];
    const [image] = await images.pull(['nginx:1.26'], always, (progress) => seen.push(progress));
    expect(image).toMatchObject({
      manifestDigest: digest,
      references: ['docker.io/library/nginx:1.26'],
      platform: 'linux/amd64',
      created: Date.UTC(2024, 0, 2, 3, 4, 5),
      size: base.tar.length + top.tar.length,
      layers: [sha256(base.tar), sha256(top.tar)],
    });
    expect(image?.config).toMatchObject({ Env: ['A=b'], Cmd: ['/x'], Entrypoint: null });
    expect(seen[0]).toEqual({ id: 'Image nginx:1.26', status: 'working', text: 'Pulling' });
    expect(seen.at(-1)).toEqual({ id: 'Image nginx:1.26', status: 'done', text: 'Pulled' });
    const layer = seen.filter(({ id }) => id === sha256(base.blob).slice(7, 19));
    expect(new Set(layer.map(({ text }) => text))).toEqual(
      new Set(['Pulling fs layer', 'Downloading', 'Download complete', 'Extracting', 'Pull complete']),
    );
    expect(layer.every(({ parentId }) => parentId === 'Image nginx:1.26')).toBe(true);
    expect(layer.find(({ text }) => text === 'Extracting')).toMatchObject({ current: base.blob.length, total: base.blob.length });
    expect(await images.store.get(`nginx@${digest}`)).toMatchObject({ id: image?.id });
    expect(await images.store.verify()).toEqual([]);
  });

  test('missing takes what is there without asking; always asks, but fetches no layer twice', async () => {
    const fake = await serve();
    fake.addImage('a/b', 'latest', [base]);
    const images = await open();
    await images.pull([`${fake.host}/a/b`], { policy: 'missing' }, silent);
    const asked = fake.requests.length;
    const seen: Progress[] = [];
    await images.pull([`${fake.host}/a/b`], { policy: 'missing' }, (progress) => seen.push(progress));
    expect(fake.requests.length).toBe(asked);
    expect(seen.map(({ text }) => text)).toEqual(['Skipped']);
    await images.pull([`${fake.host}/a/b`], always, silent);
    expect(fake.requests.filter(({ url }) => url.includes(sha256(base.blob))).length).toBe(1);
  });

  test('several images at once share a layer, which is fetched once', async () => {
    const fake = await serve();
    fake.addImage('a/one', 'latest', [base]);
    fake.addImage('a/two', 'latest', [base, top]);
    const images = await open();
    const [one, two] = await images.pull([`${fake.host}/a/one`, `${fake.host}/a/two`], always, silent);
    expect(two?.layers[0]).toBe(one?.layers[0]);
    expect(fake.requests.filter(({ url }) => url.includes(sha256(base.blob))).length).toBe(1);
  });

  test('an index is resolved for the platform', async () => {
    const fake = await serve();
    const amd64 = fake.addImage('a/b', undefined, [base]);
    const arm64 = fake.addImage('a/b', undefined, [base, top], { architecture: 'arm64' });
    const entry = (digest: string, architecture: string, os = 'linux') => ({
      digest,
      size: 1,
      mediaType: 'x',
      platform: { os, architecture },
    });
    const index = { schemaVersion: 2, manifests: [entry(amd64, 'unknown', 'unknown'), entry(arm64, 'arm64'), entry(amd64, 'amd64')] };
    const digest = fake.addManifest('a/b', 'latest', 'application/vnd.oci.image.index.v1+json', index);
    const images = await open();
    const [image] = await images.pull([`${fake.host}/a/b`], always, silent);
    expect(image).toMatchObject({ manifestDigest: amd64, platform: 'linux/amd64' });
    expect((await images.inspect(`${fake.host}/a/b@${digest}`)).id).toBe(image?.id);
    const [other] = await images.pull([`${fake.host}/a/b`], { policy: 'missing', platform: 'linux/arm64' }, silent);
    expect(other?.platform).toBe('linux/arm64');
    expect(await failure(images.pull([`${fake.host}/a/b`], { ...always, platform: 'linux/s390x' }, silent))).toMatchObject({
      code: 'IMAGE_PLATFORM',
      hint: 'it exists for linux/arm64, linux/amd64',
    });
    expect(await images.resolveDigest(`${fake.host}/a/b`)).toBe(digest);
  });

  test('token and basic authentication, with what docker login left', async () => {
    for (const auth of ['token', 'basic', 'password'] as const) {
      const fake = await serve({ auth });
      fake.addImage('a/b', 'latest', [base]);
      await mkdir(join(home, '.docker'), { recursive: true });
      const entry = { auth: Buffer.from('me:secret').toString('base64') };
      writeFileSync(join(home, '.docker', 'config.json'), JSON.stringify({ auths: { [fake.host]: entry } }));
      const images = await open();
      await images.pull([`${fake.host}/a/b`], always, silent);
      await fake.close();
    }
  });

  test('no credentials: access denied and what to do; wrong ones: REGISTRY_AUTH', async () => {
    const fake = await serve({ auth: 'password' });
    fake.addImage('a/b', 'latest', [base]);
    const images = await open();
    expect(await failure(images.pull([`${fake.host}/a/b`], always, silent))).toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: `pull access denied for ${fake.host}/a/b: the repository does not exist or may require a login`,
    });
    await mkdir(join(home, '.docker'));
    const entry = { username: 'me', password: 'wrong' };
    writeFileSync(join(home, '.docker', 'config.json'), JSON.stringify({ auths: { [fake.host]: entry } }));
    expect(await failure(images.pull([`${fake.host}/a/b`], always, silent))).toMatchObject({ code: 'REGISTRY_AUTH' });
  });

  test.each([true, false])('a broken connection is taken up where it broke (ranges: %s)', async (ranges) => {
    const target = sha256(base.blob);
    const fake = await serve({
      ranges,
      interfere: ({ url }, count) => (url?.includes(target) && count <= 3 ? { breakAfter: 100_000 } : undefined),
    });
    fake.addImage('a/b', 'latest', [base]);
    const images = await open();
    await images.pull([`${fake.host}/a/b`], always, silent);
    const asked = fake.requests.filter(({ url }) => url.includes(target)).map(({ headers }) => headers.range);
    expect(asked[0]).toBeUndefined();
    expect(asked[1]).toMatch(/^bytes=\d+-$/);
    expect(await images.store.verify()).toEqual([]);
  });

  test('a connection that never gets further ends as REGISTRY_UNREACHABLE and leaves nothing', async () => {
    const fake = await serve({ interfere: ({ url }) => (url?.includes(sha256(base.blob)) ? { breakAfter: 0 } : undefined) });
    fake.addImage('a/b', 'latest', [base]);
    const images = await open();
    expect(await failure(images.pull([`${fake.host}/a/b`], always, silent))).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    expect(await readdir(join(home, 'images', 'tmp'))).toEqual([]);
    expect(await readdir(join(home, 'images', 'layers'))).toEqual([]);
    expect(await images.list()).toEqual([]);
  });

  test('429 and 503 are waited out as the server says', async () => {
    const fake = await serve({
      interfere: (_, count) => (count === 1 ? { status: 429, headers: { 'retry-after': '0' } } : count === 2 ? { status: 503 } : undefined),
    });
    fake.addImage('a/b', 'latest', [base]);
    await (await open()).pull([`${fake.host}/a/b`], always, silent);
    expect(fake.requests.filter(({ url }) => url.endsWith('/manifests/latest')).length).toBe(3);
  });

  test('other bytes than the digest says: IMAGE_CORRUPT, and nothing is kept', async () => {
    const wrong = gzipLayer(rawTar([file('evil')])).blob;
    const fake = await serve({ interfere: ({ url }) => (url?.includes(sha256(base.blob)) ? { replace: wrong } : undefined) });
    fake.addImage('a/b', 'latest', [base]);
    const images = await open();
    expect(await failure(images.pull([`${fake.host}/a/b`], always, silent))).toMatchObject({
      code: expect.stringMatching(/IMAGE_CORRUPT|REGISTRY_UNREACHABLE/),
    });
    expect(await readdir(join(home, 'images', 'layers'))).toEqual([]);
  });

  test('a layer that is not what the config says: IMAGE_CORRUPT', async () => {
    const fake = await serve();
    fake.addImage('a/b', 'latest', [{ tar: base.tar, blob: top.blob }]);
    expect(await failure((await open()).pull([`${fake.host}/a/b`], always, silent))).toMatchObject({ code: 'IMAGE_CORRUPT' });
  });

  test('an unknown tag names one that exists', async () => {
    const fake = await serve();
    fake.addImage('library/nginx', '1.26', [base]);
    const images = await open({ HYPR_REGISTRY_MIRRORS: `docker.io=${fake.url}` });
    const error = await failure(images.pull([`${fake.host}/library/nginx:1.27`], always, silent));
    expect(error).toMatchObject({ code: 'IMAGE_NOT_FOUND', message: `${fake.host}/library/nginx:1.27 does not exist at ${fake.host}` });
    expect(error?.hint).toBe(`there is ${fake.host}/library/nginx:1.26`);
  });

  test('a mirror that fails is passed over', async () => {
    const dead = await serve({ interfere: () => ({ status: 500 }) });
    const fake = await new FakeRegistry().start();
    try {
      fake.addImage('library/nginx', 'latest', [base]);
      const images = await open({ HYPR_REGISTRY_MIRRORS: `docker.io=${dead.url},docker.io=${fake.url}` });
      expect((await images.pull(['nginx'], always, silent))[0]?.references).toEqual(['docker.io/library/nginx:latest']);
    } finally {
      await fake.close();
    }
  });

  test('one failure of several: the others are pulled, then it is thrown', async () => {
    const fake = await serve();
    fake.addImage('a/b', 'latest', [base]);
    const images = await open();
    expect(await failure(images.pull([`${fake.host}/a/b`, `${fake.host}/a/nope`], always, silent))).toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
    expect(await images.list()).toHaveLength(1);
  });

  test('an interrupted pull leaves nothing', async () => {
    const controller = new AbortController();
    const fake = await serve({
      interfere: ({ url }) => {
        if (url?.includes(sha256(base.blob))) {
          controller.abort();
        }
        return undefined;
      },
    });
    fake.addImage('a/b', 'latest', [base]);
    const images = await open();
    await expect(images.pull([`${fake.host}/a/b`], always, silent, controller.signal)).rejects.toThrow();
    expect(await readdir(join(home, 'images', 'tmp'))).toEqual([]);
    expect(await readdir(join(home, 'images', 'leases'))).toEqual([]);
  });
});
