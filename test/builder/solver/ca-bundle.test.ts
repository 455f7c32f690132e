import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { caVariables, hostCaBundle } from '../../../builder/solver/machine/ca-bundle.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-ca-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pem = (name: string, body: string) => {
  const path = join(folder, name);
  writeFileSync(path, `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`);
  return path;
};

it('gives nothing for a plain host', async () => {
  expect(await hostCaBundle({}, [join(folder, 'missing'), folder])).toBeUndefined();
  expect(await hostCaBundle({ SSL_CERT_FILE: join(folder, 'missing') }, [])).toBeUndefined();
  writeFileSync(join(folder, 'no.pem'), 'text');
  expect(await hostCaBundle({ NODE_EXTRA_CA_CERTS: join(folder, 'no.pem') }, [])).toBeUndefined();
});

it('holds what the environment names, each once', async () => {
  const path = pem('a.pem', 'ONE');
  const bundle = Buffer.from((await hostCaBundle({ NODE_EXTRA_CA_CERTS: path, SSL_CERT_FILE: path }, [])) ?? '').toString();
  expect(bundle.match(/ONE/g)).toHaveLength(1);
});

it('leaves variables of the image alone', () => {
  expect(caVariables(new Map([['SSL_CERT_FILE', 'x']])).map((entry) => entry.split('=')[0])).toEqual([
    'NODE_EXTRA_CA_CERTS',
    'CURL_CA_BUNDLE',
    'REQUESTS_CA_BUNDLE',
    'PIP_CERT',
    'GIT_SSL_CAINFO',
  ]);
});
