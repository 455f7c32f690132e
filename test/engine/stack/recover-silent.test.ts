import { spawn } from 'node:child_process';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { identifyProcess, isStopped } from '../../../base/host/process.ts';
import { formatStatus } from '../../../engine/docker/shapes/status.ts';
import { pickRunning } from '../../../engine/stack/pick-replica.ts';
import { until } from '../../support/until.ts';
import { Cue } from '../support/cue.ts';
import { projectOf } from '../support/project.ts';
import { openTestStack, shopOf, type TestStack, waitTurn } from '../support/stack.ts';

const NONE = new AbortController().signal;
const FOUND = 'shop-web-1 does not respond; it is taken over as soon as it does';

/** A process that a signal has stopped, in place of a VMM. */
const stoppedProcess = async () => {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const process = identifyProcess(child.pid ?? 0);
  child.kill('SIGSTOP');
  await until(() => expect(isStopped(child.pid ?? 0)).toBe(true));
  if (process === undefined) {
    throw new Error('no process');
  }
  return process;
};

/** The supervisor was killed, and its machines are held by the host: their monitors answer when `goOn` resolves. */
const heldStack = async (settings: Readonly<Record<string, unknown>> = {}, patch: object = {}) => {
  const stack = openTestStack();
  const project = shopOf(stack, { web: settings });
  await stack.up(project);
  await stack.supervisor.release();
  await waitTurn();
  const process = await stoppedProcess();
  for (const row of stack.store.vms('shop')) {
    stack.store.putVm({ ...row, machine: row.machine && { ...row.machine, process }, ...patch });
  }
  const goOn = new Cue();
  const { vmm } = stack.platform;
  const { adopt } = vmm;
  Object.assign(vmm, {
    adopt: async (...args: Parameters<typeof adopt>) => {
      await Promise.race([goOn.promise, new Promise((_, reject) => args[1]?.addEventListener('abort', () => reject(args[1]?.reason)))]);
      return adopt(...args);
    },
  });
  const next = stack.successor();
  return { stack, project, goOn, next, found: await next.supervisor.recover(NONE) };
};

const statusOf = (stack: TestStack): string => formatStatus(stack.replica('shop-web-1').status(), Date.now());

describe('a machine that is held by the host when a supervisor takes over', () => {
  test('is not ended: it is not responding, and taken over with all it has once it answers', async () => {
    const healthcheck = { test: ['CMD', 'ok'], interval: '1s', timeout: '1s', retries: 1 };
    const { stack, goOn, next, found } = await heldStack(
      { healthcheck, ports: [{ target: 80, published: '8080' }] },
      { health: 'healthy' },
    );
    expect(found).toEqual([FOUND]);
    expect(next.row('shop-web-1')).toMatchObject({ state: 'running', health: 'unhealthy' });
    expect(statusOf(next)).toMatch(/ \(not responding for [^)]+\) \(unhealthy\)$/);
    const silent = expect.objectContaining({ code: 'GUEST_SILENT', hint: expect.stringContaining('kill -CONT') });
    expect(() => pickRunning(next.supervisor, { service: 'web', index: undefined })).toThrow(silent);
    await expect(next.verb('pause')).rejects.toThrow('has not responded');
    expect(next.supervisor.isIdle).toBe(false);
    const machine = stack.platform.vmm.machines.get('shop-web-1');
    stack.platform.guest('shop-web-1').print('in the gap\n');
    goOn.resolve();
    await next.until(() => next.warnings().includes('shop-web-1 responds again') && next.row('shop-web-1').health === 'healthy');
    expect(stack.platform.vmm.machines.get('shop-web-1')).toBe(machine);
    await next.until(() => next.events.some((event) => event.type === 'log'));
    expect([...stack.platform.published]).toEqual(['127.0.0.1:8080/tcp']);
    expect(statusOf(next)).not.toContain('responding');
    await next.verb('stop');
    expect(next.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 143 });
  });

  test('one whose monitor or agent is late is asked again', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.supervisor.release();
    await waitTurn();
    const { vmm } = stack.platform;
    const { adopt } = vmm;
    const { connectGuest } = stack.platform;
    const late = new HyprError('HYPR_TIMEOUT', 'no answer');
    Object.assign(vmm, { adopt: vi.fn(adopt).mockRejectedValueOnce(late) });
    Object.assign(stack.platform, { connectGuest: vi.fn(connectGuest).mockRejectedValueOnce(late).mockRejectedValueOnce(late) });
    const machine = vmm.machines.get('shop-web-1');
    const resumed = vi.spyOn(machine ?? { resume: async () => {} }, 'resume');
    const next = stack.successor();
    expect(await next.supervisor.recover(NONE)).toEqual(['shop-web-1 is taken over']);
    expect(next.row('shop-web-1').state).toBe('running');
    // Each time would say that one that is held for a full disk goes on.
    expect(resumed).toHaveBeenCalledTimes(1);
  });

  test('one that ends meanwhile is settled by its restart policy', async () => {
    const { stack, goOn, next } = await heldStack({ restart: 'always' });
    stack.platform.vmm.machines.get('shop-web-1')?.crash('killed');
    goOn.resolve();
    await next.until(() => next.row('shop-web-1').state === 'running' && next.row('shop-web-1').restarts === 1);
    expect(next.warnings()).toContain('shop-web-1 had ended and is started again by its restart policy');
    expect(statusOf(next)).not.toContain('responding');
  });

  test('its supervisor may end, too: the next one finds it', async () => {
    const { goOn, next } = await heldStack();
    await next.supervisor.release();
    await waitTurn();
    const third = next.successor();
    expect(await third.supervisor.recover(NONE)).toEqual([FOUND]);
    goOn.resolve();
    await third.until(() => third.warnings().includes('shop-web-1 responds again'));
    expect(third.row('shop-web-1').state).toBe('running');
  });

  test('a stop waits for it, and then stops it as any other', async () => {
    const { stack, goOn, next } = await heldStack({ restart: 'always' });
    const guest = stack.platform.guest('shop-web-1');
    const stopped = next.verb('stop');
    await waitTurn();
    expect(next.row('shop-web-1').state).toBe('running');
    goOn.resolve();
    await stopped;
    expect(next.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 143 });
    expect(guest.powerOffs).toHaveLength(1);
  });

  test('one that was paused, too, is resumed to be stopped', async () => {
    const { stack, goOn, next } = await heldStack({}, { state: 'paused' });
    const guest = stack.platform.guest('shop-web-1');
    const stopped = next.down();
    await waitTurn();
    goOn.resolve();
    await stopped;
    expect(guest.powerOffs).toHaveLength(1);
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('kill ends it at once, whatever its restart policy is', async () => {
    const { stack, next } = await heldStack({ restart: 'always' });
    await next.verb('kill');
    expect(next.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 137, reason: 'its machine did not respond and was ended' });
    expect(stack.platform.vmm.machines.size).toBe(0);
    expect(statusOf(next)).not.toContain('responding');
  });

  test('no second machine is started on its disks', async () => {
    const { stack, project, goOn, next } = await heldStack({}, { state: 'starting' });
    await next.up(project);
    await expect(async () => next.replica('shop-web-1').boot(NONE)).rejects.toMatchObject({ code: 'GUEST_SILENT' });
    expect(stack.platform.journal.filter((line) => line === 'boot shop-web-1')).toHaveLength(1);
    goOn.resolve();
    await next.reach('shop-web-1', 'running');
    await next.up(project);
    expect(stack.platform.journal.filter((line) => line === 'boot shop-web-1')).toHaveLength(1);
  });

  test('what runs in its machine is silent with it, and taken over after it', async () => {
    const stack = openTestStack();
    const depends_on = { web: { condition: 'service_started', required: true, restart: true } } as const;
    await stack.up(projectOf({ web: {}, side: { network_mode: 'service:web', depends_on, networks: undefined as never } }));
    await stack.supervisor.release();
    await waitTurn();
    const process = await stoppedProcess();
    for (const row of stack.store.vms('shop')) {
      stack.store.putVm({ ...row, machine: row.machine && { ...row.machine, process } });
    }
    const goOn = new Cue();
    const { vmm } = stack.platform;
    const { adopt } = vmm;
    Object.assign(vmm, { adopt: (...args: Parameters<typeof adopt>) => goOn.promise.then(() => adopt(...args)) });
    const next = stack.successor();
    const found = await next.supervisor.recover(NONE);
    expect(found.sort()).toEqual([FOUND.replace('web', 'side'), FOUND]);
    goOn.resolve();
    await next.until(() => next.warnings().filter((message) => message.endsWith('responds again')).length === 2);
    expect(next.states()).toEqual({ 'shop-web-1': 'running', 'shop-side-1': 'running' });
    await next.down();
  });
});
