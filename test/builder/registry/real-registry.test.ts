import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { openImages } from '../../../builder/images.ts';
import { type FixtureRegistry, startFixtureRegistry } from '../../../fixtures/registry/registry.ts';

import type { Tool } from '../../../vmm/model/tools.ts';

import { needs } from '../../support/needs.ts';

import { dir, file, rawTar, sha256 } from '../layers/tar-builder.ts';
import { mkfsErofs, noRegistry } from '../store/find-mkfs.ts';
import { gzipLayer } from './fake-registry.ts';

const cache = join(homePaths().cache, 'fixtures');
let home: string;
let registry: FixtureRegistry;

// Debian's docker-registry comes by `npm start` or the vm tests; this test fetches nothing itself.
needs(noRegistry).describe("Debian's docker-registry", () => {
  const stop = new AbortController();
  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'hypr-real-'));
    registry = await startFixtureRegistry({ images: [], dir: join(home, 'registry'), signal: stop.signal, cache });
  });
  afterEach(async () => {
    await registry.close();
    rmSync(home, { recursive: true, force: true });
  });

  const put = async (data: Buffer): Promise<{ digest: string; size: number }> => {
    const digest = sha256(data);
    const started = await request(`${registry.url}/v2/library/demo/blobs/uploads/`, { method: 'POST' });
    await started.body.dump();
    const location = new URL(String(started.headers.location), registry.url);
    location.searchParams.set('digest', digest);
    const done = await request(location, { method: 'PUT', body: data, headers: { 'content-type': 'application/octet-stream' } });
    await done.body.dump();
    expect(done.statusCode).toBe(201);
    return { digest, size: data.length };
  };

  test('an image pushed to it is pulled through a mirror setting, and an unknown tag has a hint', async () => {
    const layer = gzipLayer(rawTar([dir('etc/'), file('etc/motd', 'hello')]));
    const config = {
      os: 'linux',
      architecture: 'amd64',
      config: { Cmd: ['/bin/sh'] },
      rootfs: { type: 'layers', diff_ids: [sha256(layer.tar)] },
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { mediaType: 'application/vnd.docker.container.image.v1+json', ...(await put(Buffer.from(JSON.stringify(config)))) },
      layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', ...(await put(layer.blob)) }],
    };
    const bytes = JSON.stringify(manifest);
    const pushed = await request(`${registry.url}/v2/library/demo/manifests/1.0`, {
      method: 'PUT',
      body: bytes,
      headers: { 'content-type': manifest.mediaType },
    });
    expect(pushed.statusCode).toBe(201);
    await pushed.body.dump();

    const env = { HOME: home, HYPR_REGISTRY_MIRRORS: `docker.io=${registry.url}` };
    const images = await openImages({ paths: homePaths(home), toolchain: { mkfsErofs: mkfsErofs as Tool }, env, backoff: 1 });
    const [image] = await images.pull(['demo:1.0'], { policy: 'missing' }, () => {});
    expect(image).toMatchObject({
      manifestDigest: sha256(Buffer.from(bytes)),
      references: ['docker.io/library/demo:1.0'],
      layers: [sha256(layer.tar)],
    });
    expect(await images.resolveDigest('demo:1.0')).toBe(image?.manifestDigest);
    await expect(images.pull([`${registry.host}/library/demo:1.1`], { policy: 'missing' }, () => {})).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      hint: `there is ${registry.host}/library/demo:1.0`,
    });
  });
});
