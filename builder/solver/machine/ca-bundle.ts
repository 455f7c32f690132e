import { readdir, readFile } from 'node:fs/promises';
import { isErrno } from '../../../base/errors.ts';
import { mayReachNetwork } from './reaches-network.ts';

/** Where the guest finds the bundle: a tmpfs path, in no layer. */
export const GUEST_CA_BUNDLE = '/run/hypr/ca-certificates.crt';
/** Programs that do not read SSL_CERT_FILE have a variable of their own. */
const VARIABLES = ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS', 'CURL_CA_BUNDLE', 'REQUESTS_CA_BUNDLE', 'PIP_CERT', 'GIT_SSL_CAINFO'];
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const LOCAL_FOLDERS = ['/usr/local/share/ca-certificates', '/etc/pki/ca-trust/source/anchors', '/etc/pki/trust/anchors'];
const MAX_BUNDLE = 8 * 1024 * 1024;

/**
 * The certificates that the host trusts, when it trusts more than a plain system does (an intercepting
 * proxy's CA): PEM text, or undefined. RUN steps need them to reach anything over HTTPS.
 */
export const hostCaBundle = async (env: NodeJS.ProcessEnv, folders: readonly string[] = LOCAL_FOLDERS): Promise<Uint8Array | undefined> => {
  const extra = await Promise.all([env.NODE_EXTRA_CA_CERTS, env.SSL_CERT_FILE].map((path) => (path ? readPem(path) : '')));
  const hasLocal = (await Promise.all(folders.map(hasCertificates))).some(Boolean);
  if (!hasLocal && extra.every((text) => text === '')) {
    return undefined;
  }
  const systems = await Promise.all(SYSTEM_BUNDLES.map(readPem));
  const parts = [systems.find((text) => text !== '') ?? '', ...extra].filter((text) => text !== '');
  const bundle = Buffer.from([...new Set(parts)].map((text) => `${text.trim()}\n`).join(''));
  return bundle.length === 0 || bundle.length > MAX_BUNDLE ? undefined : bundle;
};

/**
 * The variables that point at the bundle, for a command that may reach for the network: those that the image sets are left alone,
 * and a step that runs neither such a program nor one that cannot be looked into sees none of them.
 */
export const caVariables = (env: ReadonlyMap<string, string>, command: string): string[] =>
  mayReachNetwork(command) ? VARIABLES.filter((name) => !env.has(name)).map((name) => `${name}=${GUEST_CA_BUNDLE}`) : [];

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
