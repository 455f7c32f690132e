import { describe, expect, test, vi } from 'vitest';
import type { Project } from '../../../compose/model/model.ts';
import type { StackNetworks } from '../../../engine/resources/networks.ts';
import { PeerPolicies, peerPolicy } from '../../../engine/resources/peer-policies.ts';
import type { VmRow } from '../../../engine/state/records.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const withPolicies = (project: Project, ...policies: object[]): Project => ({ ...project, extensions: { 'x-hypr': { policies } } });

/** What the gateway has for each replica. */
const rulesOf = (stack: TestStack): Record<string, unknown> => {
  const network = stack.platform.nets.get('shop_default');
  return Object.fromEntries(
    stack.store
      .leases('shop')
      .map(({ vmId, mac }) => [
        [...stack.supervisor.replicas.values()].find(({ row }) => row.id === vmId)?.row.name,
        network?.rules.get(mac),
      ]),
  );
};
const addressOf = (stack: TestStack, name: string): string =>
  stack.store.leases('shop').find(({ vmId }) => vmId === stack.row(name).id)?.ip ?? 'none';

const DENY = { from: 'web', to: 'db', action: 'deny' };

describe('policies between services', () => {
  test('each NIC has the rules about the addresses of the others, whichever came first', async () => {
    const stack = openTestStack();
    await stack.up(withPolicies(shopOf(stack, { web: {}, db: {} }), DENY));
    const db = addressOf(stack, 'shop-db-1');
    expect(rulesOf(stack)).toEqual({
      'shop-web-1': { peers: { default: 'allow', rules: [{ action: 'deny', to: [db] }] } },
      'shop-db-1': { peers: { default: 'allow', rules: [] } },
    });
  });

  test('a replica more, other policies and none are told to machines that run, and nothing is replaced', async () => {
    const stack = openTestStack();
    const shop = shopOf(stack, { web: { 'x-hypr': { egress: 'deny' } }, db: {} });
    await stack.up(shop);
    const before = stack.row('shop-web-1').id;
    const egress = { default: 'deny', rules: [] };
    expect(rulesOf(stack)).toEqual({ 'shop-web-1': { egress }, 'shop-db-1': {} });
    await stack.up(withPolicies(shop, DENY), { scale: { db: 2 } });
    const both = [addressOf(stack, 'shop-db-1'), addressOf(stack, 'shop-db-2')].sort();
    expect(rulesOf(stack)['shop-web-1']).toEqual({ egress, peers: { default: 'allow', rules: [{ action: 'deny', to: both }] } });
    await stack.up(shop, { scale: { db: 2 } });
    expect(rulesOf(stack)).toEqual({ 'shop-web-1': { egress }, 'shop-db-1': {}, 'shop-db-2': {} });
    expect(stack.row('shop-web-1').id).toBe(before);
  });

  test('after a take-over they follow the file again', async () => {
    const stack = openTestStack();
    const shop = shopOf(stack, { web: {}, db: {} });
    await stack.up(withPolicies(shop, DENY));
    await stack.supervisor.release();
    const next = stack.successor();
    await next.supervisor.recover(AbortSignal.timeout(10_000));
    expect(rulesOf(next)['shop-web-1']).toMatchObject({ peers: { rules: [{ action: 'deny' }] } });
    await next.up(shop);
    expect(rulesOf(next)).toEqual({ 'shop-web-1': {}, 'shop-db-1': {} });
  });
});

describe('peerPolicy', () => {
  const peers = [
    { service: 'db', network: 'back', addresses: ['10.0.0.2'] },
    { service: 'db', network: 'front', addresses: ['10.0.1.2'] },
    { service: 'api', network: 'front', addresses: ['10.0.1.3', 'fd00::3'] },
  ];
  const of = (service: string, network: string, ...policies: Array<Parameters<typeof peerPolicy>[0]['policies'][number]>) =>
    peerPolicy({ policies, peers, service, network });

  test('keeps the order, the ports and the protocol, for the addresses of its network', () => {
    expect(
      of(
        'web',
        'front',
        { from: ['w*'], to: ['api'], action: 'allow', protocol: 'tcp', ports: ['80'] },
        { from: ['*'], to: ['*'], action: 'deny' },
      ),
    ).toEqual({
      default: 'allow',
      rules: [
        { action: 'allow', to: ['10.0.1.3', 'fd00::3'], protocol: 'tcp', ports: ['80'] },
        { action: 'deny', to: ['10.0.1.2', '10.0.1.3', 'fd00::3'] },
      ],
    });
  });

  test('has no rule about services that are not there: without addresses it would be about all', () => {
    expect(of('web', 'back', { from: ['*'], to: ['api'], action: 'deny' })).toEqual({ default: 'allow', rules: [] });
  });

  test('is absent without policies', () => expect(of('web', 'back')).toBeUndefined());
});

test('machines on a shared network are told by their leases there, and nothing is written for it', async () => {
  const stack = openTestStack();
  const shop = shopOf(stack, { web: {}, db: {} });
  await stack.up(shop);
  const { store } = stack;
  const key = 'external:office';
  const onShared = (row: VmRow): VmRow => ({
    ...row,
    spec: { ...row.spec, networks: row.spec.networks.map((each) => ({ ...each, key })) },
  });
  const vms = ['shop-web-1', 'shop-db-1'].map((name) => onShared(stack.row(name)));
  vms.forEach(({ id }, index) => {
    store.putLease({ stack: '', network: key, ip: `10.9.0.${index}`, vmId: id, mac: `02:00:00:00:00:0${index}`, leasedAt: 1 });
  });
  const told: unknown[] = [];
  const setPolicy = async (...args: unknown[]) => void told.push(args);
  const networks = { ensure: async (asked: string) => (asked === key ? { setPolicy } : undefined) } as unknown as StackNetworks;
  const writes = vi.spyOn(store, 'transaction');
  const policies = new PeerPolicies({ stack: 'shop', store, networks, project: () => withPolicies(shop, DENY), vms: () => vms });
  await policies.apply(AbortSignal.timeout(10_000));
  expect(told).toEqual([
    ['02:00:00:00:00:00', { peers: { default: 'allow', rules: [{ action: 'deny', to: ['10.9.0.1'] }] } }],
    ['02:00:00:00:00:01', { peers: { default: 'allow', rules: [] } }],
  ]);
  expect(writes).not.toHaveBeenCalled();
});
