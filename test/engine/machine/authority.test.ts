import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { authorityFiles, authorityVariables, withVariables } from '../../../engine/machine/authority.ts';
import type { ReplicaMount } from '../../../engine/model/spec.ts';
import { type Authority, openAuthority } from '../../../net/certificates/authority.ts';
import { processSpec } from '../../guest/host-agent.ts';

let folder: string;
let authority: Authority;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-inside-'));
  authority = await openAuthority(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const replica = { name: 'shop-web-1', labels: {}, mounts: [], files: [] };
const pathsOf = async (changes: Partial<Parameters<typeof authorityFiles>[0]>) =>
  (await authorityFiles({ ...replica, ...changes }, folder)).map(({ path }) => path);
const bind = (target: string) => ({ kind: 'bind', source: '/x', target, readOnly: false }) as unknown as ReplicaMount;

it('gives a machine the certificate, never the key', async () => {
  const files = await authorityFiles(replica, folder);
  expect(files.map(({ path, append }) => `${append ? 'append ' : ''}${path.replace(/[0-9a-f]{8}\.0$/, 'HASH.0')}`)).toEqual([
    '/usr/local/share/ca-certificates/hypr.crt',
    '/etc/ssl/certs/HASH.0',
    'append /etc/ssl/certs/ca-certificates.crt',
    'append /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    'append /var/lib/ca-certificates/ca-bundle.pem',
  ]);
  expect(new Set(files.map(({ content }) => Buffer.from(content).toString()))).toEqual(new Set([authority.cert]));
});

it('gives nothing where there is none, the label says so, or it cannot be read', async () => {
  expect(await authorityFiles(replica, join(folder, 'none'))).toEqual([]);
  expect(await pathsOf({ labels: { 'hypr.ca': 'false' } })).toEqual([]);
  const broken = await mkdtemp(join(tmpdir(), 'hypr-inside-'));
  await openAuthority(broken);
  await writeFile(join(broken, 'hypr', 'ca.pem'), 'nonsense');
  expect(await authorityFiles(replica, broken)).toEqual([]);
  await rm(broken, { recursive: true });
});

it('leaves alone what is mounted by the file: a mount point there would be a file of the host', async () => {
  expect(await pathsOf({ mounts: [bind('/etc/ssl/certs/')] })).toEqual([
    '/usr/local/share/ca-certificates/hypr.crt',
    '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
    '/var/lib/ca-certificates/ca-bundle.pem',
  ]);
  const paths = await pathsOf({ mounts: [bind('/usr/local/share'), bind('/etc/ssl/certs/ca-certificates.crt'), bind('/var')] });
  expect(paths.map((path) => path.replace(/[0-9a-f]{8}\.0$/, 'HASH.0'))).toEqual([
    '/etc/ssl/certs/HASH.0',
    '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  ]);
});

it("sets Node's variable where it is unset and the file is there", async () => {
  const variables = authorityVariables(await authorityFiles(replica, folder));
  expect(variables).toEqual(['NODE_EXTRA_CA_CERTS=/usr/local/share/ca-certificates/hypr.crt']);
  expect(authorityVariables(await authorityFiles({ ...replica, mounts: [bind('/usr')] }, folder))).toEqual([]);
  const own = processSpec(['true'], { env: ['A=1', 'NODE_EXTRA_CA_CERTS='] });
  expect(withVariables(own, variables)).toBe(own);
  expect(withVariables(processSpec(['true'], { env: ['A=1'] }), variables).env).toEqual(['A=1', ...variables]);
  expect(withVariables(own)).toBe(own);
});
