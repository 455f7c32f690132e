import { readdir, readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';
import { isErrno } from '../../../base/errors.ts';
import type { HostCertificates } from '../../model/host-certificates.ts';

const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const LOCAL_FOLDERS = ['/usr/local/share/ca-certificates', '/etc/pki/ca-trust/source/anchors', '/etc/pki/trust/anchors'];
const MAX_BUNDLE = 8 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----\n([A-Za-z0-9+/=\s]+?)-----END (?:TRUSTED )?CERTIFICATE-----/g;

/**
 * The certificates that the host trusts, when it trusts more than a plain system does (an intercepting proxy's CA); else undefined.
 * RUN steps need them to reach anything over HTTPS. A certificate counts as plain when Node has it, whose list is Mozilla's.
 */
export const hostCertificates = async (
  env: NodeJS.ProcessEnv,
  folders: readonly string[] = LOCAL_FOLDERS,
): Promise<HostCertificates | undefined> => {
  const extra = await Promise.all([env.NODE_EXTRA_CA_CERTS, env.SSL_CERT_FILE].map((path) => (path ? readPem(path) : '')));
  const hasLocal = (await Promise.all(folders.map(hasCertificates))).some(Boolean);
  if (!hasLocal && extra.every((text) => text === '')) {
    return undefined;
  }
  const systems = await Promise.all(SYSTEM_BUNDLES.map(readPem));
  const parts = [systems.find((text) => text !== '') ?? '', ...extra].filter((text) => text !== '');
  const bundle = Buffer.from([...new Set(parts)].map((text) => `${text.trim()}\n`).join(''));
  const own = Buffer.from(ownOf(bundle.toString('latin1')));
  return own.length === 0 || bundle.length > MAX_BUNDLE ? undefined : { bundle, own };
};

/** Each certificate once, without those that Node has. */
const ownOf = (text: string): string => {
  const plain = new Set(rootCertificates.flatMap(bodiesOf));
  return [...new Set(bodiesOf(text))]
    .filter((body) => !plain.has(body))
    .map((body) => `-----BEGIN CERTIFICATE-----\n${body.replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`)
    .join('');
};

/** The base64 of each certificate, without white space. */
const bodiesOf = (text: string): string[] =>
  Array.from(text.replaceAll('\r', '').matchAll(CERTIFICATE), ([, body]) => (body ?? '').replace(/\s/g, ''));

const hasCertificates = async (folder: string): Promise<boolean> => {
  try {
    return (await readdir(folder)).some((name) => /\.(crt|pem)$/.test(name));
  } catch (error) {
    return ignoreMissing(error, false);
  }
};

const readPem = async (path: string): Promise<string> => {
  try {
    const text = await readFile(path, 'latin1');
    return text.includes('-----BEGIN ') ? text : '';
  } catch (error) {
    return ignoreMissing(error, '');
  }
};

const ignoreMissing = <T>(error: unknown, value: T): T => {
  if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR')) {
    return value;
  }
  throw error;
};
