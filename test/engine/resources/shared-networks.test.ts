import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sharedNetworkKey } from '../../../engine/model/network-key.ts';
import type { ReplicaSpec } from '../../../engine/model/spec.ts';
import { resolveReplica } from '../../../engine/resolve/replica-spec.ts';
import { StackNetworks } from '../../../engine/resources/networks.ts';
import type { VmRow } from '../../../engine/state/records.ts';
import { openStateStore, type StateStore } from '../../../engine/state/store.ts';
import { createFakePlatform, type FakePlatform } from '../support/fake-platform.ts';
import { imageOf, projectOf } from '../support/project.ts';

let dir: string;
let platform: FakePlatform;
const stores: StateStore[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hypr-shared-'));
  platform = createFakePlatform(dir);
});
afterEach(() => {
  for (const store of stores.splice(0)) {
    store.close();
  }
  rmSync(dir, { recursive: true, force: true });
});

const KEY = sharedNetworkKey('bridge');
const signal = AbortSignal.timeout(20_000);

/** A supervisor's networks, with a connection to the database of its own, as another process would have. */
const openNetworks = (stack: string) => {
  const store = openStateStore(platform.paths.database);
  stores.push(store);
  store.putStack({ name: stack, workingDir: '/', files: [], project: projectOf({}, { name: stack }), supervisor: undefined, createdAt: 1 });
  const lost: Array<string | undefined> = [];
  const networks = new StackNetworks({
    stack,
    store,
    platform,
    onLost: (_, detail) => lost.push(detail),
    onEvent: () => {},
    onNames: () => {},
  });
  const addReplica = (service: string): VmRow => {
    const project = projectOf({ [service]: { network_mode: 'bridge', networks: {} } }, { name: stack });
    const spec: ReplicaSpec = resolveReplica({ project, service, number: 1, image: { reference: 'x', config: imageOf().config } });
    const row: VmRow = {
      ...{ id: `${stack}-${service}`, stack, service, number: 1, oneOff: false, name: spec.name, state: 'running', health: 'none' },
      ...{ exitCode: 0, reason: undefined, restarts: 0, configHash: '', imageId: '', spec, machine: undefined, saved: undefined },
      ...{ published: [], stoppedByUser: false, createdAt: 1, startedAt: 1, finishedAt: undefined, bootMs: undefined, run: undefined },
    };
    store.putVm(row);
    return row;
  };
  return { networks, store, addReplica, lost };
};

describe('a shared network', () => {
  test('has one gateway and one list of leases for all stacks', async () => {
    const [shop, blog] = [openNetworks('shop'), openNetworks('blog')];
    await Promise.all([shop.networks.ensure(KEY, signal), blog.networks.ensure(KEY, signal)]);
    expect(platform.journal).toEqual(['network bridge']);
    const addresses = [shop.networks.lease(shop.addReplica('web')), blog.networks.lease(blog.addReplica('web'))].map(
      ([nic]) => nic?.address,
    );
    expect(addresses).toEqual(['192.168.127.3', '192.168.127.4']);
    blog.store.releaseLeases('blog-web');
    expect(shop.networks.lease(shop.addReplica('db'))[0]?.address).toBe('192.168.127.4');
  });

  test('is let go by a stack that stops, and not ended', async () => {
    const [shop, blog] = [openNetworks('shop'), openNetworks('blog')];
    await Promise.all([shop.networks.ensure(KEY, signal), blog.networks.ensure(KEY, signal)]);
    await shop.networks.stopAll();
    expect(platform.nets.has('bridge')).toBe(true);
    expect(await blog.networks.adopt(KEY, signal)).toBe(true);
  });

  test('is started again by one, and taken over by the others, when its gateway dies', async () => {
    const [shop, blog] = [openNetworks('shop'), openNetworks('blog')];
    await Promise.all([shop.networks.ensure(KEY, signal), blog.networks.ensure(KEY, signal)]);
    platform.nets.get('bridge')?.die('killed');
    await expect.poll(() => [...shop.lost, ...blog.lost]).toEqual(['killed', 'killed']);
    await Promise.all([shop.networks.ensure(KEY, signal), blog.networks.ensure(KEY, signal)]);
    expect(platform.journal.filter((line) => line === 'network bridge')).toHaveLength(2);
  });

  test('tells a stack the names of the others, which its machines then know', async () => {
    const shop = openNetworks('shop');
    await shop.networks.ensure(KEY, signal);
    const web = shop.addReplica('web');
    shop.networks.lease(web);
    const network = platform.nets.get('bridge');
    shop.networks.publishNames([web]);
    expect(network?.names.get('shop')).toMatchObject({ web: ['192.168.127.3'], 'web.shop.hypr': ['192.168.127.3'] });
    network?.tell({
      event: 'names',
      count: 1,
      owners: { shop: { web: ['192.168.127.99'] }, blog: { web: ['192.168.127.7'], db: ['192.168.127.8'] } },
    });
    expect(shop.networks.names(web.spec, [web])).toMatchObject({ web: ['192.168.127.3', '192.168.127.7'], db: ['192.168.127.8'] });
  });
});
