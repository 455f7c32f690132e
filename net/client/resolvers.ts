import { type FSWatcher, watch } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import type { Resolvers } from './config.ts';

const log = logger('net');

const RESOLV_CONF = '/etc/resolv.conf';

/** Asked when the host has no name servers or none of them answers; `HYPR_DNS_FALLBACK` sets others, or none when it is empty. */
const DEFAULT_FALLBACK = '8.8.8.8';

/** A write in place is several events. */
const SETTLE_MS = 100;

/** The host's name servers as /etc/resolv.conf has them now, and the fallback of the settings. */
export const readResolvers = async (path = RESOLV_CONF, env: NodeJS.ProcessEnv = process.env): Promise<Resolvers> => {
  const text = await readFile(path, 'utf8').catch(() => '');
  return { resolvers: parseResolvConf(text), fallback: (env.HYPR_DNS_FALLBACK ?? DEFAULT_FALLBACK).split(/[\s,]+/).flatMap(endpoint) };
};

/** Pure: the `nameserver` lines, as `address:port`. Addresses with a zone are left out: they mean something on the host only. */
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
 * Tells when the host's name servers change: a VPN, another Wi-Fi. The folders are watched and not the file, which is
 * replaced by rename. Close it.
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
