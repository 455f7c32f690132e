import { describe, expect, test } from 'vitest';
import { homePaths } from '../../../base/paths.ts';
import { updateReplica } from '../../../engine/client/changes/update-replica.ts';
import { updatedSpec } from '../../../engine/replica/updated-spec.ts';
import { readRestart } from '../../../engine/resolve/limits.ts';
import { openTestStack, shopOf } from '../support/stack.ts';

const NONE = new AbortController().signal;

describe('update', () => {
  test('the restart policy of a running replica counts from its next end on', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: { restart: 'always' } }));
    const { id } = stack.row('shop-web-1');
    await stack.supervisor.updateReplica(id, { restart: readRestart('no') }, NONE);
    stack.platform.guest('shop-web-1').end(3);
    await stack.reach('shop-web-1', 'exited');
    expect(stack.row('shop-web-1')).toMatchObject({ exitCode: 3, restarts: 0, spec: { restart: { condition: 'no' } } });
    expect(stack.store.vms('shop')[0]?.spec.restart.condition).toBe('no');
  });

  test('memory and processors are refused while it runs, and are those of its next start once it is stopped', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const { id } = stack.row('shop-web-1');
    const size = { memory: 256 * 2 ** 20, cpus: 1.5 };
    await expect(stack.supervisor.updateReplica(id, size, NONE)).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED' });
    await stack.verb('stop');
    await stack.supervisor.updateReplica(id, size, NONE);
    await stack.verb('start');
    expect(stack.row('shop-web-1').machine?.spec).toMatchObject({ memoryMib: 352, vcpus: 2 });
  });

  test.each([Number.POSITIVE_INFINITY, Number.NaN, 0, -1])(
    '%o processors or bytes are refused, also before a supervisor is asked',
    async (size) => {
      const stack = openTestStack();
      await stack.up(shopOf(stack, { web: {} }));
      await stack.verb('stop');
      const row = stack.row('shop-web-1');
      expect(() => updatedSpec(row, { cpus: size })).toThrow('cpus: a machine cannot have');
      expect(() => updatedSpec(row, { memory: size })).toThrow('memory: a machine cannot have');
      await expect(updateReplica(homePaths(), row.id, { cpus: size })).rejects.toMatchObject({ code: 'HYPR_USAGE' });
    },
  );

  test('one that is gone, and one that goes when it ends', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const row = stack.row('shop-web-1');
    await expect(stack.supervisor.updateReplica(`${row.id}0`, {}, NONE)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const leaving = { ...row, spec: { ...row.spec, autoRemove: 'stack' as const } };
    expect(() => updatedSpec(leaving, { restart: readRestart('always') })).toThrow('AutoRemove is enabled');
    expect(updatedSpec(leaving, { restart: readRestart('no') }).autoRemove).toBe('stack');
  });
});

test.each(['always:3', 'sometimes', 'on-failure:x', ''])('%o is no restart policy', (text) => {
  expect(() => readRestart(text)).toThrow('invalid restart policy');
});
