import { Duplex } from 'node:stream';
import type { NameDirectory, NamedService } from '../../../net/names/directory.ts';

/** A name with whatever the test does not care about filled in. */
export const named = (host: string, more: Partial<NamedService> = {}): NamedService => ({
  host,
  stack: host.split('.').at(-1) ?? host,
  state: 'running',
  address: '127.64.0.9',
  isBound: false,
  ports: [],
  https: true,
  connect: async () => new Duplex(),
  ...more,
});

/** A directory that holds what it is given. */
export const fakeDirectory = (entries: readonly NamedService[]): NameDirectory => ({
  find: (host) => entries.find((entry) => entry.host === host.toLowerCase()),
  list: () => [...entries],
  onChange: () => () => {},
  close: () => {},
});
