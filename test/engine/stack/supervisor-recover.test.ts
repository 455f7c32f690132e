import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { notePendingProcess } from '../../../base/host/pending-processes.ts';
import { identifyProcess, isAlive } from '../../../base/host/process.ts';
import { machineDir } from '../../../engine/replica/boot/run.ts';
import { linesOf, openTestStack, shopOf, type TestStack, waitTurn } from '../support/stack.ts';

const NONE = new AbortController().signal;

/** The first supervisor lets go; `meanwhile` happens; a second one takes over. */
const takeOver = async (stack: TestStack, meanwhile: () => void | Promise<void> = () => {}) => {
  await stack.supervisor.release();
  await waitTurn();
  await meanwhile();
  const next = stack.successor();
  const found = await next.supervisor.recover(NONE);
  return { next, found: found.sort() };
};

/** As if the first supervisor had been killed at a bad moment. */
const rewrite = (stack: TestStack, name: string, patch: object) => {
  const row = stack.store.vms('shop').find((vm) => vm.name === name);
  if (row !== undefined) {
    stack.store.putVm({ ...row, ...patch });
  }
};

describe('taking over from a supervisor that is gone', () => {
  test('running replicas run on: their logs of the gap appear, their ports are published, their health is watched', async () => {
    const stack = openTestStack();
    const healthcheck = { test: ['CMD', 'ok'], interval: '1s', timeout: '1s', retries: 1 };
    await stack.up(shopOf(stack, { web: { ports: [{ target: 80, published: '8080' }], healthcheck } }));
    const guest = stack.platform.guest('shop-web-1');
    guest.print('before\n');
    await stack.until(() => stack.events.some((event) => event.type === 'log') && stack.row('shop-web-1').health === 'healthy');
    const { next, found } = await takeOver(stack, () => {
      expect([...stack.platform.published]).toEqual([]);
      guest.print('in the gap\n');
    });
    expect(found).toEqual(['shop-web-1 is taken over']);
    guest.print('after\n');
    await next.until(() => next.events.filter((event) => event.type === 'log').length === 2);
    await next.supervisor.settleLogs();
    expect(await linesOf(next.supervisor.logs.read('shop-web-1', 'web', {}))).toEqual([
      'shop-web-1 before',
      'shop-web-1 in the gap',
      'shop-web-1 after',
    ]);
    expect([...stack.platform.published]).toEqual(['127.0.0.1:8080/tcp']);
    expect(next.row('shop-web-1')).toMatchObject({ state: 'running', health: 'healthy' });
    await next.verb('stop');
    expect(next.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 143 });
  });

  test('lines that were in the file already, though the guest was not told, are there once', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const guest = stack.platform.guest('shop-web-1');
    const process = guest.process;
    guest.print('one\ntwo\n');
    await stack.until(() => stack.events.filter((event) => event.type === 'log').length === 2);
    await stack.supervisor.settleLogs();
    // Killed before the guest was told: it gives all of it again, in a supervisor that finds two lines in the file.
    Object.assign(process?.kept ?? {}, { stdout: 0 });
    const next = stack.successor();
    await next.supervisor.recover(NONE);
    guest.print('three\n');
    await next.until(() => next.events.some((event) => event.type === 'log'));
    await next.supervisor.settleLogs();
    const records = next.supervisor.logs.read('shop-web-1', 'web', {});
    expect(await linesOf(records)).toEqual(['shop-web-1 one', 'shop-web-1 two', 'shop-web-1 three']);
  });

  test('a workload that ended in the gap: its exit code and last words are not lost', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const guest = stack.platform.guest('shop-web-1');
    const { next } = await takeOver(stack, () => {
      guest.print('last words\n');
      guest.end(5);
    });
    await next.reach('shop-web-1', 'exited');
    expect(next.row('shop-web-1').exitCode).toBe(5);
    expect(await next.supervisor.lastLines(next.replica('shop-web-1'))).toEqual(['shop-web-1 | last words']);
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('a machine that vanished: settled by its restart policy', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: { restart: 'always' }, web: {} }));
    const { next, found } = await takeOver(stack, () => {
      for (const machine of [...stack.platform.vmm.machines.values()]) {
        machine.crash('the host was rebooted');
      }
    });
    expect(found).toEqual(['shop-db-1 had ended and is started again by its restart policy', 'shop-web-1 had ended']);
    expect(next.row('shop-web-1')).toMatchObject({
      state: 'exited',
      exitCode: 137,
      reason: 'its machine ended while no supervisor was watching',
    });
    await next.reach('shop-db-1', 'running');
  });

  test('a network that died: a new one, and its machines start again on it', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const { next, found } = await takeOver(stack, () => void stack.platform.nets.delete('shop_default'));
    expect(found).toEqual(['network shop_default had ended', 'shop-web-1 was restarted, because its network had ended']);
    expect(stack.platform.journal.filter((line) => line === 'network shop_default')).toHaveLength(2);
    expect(next.row('shop-web-1').state).toBe('running');
  });

  test('one that cannot be started again does not keep the supervisor from starting', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const { next, found } = await takeOver(stack, () => {
      stack.platform.nets.delete('shop_default');
      stack.platform.failNetworks(new HyprError('NET_START', 'no gvproxy'));
    });
    expect(found).toEqual([
      'network shop_default had ended',
      'shop-web-1 could not be started again, and its network had ended: no gvproxy',
    ]);
    expect(next.row('shop-web-1').state).toBe('dead');
    await next.down();
    expect(next.store.stacks()).toEqual([]);
  });

  test('a paused replica stays paused', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('pause');
    const { next, found } = await takeOver(stack);
    expect(found).toEqual(['shop-web-1 is taken over']);
    expect([next.row('shop-web-1').state, stack.platform.guest('shop-web-1').machine.paused]).toEqual(['paused', true]);
    await next.verb('unpause');
    expect(next.row('shop-web-1').state).toBe('running');
  });

  test('a port that somebody else took is no reason to end the machine', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: { ports: [{ target: 80, published: '8080' }] } }));
    const { next, found } = await takeOver(stack, () => void stack.platform.taken.add(8080));
    expect(found).toEqual(['shop-web-1 is taken over, but port 8080/tcp is already in use by nginx (pid 7)']);
    expect(next.row('shop-web-1')).toMatchObject({ state: 'running', published: [] });
  });

  test('killed between the start and its record: it runs, and is said to', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const { next } = await takeOver(stack, () => rewrite(stack, 'shop-web-1', { state: 'starting', startedAt: undefined }));
    expect(next.row('shop-web-1').state).toBe('running');
    expect(next.row('shop-web-1').startedAt).toBeGreaterThan(0);
  });

  test('killed while a machine booted: the machine goes, the replica is created', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { starting: new Promise(() => {}) });
    const up = stack.up(shopOf(stack, { web: {} })).catch(() => {});
    await stack.until(() => stack.supervisor.replicas.get('shop-web-1')?.run !== undefined);
    const record = stack.row('shop-web-1').machine;
    const { next, found } = await takeOver(stack, () => rewrite(stack, 'shop-web-1', { state: 'starting', machine: record }));
    await up;
    expect(found).toEqual(['shop-web-1 had not been started']);
    expect(next.row('shop-web-1')).toMatchObject({ state: 'created', machine: undefined });
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('killed before a machine that began was on record: what it left is swept', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop');
    const swept: string[] = [];
    Object.assign(stack.platform.vmm, { sweepPending: async (runDir: string) => void swept.push(runDir) });
    await takeOver(stack, () => rewrite(stack, 'shop-web-1', { state: 'starting', machine: undefined, startedAt: undefined }));
    expect(swept).toEqual([machineDir(stack.row('shop-web-1'), stack.platform)]);
  });

  test('killed before a network that began was on record: it is ended', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop');
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const started = identifyProcess(child.pid ?? 0);
    await takeOver(stack, () => {
      for (const row of stack.store.networks('shop')) {
        stack.store.putNetwork({ ...row, record: undefined });
        mkdirSync(row.spec.runDir, { recursive: true });
        if (started !== undefined) {
          notePendingProcess(row.spec.runDir, started);
        }
      }
    });
    expect(started !== undefined && isAlive(started)).toBe(false);
  });

  test('killed while it stopped a replica: the stop goes on', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: { restart: 'always' } }));
    const { next } = await takeOver(stack, () => rewrite(stack, 'shop-web-1', { state: 'stopping', stoppedByUser: true }));
    await next.reach('shop-web-1', 'exited');
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('killed while it stopped a replica: up and start wait for that stop, and start it', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { web: {} });
    await stack.up(project);
    const { next } = await takeOver(stack, () => rewrite(stack, 'shop-web-1', { state: 'stopping', stoppedByUser: true }));
    await next.up(project);
    expect(next.states()).toEqual({ 'shop-web-1': 'running' });
    expect(next.row('shop-web-1').stoppedByUser).toBe(false);
  });

  test('killed in the pause before a restart: the restart happens', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: { deploy: { restart_policy: { condition: 'any', delay: '60s' } } } }));
    stack.platform.guest('shop-web-1').end(4);
    await stack.reach('shop-web-1', 'restarting');
    const { next, found } = await takeOver(stack);
    expect(found).toEqual(['shop-web-1 was about to restart']);
    await next.reach('shop-web-1', 'running');
    expect(next.row('shop-web-1').restarts).toBe(1);
  });

  test('a VMM that cannot be asked counts as gone', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const { next, found } = await takeOver(stack, () => {
      const { vmm } = stack.platform;
      Object.assign(vmm, { adopt: () => Promise.reject(new Error('QMP is broken')) });
    });
    expect(found).toEqual(['shop-web-1 had ended']);
    expect(next.row('shop-web-1').state).toBe('exited');
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('a stopped stack: nothing to say, idle at once', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop');
    const { next, found } = await takeOver(stack);
    expect(found).toEqual([]);
    expect(next.supervisor.isIdle).toBe(true);
  });

  test('a clock that was ahead, and was put right since: later runs are still later, and none of their lines is hidden', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop');
    const ahead = Date.now() + 3_600_000;
    const { next } = await takeOver(stack, () => rewrite(stack, 'shop-web-1', { createdAt: ahead, run: ahead + 1 }));
    await next.verb('start');
    expect(next.row('shop-web-1').run).toBeGreaterThan(ahead + 1);
    stack.platform.guest('shop-web-1').print('hello\n');
    await next.until(() => next.events.some((event) => event.type === 'log'));
    await next.supervisor.settleLogs();
    expect(await linesOf(next.supervisor.logs.read('shop-web-1', 'web', { createdAt: ahead }))).toEqual(['shop-web-1 hello']);
    await next.up(shopOf(next, { web: { environment: { A: '1' } } }));
    expect(next.row('shop-web-1').createdAt).toBeGreaterThan(ahead + 2);
  });
});
