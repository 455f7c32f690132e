import type { FileSpec } from '../../../guest/types.ts';
import { SYSTEM_BUNDLES } from '../../../net/certificates/system-bundles.ts';
import type { HostCertificates } from '../../model/host-certificates.ts';

/** The stores of a root that RUN steps see with the host's certificates in them. */
export const STORES = SYSTEM_BUNDLES;
/** Where the guest finds everything that the host trusts: a tmpfs path, in no layer. */
export const GUEST_CA_BUNDLE = '/run/hypr/ca-certificates.crt';

/**
 * What programs read that do not look into the system's store, or that a RUN may start right after it has installed the first store of
 * its image.
 */
const READERS: ReadonlyArray<readonly [programs: string, variables: readonly string[]]> = [
  ['node nodejs npm npx yarn pnpm corepack bun deno', ['NODE_EXTRA_CA_CERTS']],
  ['python pip pipx uv uvx poetry pipenv conda mamba pdm hatch tox', ['SSL_CERT_FILE', 'PIP_CERT', 'REQUESTS_CA_BUNDLE']],
  ['curl', ['CURL_CA_BUNDLE']],
  ['git gh', ['GIT_SSL_CAINFO']],
  ['wget go cargo rustup ruby gem bundle bundler rake php composer pecl perl cpan cpanm mix openssl', ['SSL_CERT_FILE']],
];
const VARIABLES = new Map(READERS.flatMap(([programs, names]) => programs.split(' ').map((program) => [program, names] as const)));

/** The files that a machine gets at its start. */
export const bundleFiles = ({ bundle }: HostCertificates): FileSpec[] => [
  { path: GUEST_CA_BUNDLE, content: bundle, mode: 0o644, uid: 0, gid: 0 },
];

/**
 * What makes the programs of a root trust the host's own certificates: the root's stores are added to, where it has some. They are not
 * mounted over, because the tools of distributions rename a new store onto the old one.
 */
export const storeFiles = ({ own }: HostCertificates): FileSpec[] =>
  STORES.map((path) => ({ path, content: own, mode: 0o644, uid: 0, gid: 0, append: true }));

/** Variables that point at the bundle, for the programs that a command names; those that the image sets are left alone. */
export const caVariables = (env: ReadonlyMap<string, string>, command: string): string[] => {
  const names = new Set(command.split(/[\s;&|()`'"$=<>]+/).flatMap(variablesOf));
  return [...names].filter((name) => !env.has(name)).map((name) => `${name}=${GUEST_CA_BUNDLE}`);
};

/** `npm`, `/usr/bin/python3.12`; not `/opt/node`. */
const variablesOf = (word: string): readonly string[] => {
  const name = word.slice(word.lastIndexOf('/') + 1).replace(/[\d.-]+$/, '');
  return (!word.includes('/') || /\/s?bin\/[^/]+$/.test(word) ? VARIABLES.get(name) : undefined) ?? [];
};
