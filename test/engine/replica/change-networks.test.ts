import { expect, test } from 'vitest';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const NONE = new AbortController().signal;

const openShop = async (): Promise<TestStack> => {
  const stack = openTestStack();
  const networks = { default: { name: 'shop_default' }, front: { name: 'shop_front' }, inner: { name: 'shop_inner', internal: true } };
  const services = { db: {}, web: { networks: { front: null } }, job: { networks: { inner: null } } };
  await stack.up(shopOf(stack, services, { networks }));
  return stack;
};

const change = (stack: TestStack, replica: string, name: string, wanted?: { address?: string; aliases: string[] }): Promise<void> =>
  stack.supervisor.changeNetwork({ name, replica: stack.row(replica).id, wanted }, NONE);

const guestOf = (stack: TestStack, name: string) => stack.platform.guest(name);

const networksOf = (stack: TestStack, name: string) =>
  stack.row(name).spec.networks.map(({ key, isDefault, interfaceName }) => [key, isDefault, interfaceName]);

test('a running replica gets a card, its address and its names at once', async () => {
  const stack = await openShop();
  await change(stack, 'shop-db-1', 'shop_front', { aliases: ['data'] });
  expect(networksOf(stack, 'shop-db-1')).toEqual([
    ['default', true, 'eth0'],
    ['front', false, 'eth1'],
  ]);
  expect(guestOf(stack, 'shop-db-1').plugged).toMatchObject([{ nics: [{ name: 'eth1', address: expect.stringMatching(/\.4$/) }] }]);
  expect(stack.row('shop-db-1').machine?.nics).toHaveLength(2);
  await expect.poll(() => guestOf(stack, 'shop-web-1').pushed.at(-1)?.data).toEqual([expect.stringMatching(/\.4$/)]);
  await expect(change(stack, 'shop-db-1', 'shop_front', { aliases: [] })).rejects.toThrow('already exists in network shop_front');
});

test('the default route goes to the network that is left, and the last one may go, too', async () => {
  const stack = await openShop();
  await change(stack, 'shop-db-1', 'shop_front', { aliases: [] });
  await change(stack, 'shop-db-1', 'shop_default');
  expect(networksOf(stack, 'shop-db-1')).toEqual([['front', true, 'eth1']]);
  expect(guestOf(stack, 'shop-db-1').plugged.at(-1)).toMatchObject({ nics: [{ name: 'eth1', gateway: expect.any(String) }] });
  await change(stack, 'shop-db-1', 'shop_front');
  expect(networksOf(stack, 'shop-db-1')).toEqual([]);
  expect(stack.row('shop-db-1').machine?.nics).toEqual([]);
  expect(guestOf(stack, 'shop-db-1').plugged.at(-1)).toEqual({ nics: [], upstreams: [] });
  await expect(change(stack, 'shop-db-1', 'shop_front')).rejects.toThrow('is not connected to network shop_front');
});

test('after a failure a replica is where it was, and its address is free', async () => {
  const stack = await openShop();
  const { run } = stack.replica('shop-db-1');
  Object.assign(run?.guest ?? {}, { addNics: () => Promise.reject(new Error('no card appeared')) });
  await expect(change(stack, 'shop-db-1', 'shop_front', { aliases: [] })).rejects.toThrow('no card appeared');
  expect(networksOf(stack, 'shop-db-1')).toEqual([['default', true, 'eth0']]);
  expect(stack.store.leases('shop', 'front').map(({ vmId }) => vmId)).toEqual([stack.row('shop-web-1').id]);
  expect(stack.row('shop-db-1').machine?.nics).toHaveLength(1);
  await expect(change(stack, 'shop-db-1', 'shop_front', { address: '10.0.0.1', aliases: [] })).rejects.toThrow('is not in the network');
  expect(networksOf(stack, 'shop-db-1')).toHaveLength(1);
});

test('a stopped one is on it from its next start on; a paused one refuses', async () => {
  const stack = await openShop();
  await stack.verb('pause', { services: ['db'] });
  await expect(change(stack, 'shop-db-1', 'shop_front', { aliases: [] })).rejects.toThrow('cannot change while it is paused');
  await stack.verb('stop', { services: ['web'] });
  await change(stack, 'shop-web-1', 'shop_default', { aliases: [] });
  await stack.verb('start', { services: ['web'] });
  expect(guestOf(stack, 'shop-web-1').config?.nics.map(({ name }) => name)).toEqual(['eth0', 'eth1']);
});
