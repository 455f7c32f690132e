import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findCredentials } from '../../../builder/registry/config/credentials.ts';
import { parseRegistriesConf } from '../../../builder/registry/config/registries-conf.ts';
import { endpointsFor, loadRegistrySettings } from '../../../builder/registry/config/settings.ts';
import { nearestTag } from '../../../builder/registry/suggest-tag.ts';
import { parseChallenge } from '../../../builder/registry/transport/auth.ts';

import { fitsPlatform, parsePlatform } from '../../../builder/store/format/platform.ts';

import { runs } from '../../support/seed.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-set-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const write = async (path: string, value: object | string) => {
  await mkdir(join(home, path, '..'), { recursive: true });
  writeFileSync(join(home, path), typeof value === 'string' ? value : JSON.stringify(value));
};
const urls = async (domain: string, env: NodeJS.ProcessEnv = {}) => {
  const settings = await loadRegistrySettings(join(home, 'hypr'), { HOME: home, ...env });
  return endpointsFor(domain, settings).map(({ url }) => url);
};

describe('where images come from', () => {
  test('the registry itself, with TLS; loopback also without', async () => {
    expect(await urls('docker.io')).toEqual(['https://registry-1.docker.io']);
    expect(await urls('ghcr.io')).toEqual(['https://ghcr.io']);
    expect(await urls('127.0.0.1:5000')).toEqual(['https://127.0.0.1:5000', 'http://127.0.0.1:5000']);
    expect(await urls('127.0.0.1.evil.com')).toEqual(['https://127.0.0.1.evil.com']);
  });
  test('mirrors of the environment, of our file, of docker’s and of containers’, in that order', async () => {
    await write('hypr/registries.json', { mirrors: { 'docker.io': ['https://own.example'] }, insecure: ['plain.example:5000'] });
    await write('.config/docker/daemon.json', { 'registry-mirrors': ['https://docker.example/'], 'insecure-registries': ['old.example'] });
    await write(
      '.config/containers/registries.conf',
      '[[registry]]\nprefix = "docker.io"\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "pod.example/hub"\n',
    );
    expect(await urls('docker.io', { HYPR_REGISTRY_MIRRORS: 'docker.io=http://127.0.0.1:5000, ghcr.io=http://127.0.0.1:5001' })).toEqual([
      'http://127.0.0.1:5000',
      'https://own.example',
      'https://docker.example',
      'https://pod.example/hub',
      'https://registry-1.docker.io',
    ]);
    expect(await urls('plain.example:5000')).toEqual(['https://plain.example:5000', 'http://plain.example:5000']);
    expect(await urls('old.example')).toContain('http://old.example');
  });
  test('a wrong setting is named', async () => {
    await expect(urls('docker.io', { HYPR_REGISTRY_MIRRORS: 'docker.io' })).rejects.toMatchObject({ code: 'HYPR_USAGE' });
    await expect(urls('docker.io', { HYPR_REGISTRY_MIRRORS: 'docker.io=ftp://x' })).rejects.toMatchObject({ code: 'HYPR_USAGE' });
    await write('hypr/registries.json', '{');
    await expect(urls('docker.io')).rejects.toMatchObject({ code: 'HYPR_USAGE', where: { file: join(home, 'hypr/registries.json') } });
  });
  test('registries.conf: comments, single quotes, another location, insecure; the rest is passed over', () => {
    const text = `unqualified-search-registries = ["docker.io"]
[[registry]] # the hub
prefix = 'docker.io'
location = "hub.example"   # instead
insecure = true
[[ registry.mirror ]]
location = "m.example:5000"
insecure = false
[other]
location = "no.example"
[[registry]]
prefix = "docker.io/library/special"
location = "s.example/x"`;
    expect(parseRegistriesConf(text)).toEqual({
      mirrors: [
        ['docker.io', ['hub.example']],
        ['docker.io', ['m.example:5000']],
      ],
      insecure: ['hub.example'],
    });
  });
  test('registries.conf: any text', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('[[registry]]', '[', ']', 'location', '=', '"', "'x'", '\n', '#', 'true'), { maxLength: 20 }),
        (parts) => {
          parseRegistriesConf(parts.join(''));
        },
      ),
      runs(500),
    );
  });
});

describe('credentials', () => {
  const entry = (user: string, password: string) => ({ auth: Buffer.from(`${user}:${password}`).toString('base64') });
  test('of docker login, for the hub by its old name', async () => {
    await write('.docker/config.json', { auths: { 'https://index.docker.io/v1/': entry('me', 'a:b'), 'ghcr.io': { identitytoken: 'T' } } });
    expect(await findCredentials('docker.io', { HOME: home })).toEqual({ username: 'me', password: 'a:b' });
    expect(await findCredentials('ghcr.io', { HOME: home })).toEqual({ identityToken: 'T' });
    expect(await findCredentials('quay.io', { HOME: home })).toBeUndefined();
  });
  test('of a helper, asked by stdin', async () => {
    await write(
      'bin/docker-credential-test',
      '#!/bin/sh\n[ "$1" = get ] || exit 9\nread server\nprintf \'{"Username":"u","Secret":"for %s"}\' "$server"\n',
    );
    await chmod(join(home, 'bin/docker-credential-test'), 0o755);
    await write('.docker/config.json', { credHelpers: { 'ghcr.io': 'test' } });
    const path = process.env.PATH;
    process.env.PATH = `${join(home, 'bin')}:${path}`;
    try {
      expect(await findCredentials('ghcr.io', { HOME: home })).toEqual({ username: 'u', password: 'for ghcr.io' });
    } finally {
      process.env.PATH = path;
    }
  });
  test('a helper that is not there, or not a name, is an error that says so', async () => {
    for (const helper of ['hypr-does-not-exist', '../evil']) {
      await write('.docker/config.json', { credsStore: helper });
      await expect(findCredentials('ghcr.io', { HOME: home })).rejects.toMatchObject({ code: 'REGISTRY_AUTH' });
    }
  });
  test('a broken file is named', async () => {
    await write('.docker/config.json', '{');
    await expect(findCredentials('ghcr.io', { HOME: home })).rejects.toMatchObject({ where: { file: join(home, '.docker/config.json') } });
  });
});

describe('challenges', () => {
  test.each([
    [
      'Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"',
      { scheme: 'bearer', parameters: { realm: 'https://a/t', service: 's', scope: 'repository:x:pull,push' } },
    ],
    ['bearer Realm=https://a/t', { scheme: 'bearer', parameters: { realm: 'https://a/t' } }],
    ['Basic realm="x y"', { scheme: 'basic', parameters: { realm: 'x y' } }],
    ['Negotiate, Basic realm="x"', { scheme: 'basic', parameters: { realm: 'x' } }],
    ['Digest realm="x"', undefined],
    ['', undefined],
  ])('%s', (header, expected) => {
    expect(parseChallenge(header)).toEqual(expected);
  });
  test('any header, in no time', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('Bearer ', 'basic', 'a=', '"', 'x', ',', ' ', '='), { maxLength: 60 }), (parts) => {
        parseChallenge(parts.join(''));
      }),
      runs(1000),
    );
  });
});

test('platforms', () => {
  expect(parsePlatform()).toEqual({ os: 'linux', architecture: 'amd64', variant: undefined });
  expect(parsePlatform('linux/x86_64').architecture).toBe('amd64');
  expect(parsePlatform('arm64')).toMatchObject({ os: 'linux', architecture: 'arm64' });
  expect(fitsPlatform('linux/arm/v7', parsePlatform('linux/arm/v6'))).toBe(false);
  expect(fitsPlatform('linux/arm64', parsePlatform('linux/arm64/v8'))).toBe(true);
  expect(() => parsePlatform('linux/')).toThrow(expect.objectContaining({ code: 'IMAGE_PLATFORM' }));
});

test('near tags', () => {
  expect(nearestTag('1.27', ['1.26', 'latest'])).toBe('1.26');
  expect(nearestTag('latst', ['1.26', 'latest'])).toBe('latest');
  expect(nearestTag('jammy', ['1', 'noble'])).toBeUndefined();
});
