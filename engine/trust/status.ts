import { readFile } from 'node:fs/promises';
import { readAuthority } from '../../net/certificates/authority.ts';
import { nameDomain } from '../../net/names/directory.ts';
import { systemKnowsNames } from '../../net/names/system-names.ts';
import { askEdge } from '../edge/info.ts';
import type { TrustStatus } from '../model/trust.ts';
import type { TrustHost } from './browser-setup.ts';
import { readDesktopProxy } from './desktop-proxy.ts';
import { findStores } from './find-stores.ts';
import { listNicknames } from './nss.ts';

const BUNDLES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/ca-bundle.pem', '/etc/ssl/cert.pem'];

export const readTrust = async ({ paths, home, env, signal }: TrustHost): Promise<TrustStatus> => {
  const domain = nameDomain(env);
  const authority = await readAuthority(paths.authority, domain);
  const stores = (await findStores(home)).filter((store) => store.exists);
  const inStores = stores.map(({ browser, folder }) => ({
    what: browser,
    place: folder,
    trusts: authority !== undefined && listNicknames(folder).includes(authority.name),
  }));
  const [bundle, proxy, edge, resolves] = await Promise.all([
    findInBundle(authority?.cert),
    readDesktopProxy(env, signal),
    askEdge(signal).catch(() => signal.throwIfAborted()),
    systemKnowsNames(domain, signal),
  ]);
  const { name = '', certPath: path = '', fingerprint = '', notAfter } = authority ?? {};
  return {
    domain,
    ...(notAfter === undefined ? {} : { authority: { name, path, fingerprint, notAfter: notAfter.toISOString() } }),
    trust: [...inStores, ...bundle],
    ...{ proxy, resolves, edge: edge?.port !== undefined, port443: edge?.systemPorts.includes(443) === true },
  };
};

const findInBundle = async (cert: string | undefined): Promise<TrustStatus['trust']> => {
  for (const place of BUNDLES) {
    const text = await readFile(place, 'utf8').catch(() => undefined);
    if (text !== undefined) {
      return [{ what: 'system', place, trusts: cert !== undefined && flat(text).includes(flat(cert)) }];
    }
  }
  return [];
};

const flat = (text: string): string => text.replace(/\s+/g, '');
