import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { openImages } from '../../../builder/images.ts';
import { parseReference } from '../../../builder/registry/config/reference.ts';
import { openRegistries, type Registries } from '../../../builder/registry/registries.ts';
import type { BuildRegistry } from '../../../builder/solver/frame/build-context.ts';
import { ociDigest } from '../../../builder/store/format/digest.ts';
import { buildServices } from '../../../engine/images/build-services.ts';

import type { Tool } from '../../../vmm/model/tools.ts';

import { needs } from '../../support/needs.ts';

import { UploadRegistry } from '../registry/upload-registry.ts';
import { thrown, Workshop } from '../solver/workshop.ts';
import { mkfsErofs, noMkfs } from '../store/find-mkfs.ts';

const FILE = 'FROM busybox\nRUN random\nCOPY a /a\n';

describe('builds and a registry', () => {
  let server: UploadRegistry;
  let registries: Registries;
  let shops: Workshop[];
  beforeEach(async () => {
    server = await new UploadRegistry().start();
    shops = [];
    registries = await openRegistries({ home: '/nonexistent', env: { HOME: '/nonexistent' }, backoff: 1 });
  });
  afterEach(async () => {
    await registries[Symbol.asyncDispose]();
    await server.close();
    for (const shop of shops) {
      shop.close();
    }
  });
  const open = async (): Promise<Workshop> => {
    const shop = new Workshop();
    shops.push(shop);
    await shop.busybox();
    shop.file('a', 'one');
    shop.machines.program = ({ args }) => ({ files: { [`out/${args.at(-1)}`]: randomBytes(20).toString('hex') } });
    const never = new AbortController().signal;
    const registry: BuildRegistry = {
      push: () => Promise.reject(new Error('only images in their plain form go this way')),
      withPushTarget: (name, work, signal = never) => registries.withPushTarget(parseReference(name), { signal }, work),
      withRepository: (name, work, signal = never) => registries.withRepository(parseReference(name), signal, work),
    };
    shop.options = { registry };
    return shop;
  };

  it('a cache goes there and comes back; a cache that is not there is a warning', async () => {
    const [here, there] = [await open(), await open()];
    const place = `${server.host}/cache:main`;
    const first = await here.build(FILE, { cacheTo: [`type=registry,ref=${place},mode=max`] });
    const second = await there.build(FILE, { cacheFrom: [place, `${server.host}/none`] });
    expect(second.imageId).toBe(first.imageId);
    expect(there.machines.started).toHaveLength(0);
    expect(there.events.filter(({ type }) => type === 'warning')).toEqual([
      expect.objectContaining({ message: expect.stringMatching(/^the cache .*\/none cannot be used: /) }),
    ]);
    await here.build(FILE, { cacheTo: [`type=registry,ref=127.0.0.1:1/cache,ignore-error=true`] });
    expect(await thrown(here.build(FILE, { cacheTo: ['type=registry,ref=127.0.0.1:1/cache'] }))).toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
  });

  it('an image with an index, its attestation and the cache of its layers inside', async () => {
    const [here, there] = [await open(), await open()];
    const name = `${server.host}/app:1`;
    const request = { tags: [name], annotations: ['index:org.x=1'], provenance: 'true', cacheTo: ['type=inline'] };
    const result = await here.run(FILE, { ...request, outputs: ['type=image,push=true'] });
    const index = JSON.parse(String(server.manifests.get('1')));
    expect(index.annotations).toEqual({ 'org.x': '1' });
    expect(index.manifests.map(({ digest }: { digest: string }) => server.manifests.has(digest))).toEqual([true, true]);
    expect(result.metadata).toMatchObject({
      'image.name': name,
      'containerimage.config.digest': result.imageId,
      'containerimage.descriptor': { mediaType: 'application/vnd.oci.image.index.v1+json' },
    });
    const manifest = JSON.parse(String(server.manifests.get(index.manifests[0].digest)));
    expect(server.blobs.has(manifest.config.digest)).toBe(true);
    expect(manifest.config.digest).toBe(result.imageId);

    // Only the first layer was built here: the base image's is not in the cache.
    await there.run(FILE, { outputs: ['type=cacheonly'], cacheFrom: [`type=registry,ref=${name}`] });
    expect(there.machines.started).toHaveLength(0);
  });

  it('push-by-digest changes no tag; compression and media types are as asked', async () => {
    const here = await open();
    const name = `${server.host}/app`;
    const outputs = [`type=image,"name=${name}",push-by-digest=true,oci-mediatypes=false,compression-level=1`];
    const { metadata } = await here.run(FILE, { outputs, tags: [] });
    const digest = String(metadata?.['containerimage.digest']);
    expect([...server.manifests.keys()]).toEqual([digest]);
    expect(JSON.parse(String(server.manifests.get(digest)))).toMatchObject({
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { mediaType: 'application/vnd.docker.container.image.v1+json' },
    });
  });

  needs(noMkfs).it('a plain image goes as hypr push sends it, and its archive has the same layers', async () => {
    const here = await open();
    const toolchain = { mkfsErofs: mkfsErofs as Tool };
    const images = await openImages({ paths: homePaths(join(here.folder, 'home')), toolchain, env: { HOME: here.folder }, backoff: 1 });
    here.replaceStore(images.store);
    here.options = buildServices(images, toolchain);
    const outputs = ['type=registry', 'type=oci,dest=layout,tar=false'];
    const { metadata, imageId } = await here.run('FROM scratch\nCOPY a /a\n', {
      tags: [`${server.host}/app:1`],
      outputs,
      folder: here.folder,
    });
    const pushed = server.manifests.get('1') ?? Buffer.alloc(0);
    expect(metadata).toMatchObject({ 'containerimage.digest': ociDigest(pushed), 'containerimage.config.digest': imageId });
    const { layers } = JSON.parse(String(pushed));
    const [top] = JSON.parse(readFileSync(join(here.folder, 'layout/index.json'), 'utf8')).manifests;
    const archived = JSON.parse(readFileSync(join(here.folder, 'layout', top.digest.replace('sha256:', 'blobs/sha256/')), 'utf8'));
    expect(archived.layers).toEqual(layers);
  });
});
