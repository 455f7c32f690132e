import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { hostCertificates } from '../../../builder/solver/machine/ca-bundle.ts';
import { caVariables } from '../../../builder/solver/machine/trust-store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hypr-ca-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const pem = (name: string, ...bodies: string[]) => {
  const path = join(folder, name);
  writeFileSync(path, bodies.map((body) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`).join(''));
  return path;
};
const read = async (env: NodeJS.ProcessEnv, folders: string[] = []) => {
  const found = await hostCertificates(env, folders);
  return found && { bundle: Buffer.from(found.bundle).toString(), own: Buffer.from(found.own).toString() };
};

it('there is nothing on a plain host', async () => {
  expect(await read({}, [join(folder, 'missing'), folder])).toBeUndefined();
  expect(await read({ SSL_CERT_FILE: join(folder, 'missing') })).toBeUndefined();
  writeFileSync(join(folder, 'no.pem'), 'text');
  expect(await read({ NODE_EXTRA_CA_CERTS: join(folder, 'no.pem') })).toBeUndefined();
});

it('a host that names only what everybody trusts is a plain one', async () => {
  const path = join(folder, 'plain.pem');
  writeFileSync(path, rootCertificates.slice(0, 3).join('\r\n'));
  const isolated = await read({ SSL_CERT_FILE: path });
  // This host's own store may hold more than Node's list.
  expect(isolated?.own ?? '').not.toContain(rootCertificates[0]?.split('\n')[1]);
});

it('holds what the environment names, each once; what is its own apart from what everybody trusts', async () => {
  const path = pem('a.pem', 'AAAA', `${'B'.repeat(64)}\nCCCC`, 'AAAA');
  const found = await read({ NODE_EXTRA_CA_CERTS: path, SSL_CERT_FILE: path });
  expect(found?.bundle.match(/\nBBBB/g)).toHaveLength(1);
  expect(found?.own).toContain(`-----BEGIN CERTIFICATE-----\n${'B'.repeat(64)}\nCCCC\n-----END CERTIFICATE-----\n`);
  expect(found?.own.match(/\nAAAA\n/g)).toHaveLength(1);
});

const namesFor = (command: string, env: ReadonlyMap<string, string> = new Map()) =>
  caVariables(env, command).map((entry) => entry.split('=')[0]);

it('leaves variables of the image alone', () => {
  expect(namesFor('pip install x', new Map([['SSL_CERT_FILE', 'x']]))).toEqual(['PIP_CERT', 'REQUESTS_CA_BUNDLE']);
});

describe('a program with a store of its own has its variable', () => {
  test.each([
    ['cd /src; npm ci', 'NODE_EXTRA_CA_CERTS'],
    ['/usr/local/bin/pip3.11 install x', 'SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE'],
    ['python3 -m pip install x', 'SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE'],
    ['apt-get install -y ca-certificates curl && curl -f https://host/x', 'CURL_CA_BUNDLE'],
    ['out=$(wget -qO- https://host)', 'SSL_CERT_FILE'],
    ['sh -c "git clone x && yarn"', 'GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS'],
    ['#!/usr/bin/env node\nfetch(1)', 'NODE_EXTRA_CA_CERTS'],
  ])('%s', (command, names) => expect(namesFor(command).join(' ')).toBe(names));
});

describe('no variable of the host is in the environment of', () => {
  test.each([
    'env | sort > /env.txt',
    'printenv',
    './build.sh',
    'install-php-extensions gd intl',
    'make -j2',
    'apt-get update && apt-get install -y gcc',
    'mkdir -p /opt/node /usr/lib/python',
    'cp -a /srv/git /dst',
  ])('%s', (command) => expect(namesFor(command)).toEqual([]));
});
