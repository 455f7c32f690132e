import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { until } from '../../support/until.ts';
import { openTestStack, shopOf, type TestStack, waitTurn } from '../support/stack.ts';

const NONE = new AbortController().signal;
const healthcheck = { test: ['CMD', 'ok'], interval: '1s', timeout: '1s', retries: 1 };

const savedFile = (stack: TestStack, name: string): string => join(stack.platform.paths.machines, 'shop', name, 'saved');

const successorOf = async (stack: TestStack) => {
  await stack.supervisor.release();
  await waitTurn();
  const next = stack.successor();
  return { next, found: (await next.supervisor.recover(NONE)).sort() };
};

describe('suspend', () => {
  test('nothing of the stack runs, and another supervisor resumes it where it was', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: { ports: [{ target: 80, published: '8080' }], healthcheck } }));
    await stack.until(() => stack.row('shop-web-1').health === 'healthy');
    const startedAt = stack.row('shop-web-1').startedAt;
    await stack.verb('suspend');
    expect(stack.states()).toEqual({ 'shop-db-1': 'suspended', 'shop-web-1': 'suspended' });
    expect([stack.platform.vmm.machines.size, stack.platform.published.size, stack.supervisor.isIdle]).toEqual([0, 0, true]);
    expect(stack.actions('die', 'suspend')).toEqual(['suspend shop-db-1', 'suspend shop-web-1']);
    expect(stack.row('shop-db-1').machine).toBeUndefined();

    const { next, found } = await successorOf(stack);
    expect(found).toEqual([]);
    await next.verb('resume');
    expect(next.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
    expect(
      next.platform.journal
        .filter((line) => /^(boot|restore)/.test(line))
        .slice(2)
        .sort(),
    ).toEqual(['restore shop-db-1', 'restore shop-web-1']);
    const guest = next.platform.guest('shop-web-1');
    expect([guest.machine.paused, guest.clocks.length, next.platform.published.size]).toEqual([false, 1, 1]);
    expect(next.row('shop-web-1')).toMatchObject({ saved: undefined, startedAt, health: 'healthy' });
    guest.end(3);
    await next.reach('shop-web-1', 'exited');
    expect(next.row('shop-web-1').exitCode).toBe(3);
  });

  test('all or nothing: when one cannot be saved, all go on', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: {} }));
    stack.platform.vmm.failSave('shop-web-1', new HyprError('HYPR_DISK_FULL', 'no space left'));
    await expect(stack.verb('suspend')).rejects.toMatchObject({ code: 'HYPR_DISK_FULL' });
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
    expect(stack.platform.guest('shop-db-1').machine.paused).toBe(false);
    expect(existsSync(savedFile(stack, 'shop-db-1'))).toBe(false);
  });

  test('what was paused before is paused after', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: {} }));
    await stack.verb('pause', { services: ['web'] });
    await stack.verb('suspend');
    await stack.verb('resume');
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'paused' });
    expect(stack.platform.guest('shop-web-1').machine.paused).toBe(true);
    await stack.verb('unpause');
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
  });

  test('of a stack that does not run says so', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop');
    await stack.verb('suspend');
    expect(stack.warnings()).toEqual(['nothing of this stack runs: there is nothing to suspend']);
  });
});

describe('a suspended stack', () => {
  const suspended = async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: {}, web: { depends_on: { db: { condition: 'service_started', required: true } } } });
    await stack.up(project);
    await stack.verb('suspend');
    return { stack, project };
  };

  test('goes on with up, and with start', async () => {
    const { stack, project } = await suspended();
    await stack.up(project);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
    await stack.verb('suspend');
    await stack.verb('start');
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
    expect(stack.platform.journal.filter((line) => line.startsWith('restore'))).toHaveLength(4);
  });

  test('stops and goes down in good order: it goes on for that', async () => {
    const { stack } = await suspended();
    await stack.verb('stop', { services: ['web'] });
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 143 });
    await stack.down();
    expect(stack.states()).toEqual({});
    expect(existsSync(savedFile(stack, 'shop-db-1'))).toBe(false);
    expect(stack.platform.nets.size).toBe(0);
  });

  test('whose memory is of no use starts afresh, and says so', async () => {
    const { stack, project } = await suspended();
    stack.platform.vmm.failNext('shop-web-1', new HyprError('VMM_SAVED', 'saved by other programs'));
    await stack.up(project);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
    expect(stack.warnings()).toEqual(['shop-web-1 could not go on where it was and starts afresh: saved by other programs']);
    expect(stack.platform.journal.slice(-1)).toEqual(['boot shop-web-1']);
    expect(existsSync(savedFile(stack, 'shop-web-1'))).toBe(false);
  });

  test('that cannot go on now keeps its memory, says so, and goes on later; stop gives it up', async () => {
    const { stack, project } = await suspended();
    stack.platform.vmm.failNext('shop-web-1', new HyprError('VMM_START', 'out of memory'));
    await expect(stack.up(project)).rejects.toMatchObject({
      code: 'VMM_START',
      message: 'shop-web-1 cannot go on now: out of memory',
      hint: expect.stringContaining('its memory is kept'),
    });
    expect(stack.states()).toMatchObject({ 'shop-web-1': 'suspended' });
    expect(existsSync(savedFile(stack, 'shop-web-1'))).toBe(true);
    await stack.up(project);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
    expect(stack.platform.journal.filter((line) => line.startsWith('boot'))).toHaveLength(2);

    await stack.verb('suspend');
    stack.platform.vmm.failNext('shop-web-1', new HyprError('VMM_START', 'out of memory'));
    await stack.verb('stop', { services: ['web'] });
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited' });
    expect(existsSync(savedFile(stack, 'shop-web-1'))).toBe(false);
  });

  test('that runs again and answers late is waited for: its memory is nowhere else', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('suspend');
    const late = new HyprError('HYPR_TIMEOUT', 'no answer of the guest agent');
    const { connectGuest } = stack.platform;
    Object.assign(stack.platform, { connectGuest: vi.fn(connectGuest).mockRejectedValueOnce(late).mockRejectedValueOnce(late) });
    await stack.verb('resume');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'running', restarts: 0 });
    expect(stack.platform.journal.filter((line) => line === 'restore shop-web-1')).toHaveLength(1);
    const guest = stack.platform.guest('shop-web-1');
    await until(() => expect(guest.clocks).toHaveLength(1));
    await stack.verb('stop');
    expect([stack.row('shop-web-1').exitCode, guest.powerOffs.length]).toEqual([143, 1]);
  });

  test('that runs again, does not answer and ends is lost', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('suspend');
    const silent = async () => {
      stack.platform.vmm.machines.get('shop-web-1')?.crash('killed');
      throw new HyprError('HYPR_TIMEOUT', 'no answer of the guest agent');
    };
    Object.assign(stack.platform, { connectGuest: silent });
    await stack.verb('resume');
    await stack.reach('shop-web-1', 'exited');
    expect(stack.row('shop-web-1')).toMatchObject({ exitCode: 137, reason: 'its machine ended before it answered' });
  });

  test('that changed in the file is replaced', async () => {
    const { stack } = await suspended();
    await stack.up(shopOf(stack, { db: {}, web: { command: ['other'] } }));
    expect(stack.actions('destroy')).toEqual(['destroy shop-web-1']);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
  });

  test('is left alone by rm without -s, and has nothing to exec in', async () => {
    const { stack } = await suspended();
    await stack.verb('rm');
    expect(stack.states()).toEqual({ 'shop-db-1': 'suspended', 'shop-web-1': 'suspended' });
  });
});

describe('a supervisor that was killed over a suspend', () => {
  test('before any was on record: all go on', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.platform.guest('shop-web-1').machine.pause();
    const { next } = await successorOf(stack);
    expect(next.states()).toEqual({ 'shop-web-1': 'running' });
    expect(next.platform.guest('shop-web-1').machine.paused).toBe(false);
  });

  test('after it was on record: the machine that is left is removed', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const { machine } = stack.row('shop-web-1');
    await stack.verb('suspend');
    const row = stack.row('shop-web-1');
    stack.store.putVm({ ...row, machine });
    const { next, found } = await successorOf(stack);
    expect(found).toEqual(['shop-web-1 is suspended']);
    expect(next.row('shop-web-1').machine).toBeUndefined();
    await next.verb('resume');
    expect(next.states()).toEqual({ 'shop-web-1': 'running' });
  });
});
