import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import type { Progress } from '../../../base/progress.ts';
import { type Images, openImages } from '../../../builder/images.ts';
import { login, logout } from '../../../builder/registry/login.ts';
import { type FixtureRegistry, startFixtureRegistry } from '../../../fixtures/registry/registry.ts';

import type { Tool } from '../../../vmm/model/tools.ts';

import { needs } from '../../support/needs.ts';

import { dir, file, rawTar } from '../layers/tar-builder.ts';
import { mkfsErofs, noRegistry } from '../store/find-mkfs.ts';
import { startCuttingProxy } from './cutting-proxy.ts';

const cache = join(homePaths().cache, 'fixtures');
/** bcrypt of "secret". */
const HTPASSWD = 'me:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n';

let home: string;
let registry: FixtureRegistry;
let images: Images;
const seen: Progress[] = [];
const sink = (progress: Progress) => seen.push(progress);
const words = () => seen.splice(0).flatMap(({ parentId, text, status }) => (parentId === undefined || status === 'working' ? [] : [text]));
const never = new AbortController().signal;
const env = () => ({ HOME: home, PATH: process.env.PATH });
const options = () => ({ home: join(home, 'hypr'), env: env(), backoff: 1, signal: never });

const addImage = async (name: string, layers: readonly Buffer[]): Promise<string> => {
  const diffIds: string[] = [];
  for (const layer of layers) {
    diffIds.push((await images.store.addLayer(Readable.from([layer]))).diffId);
  }
  const config = { os: 'linux', architecture: 'amd64', config: { Cmd: ['/x'] }, rootfs: { type: 'layers', diff_ids: diffIds } };
  return (await images.store.addImage({ config, references: [name] })).id;
};

// Debian's docker-registry comes by `npm start` or the vm tests; this test fetches nothing itself.
needs(noRegistry).describe("Debian's docker-registry with a password", () => {
  const stop = new AbortController();
  const base = rawTar([dir('etc/'), file('etc/motd', randomBytes(300_000).toString('hex'))]);
  const top = rawTar([dir('bin/'), { ...file('bin/big', ''), data: randomBytes(6_000_000) }]);
  let id: string;
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'hypr-push-'));
    writeFileSync(join(home, 'htpasswd'), HTPASSWD);
    registry = await startFixtureRegistry({
      images: [],
      dir: join(home, 'registry'),
      signal: stop.signal,
      cache,
      config: { auth: { htpasswd: { realm: 'test', path: join(home, 'htpasswd') } } },
    });
    images = await openImages({
      paths: homePaths(join(home, 'hypr')),
      toolchain: { mkfsErofs: mkfsErofs as Tool },
      env: env(),
      backoff: 1,
    });
    id = await addImage(`${registry.host}/team/app:1`, [base, top]);
  }, 60_000);
  afterAll(async () => {
    await registry?.close();
    rmSync(home, { recursive: true, force: true });
  });

  test('nobody pushes without a login, and a wrong password is not kept', async () => {
    await expect(images.push([`${registry.host}/team/app:1`], {}, sink)).rejects.toMatchObject({
      code: 'REGISTRY_AUTH',
      hint: `log in first: hypr login ${registry.host}`,
    });
    await expect(login(registry.host, { username: 'me', password: 'wrong' }, options())).rejects.toMatchObject({ code: 'REGISTRY_AUTH' });
    expect(existsSync(join(home, '.docker'))).toBe(false);
    words();
  });

  test('login, push, rmi, and pulled back it is the same', async () => {
    const { plainFile } = await login(registry.host, { username: 'me', password: 'secret' }, options());
    expect(plainFile).toBe(join(home, '.docker', 'config.json'));
    expect(statSync(plainFile ?? '').mode & 0o777).toBe(0o600);
    const [pushed] = await images.push([`${registry.host}/team/app:1`], {}, sink);
    expect(words()).toEqual(['Pushed', 'Pushed']);
    expect((await images.push([`${registry.host}/team/app:1`], {}, sink))[0]).toEqual(pushed);
    expect(words()).toEqual(['Layer already exists', 'Layer already exists']);
    await images.remove([id], { force: true });
    const [pulled] = await images.pull([`${registry.host}/team/app:1`], { policy: 'always' }, sink);
    expect(pulled).toMatchObject({ id, manifestDigest: pushed?.digest });
    words();
  });

  test('another repository of the registry gives its layers; the manifest stays the same', async () => {
    const { manifestDigest } = await images.inspect(id);
    await images.tag(id, `${registry.host}/other/app:2`);
    const [pushed] = await images.push([`${registry.host}/other/app:2`], {}, sink);
    expect(words()).toEqual(['Mounted from team/app', 'Mounted from team/app']);
    expect(pushed?.digest).toBe(manifestDigest);
  });

  test('a connection that breaks in the middle of a layer: a push comes through, a pull goes on where it broke', async () => {
    const port = Number(registry.host.split(':')[1]);
    const layer = rawTar([dir('big/'), { ...file('big/file', ''), data: randomBytes(8_000_000) }]);
    await using up = await startCuttingProxy({ port, after: 3_000_000, direction: 'up' });
    await login(up.host, { username: 'me', password: 'secret' }, options());
    const cutId = await addImage(`${up.host}/team/cut:1`, [layer]);
    const [pushed] = await images.push([`${up.host}/team/cut:1`], {}, sink);
    expect(up.cuts()).toBe(1);
    await images.remove([cutId], { force: true });

    await using down = await startCuttingProxy({ port, after: 3_000_000, direction: 'down' });
    await login(down.host, { username: 'me', password: 'secret' }, options());
    const [pulled] = await images.pull([`${down.host}/team/cut:1`], { policy: 'always' }, sink);
    expect(pulled).toMatchObject({ id: cutId, manifestDigest: pushed?.digest });
    expect(down.cuts()).toBe(1);
    expect(down.passed()).toBeLessThan(layer.length + 1_000_000);
    words();
  });

  test('logout forgets it', async () => {
    expect(await logout(registry.host, env())).toBe(true);
    expect(await logout(registry.host, env())).toBe(false);
    expect(readFileSync(join(home, '.docker', 'config.json'), 'utf8')).not.toContain(registry.host);
    await expect(images.push([`${registry.host}/team/app:1`], {}, sink)).rejects.toMatchObject({ code: 'REGISTRY_AUTH' });
  });
});
