import { describe, expect, test } from 'vitest';
import { sleep } from '../../../base/deadline.ts';
import type { Service } from '../../../compose/model/model.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const web = { volumes: [{ type: 'volume' as const, source: 'data', target: '/data' }] };
const reader = { volumes: [{ type: 'volume' as const, source: 'data', target: '/data', read_only: true }] };
const joined = { network_mode: 'service:vpn', networks: undefined as never } as const;
const volumes = { data: { name: 'shop_data' } };

/** A volume that was made for one replica of `web`, and so is a disk. */
const withDisk = async (service: Service = web): Promise<TestStack> => {
  const stack = openTestStack();
  await stack.up(shopOf(stack, { web: service }, { volumes }), { noStart: true });
  return stack;
};

const disksOf = (stack: TestStack, name: string): number =>
  stack.row(name).machine?.spec.disks.filter(({ serial }) => serial.startsWith('vol')).length ?? 0;

/** Names of the replica that has the disk, and of the others. */
const roles = (stack: TestStack, names: readonly string[]) => ({
  keeper: names.filter((name) => disksOf(stack, name) > 0),
  borrowers: names.filter((name) => disksOf(stack, name) === 0),
});

describe('a volume that is a disk, and more than one replica', () => {
  test('one machine has the disk and serves it to the other, also when both boot at once', async () => {
    const stack = await withDisk();
    await stack.up(shopOf(stack, { web }, { volumes }), { scale: { web: 2 } });
    const { keeper, borrowers } = roles(stack, ['shop-web-1', 'shop-web-2']);
    expect([keeper.length, borrowers.length]).toEqual([1, 1]);
    const { guest } = stack.platform;
    expect(guest(keeper[0] as string).lent).toEqual(['vol0']);
    expect(guest(borrowers[0] as string).borrowed).toEqual(['share0']);
    expect(guest(borrowers[0] as string).config?.mounts).toMatchObject([{ kind: 'share', tag: 'share0', target: '/data' }]);
  });

  test('to one that only reads it is lent read-only', async () => {
    const stack = await withDisk();
    await stack.up(shopOf(stack, { web }, { volumes }));
    await stack.up(shopOf(stack, { web, job: reader }, { volumes }), { services: ['job'] });
    expect(stack.platform.guest('shop-web-1').lent).toEqual(['vol0 read-only']);
  });

  test('when the machine that has it ends, another replica starts again and gets the disk', async () => {
    const stack = await withDisk();
    await stack.up(shopOf(stack, { web }, { volumes }), { scale: { web: 2 } });
    const { keeper, borrowers } = roles(stack, ['shop-web-1', 'shop-web-2']);
    stack.platform.vmm.machines.get(keeper[0] as string)?.crash('the host killed it');
    await stack.until(() => disksOf(stack, borrowers[0] as string) === 1 && stack.row(borrowers[0] as string).state === 'running');
    expect(stack.warnings()).toContain(
      `${borrowers[0]} has lost the volume shop_data, which ${keeper[0]} served and has ended: it starts again`,
    );
  });

  test('a stop of both is no loss', async () => {
    const stack = await withDisk();
    await stack.up(shopOf(stack, { web }, { volumes }), { scale: { web: 2 } });
    await stack.down();
    expect(stack.warnings()).toEqual([]);
  });

  test('the machine that has it stays until those that it serves have ended, so that what they write last is kept', async () => {
    const stack = await withDisk();
    await stack.up(shopOf(stack, { web }, { volumes }), { scale: { web: 2 } });
    const { keeper, borrowers } = roles(stack, ['shop-web-1', 'shop-web-2']);
    const [has, borrows] = [stack.platform.guest(keeper[0] as string), stack.platform.guest(borrowers[0] as string)];
    const order: string[] = [];
    const shutDown = has.shutDown.bind(has);
    has.shutDown = (options) => {
      order.push('keeper');
      return shutDown(options);
    };
    const shutBorrower = borrows.shutDown.bind(borrows);
    borrows.shutDown = async (options) => {
      await sleep(200);
      const exit = await shutBorrower(options);
      order.push('borrower');
      return exit;
    };
    await stack.down();
    expect(order).toEqual(['borrower', 'keeper']);
  });

  test('a paused machine serves nobody, and one that has the disk read-only nobody who writes', async () => {
    const paused = await withDisk();
    await paused.up(shopOf(paused, { web }, { volumes }));
    await paused.verb('pause');
    await expect(paused.up(shopOf(paused, { web, job: web }, { volumes }), { services: ['job'] })).rejects.toMatchObject({
      code: 'VOLUME_IN_USE',
    });
    const read = await withDisk(reader);
    await read.up(shopOf(read, { web: reader }, { volumes }));
    await expect(read.up(shopOf(read, { web: reader, job: web }, { volumes }), { services: ['job'] })).rejects.toMatchObject({
      code: 'VOLUME_IN_USE',
    });
  });

  test('in a machine of more services the one that mounts it serves it, and nobody else', async () => {
    const member = { ...web, ...joined };
    const stack = openTestStack();
    await stack.up(shopOf(stack, { vpn: {}, web: member }, { volumes }));
    const withJob = shopOf(stack, { vpn: {}, web: member, job: web }, { volumes });
    await stack.up(withJob, { services: ['job'] });
    expect([...stack.platform.guest('shop-vpn-1').members.values()].map(({ lent }) => lent)).toEqual([[expect.stringContaining('vol0')]]);
    expect(stack.platform.guest('shop-vpn-1').lent).toEqual([]);
    await stack.verb('stop', { services: ['job', 'web'] });
    await expect(stack.verb('start', { services: ['job'] })).rejects.toMatchObject({
      code: 'VOLUME_IN_USE',
      message: expect.stringContaining('the service that mounts it does not run'),
    });
    expect(stack.platform.guest('shop-vpn-1').lent).toEqual([]);
  });

  test('two services of one machine do not wait for each other: both cannot have the disk', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { vpn: web }, { volumes }), { noStart: true });
    await expect(stack.up(shopOf(stack, { vpn: web, web: { ...web, ...joined } }, { volumes }))).rejects.toMatchObject({
      code: 'VOLUME_IN_USE',
      message: expect.stringContaining('of one machine both mount it'),
    });
  });

  test('a replica that is served is not suspended, and the stack runs on', async () => {
    const stack = await withDisk();
    await stack.up(shopOf(stack, { web }, { volumes }), { scale: { web: 2 } });
    await expect(stack.verb('suspend')).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED' });
    expect(stack.states()).toEqual({ 'shop-web-1': 'running', 'shop-web-2': 'running' });
  });

  test('the next supervisor starts a replica again that the last one carried the volume for', async () => {
    const stack = await withDisk();
    await stack.up(shopOf(stack, { web }, { volumes }), { scale: { web: 2 } });
    const { borrowers } = roles(stack, ['shop-web-1', 'shop-web-2']);
    await stack.supervisor.release();
    const next = stack.successor();
    const found = await next.supervisor.recover(new AbortController().signal);
    expect(found).toContain(`${borrowers[0]} was restarted, because it had lost the volume that another machine served`);
    expect(next.states()).toEqual({ 'shop-web-1': 'running', 'shop-web-2': 'running' });
  });
});
