import { describe, expect, test } from 'vitest';
import { RUN_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { projectOf } from '../support/project.ts';
import { openTestStack, type TestStack } from '../support/stack.ts';

const JOINED = {
  network_mode: 'service:vpn',
  depends_on: { vpn: { condition: 'service_started', required: true, restart: true } },
} as const;

const project = (more: object = {}, vpn: object = {}) =>
  projectOf({ vpn: { mem_limit: '64m', ...vpn }, app: { mem_limit: '64m', ...JOINED, networks: undefined as never, ...more } });

const NONE = new AbortController().signal;
const RUN = { ...RUN_DEFAULTS, service: 'app' };

const machines = ({ platform }: TestStack): string[] => platform.journal.filter((line) => line.startsWith('boot '));
const member = ({ platform }: TestStack) => [...platform.guest('shop-vpn-1').members.values()];

describe('a service in the machine of another', () => {
  test('has its disks there from the start, and is prepared when the other has started', async () => {
    const stack = openTestStack();
    await stack.up(project());
    expect(machines(stack)).toEqual(['boot shop-vpn-1']);
    expect(stack.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
    const { disks, nics, memoryMib } = stack.row('shop-vpn-1').machine?.spec ?? { disks: [], nics: [], memoryMib: 0 };
    const [root, upper, joinedRoot, joinedUpper] = disks.map(({ serial }) => serial);
    expect([root, upper, nics.length, memoryMib]).toEqual(['root', 'upper', 1, 320]);
    expect(member(stack)[0]?.config).toMatchObject({ nics: [], hostname: 'shop-vpn-1', root: { disk: joinedRoot, upper: joinedUpper } });
    expect(stack.actions('start')).toEqual(['start shop-vpn-1', 'start shop-app-1']);
  });

  test('stops, starts and restarts by its policy without the other', async () => {
    const stack = openTestStack();
    await stack.up(project({ restart: 'always' }));
    member(stack)[0]?.end(3);
    await stack.reach('shop-app-1', 'restarting');
    await stack.reach('shop-app-1', 'running');
    await stack.verb('stop', { services: ['app'] });
    expect(stack.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'exited' });
    await stack.verb('start', { services: ['app'] });
    expect(stack.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
    expect(machines(stack)).toHaveLength(1);
  });

  test('is stopped by its own signal before the machine ends, and starts with it again', async () => {
    const stack = openTestStack();
    await stack.up(project({ stop_signal: 'SIGINT' }, { restart: 'always' }));
    const before = member(stack)[0];
    stack.platform.guest('shop-vpn-1').end(1);
    await stack.reach('shop-app-1', 'exited');
    expect(before?.powerOffs).toEqual([{ stopSignal: 2, graceMs: 10_000 }]);
    await stack.reach('shop-vpn-1', 'running');
    await stack.reach('shop-app-1', 'running');
    expect(machines(stack)).toHaveLength(2);
  });

  test('stays away where the machine does, and says why', async () => {
    const stack = openTestStack();
    await stack.up(project({ restart: 'always' }));
    stack.platform.vmm.machines.get('shop-vpn-1')?.crash('the host was short of memory');
    await stack.reach('shop-vpn-1', 'exited');
    await stack.until(() => stack.row('shop-app-1').state === 'exited');
    expect(stack.row('shop-app-1').reason).toContain('the machine of shop-vpn-1 ended');
    await stack.verb('start', { services: ['app'] });
    expect(stack.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
  });

  test('is taken over by the next supervisor', async () => {
    const stack = openTestStack();
    await stack.up(project());
    await stack.supervisor.release();
    const next = stack.successor();
    await next.supervisor.recover(AbortSignal.timeout(10_000));
    expect(next.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
    await next.down();
    expect(machines(next)).toHaveLength(1);
  });

  test('is taken over before its machine starts again, which stops it by its signal and starts it', async () => {
    const stack = openTestStack();
    await stack.up(project({ stop_signal: 'SIGINT' }));
    const before = member(stack)[0];
    await stack.supervisor.release();
    stack.platform.nets.delete('shop_default');
    const next = stack.successor();
    const found = await next.supervisor.recover(AbortSignal.timeout(10_000));
    expect(found).toContain('shop-vpn-1 was restarted, because its network had ended');
    expect(before?.powerOffs).toEqual([{ stopSignal: 2, graceMs: 10_000 }]);
    await next.reach('shop-app-1', 'running');
    expect(next.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
    expect(machines(next)).toHaveLength(2);
  });

  test('starts with its machine, not by its own policy, when that ended while no supervisor was watching', async () => {
    const stack = openTestStack();
    await stack.up(project({ restart: 'no' }, { restart: 'always' }));
    await stack.supervisor.release();
    stack.platform.vmm.machines.get('shop-vpn-1')?.crash('the host was rebooted');
    const next = stack.successor();
    const found = await next.supervisor.recover(AbortSignal.timeout(10_000));
    expect([...found].sort()).toEqual([
      'shop-app-1 starts with the machine of shop-vpn-1',
      'shop-vpn-1 had ended and is started again by its restart policy',
    ]);
    await next.reach('shop-app-1', 'running');
    expect(next.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
    expect(next.row('shop-app-1').restarts).toBe(0);
  });

  test('stays away when its machine was lost and does not come back, whatever its own policy says', async () => {
    const stack = openTestStack();
    await stack.up(project({ restart: 'always' }));
    await stack.supervisor.release();
    stack.platform.vmm.machines.get('shop-vpn-1')?.crash('the host was rebooted');
    const next = stack.successor();
    await next.supervisor.recover(AbortSignal.timeout(10_000));
    expect(next.states()).toEqual({ 'shop-vpn-1': 'exited', 'shop-app-1': 'exited' });
    expect(next.row('shop-app-1')).toMatchObject({ restarts: 0, reason: expect.stringContaining('the machine of shop-vpn-1 ended') });
    await next.verb('start', { services: ['vpn'] });
    await next.reach('shop-app-1', 'running');
  });

  test('joins a machine that runs: that starts again with its disks', async () => {
    const stack = openTestStack();
    const before = projectOf({ vpn: {} });
    await stack.up(before);
    await stack.up(project({}, { mem_limit: undefined }));
    expect(machines(stack)).toHaveLength(2);
    expect(stack.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
  });

  test('is stopped first by stop of the other, and neither can be paused or suspended', async () => {
    const stack = openTestStack();
    await stack.up(project());
    await expect(stack.verb('pause', { services: ['vpn'] })).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED' });
    await expect(stack.verb('suspend')).rejects.toMatchObject({ code: 'HYPR_UNSUPPORTED' });
    await stack.verb('stop', { services: ['vpn'] });
    expect(stack.states()).toEqual({ 'shop-vpn-1': 'exited', 'shop-app-1': 'exited' });
    expect(stack.actions('stop')).toEqual(['stop shop-app-1', 'stop shop-vpn-1']);
  });

  test('a one-off of it joins the machine that runs, whose disk it gets and gives back', async () => {
    const stack = openTestStack();
    await stack.up(project());
    const run = { ...RUN, name: 'aside', remove: 'replica' } as const;
    const replica = await stack.supervisor.oneOffs.create(project(), run, NONE);
    await stack.supervisor.oneOffs.start(replica, NONE);
    expect(machines(stack)).toEqual(['boot shop-vpn-1']);
    const plugged = () => stack.row('shop-vpn-1').machine?.plugged?.map(({ disk }) => disk.serial);
    const upper = plugged()?.[0];
    const other = member(stack)[0]?.config?.root;
    // Its image is a disk of the machine already.
    expect(member(stack)[1]?.config).toMatchObject({ hostname: 'shop-vpn-1', root: { disk: other?.disk, upper } });
    expect([plugged()?.length, other?.upper === upper]).toEqual([1, false]);
    member(stack)[1]?.end(3);
    await expect.poll(() => stack.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running' });
    expect(plugged()).toEqual([]);
  });

  test('a one-off of it ends with the machine, and does not start again with it', async () => {
    const stack = openTestStack();
    await stack.up(project());
    const replica = await stack.supervisor.oneOffs.create(project(), { ...RUN, name: 'aside' }, NONE);
    await stack.supervisor.oneOffs.start(replica, NONE);
    await stack.verb('restart', { services: ['vpn'] });
    await stack.reach('shop-app-1', 'running');
    expect(stack.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running', aside: 'exited' });
  });

  test('one-offs of it have one volume, whose disk stays until the last one has ended', async () => {
    const stack = openTestStack();
    await stack.up(project());
    const volumes = [{ type: 'volume', source: 'later', target: '/later' }] as const;
    for (const name of ['one', 'two']) {
      await stack.supervisor.oneOffs.start(await stack.supervisor.oneOffs.create(project(), { ...RUN, name, volumes }, NONE), NONE);
    }
    const plugged = () => stack.row('shop-vpn-1').machine?.plugged?.length;
    expect(plugged()).toBe(3);
    await stack.verb('stop', { replicas: ['one'] });
    expect(plugged()).toBe(2);
    await stack.verb('stop', { replicas: ['two'] });
    expect(plugged()).toBe(0);
  });

  test('one-offs of it have an image each, which stays in the machine as long as its own one-off', async () => {
    const stack = openTestStack();
    const other = project({ image: 'app:1' });
    await stack.up(other, { services: ['vpn'] });
    const start = async (name: string) => {
      const replica = await stack.supervisor.oneOffs.create(other, { ...RUN, name }, NONE);
      await stack.supervisor.oneOffs.start(replica, NONE);
    };
    await start('one');
    await start('two');
    const plugged = () => stack.row('shop-vpn-1').machine?.plugged?.map(({ disk }) => disk.serial);
    const root = member(stack)[1]?.config?.root;
    await stack.verb('stop', { replicas: ['one'] });
    expect(plugged()).toEqual([root?.disk, root?.upper]);
    await stack.verb('stop', { replicas: ['two'] });
    expect(plugged()).toEqual([]);
  });

  test('a one-off of it is taken over with its disk', async () => {
    const stack = openTestStack();
    await stack.up(project());
    const replica = await stack.supervisor.oneOffs.create(project(), { ...RUN, name: 'aside' }, NONE);
    await stack.supervisor.oneOffs.start(replica, NONE);
    await stack.supervisor.release();
    const next = stack.successor();
    await next.supervisor.recover(AbortSignal.timeout(10_000));
    expect(next.states()).toEqual({ 'shop-vpn-1': 'running', 'shop-app-1': 'running', aside: 'running' });
    expect(next.row('shop-vpn-1').machine?.plugged).toHaveLength(1);
    await next.verb('stop', { replicas: ['aside'] });
    expect(next.row('shop-vpn-1').machine?.plugged).toEqual([]);
    await next.down();
  });

  test('says that the other is missing, in docker’s words, where that was removed', async () => {
    const stack = openTestStack();
    await stack.up(project());
    await stack.verb('stop', { services: ['vpn'] });
    await stack.verb('rm', { services: ['vpn'] });
    const alone = { services: ['app'], noDeps: true };
    await expect(stack.up(project(), alone)).rejects.toMatchObject({
      code: 'STACK_NOT_RUNNING',
      message: expect.stringContaining('cannot share network namespace with service vpn: container missing'),
    });
  });
});
