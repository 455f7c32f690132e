import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { deferExtraCertificates } from '../../../base/host/extra-certificates.ts';

const script = fileURLToPath(new URL('../../../bin/hypr', import.meta.url));

/** What bin/hypr starts Node with: a `node` in PATH that says so. */
const startedWith = (env: Readonly<Record<string, string>>): string => {
  const dir = mkdtempSync(join(tmpdir(), 'hypr-bin-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'node'), '#!/bin/sh\necho "${NODE_EXTRA_CA_CERTS-unset} ${HYPR_EXTRA_CA_CERTS-unset} $2"\n');
  chmodSync(join(dir, 'node'), 0o755);
  return spawnSync(script, ['ps'], { env: { PATH: `${dir}:${process.env.PATH}`, ...env }, encoding: 'utf8' }).stdout;
};

describe('certificates that Node would read at every start', () => {
  test.each([
    ['are put aside', { NODE_EXTRA_CA_CERTS: '/a b.pem' }, 'unset /a b.pem ps\n'],
    ['are left alone beside options', { NODE_EXTRA_CA_CERTS: '/a.pem', NODE_OPTIONS: '--use-openssl-ca' }, '/a.pem unset ps\n'],
    ['may be missing', {}, 'unset unset ps\n'],
  ])('by bin/hypr %s', (_, env, expected) => {
    expect(startedWith(env)).toBe(expected);
  });

  test('for a process of ours in the same way', () => {
    expect(deferExtraCertificates({ A: '1', NODE_EXTRA_CA_CERTS: '/a.pem' })).toEqual({ A: '1', HYPR_EXTRA_CA_CERTS: '/a.pem' });
    const env = { NODE_EXTRA_CA_CERTS: '/a.pem', NODE_OPTIONS: '--use-openssl-ca' };
    expect(deferExtraCertificates(env)).toEqual(env);
    expect(deferExtraCertificates({ A: '1' })).toEqual({ A: '1' });
  });
});

describe('what was put aside', () => {
  afterEach(() => vi.unstubAllEnvs());

  /** A start of a process: the module's state is new. */
  const start = async () => {
    vi.resetModules();
    const { takeExtraCertificates, deferredCertificates } = await import('../../../base/host/extra-certificates.ts');
    takeExtraCertificates();
    return { deferred: deferredCertificates(), env: { node: process.env.NODE_EXTRA_CA_CERTS, hypr: process.env.HYPR_EXTRA_CA_CERTS } };
  };

  test('is put back, and known to be unread', async () => {
    vi.stubEnv('NODE_EXTRA_CA_CERTS', undefined);
    vi.stubEnv('HYPR_EXTRA_CA_CERTS', '/a.pem');
    expect(await start()).toEqual({ deferred: '/a.pem', env: { node: '/a.pem', hypr: undefined } });
  });

  test('is nothing when Node was started with the variable', async () => {
    vi.stubEnv('NODE_EXTRA_CA_CERTS', '/a.pem');
    vi.stubEnv('HYPR_EXTRA_CA_CERTS', undefined);
    expect(await start()).toEqual({ deferred: undefined, env: { node: '/a.pem', hypr: undefined } });
  });
});
