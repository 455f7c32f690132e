import { type FSWatcher, watch } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Resolvers } from './config.ts';

const log = logger('net');

const RESOLV_CONF = '/etc/resolv.conf';

/** Used when the host has no name servers or none of them answers. `HYPR_DNS_FALLBACK` overrides it; an empty value disables it. */
const DEFAULT_FALLBACK = '8.8.8.8';

/** Writing a file in place causes several events. */
const SETTLE_MS = 100;

/** The host's current name servers from /etc/resolv.conf, and the fallback. */
export const readResolvers = async (path = RESOLV_CONF, env: NodeJS.ProcessEnv = process.env): Promise<Resolvers> => {
  const text = await readFile(path, 'utf8').catch(() => '');
  return { resolvers: parseResolvConf(text), fallback: (env.HYPR_DNS_FALLBACK ?? DEFAULT_FALLBACK).split(/[\s,]+/).flatMap(endpoint) };
};

/** The `nameserver` lines as `address:port`. Addresses with a zone are left out: a zone only means something on the host. Pure. */
export const parseResolvConf = (text: string): string[] =>
  [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].flatMap(([, address]) => endpoint(address ?? ''));

const endpoint = (address: string): string[] => {
  const version = isIP(address);
  if (version === 0 || address.includes('%')) {
    return [];
  }
  return [version === 4 ? `${address}:53` : `[${address}]:53`];
};

/**
 * Calls back when the host's name servers change, for example after joining a VPN or another Wi-Fi. Watches the folders,
 * because the file is replaced by rename. Close it.
 */
export const watchResolvers = (onChange: (resolvers: Resolvers) => void, path = RESOLV_CONF): { close(): void } => {
  const watchers: FSWatcher[] = [];
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const changed = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void readResolvers(path).then((resolvers) => closed || onChange(resolvers)), SETTLE_MS);
    timer.unref();
  };
  const add = (folder: string): void => {
    try {
      const watcher = watch(folder, { persistent: false }, changed);
      watcher.on('error', (error) => log.warn('changes of the name servers are not noticed', { folder, error: messageOf(error) }));
      watchers.push(watcher);
    } catch (error) {
      log.warn('changes of the name servers are not noticed', { folder, error: messageOf(error) });
    }
  };
  add(dirname(path));
  void realpath(path).then(
    (real) => closed || dirname(real) === dirname(path) || add(dirname(real)),
    () => {},
  );
  return {
    close: () => {
      closed = true;
      clearTimeout(timer);
      for (const watcher of watchers) {
        watcher.close();
      }
    },
  };
};
