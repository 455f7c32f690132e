import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mustRun } from '../../../base/host/process.ts';
import { homePaths } from '../../../base/paths.ts';
import { type Images, openImages } from '../../../builder/images.ts';
import { type FixtureRegistry, startFixtureRegistry } from '../../../fixtures/registry/registry.ts';
import type { Tool } from '../../../vmm/model/tools.ts';
import { needs } from '../../support/needs.ts';
import { dir, file, rawTar } from '../layers/tar-builder.ts';
import { mkfsErofs, noMkfs, noRegistry } from '../store/find-mkfs.ts';
import { startForwardProxy } from './forward-proxy.ts';
import { UploadRegistry } from './upload-registry.ts';

const cache = join(homePaths().cache, 'fixtures');
const silent = () => {};
let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'hypr-tls-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Images whose only settings are in a folder of their own. */
const open = async (name: string, env: NodeJS.ProcessEnv = {}): Promise<Images> => {
  const user = join(home, name);
  await mkdir(user, { recursive: true });
  return openImages({
    paths: homePaths(join(user, 'hypr')),
    toolchain: { mkfsErofs: mkfsErofs as Tool },
    env: { HOME: user, ...env },
    backoff: 1,
  });
};
const addImage = async (images: Images, name: string): Promise<void> => {
  const layer = rawTar([dir('etc/'), file('etc/motd', randomBytes(100).toString('hex'))]);
  const { diffId } = await images.store.addLayer(Readable.from([layer]));
  const config = { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [diffId] } };
  await images.store.addImage({ config, references: [name] });
};
const pushOne = async (images: Images, name: string): Promise<string> => {
  await addImage(images, name);
  return (await images.push([name], {}, silent))[0]?.digest ?? '';
};

needs(noRegistry).describe('a registry of a private authority that wants certificates', () => {
  const stop = new AbortController();
  let registry: FixtureRegistry;
  let name: string;
  const pem = (file: string) => join(home, file);
  const certsFor = async (folder: string, host: string, files: Readonly<Record<string, string>>): Promise<void> => {
    await mkdir(join(home, folder, host), { recursive: true });
    for (const [to, from] of Object.entries(files)) {
      await copyFile(pem(from), join(home, folder, host, to));
    }
  };
  const openssl = (...args: string[]) => mustRun('openssl', args, { cwd: home });
  const issue = async (subject: string, extension: string): Promise<void> => {
    writeFileSync(pem(`${subject}.ext`), extension);
    await openssl(
      'req',
      '-new',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      `/CN=${subject}`,
      '-keyout',
      `${subject}.key`,
      '-out',
      `${subject}.csr`,
    );
    await openssl(
      'x509',
      '-req',
      '-in',
      `${subject}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      `${subject}.ext`,
      '-out',
      `${subject}.crt`,
    );
  };
  beforeAll(async () => {
    await openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=test authority',
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
    );
    await issue('server', 'subjectAltName=DNS:registry.test,IP:127.0.0.1');
    await issue('client', 'extendedKeyUsage=clientAuth');
    const tls = { certificate: pem('server.crt'), key: pem('server.key'), clientcas: [pem('ca.crt')] };
    registry = await startFixtureRegistry({
      images: [],
      dir: join(home, 'registry'),
      signal: stop.signal,
      cache,
      config: { http: { tls } },
    });
    name = `${registry.host}/team/app:1`;
  }, 60_000);
  afterAll(async () => {
    await registry?.close();
  });

  test('is not trusted without that authority, and the hint says where it belongs', async () => {
    await expect(pushOne(await open('stranger'), name)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
      hint: `put the authority that signed its certificate into ~/.docker/certs.d/${registry.host}/ca.crt, or set SSL_CERT_FILE to it`,
    });
  });

  test('takes nobody without a client certificate, and those of certs.d', async () => {
    await expect(pushOne(await open('nameless', { SSL_CERT_FILE: pem('ca.crt') }), name)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
    await certsFor('known/.docker/certs.d', registry.host, {
      'ca.crt': 'ca.crt',
      'client.cert': 'client.crt',
      'client.key': 'client.key',
    });
    const images = await open('known');
    const digest = await pushOne(images, name);
    expect(await images.resolveDigest(name)).toBe(digest);
  });

  test('a certificate without its key is named', async () => {
    await certsFor('half/.docker/certs.d', registry.host, { 'client.cert': 'client.crt' });
    await expect(pushOne(await open('half'), name)).rejects.toMatchObject({ message: expect.stringContaining('client.key') });
  });

  test('is reached through a proxy by its name, with the certificates for that name', async () => {
    await using proxy = await startForwardProxy();
    const host = `registry.test:${registry.host.split(':')[1]}`;
    await certsFor('proxied/hypr/certs.d', host, { 'ca.crt': 'ca.crt', 'client.cert': 'client.crt', 'client.key': 'client.key' });
    const images = await open('proxied', { HTTPS_PROXY: proxy.url });
    const digest = await pushOne(images, `${host}/team/proxied:1`);
    expect(await images.resolveDigest(`${host}/team/proxied:1`)).toBe(digest);
    expect(new Set(proxy.asked)).toEqual(new Set([host]));
  });

  test('is trusted by the NODE_EXTRA_CA_CERTS of a process, and not by a file that cannot be read', async () => {
    const folder = join(home, 'certs.d');
    await certsFor('certs.d', registry.host, { 'client.cert': 'client.crt', 'client.key': 'client.key' });
    const program = join(home, 'ask.mjs');
    const resolveDir = fileURLToPath(new URL('../../..', import.meta.url));
    const contents = `
        import { openDispatchers } from './builder/registry/transport/dispatchers.ts';
        import { request } from './builder/registry/transport/undici.ts';
        const url = new URL('https://${registry.host}/v2/');
        await using dispatchers = openDispatchers({ certFolders: [${JSON.stringify(folder)}] });
        const answer = await request(url, { dispatcher: await dispatchers.for(url) }).catch((error) => ({ statusCode: error.code }));
        console.log(answer.statusCode);
      `;
    const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
    await build({ stdin: { contents, resolveDir }, outfile: program, bundle: true, platform: 'node', format: 'esm', banner });
    const ask = async (file: string | undefined) => {
      const env = { PATH: process.env.PATH, ...(file === undefined ? {} : { NODE_EXTRA_CA_CERTS: pem(file) }) };
      return promisify(execFile)(process.execPath, [program], { env });
    };
    expect((await ask('ca.crt')).stdout).toMatch(/^(200|401)\n$/);
    expect((await ask(undefined)).stdout).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED/);
    const { stdout, stderr } = await ask('missing.crt');
    expect(stdout).toMatch(/UNABLE_TO_VERIFY|SELF_SIGNED/);
    expect(stderr).toMatch(/Ignoring extra certs from `.*missing.crt`, load failed/);
  });
});

needs(noMkfs).describe('an insecure registry', () => {
  test('goes through the proxy unless NO_PROXY names it', async () => {
    const registry = await new UploadRegistry().start();
    await using proxy = await startForwardProxy();
    try {
      // Reaches 127.0.0.1 and is not taken for loopback.
      const host = registry.host.replace('127.0.0.1', '0.0.0.0');
      const write = async (user: string) => {
        await mkdir(join(home, user, 'hypr'), { recursive: true });
        writeFileSync(join(home, user, 'hypr', 'registries.conf'), `[[registry]]\nprefix = "${host}"\ninsecure = true\n`);
      };
      await write('direct');
      await pushOne(await open('direct', { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: '0.0.0.0' }), `${host}/app:1`);
      expect(proxy.asked).toEqual([]);
      await write('through');
      await pushOne(await open('through', { HTTP_PROXY: proxy.url }), `${host}/app:2`);
      expect(new Set(proxy.asked)).toEqual(new Set([host]));
      expect([...registry.manifests.keys()]).toEqual(['1', '2']);
    } finally {
      await registry.close();
    }
  });
});
