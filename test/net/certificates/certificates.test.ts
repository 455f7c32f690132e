import { spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../../../base/host/process.ts';
import { openAuthority, readAuthority } from '../../../net/certificates/authority.ts';
import { issueLeaf, mayIssue } from '../../../net/certificates/issue-leaf.ts';
import { subjectHash } from '../../../net/certificates/subject-hash.ts';
import { needs } from '../../support/needs.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-ca-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const DAY = 24 * 3600 * 1000;

describe('openAuthority', () => {
  it('makes one with its key for the owner only, and reads the same again', async () => {
    const made = await openAuthority(folder);
    const read = await openAuthority(folder);
    expect(read.fingerprint).toBe(made.fingerprint);
    expect((await stat(join(folder, 'hypr', 'key.pem'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'hypr'))).mode & 0o777).toBe(0o700);
    expect(made.name).toMatch(/^hypr development CA [0-9a-f]{6} \(.+@.*\)$/);
  });

  it('makes one authority when several processes ask at once, and leaves nothing beside it', async () => {
    const script = `import('${fileURLToPath(new URL('../../../net/certificates/authority.ts', import.meta.url))}')
      .then(({ openAuthority }) => openAuthority(process.argv[1])).then((one) => process.stdout.write(one.fingerprint));`;
    const answers = await Promise.all(Array.from({ length: 4 }, () => runProgram(process.execPath, ['-e', script, folder])));
    expect(answers.map(({ code, stderr }) => ({ code, stderr }))).toEqual(answers.map(() => ({ code: 0, stderr: '' })));
    expect(new Set(answers.map(({ stdout }) => stdout)).size).toBe(1);
    expect(await readdir(folder)).toEqual(['hypr']);
  });

  it('keeps another authority for another domain', async () => {
    const [one, other] = [await openAuthority(folder), await openAuthority(folder, 'internal')];
    expect(other.fingerprint).not.toBe(one.fingerprint);
    await expect(issueLeaf(other, ['web.shop.hypr'])).rejects.toMatchObject({ code: 'NET_CERTIFICATE' });
    await expect(issueLeaf(other, ['web.shop.internal'])).resolves.toBeDefined();
  });

  it('refuses a key that others may read, a missing part and a damaged one', async () => {
    const { certPath } = await openAuthority(folder);
    const key = join(folder, 'hypr', 'key.pem');
    await chmod(key, 0o640);
    await expect(openAuthority(folder)).rejects.toMatchObject({
      code: 'NET_CERTIFICATE',
      message: expect.stringContaining('others may read it'),
    });
    await chmod(key, 0o600);
    await writeFile(certPath, (await openAuthority(join(folder, 'other'))).cert);
    await expect(openAuthority(folder)).rejects.toMatchObject({
      code: 'NET_CERTIFICATE',
      message: expect.stringContaining('do not belong together'),
    });
    await truncate(certPath, 100);
    await expect(openAuthority(folder)).rejects.toMatchObject({ code: 'NET_CERTIFICATE' });
    await rm(certPath);
    await expect(openAuthority(folder)).rejects.toMatchObject({
      code: 'NET_CERTIFICATE',
      message: expect.stringContaining('ca.pem is missing'),
    });
    await rm(key);
    expect(await readAuthority(folder)).toBeUndefined();
  });
});

describe('issueLeaf', () => {
  it('gives a certificate of at most 397 days for exactly these names', async () => {
    const leaf = await issueLeaf(await openAuthority(folder), [
      'Web.shop.hypr',
      'my_app.shop.hypr',
      '*.shop.hypr',
      'hypr',
      'web.shop.localhost',
    ]);
    const parsed = new X509Certificate(leaf.cert);
    expect(parsed.subjectAltName).toBe('DNS:web.shop.hypr, DNS:my_app.shop.hypr, DNS:*.shop.hypr, DNS:hypr, DNS:web.shop.localhost');
    expect(parsed.ca).toBe(false);
    expect(parsed.checkPrivateKey(createPrivateKey(leaf.key))).toBe(true);
    const days = (parsed.validToDate.getTime() - parsed.validFromDate.getTime()) / DAY;
    expect(days).toBeLessThanOrEqual(397);
    expect(days).toBeGreaterThan(396);
  });

  it.each([
    'example.com',
    'hypr.example.com',
    'nothypr',
    'web.shop.hypr.',
    '127.0.0.1',
    '-a.hypr',
    'a b.hypr',
    '',
    'a..hypr',
    `${'a'.repeat(64)}.hypr`,
  ])('refuses the name %j', async (name) => {
    const authority = await openAuthority(folder);
    expect(mayIssue(authority, name)).toBe(false);
    await expect(issueLeaf(authority, [name])).rejects.toMatchObject({ code: 'NET_CERTIFICATE' });
  });

  it('is taken by a TLS client that trusts the authority, for its name only', async () => {
    const authority = await openAuthority(folder);
    const server = createServer(await issueLeaf(authority, ['web.shop.hypr']), (_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const handshake = (servername: string) =>
      new Promise<string>((resolve) => {
        const { port } = server.address() as AddressInfo;
        const socket = connect({ port, host: '127.0.0.1', servername, ca: authority.cert }, () => resolve(socket.getProtocol() ?? ''));
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message)).on('secureConnect', () => socket.end());
      });
    expect(await handshake('web.shop.hypr')).toBe('TLSv1.3');
    expect(await handshake('api.shop.hypr')).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    await new Promise((resolve) => server.close(resolve));
  });
});

/** As a thief of the key would: past our own checks, with another program. */
const forge = async (name: string): Promise<{ code: number; output: string }> => {
  const [ca, key] = ['ca.pem', 'key.pem'].map((file) => join(folder, 'hypr', file)) as [string, string];
  const [csr, leafKey, leaf, extensions] = ['csr', 'leaf.key', 'leaf.pem', 'ext'].map((file) => join(folder, file)) as [
    string,
    string,
    string,
    string,
  ];
  await writeFile(extensions, `subjectAltName=${name}\n`);
  for (const args of [
    ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', leafKey, '-subj', '/O=x', '-out', csr],
    ['x509', '-req', '-in', csr, '-CA', ca, '-CAkey', key, '-CAcreateserial', '-days', '30', '-extfile', extensions, '-out', leaf],
  ]) {
    expect(await runProgram('openssl', args)).toMatchObject({ code: 0 });
  }
  const { code, stdout, stderr } = await runProgram('openssl', ['verify', '-purpose', 'sslserver', '-CAfile', ca, leaf]);
  return { code, output: stdout + stderr };
};

describe('a stolen key', () => {
  needs(hasOpenssl ? false : 'no openssl').it(
    'signs names of the domain and localhost, and openssl takes no other name and no address from it',
    async () => {
      await openAuthority(folder);
      expect(await forge('DNS:web.shop.hypr')).toMatchObject({ code: 0 });
      expect(await forge('DNS:localhost')).toMatchObject({ code: 0 });
      for (const name of ['DNS:bank.example', 'DNS:hypr.bank.example', 'DNS:nothypr', 'DNS:web.hypr,DNS:bank.example']) {
        expect(await forge(name)).toMatchObject({ code: 2, output: expect.stringContaining('permitted subtree violation') });
      }
      for (const address of ['IP:192.0.2.1', 'IP:127.0.0.1', 'IP:2001:db8::1']) {
        expect(await forge(address)).toMatchObject({ code: 2, output: expect.stringContaining('excluded subtree violation') });
      }
    },
  );
});

needs(hasOpenssl ? false : 'no openssl').it('finds the name of a certificate in a folder as OpenSSL does', async () => {
  const { cert, certPath } = await openAuthority(folder);
  const { stdout } = await runProgram('openssl', ['x509', '-in', certPath, '-noout', '-subject_hash']);
  expect(subjectHash(new X509Certificate(cert))).toBe(stdout.trim());
});
