import { describe, expect, test } from 'vitest';
import { openTestStack, shopOf } from '../support/stack.ts';

const signal = new AbortController().signal;

describe('files of a replica that does not run', () => {
  test('a machine is made for them, without a network or a workload, and the replica stays as it was', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop');
    const before = stack.row('shop-web-1');
    const files = await stack.supervisor.filesAtRest(stack.replica('shop-web-1'), { volumes: true }, signal);
    const [machine] = stack.platform.vmm.machines;
    expect(machine?.[1].record.spec).toMatchObject({ nics: [], disks: [{ serial: 'root' }, { serial: 'upper' }] });
    await files[Symbol.asyncDispose]();
    expect(stack.platform.vmm.machines.size).toBe(0);
    expect(stack.row('shop-web-1')).toEqual(before);
    expect(stack.actions('start')).toEqual(['start shop-web-1']);
  });

  test("what was left on its disks gets no way out: no docker's socket, ports or names, whatever the service has", async () => {
    const stack = openTestStack();
    const socket = { type: 'bind', source: '/var/run/docker.sock', target: '/var/run/docker.sock' } as const;
    await stack.up(shopOf(stack, { web: { volumes: [socket], ports: [{ target: 80, published: '8080' }], extra_hosts: ['a=10.0.0.1'] } }));
    await stack.verb('stop');
    const files = await stack.supervisor.filesAtRest(stack.replica('shop-web-1'), { volumes: true }, signal);
    const { config } = stack.platform.guest('shop-web-1');
    expect(JSON.stringify(config?.mounts)).not.toContain('docker.sock');
    expect([config?.nics, config?.hosts, stack.platform.published.size]).toEqual([[], [], 0]);
    expect(stack.platform.nets.size).toBeLessThanOrEqual(1);
    await files[Symbol.asyncDispose]();
  });

  test('it starts only when they are closed', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }), { noStart: true });
    const files = await stack.supervisor.filesAtRest(stack.replica('shop-web-1'), { volumes: false }, signal);
    const order: string[] = [];
    const started = stack.verb('start').then(() => order.push('started'));
    order.push('closing');
    await files[Symbol.asyncDispose]();
    await started;
    expect(order).toEqual(['closing', 'started']);
    expect(stack.states()).toEqual({ 'shop-web-1': 'running' });
  });

  test('down does not wait for them', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }), { noStart: true });
    const files = await stack.supervisor.filesAtRest(stack.replica('shop-web-1'), { volumes: false }, signal);
    await stack.down();
    expect(files.signal.aborted).toBe(true);
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('they are not opened beside a machine that runs', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await expect(stack.supervisor.filesAtRest(stack.replica('shop-web-1'), { volumes: true }, signal)).rejects.toMatchObject({
      code: 'STACK_NOT_RUNNING',
    });
  });
});
