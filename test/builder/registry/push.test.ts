import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { type Images, openImages } from '../../../builder/images.ts';
import { pushManifestFor } from '../../../builder/registry/push-manifest.ts';
import { gzipLayer } from '../../../builder/registry/transport/gzip-layer.ts';

import type { Tool } from '../../../vmm/model/tools.ts';

import { needs } from '../../support/needs.ts';
import { runs } from '../../support/seed.ts';

import { dir, file, rawTar, sha256 } from '../layers/tar-builder.ts';
import { mkfsErofs, noMkfs } from '../store/find-mkfs.ts';
import { type Interfere, UploadRegistry } from './upload-registry.ts';

let home: string;
let registry: UploadRegistry | undefined;
let images: Images;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-upload-'));
});
afterEach(async () => {
  await registry?.close();
  registry = undefined;
  rmSync(home, { recursive: true, force: true });
});

const silent = () => {};
const never = new AbortController().signal;
const layer = rawTar([dir('bin/'), { ...file('bin/big', ''), data: randomBytes(3_000_000) }]);

/** A registry with the faults, and an image in the store that is to go there; gives its name. */
const prepare = async (options: ConstructorParameters<typeof UploadRegistry>[0]): Promise<string> => {
  registry = await new UploadRegistry(options).start();
  images = await openImages({
    paths: homePaths(join(home, 'hypr')),
    toolchain: { mkfsErofs: mkfsErofs as Tool },
    env: { HOME: home },
    backoff: 1,
  });
  const { diffId } = await images.store.addLayer(Readable.from([layer]));
  const name = `${registry.host}/app:1`;
  const config = { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [diffId] } };
  await images.store.addImage({ config, references: [name] });
  return name;
};
const used = (): UploadRegistry => registry as UploadRegistry;
const patches = () => used().log.filter((line) => line.startsWith('PATCH'));
const storedLayer = () => [...used().blobs.values()].find((blob) => blob[0] === 0x1f);
const once =
  (method: string, fault: ReturnType<Interfere>): Interfere =>
  (each, path, count) =>
    each === method && path.includes('uploads/ID') && count === 1 ? fault : undefined;

needs(noMkfs).describe('pushing', () => {
  test('layer and config, then a manifest of compressed layers; the store remembers it', async () => {
    const name = await prepare({});
    const [pushed] = await images.push([name], {}, silent);
    const manifest = used().manifests.get('1') as Buffer;
    expect(pushed).toEqual({
      reference: name,
      digest: sha256(manifest),
      size: manifest.length,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
    });
    const blob = storedLayer() as Buffer;
    expect(gunzipSync(blob).equals(layer)).toBe(true);
    expect(JSON.parse(manifest.toString()).layers).toEqual([
      { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: sha256(blob), size: blob.length },
    ]);
    expect((await images.inspect(name)).manifestDigest).toBe(pushed?.digest);
    expect((await images.inspect(`${name.replace(/:1$/, '')}@${pushed?.digest}`)).references).toEqual([name]);
  });

  test('goes on where the connection broke, at a registry that can', async () => {
    const name = await prepare({ interfere: once('PATCH', { breakAfter: 1_000_000 }) });
    await images.push([name], {}, silent);
    const size = storedLayer()?.length ?? 0;
    expect(patches().filter((line) => line.includes('-'))).toEqual([`PATCH app/blobs/uploads/ID 1000000-${size - 1}`]);
  });

  test('parts that do not make the whole are sent again as a whole', async () => {
    const body = '{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}';
    const name = await prepare({
      interfere: (method, path, count) => {
        const first = path.includes('uploads/ID') && count === 1;
        return first && method === 'PATCH' ? { breakAfter: 1_000_000 } : first && method === 'PUT' ? { status: 400, body } : undefined;
      },
    });
    await images.push([name], {}, silent);
    expect(patches().map((line) => line.split(' ').length)).toEqual([2, 3, 2, 2]);
    expect(storedLayer()).toBeDefined();
  });

  test.each([429, 503])('%i is tried again after the time that the registry asks for', async (status) => {
    const name = await prepare({ interfere: once('PATCH', { status, headers: { 'retry-after': '0' } }) });
    await images.push([name], {}, silent);
    expect(storedLayer()).toBeDefined();
  });

  test('what stays broken is given up, with the registry’s words', async () => {
    const broken: Interfere = (method) => (method === 'PATCH' ? { status: 503, headers: { 'retry-after': '0' } } : undefined);
    const name = await prepare({ interfere: broken });
    await expect(images.push([name], {}, silent)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
    expect(used().log.filter((line) => line.startsWith('PATCH')).length).toBeLessThan(12);
  });

  test('a refusal is final', async () => {
    const body = '{"errors":[{"code":"DENIED","message":"quota exceeded"}]}';
    const name = await prepare({ interfere: (method) => (method === 'POST' ? { status: 403, body } : undefined) });
    await expect(images.push([name], {}, silent)).rejects.toMatchObject({
      code: 'REGISTRY_AUTH',
      details: [`${used().host}: DENIED quota exceeded`],
    });
  });

  test('the right to push is asked for with a token; without it the login is to blame', async () => {
    await mkdir(join(home, '.docker'));
    const name = await prepare({ tokens: true, rights: (user) => user === 'me' });
    const write = (user: string) =>
      writeFileSync(
        join(home, '.docker', 'config.json'),
        JSON.stringify({ auths: { [used().host]: { auth: Buffer.from(`${user}:secret`).toString('base64') } } }),
      );
    await expect(images.push([name], {}, silent)).rejects.toMatchObject({
      code: 'REGISTRY_AUTH',
      hint: `log in first: hypr login ${used().host}`,
    });
    write('guest');
    await expect(images.push([name], {}, silent)).rejects.toMatchObject({
      code: 'REGISTRY_AUTH',
      message: `${used().host} does not let these credentials push ${used().host}/app`,
    });
    write('me');
    await images.push([name], {}, silent);
    expect(used().tokenRequests.at(-1)?.getAll('scope')).toEqual(['repository:app:pull,push']);
    expect(used().manifests.size).toBe(1);
  });

  test('is stopped by its signal', async () => {
    const stop = new AbortController();
    const interfere: Interfere = (method) => {
      if (method === 'PATCH') {
        stop.abort(new Error('enough'));
      }
      return undefined;
    };
    const name = await prepare({ interfere });
    await expect(images.push([name], {}, silent, stop.signal)).rejects.toThrow('enough');
    expect(used().manifests.size).toBe(0);
  });

  test('what is not there, or has a digest, is no push', async () => {
    const name = await prepare({});
    await expect(images.push([`${name}x`], {}, silent)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    await expect(images.push([`${name}@sha256:${'a'.repeat(64)}`], {}, silent)).rejects.toMatchObject({ code: 'IMAGE_REFERENCE' });
  });
});

describe('a compressed layer', () => {
  test('is one gzip, the same for the same bytes however they come', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 700_000 }), { maxLength: 6 }), fc.nat(), async (sizes, seed) => {
        const data = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, String((seed + index) % 1000))));
        const pieces = sizes.map((size, index) => data.subarray(sizes.slice(0, index).reduce((a, b) => a + b, 0)).subarray(0, size));
        const make = async (source: readonly Buffer[]) => {
          const path = join(home, `layer-${run++}`);
          return { path, ...(await gzipLayer(Readable.from(source), path, never)) };
        };
        const [one, other] = [await make([data]), await make(pieces)];
        expect(other.digest).toBe(one.digest);
        const written = readFileSync(one.path);
        expect(one).toMatchObject({ size: written.length, digest: sha256(written) });
        expect(gunzipSync(written).equals(data)).toBe(true);
      }),
      runs(12),
    );
  });
});

test('a manifest keeps its format and annotations, and its very bytes when its layers are the same', () => {
  const layers = [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: 'sha256:aa', size: 5, x: 1 }];
  const original = Buffer.from(
    JSON.stringify({ mediaType: 'application/vnd.docker.distribution.manifest.v2+json', layers, annotations: { a: 'b' } }, undefined, 3),
  );
  const config = { digest: 'sha256:cc', size: 1 };
  expect(pushManifestFor({ original, config, layers: [{ digest: 'sha256:aa', size: 5 }] }).bytes).toBe(original);
  const changed = pushManifestFor({ original, config, layers: [{ digest: 'sha256:bb', size: 6 }] });
  expect(JSON.parse(changed.bytes.toString())).toEqual({
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: 'sha256:bb', size: 6 }],
    annotations: { a: 'b' },
  });
  expect(changed.isForeign).toBe(true);
});
