import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { sleep } from '../../base/deadline.ts';
import { readAuthority } from '../../net/certificates/authority.ts';
import { nameDomain } from '../../net/names/directory.ts';
import type { TrustStatus } from '../model/trust.ts';
import type { TrustHost } from './browser-setup.ts';
import { readDesktopProxy } from './desktop-proxy.ts';
import { findStores } from './find-stores.ts';
import { listNicknames } from './nss.ts';
import { edgePort, pacUrl } from './pac.ts';

const TRY_MS = 2_000;
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
  const [bundle, proxy, edge, resolves, port443] = await Promise.all([
    findInBundle(authority?.cert),
    readDesktopProxy(pacUrl(env), env, signal),
    listens(edgePort(env) ?? 0),
    resolvesToLoopback(domain),
    listens(443),
  ]);
  const { name = '', certPath: path = '', fingerprint = '', notAfter } = authority ?? {};
  return {
    domain,
    ...(notAfter === undefined ? {} : { authority: { name, path, fingerprint, notAfter: notAfter.toISOString() } }),
    trust: [...inStores, ...bundle],
    ...{ proxy, edge, resolves, port443 },
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

const resolvesToLoopback = async (name: string): Promise<boolean> => {
  const found = await Promise.race([lookup(name, 4).catch(() => undefined), sleep(TRY_MS).then(() => undefined)]);
  return found?.address.startsWith('127.') === true;
};

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    if (port === 0) {
      resolve(false);
      return;
    }
    const socket = connect({ port, host: '127.0.0.1', timeout: TRY_MS });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .on('connect', () => end(true))
      .on('error', () => end(false))
      .on('timeout', () => end(false));
  });
