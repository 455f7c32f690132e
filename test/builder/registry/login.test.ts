import { lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eraseCredentials, findCredentials, serverKey, storeCredentials } from '../../../builder/registry/config/credentials.ts';
import { login, parseServer } from '../../../builder/registry/login.ts';
import { runs } from '../../support/seed.ts';
import { UploadRegistry } from './upload-registry.ts';

let home: string;
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'hypr-login-'));
  await mkdir(join(home, '.docker'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const path = () => join(home, '.docker', 'config.json');
const text = () => readFileSync(path(), 'utf8');
const env = (extra: NodeJS.ProcessEnv = {}) => ({ HOME: home, ...extra });
const me = { username: 'me', password: 'pass:word' };

describe('docker’s config.json', () => {
  test('is made as docker makes it, and taken back', async () => {
    expect(await storeCredentials('ghcr.io', me, env())).toBe(path());
    expect(text()).toBe('{\n\t"auths": {\n\t\t"ghcr.io": {\n\t\t\t"auth": "bWU6cGFzczp3b3Jk"\n\t\t}\n\t}\n}');
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(await findCredentials('ghcr.io', env())).toEqual(me);
    expect(await eraseCredentials('ghcr.io', env())).toBe(true);
    expect(text()).toBe('{\n\t"auths": {}\n}');
  });

  test('keeps every other key, their order, the indentation, and a link', async () => {
    const before =
      '{\n  "HttpHeaders": {\n    "X": "y"\n  },\n  "auths": {\n    "a.example": {\n      "auth": "YTpi"\n    }\n  },\n  "psFormat": "x"\n}\n';
    writeFileSync(join(home, 'real.json'), before, { mode: 0o644 });
    symlinkSync('../real.json', path());
    await storeCredentials('b.example', me, env());
    expect(lstatSync(path()).isSymbolicLink()).toBe(true);
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    await eraseCredentials('b.example', env());
    expect(text()).toBe(before);
  });

  test('DOCKER_CONFIG says where it is; a broken one is not overwritten', async () => {
    await storeCredentials('docker.io', me, env({ DOCKER_CONFIG: join(home, 'elsewhere') }));
    expect(JSON.parse(readFileSync(join(home, 'elsewhere', 'config.json'), 'utf8'))).toEqual({
      auths: { 'https://index.docker.io/v1/': { auth: 'bWU6cGFzczp3b3Jk' } },
    });
    writeFileSync(path(), '{"auths":');
    await expect(storeCredentials('ghcr.io', me, env())).rejects.toMatchObject({ code: 'REGISTRY_AUTH', where: { file: path() } });
    expect(text()).toBe('{"auths":');
  });

  test('a login under an older key goes, too', async () => {
    writeFileSync(path(), JSON.stringify({ auths: { 'https://old.example': { auth: 'YTpi' }, 'index.docker.io': { auth: 'YTpi' } } }));
    expect(await eraseCredentials('old.example', env())).toBe(true);
    expect(await eraseCredentials('docker.io', env())).toBe(true);
    expect(JSON.parse(text())).toEqual({ auths: {} });
  });

  test('whatever user and password are, they come back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[^:\0]{1,20}$/), fc.stringMatching(/^[^\0]{1,20}$/), async (username, password) => {
        await storeCredentials('x.example', { username, password }, env());
        expect(await findCredentials('x.example', env())).toEqual({ username, password });
      }),
      runs(20),
    );
  });
});

describe('a credential helper', () => {
  const HELPER = `#!/bin/sh
echo "$#:$1" >> "$HOME/argv"
case "$1" in
  store) cat > "$HOME/stored" ;;
  get) cat > /dev/null; test -e "$HOME/stored" || { echo 'credentials not found in native keychain'; exit 1; }; cat "$HOME/stored" ;;
  erase) cat > "$HOME/erased"; rm -f "$HOME/stored" ;;
esac
`;
  beforeEach(async () => {
    writeFileSync(join(home, 'docker-credential-vault'), HELPER);
    await chmod(join(home, 'docker-credential-vault'), 0o755);
  });
  const withPath = () => env({ PATH: `${home}:${process.env.PATH}` });

  test.each([{ credsStore: 'vault' }, { credHelpers: { 'ghcr.io': 'vault' } }])('keeps what is secret: %o', async (config) => {
    writeFileSync(path(), JSON.stringify(config));
    expect(await storeCredentials('ghcr.io', me, withPath())).toBeUndefined();
    expect(JSON.parse(readFileSync(join(home, 'stored'), 'utf8'))).toEqual({ ServerURL: 'ghcr.io', Username: 'me', Secret: 'pass:word' });
    expect(JSON.parse(text())).toEqual({ ...config, auths: { 'ghcr.io': {} } });
    expect(await findCredentials('ghcr.io', withPath())).toEqual(me);
    expect(await eraseCredentials('ghcr.io', withPath())).toBe(true);
    expect(readFileSync(join(home, 'erased'), 'utf8')).toBe('ghcr.io');
    expect(await findCredentials('ghcr.io', withPath())).toBeUndefined();
    expect(await eraseCredentials('ghcr.io', withPath())).toBe(false);
    expect(readFileSync(join(home, 'argv'), 'utf8')).toMatch(/^(1:(store|get|erase)\n)+$/);
  });

  test('one that is not there is named', async () => {
    writeFileSync(path(), JSON.stringify({ credsStore: 'nowhere' }));
    await expect(storeCredentials('ghcr.io', me, withPath())).rejects.toMatchObject({
      code: 'REGISTRY_AUTH',
      message: 'the credential helper docker-credential-nowhere cannot be started',
    });
  });
});

describe('login at a token server', () => {
  test('keeps the identity token in place of the password, and it works later', async () => {
    const registry = await new UploadRegistry({ tokens: true }).start();
    try {
      const options = { home: join(home, 'hypr'), env: env(), backoff: 1, signal: new AbortController().signal };
      await expect(login(registry.host, { ...me, password: 'wrong' }, options)).rejects.toMatchObject({ code: 'REGISTRY_AUTH' });
      await login(registry.host, { ...me, password: 'secret' }, options);
      expect(text()).not.toContain(Buffer.from('me:secret').toString('base64'));
      expect(await findCredentials(registry.host, env())).toEqual({ identityToken: 'identity' });
      await login(registry.host, { identityToken: 'identity' }, options);
      expect(Object.fromEntries(registry.tokenRequests.at(-1) ?? [])).toMatchObject({
        grant_type: 'refresh_token',
        refresh_token: 'identity',
        service: 'fake',
      });
      await expect(login(registry.host, { identityToken: 'gone' }, options)).rejects.toMatchObject({ code: 'REGISTRY_AUTH' });
    } finally {
      await registry.close();
    }
  });
});

test.each([
  [undefined, 'docker.io', 'https://index.docker.io/v1/'],
  ['https://index.docker.io/v1/', 'docker.io', 'https://index.docker.io/v1/'],
  ['docker.io', 'docker.io', 'https://index.docker.io/v1/'],
  ['https://ghcr.io/v2/', 'ghcr.io', 'ghcr.io'],
  ['localhost:5000', 'localhost:5000', 'localhost:5000'],
  ['[::1]:5000', '[::1]:5000', '[::1]:5000'],
])('the registry %s', (server, domain, key) => {
  expect(parseServer(server)).toBe(domain);
  expect(serverKey(domain)).toBe(key);
});
test('what is no registry', () => {
  expect(() => parseServer('a b')).toThrow(expect.objectContaining({ code: 'HYPR_USAGE' }));
});
