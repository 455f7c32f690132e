import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { identifyProcess, isAlive } from '../../../base/host/process.ts';
import { pickRunning } from '../../../engine/stack/pick-replica.ts';
import { openTestStack, shopOf, type TestStack, waitTurn } from '../support/stack.ts';

const NONE = new AbortController().signal;
const OTHER = 'the guest agent speaks protocol 9, this hypr speaks 1';
const KEPT = `shop-web-1 runs and cannot be taken over: ${OTHER}; it is left as it is`;

/** The supervisor is gone, and `meanwhile` happened. */
const left = async (stack: TestStack, settings: Readonly<Record<string, unknown>>, meanwhile: () => void | Promise<void>) => {
  await stack.up(shopOf(stack, { web: settings }));
  await stack.supervisor.release();
  await waitTurn();
  await meanwhile();
  const next = stack.successor();
  return { next, found: await next.supervisor.recover(NONE) };
};

/** The next supervisor is of a version that the agent does not speak to. */
const updated = (stack: TestStack) => () => {
  const connectGuest = vi.fn().mockRejectedValue(new HyprError('GUEST_PROTOCOL', OTHER));
  Object.assign(stack.platform, { connectGuest });
};

/** In the place of the replica's log. */
const replaceLog = (stack: TestStack, by: 'a folder' | 'none'): void => {
  const log = join(stack.platform.paths.logs, 'shop', 'shop-web-1.jsonl');
  rmSync(log, { recursive: true, force: true });
  if (by === 'a folder') {
    mkdirSync(log);
  }
};

describe('a machine that lives and cannot be taken over', () => {
  test('because its agent speaks another protocol is left as it is, and that is said', async () => {
    const stack = openTestStack();
    const { next, found } = await left(stack, { restart: 'always' }, updated(stack));
    expect(found).toEqual([expect.stringContaining(KEPT)]);
    expect(stack.platform.vmm.machines.has('shop-web-1')).toBe(true);
    expect(next.row('shop-web-1')).toMatchObject({ state: 'running', restarts: 0 });
    const refused = expect.objectContaining({ code: 'GUEST_SILENT', message: expect.stringContaining(OTHER) });
    expect(() => pickRunning(next.supervisor, { service: 'web', index: undefined })).toThrow(refused);
    expect(next.supervisor.isIdle).toBe(false);
  });

  test('is paused again if it was', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('pause');
    await stack.supervisor.release();
    await waitTurn();
    updated(stack)();
    const next = stack.successor();
    expect(await next.supervisor.recover(NONE)).toEqual([expect.stringContaining(KEPT)]);
    expect([next.row('shop-web-1').state, stack.platform.vmm.machines.get('shop-web-1')?.paused]).toEqual(['paused', true]);
  });

  test('is settled by its restart policy when it ends', async () => {
    const stack = openTestStack();
    const { connectGuest } = stack.platform;
    const { next } = await left(stack, { restart: 'always' }, updated(stack));
    Object.assign(stack.platform, { connectGuest });
    stack.platform.vmm.machines.get('shop-web-1')?.crash('killed');
    await next.until(() => next.row('shop-web-1').restarts === 1 && next.row('shop-web-1').state === 'running');
  });

  test('is ended by a stop, at once, with the reason on record', async () => {
    const stack = openTestStack();
    const { next } = await left(stack, { stop_grace_period: '1h' }, updated(stack));
    await next.verb('stop');
    expect(next.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 137, reason: `its machine was ended: ${OTHER}` });
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('because its log cannot be opened is left as it is, until a stop or its end', async () => {
    const stack = openTestStack();
    const { next, found } = await left(stack, { restart: 'always' }, () => replaceLog(stack, 'a folder'));
    expect(found).toEqual([expect.stringMatching(/^shop-web-1 runs and cannot be taken over: EISDIR.*it is left as it is/)]);
    expect([next.row('shop-web-1').state, next.row('shop-web-1').restarts]).toEqual(['running', 0]);
    expect(stack.platform.vmm.machines.size).toBe(1);
    replaceLog(stack, 'none');
    stack.platform.vmm.machines.get('shop-web-1')?.crash('killed');
    await next.until(() => next.row('shop-web-1').restarts === 1 && next.row('shop-web-1').state === 'running');
    await next.verb('stop');
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('is found again by the next supervisor, which can take it over', async () => {
    const stack = openTestStack();
    const { connectGuest } = stack.platform;
    const { next } = await left(stack, {}, updated(stack));
    await next.supervisor.release();
    await waitTurn();
    Object.assign(stack.platform, { connectGuest });
    const third = next.successor();
    expect(await third.supervisor.recover(NONE)).toEqual(['shop-web-1 is taken over']);
  });

  test('because the socket of its monitor is gone is not ended, and lost when it has', async () => {
    const stack = openTestStack();
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const process = identifyProcess(child.pid ?? 0);
    if (process === undefined) {
      throw new Error('no process');
    }
    const { next, found } = await left(stack, {}, () => {
      for (const row of stack.store.vms('shop')) {
        stack.store.putVm({ ...row, machine: row.machine && { ...row.machine, process } });
      }
      const sweep = vi.fn();
      Object.assign(stack.platform.vmm, { adopt: vi.fn().mockRejectedValue(new Error('connect ENOENT /r/qmp.sock')), sweep });
    });
    expect(found).toEqual([expect.stringContaining('cannot be taken over: connect ENOENT /r/qmp.sock')]);
    expect([isAlive(process), stack.platform.vmm.sweep]).toEqual([
      true,
      expect.objectContaining({ mock: expect.objectContaining({ calls: [] }) }),
    ]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await next.reach('shop-web-1', 'exited');
    expect(next.row('shop-web-1').reason).toBe('its machine ended while it did not respond');
  });
});
