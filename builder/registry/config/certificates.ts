import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { HyprError, isErrno, messageOf } from '../../../base/errors.ts';

/** PEM texts of the certificates for one host. */
export interface HostCertificates {
  /** Trusted authorities; undefined for Node's own. */
  readonly ca: readonly string[] | undefined;
  /** The client certificate. */
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/**
 * Reads docker's layout (containers-certs.d(5)): folders HOST or HOST:PORT with `*.crt`, authorities trusted besides the
 * usual ones, and `NAME.cert` with `NAME.key`, the client certificate. The first of `folders` that has the host wins.
 * Throws REGISTRY_UNREACHABLE for a file that cannot be read and for a certificate without its key.
 */
export const certificatesFor = (host: string, folders: readonly string[], trusted: readonly string[] | undefined): HostCertificates => {
  for (const folder of folders.map((each) => join(each, host))) {
    const names = list(folder);
    const authorities = names.filter((name) => name.endsWith('.crt')).map((name) => readPem(join(folder, name)));
    const [client] = names.filter((name) => name.endsWith('.cert'));
    if (authorities.length > 0 || client !== undefined) {
      const ca = authorities.length === 0 ? trusted : [...(trusted ?? rootCertificates), ...extraAuthorities(trusted), ...authorities];
      return { ca, ...readClient(folder, client) };
    }
  }
  return { ca: trusted, cert: undefined, key: undefined };
};

const readClient = (folder: string, name: string | undefined): { cert: string | undefined; key: string | undefined } =>
  name === undefined
    ? { cert: undefined, key: undefined }
    : { cert: readPem(join(folder, name)), key: readPem(join(folder, name.replace(/\.cert$/, '.key'))) };

/** The authorities of SSL_CERT_FILE and NODE_EXTRA_CA_CERTS, besides the usual ones. Undefined: those that Node trusts by itself. */
export const trustedAuthorities = (env: NodeJS.ProcessEnv): string[] | undefined =>
  env.SSL_CERT_FILE ? [...rootCertificates, readPem(env.SSL_CERT_FILE), ...extra(env)] : undefined;

/** Node applies NODE_EXTRA_CA_CERTS only as long as no authorities are passed to it. */
const extraAuthorities = (trusted: readonly string[] | undefined): string[] => (trusted === undefined ? extra(process.env) : []);
const extra = (env: NodeJS.ProcessEnv): string[] => (env.NODE_EXTRA_CA_CERTS ? [readPem(env.NODE_EXTRA_CA_CERTS)] : []);

const readPem = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new HyprError('REGISTRY_UNREACHABLE', `the certificates in ${path} cannot be read: ${messageOf(error)}`, {
      hint: 'check the file, SSL_CERT_FILE and NODE_EXTRA_CA_CERTS',
      cause: error,
    });
  }
};

const list = (folder: string): string[] => {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) {
      return [];
    }
    throw error;
  }
};
