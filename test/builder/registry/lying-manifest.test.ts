import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { type Images, openImages } from '../../../builder/images.ts';
import { needs } from '../../support/needs.ts';
import { file, rawTar, sha256 } from '../layers/tar-builder.ts';
import { mkfsErofs, noMkfs } from '../store/find-mkfs.ts';
import { type FakeLayer, FakeRegistry, gzipLayer } from './fake-registry.ts';

let home: string;
let fake: FakeRegistry;
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'hypr-lying-'));
  fake = await new FakeRegistry().start();
});
afterEach(async () => {
  await fake.close();
  rmSync(home, { recursive: true, force: true });
});

const open = (): Promise<Images> =>
  openImages({
    paths: homePaths(home),
    toolchain: { mkfsErofs: mkfsErofs as NonNullable<typeof mkfsErofs> },
    env: { HOME: home },
    backoff: 1,
  });
const always = { policy: 'always' } as const;
const silent = () => {};
const layer = gzipLayer(rawTar([file('a', randomBytes(50_000).toString('hex'))]));
const other = gzipLayer(rawTar([file('b', 'other')]));

/** An image whose config tells of `layer`, and whose manifest says that `blob` is it. */
const lie = (tag: string, blob: { digest: string; size: number }): string => {
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: { Labels: { tag } },
      rootfs: { type: 'layers', diff_ids: [sha256(layer.tar)] },
    }),
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  fake.addManifest('a/b', tag, mediaType, {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...fake.addBlob(config) },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...blob }],
  });
  return `${fake.host}/a/b:${tag}`;
};

const blobOf = ({ blob }: FakeLayer) => ({ digest: sha256(blob), size: blob.length });
const asked = (digest: string): number => fake.requests.filter(({ url }) => url.includes(`blobs/${digest}`)).length;

needs(noMkfs).describe('a layer that is in the store already', () => {
  const pullHonest = async (): Promise<Images> => {
    fake.addImage('a/honest', 'latest', [layer]);
    const images = await open();
    await images.pull([`${fake.host}/a/honest`], always, silent);
    return images;
  };

  test.each([
    ['a digest that no blob has', () => ({ digest: sha256(Buffer.from('nothing')), size: 10 })],
    ['the right digest and another size', () => ({ ...blobOf(layer), size: layer.blob.length + 1 })],
    ['a size that is too small', () => ({ ...blobOf(layer), size: 5 })],
    ['a blob that is whole, of another layer', () => fake.addBlob(other.blob)],
    ['the diff id, and a size that is not the archive’s', () => ({ digest: sha256(layer.tar), size: 3 })],
  ])('does not make a manifest true that says %s', async (_, blob) => {
    const images = await pullHonest();
    const reference = lie('lie', blob());
    await expect(images.pull([reference], always, silent)).rejects.toMatchObject({
      code: expect.stringMatching(/^(IMAGE_CORRUPT|IMAGE_NOT_FOUND)$/),
    });
    expect(await images.store.get(reference)).toBeUndefined();
    expect(await images.store.verify()).toEqual([]);
  });

  test('is not fetched again for a manifest that says what is known to be true, also by a later process', async () => {
    await pullHonest();
    const before = asked(sha256(layer.blob));
    const images = await open();
    await images.pull([lie('same', blobOf(layer))], always, silent);
    expect(asked(sha256(layer.blob))).toBe(before);
  });

  test('is read once more when it comes in another compressed form, and then never again', async () => {
    const images = await pullHonest();
    const again = {
      tar: layer.tar,
      blob: Buffer.concat([gzipLayer(layer.tar.subarray(0, 1000)).blob, gzipLayer(layer.tar.subarray(1000)).blob]),
    };
    const blob = fake.addBlob(again.blob);
    await images.pull([lie('again', blob)], always, silent);
    expect(asked(blob.digest)).toBe(1);
    await images.pull([lie('again2', blob)], always, silent);
    expect(asked(blob.digest)).toBe(1);
  });
});
