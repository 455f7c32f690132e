import { readdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { exists } from '../../../base/host/files.ts';
import { findInPath } from '../../../vmm/toolchain/host-programs.ts';
import { CA_STORES, type CaStore, EARLIER_FILE, RESOLVER_FILES, type Resolver, SYSCTL_FILE, type SystemFacts } from './plan.ts';

const FIRST_PORT = '/proc/sys/net/ipv4/ip_unprivileged_port_start';

/** Looks at this host; changes nothing. */
export const inspectSystem = async (): Promise<SystemFacts> => {
  const [resolver, store] = [await findResolver(), await findStore()];
  const fixed = [...[...Object.values(RESOLVER_FILES), EARLIER_FILE].map(({ path }) => path), SYSCTL_FILE];
  const found = [...fixed, ...(store === undefined ? [] : await authorityFiles(store.folder))];
  const files = await Promise.all(found.map(async (path) => [path, await readText(path)] as const));
  const parents = await Promise.all(fixed.map(async (path) => ((await exists(dirname(path))) ? [dirname(path)] : [])));
  return {
    resolver,
    store,
    firstPort: Number((await readText(FIRST_PORT)) ?? 1024),
    folders: new Set(parents.flat()),
    files: new Map(files.flatMap(([path, text]) => (text === undefined ? [] : [[path, text] as const]))),
  };
};

/** Our certificates among the system's own. */
const authorityFiles = async (folder: string): Promise<string[]> =>
  (await readdir(folder).catch(() => [])).filter((name) => /^hypr-\w{2,6}\.crt$/.test(name)).map((name) => join(folder, name));

const findStore = async (): Promise<CaStore | undefined> => {
  for (const store of CA_STORES) {
    const [program = ''] = store.update.split(' ');
    if ((await exists(store.folder)) && ((await findInPath(program)) ?? (await findInPath(`/usr/sbin/${program}`))) !== undefined) {
      return store;
    }
  }
  return undefined;
};

/** Which resolver answers, judged by what /etc/resolv.conf links to. */
const findResolver = async (): Promise<Resolver | undefined> => {
  const text = (await readText('/etc/resolv.conf')) ?? '';
  const target = await readlink('/etc/resolv.conf').catch(() => '');
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, address]) => address ?? '');
  if (servers.includes('127.0.0.53') || servers.includes('127.0.0.54') || target.includes('systemd/resolve')) {
    return 'systemd-resolved';
  }
  if (!servers.some((address) => address.startsWith('127.') || address === '::1')) {
    return undefined;
  }
  return (await networkManagerUsesDnsmasq()) ? 'networkmanager-dnsmasq' : (await exists('/etc/dnsmasq.d')) ? 'dnsmasq' : undefined;
};

const networkManagerUsesDnsmasq = async (): Promise<boolean> => {
  const folder = '/etc/NetworkManager/conf.d';
  const names = await readdir(folder).catch(() => []);
  const texts = await Promise.all(['/etc/NetworkManager/NetworkManager.conf', ...names.map((name) => join(folder, name))].map(readText));
  return texts.some((text) => /^\s*dns\s*=\s*dnsmasq\s*$/m.test(text ?? ''));
};

const readText = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').then(
    (text) => text,
    () => undefined,
  );
