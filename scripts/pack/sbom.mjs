// What a release consists of, in CycloneDX 1.6 (JSON). Without a date, so that it is the same for the same sources.
import { join } from 'node:path';
import { npmPackages } from './licences.mjs';

/** The SBOM of a release: bundled npm packages, Go modules, the C library, and the compilers as tools. */
export const makeSbom = async ({ root, version, native }) => ({
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: {
    tools: { components: native.compilers.map((name) => ({ type: 'application', name })) },
    component: { type: 'application', name: 'hypr', version, purl: `pkg:npm/hypr@${version}`, licenses: licence('Apache-2.0') },
  },
  components: [
    ...(await npmPackages(root)).map(({ name, version, license, integrity }) => ({
      type: 'library',
      name,
      version,
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      ...(license ? { licenses: licence(license) } : {}),
      ...(integrity
        ? { hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') }] }
        : {}),
    })),
    ...native.modules.map(({ path, version }) => ({ type: 'library', name: path, version, purl: `pkg:golang/${path}@${version}` })),
    { type: 'library', name: 'musl', version: native.muslVersion, licenses: licence('MIT') },
    { type: 'library', name: 'sqlite', version: await sqliteVersion(root), licenses: licence('blessing') },
  ],
});

/** Expressions and names that are no SPDX id are given as they are. */
const licence = (name) => [/^[\w.+-]+$/.test(name) ? { license: { id: name } } : { expression: name }];

const sqliteVersion = async (root) => {
  const { default: Database } = await import(join(root, 'node_modules/better-sqlite3/lib/index.js'));
  const database = new Database(':memory:');
  try {
    return database.prepare('select sqlite_version()').pluck().get();
  } finally {
    database.close();
  }
};
