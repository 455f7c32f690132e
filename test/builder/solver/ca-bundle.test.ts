import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
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
  expect(caVariables(new Map([['SSL_CERT_FILE', 'x']]), 'npm ci').map((entry) => entry.split('=')[0])).toEqual([
    'NODE_EXTRA_CA_CERTS',
    'CURL_CA_BUNDLE',
    'REQUESTS_CA_BUNDLE',
    'PIP_CERT',
    'GIT_SSL_CAINFO',
  ]);
});

describe('the variables are in the environment of', () => {
  test.each([
    'curl -f https://host/x',
    'apt-get update && apt-get install -y curl',
    'cd /src; npm ci',
    '/usr/local/bin/pip3.11 install x',
    'python3 -m pip install x',
    'FOO=1 go build ./...',
    'out=$(wget -qO- https://host)',
    './build.sh',
    '/opt/setup --fast',
    'sh install.sh',
    'bash /tmp/x',
    '. ./env && true',
    'make -j2',
    'if true; then ./configure; fi',
    'A=1 B=2 ./run',
    '#!/usr/bin/env python3\nprint(1)',
    'install-php-extensions gd intl',
    'docker-php-ext-install pdo && pecl install redis',
    'set -eux; phpize',
    'su-exec app setup',
    'sh -c "install-php-extensions gd"',
    'bash -ec fetch',
    'find . -name x -exec fetch {} +',
    'ls | xargs -n1 fetch',
    '$TOOL install',
    'echo "$(fetch)"; FOO=1 fetch',
    'env A=1 fetch',
  ])('%s', (command) => {
    expect(caVariables(new Map(), command)).toHaveLength(6);
  });
});

describe('no variable of the host is in the environment of', () => {
  test.each([
    'env',
    'env | sort > /env.txt',
    'printenv',
    'echo "$PATH" && id; pwd',
    'mkdir -p /opt/node /usr/lib/python',
    'cp -a /src/. /dst/ && rm -rf /src',
    'cat /etc/hosts > /out; ls -la /dev/shm',
    'addgroup -S app && adduser -S app -G app',
    'set -e; export A=1; env',
    'chown -R 1000:1000 /data',
    'test -f /etc/passwd',
    '/bin/ls -l; /usr/bin/env',
    'sh -c "env"',
    '(echo x > /a) 2>/dev/null || true',
    'echo "a; b & c | d (e)" > /x 2>&1',
    "printf '%s\\n' 'one;two' | tee -a /etc/profile",
    'if [ -f /a ]; then cat /a; else touch /a; fi',
    'for x in a b; do mkdir -p /data/$x; done',
    'find / -name "*.pyc" -exec rm -f {} +',
    'find . -type f | xargs -0 chmod 644',
    'echo a \\\n  && env',
    'A=1 B="x y" env',
    '# env\nenv',
    '[[ -z "$X" ]] || exit 1',
    'env A=1 env',
  ])('%s', (command) => {
    expect(caVariables(new Map(), command)).toEqual([]);
  });
});
