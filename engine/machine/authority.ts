import { X509Certificate } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { homePaths } from '../../base/paths.ts';
import type { FileSpec, ProcessSpec } from '../../guest/types.ts';
import { readAuthority } from '../../net/certificates/authority.ts';
import { subjectHash } from '../../net/certificates/subject-hash.ts';
import { SYSTEM_BUNDLES } from '../../net/certificates/system-bundles.ts';
import { nameDomain } from '../../net/names/directory.ts';
import type { ReplicaSpec } from '../model/spec.ts';

const log = logger('authority');

/** Where update-ca-certificates of Debian and Alpine looks for more. */
const CERTIFICATE = '/usr/local/share/ca-certificates/hypr.crt';
/** Where OpenSSL of Debian, Alpine and Arch looks by the hash of a name; Python there reads nothing else. */
const HASHED = '/etc/ssl/certs';
const NODE_VARIABLE = 'NODE_EXTRA_CA_CERTS';

/**
 * What makes the programs of a replica trust the user's certificate authority in `folder`: nothing where there is none, or where the label
 * `hypr.ca` is false. The image's bundle is added to, not mounted over, because the distribution's tools rename another onto it. One that
 * cannot be read is a warning: a stack does not need it to start.
 */
export const authorityFiles = async (
  spec: Pick<ReplicaSpec, 'name' | 'labels' | 'mounts' | 'files'>,
  folder: string = homePaths().authority,
): Promise<FileSpec[]> => {
  if (/^(false|no|off|0)$/i.test(spec.labels['hypr.ca']?.trim() ?? '')) {
    return [];
  }
  try {
    const authority = await readAuthority(folder, nameDomain());
    if (authority === undefined || authority.notAfter.getTime() < Date.now()) {
      return [];
    }
    const hash = subjectHash(new X509Certificate(authority.cert));
    const own = { content: Buffer.from(authority.cert), uid: 0, gid: 0, mode: 0o644 };
    // A mount point of ours below a folder of the host's would be a file there.
    const isFree = (path: string): boolean =>
      ![...spec.mounts.map(({ target }) => target), ...spec.files.map((file) => file.path)].some(
        (taken) => path === taken || path.startsWith(`${taken.replace(/\/+$/, '')}/`),
      );
    return [
      ...[CERTIFICATE, ...(hash === undefined ? [] : [`${HASHED}/${hash}.0`])].map((path) => ({ path, ...own, readOnly: true as const })),
      ...SYSTEM_BUNDLES.map((path) => ({ path, ...own, append: true as const })),
    ].filter(({ path }) => isFree(path));
  } catch (error) {
    log.warn('the machine does not get the certificate authority', { machine: spec.name, error: messageOf(error) });
    return [];
  }
};

/** Paths of files that are nothing but the certificate: an image that is made of a machine must not have them. */
export const authorityPaths = async (folder: string = homePaths().authority): Promise<string[]> => {
  const authority = await readAuthority(folder, nameDomain()).catch(() => undefined);
  const hash = authority === undefined ? undefined : subjectHash(new X509Certificate(authority.cert));
  return [CERTIFICATE, ...(hash === undefined ? [] : [`${HASHED}/${hash}.0`])];
};

/** The variables that go with the files: Node reads no store of the system. */
export const authorityVariables = (files: readonly FileSpec[]): string[] =>
  files.some(({ path }) => path === CERTIFICATE) ? [`${NODE_VARIABLE}=${CERTIFICATE}`] : [];

/** A program of a run, with the variables of that which its spec does not set. */
export const withVariables = (process: ProcessSpec, variables: readonly string[] = []): ProcessSpec => {
  const set = new Set(process.env.map((entry) => entry.split('=', 1)[0]));
  const missing = variables.filter((entry) => !set.has(entry.split('=', 1)[0]));
  return missing.length === 0 ? process : { ...process, env: [...process.env, ...missing] };
};
