import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { VERB_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import { replicaStatus } from '../../../engine/replica/parts/status.ts';
import { Cue } from '../support/cue.ts';
import type { Behaviour } from '../support/fake-guest.ts';
import { needs } from '../support/project.ts';
import { openTestStack, shopOf, waitTurn } from '../support/stack.ts';

const { SIGTERM } = constants.signals;
const never = new Promise<never>(() => {});

describe('stop', () => {
  test('stop signal, grace period, then force: dependents first, one after the other', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, {
      db: { stop_signal: 'SIGINT', stop_grace_period: '7s' },
      web: { depends_on: needs('db') },
    });
    await stack.up(project);
    const [db, web] = [stack.platform.guest('shop-db-1'), stack.platform.guest('shop-web-1')];
    await stack.verb('stop');
    expect(web.powerOffs).toEqual([{ stopSignal: SIGTERM, graceMs: 10_000 }]);
    expect(db.powerOffs).toEqual([{ stopSignal: 2, graceMs: 7_000 }]);
    expect(stack.actions('die', 'stop')).toEqual(['die shop-web-1', 'stop shop-web-1', 'die shop-db-1', 'stop shop-db-1']);
    expect(stack.row('shop-db-1')).toMatchObject({ state: 'exited', exitCode: 130, stoppedByUser: true, machine: undefined });
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('-t overrides the grace period; who does not listen is killed', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { onSignal: () => {} });
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop', { timeout: 0 });
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 137 });
  });

  test('a guest that does not answer is switched off', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    stack.platform.guest('shop-web-1').breakChannel();
    await stack.verb('stop', { timeout: 0 });
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', machine: undefined });
    expect(stack.platform.vmm.machines.size).toBe(0);
  });

  test('what is stopped can be started again, on the same disk and address', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const before = stack.replica('shop-web-1').status().addresses;
    const disks = stack.platform.journal.filter((line) => line.startsWith('disk')).length;
    await stack.verb('stop');
    await stack.verb('start');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'running', stoppedByUser: false, exitCode: 0 });
    expect(stack.replica('shop-web-1').status().addresses).toEqual(before);
    expect(stack.platform.journal.filter((line) => line.startsWith('disk'))).toHaveLength(disks);
  });

  test('a workload that ends while it is stopped: one end, one stop', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { onSignal: () => {} });
    await stack.up(shopOf(stack, { web: { restart: 'always' } }));
    const stop = stack.verb('stop', { timeout: 30 });
    await stack.reach('shop-web-1', 'stopping');
    stack.platform.guest('shop-web-1').end(3);
    await stop;
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 3 });
    expect(stack.actions('die', 'stop', 'restart')).toEqual(['die shop-web-1', 'stop shop-web-1']);
  });

  test('stopping what has just ended waits for its end and keeps it from restarting', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: { restart: 'always' } }));
    const guest = stack.platform.guest('shop-web-1');
    guest.end(1);
    await stack.verb('stop');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 1, stoppedByUser: true });
    expect(stack.platform.vmm.machines.size).toBe(0);
    await stack.verb('rm');
    await waitTurn();
    expect(stack.store.vms('shop')).toEqual([]);
  });

  test('removing what is just being put on record waits for that', async () => {
    const stack = openTestStack();
    const written = new Cue();
    const settling = new Cue();
    const open = stack.supervisor.logs.writer;
    stack.supervisor.logs.writer = async (...args) => {
      const writer = await open(...args);
      const settled = async () => {
        settling.resolve();
        await written.promise;
      };
      return {
        begin: writer.begin.bind(writer),
        write: writer.write.bind(writer),
        written: writer.written.bind(writer),
        flush: writer.flush.bind(writer),
        close: writer.close.bind(writer),
        settled,
      };
    };
    await stack.up(shopOf(stack, { web: { restart: 'always' } }));
    stack.platform.guest('shop-web-1').end(1);
    await settling.promise;
    expect(stack.replica('shop-web-1').run).toBeUndefined();
    const down = stack.down();
    await waitTurn();
    expect(stack.row('shop-web-1').state).toBe('running');
    written.resolve();
    await down;
    await waitTurn();
    expect([stack.states(), stack.store.stacks()]).toEqual([{}, []]);
    expect(stack.actions('die', 'restart', 'destroy')).toEqual(['die shop-web-1', 'destroy shop-web-1']);
  });

  test('stop of a service waits for a restart of another one, which is not left stopped', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: {} }));
    const restarted = stack.verb('restart', { services: ['db'] });
    await stack.verb('stop', { services: ['web'] });
    await restarted;
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'exited' });
  });

  test('a restart is carried out also when its command has gone, which would leave the service stopped', async () => {
    const stack = openTestStack();
    const command = new AbortController();
    stack.platform.behave('web', {
      onSignal: (signal, guest) => {
        command.abort();
        guest.end(128 + signal);
      },
    });
    await stack.up(shopOf(stack, { web: {} }));
    await stack.supervisor.verb('restart', undefined, VERB_DEFAULTS, command.signal);
    expect(stack.actions('die', 'start').slice(-2)).toEqual(['die shop-web-1', 'start shop-web-1']);
    expect(stack.row('shop-web-1').state).toBe('running');
  });

  test('the whole output is told before the end is', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', {
      onSignal: (signal, guest) => {
        guest.print('going down\nunfinished');
        guest.end(128 + signal);
      },
    });
    await stack.up(shopOf(stack, { web: {} }));
    await stack.verb('stop');
    const told = stack.events.flatMap((event) =>
      event.type === 'log' ? [event.record.line] : event.type === 'replica' && event.action === 'die' ? ['die'] : [],
    );
    expect(told).toEqual(['going down', 'unfinished', 'die']);
  });
});

describe('interruptions', () => {
  test.each<[string, Behaviour]>([
    ['boots', { boot: never }],
    ['is prepared', { prepare: never }],
    ['starts', { starting: never }],
  ])('down while a machine %s ends the up and leaves nothing', async (_, behaviour) => {
    const stack = openTestStack();
    stack.platform.behave('web', behaviour);
    const project = shopOf(stack, { web: { ports: [{ target: 80, published: '8080' }] } });
    const up = stack.up(project);
    const failed = expect(up).rejects.toMatchObject({ code: 'HYPR_CANCELLED', message: 'interrupted by down' });
    await stack.until(() => stack.platform.vmm.machines.has('shop-web-1'));
    await waitTurn();
    await stack.down();
    await failed;
    expect(stack.states()).toEqual({});
    expect(stack.platform.vmm.machines.size).toBe(0);
    expect([...stack.platform.published]).toEqual([]);
    expect(stack.platform.nets.size).toBe(0);
    expect(stack.store.stacks()).toEqual([]);
  });

  test('down while a network starts', async () => {
    const stack = openTestStack();
    const cue = new Cue();
    stack.platform.holdNetworks(cue.promise);
    const up = stack.up(shopOf(stack, { web: {} }));
    const failed = expect(up).rejects.toThrow('interrupted by down');
    await stack.reach('shop-web-1', 'starting');
    const down = stack.down();
    await failed;
    cue.resolve();
    await down;
    expect(stack.platform.nets.size).toBe(0);
    expect(stack.store.stacks()).toEqual([]);
  });

  test('an interrupted up leaves what has not run as created, and what runs running', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { boot: never });
    const controller = new AbortController();
    const up = stack.up(shopOf(stack, { db: {}, web: {} }), {}, controller.signal);
    const failed = expect(up).rejects.toMatchObject({ code: 'HYPR_CANCELLED', message: 'enough' });
    await stack.reach('shop-db-1', 'running');
    controller.abort(new HyprError('HYPR_CANCELLED', 'enough'));
    await failed;
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'created' });
  });

  test('an up that waits for its turn is given up, too', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { boot: never });
    const project = shopOf(stack, { web: {} });
    const first = expect(stack.up(project)).rejects.toThrow('interrupted by down');
    const second = expect(stack.up(project)).rejects.toThrow('interrupted by down');
    await stack.reach('shop-web-1', 'starting');
    await stack.down();
    await Promise.all([first, second]);
    expect(stack.states()).toEqual({});
  });

  test('a signal to one service does not interrupt an up of another', async () => {
    const stack = openTestStack();
    const boot = new Cue();
    await stack.up(shopOf(stack, { db: {} }));
    stack.platform.behave('db', { onSignal: () => {} });
    stack.platform.behave('web', { boot: boot.promise });
    const up = stack.up(shopOf(stack, { db: {}, web: {} }));
    await stack.reach('shop-web-1', 'starting');
    const kill = stack.verb('kill', { services: ['db'], signal: 'HUP' });
    boot.resolve();
    await Promise.all([up, kill]);
    expect(stack.states()['shop-web-1']).toBe('running');
  });

  test('release in the middle of an up: it is given up, and what runs runs on', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { boot: never });
    const up = expect(stack.up(shopOf(stack, { db: {}, web: {} }))).rejects.toThrow('the supervisor ends');
    await stack.reach('shop-db-1', 'running');
    await stack.supervisor.release();
    await up;
    expect([...stack.platform.vmm.machines.keys()]).toEqual(['shop-db-1']);
    expect(stack.store.vms('shop').map((row) => [row.name, row.state])).toEqual([
      ['shop-db-1', 'running'],
      ['shop-web-1', 'created'],
    ]);
  });
});

describe('down', () => {
  const withVolume = { volumes: [{ type: 'volume' as const, source: 'data', target: '/data' }] };
  const volumes = { data: { name: 'shop_data' } };

  test('removes replicas, networks and rows; named volumes stay, -v removes them', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: withVolume }, { volumes });
    await stack.up(project);
    const path = join(stack.platform.paths.volumes, 'shop_data', 'data.ext4');
    await stack.down();
    await waitTurn();
    expect(stack.warnings()).toEqual([]);
    expect([stack.store.stacks(), stack.store.vms(), stack.store.networks(), stack.store.leases('shop')]).toEqual([[], [], [], []]);
    expect(stack.platform.nets.size).toBe(0);
    expect(existsSync(join(stack.platform.paths.machines, 'shop'))).toBe(false);
    expect(existsSync(path)).toBe(true);
    await stack.up(project);
    await stack.down({ volumes: true });
    expect(existsSync(path)).toBe(false);
    expect(stack.store.volumes()).toEqual([]);
  });

  test('a second down finds what the first left: volumes with -v, images with --rmi, then nothing', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: withVolume }, { volumes: { ...volumes, kept: { name: 'kept', external: true } } });
    await stack.up(project);
    await stack.down();
    await stack.down({ volumes: true }, project);
    expect(stack.store.volumes()).toEqual([]);
    expect(existsSync(join(stack.platform.paths.volumes, 'shop_data'))).toBe(false);
    await stack.down({ removeImages: 'all' }, project);
    expect(stack.platform.journal.filter((line) => line.startsWith('remove image'))).toEqual(['remove image db:1']);
    expect(stack.warnings()).toEqual([]);
    await stack.down({ removeImages: 'all', volumes: true }, project);
    expect(stack.warnings()).toEqual(['No resource found to remove for project "shop".']);
  });

  test('without a model, all volumes of the stack', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: withVolume }, { volumes }));
    await stack.down();
    await stack.down({ volumes: true });
    expect(stack.store.volumes()).toEqual([]);
  });

  test('of one service leaves the others and the network', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: {} }));
    await stack.down({ services: ['web'] });
    expect(stack.states()).toEqual({ 'shop-db-1': 'running' });
    expect([...stack.platform.nets.keys()]).toEqual(['shop_default']);
  });

  test('orphans stay with their network unless asked', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, old: {} }));
    const now = shopOf(stack, { db: {} });
    await stack.down({}, now);
    expect(stack.states()).toEqual({ 'shop-old-1': 'running' });
    expect([...stack.platform.nets.keys()]).toEqual(['shop_default']);
    await stack.down({ removeOrphans: true }, now);
    expect(stack.store.stacks()).toEqual([]);
    expect(stack.platform.nets.size).toBe(0);
  });

  test('--rmi local takes the images that the stack built, all takes all', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: {} });
    project.services.api = { build: { context: '/srv' }, networks: { default: null } };
    await stack.up(project);
    await stack.down({ removeImages: 'local' });
    const removed = () => stack.platform.journal.filter((line) => line.startsWith('remove image')).sort();
    expect(removed()).toEqual(['remove image shop-api']);
    await stack.up(project);
    await stack.down({ removeImages: 'all' });
    expect(removed()).toEqual(['remove image db:1', 'remove image shop-api', 'remove image shop-api']);
  });

  test('the supervisor is idle after it, and is told once all is done', async () => {
    const stack = openTestStack();
    const idle: number[] = [];
    stack.supervisor.onIdle = () => idle.push(stack.platform.vmm.machines.size);
    await stack.up(shopOf(stack, { db: {} }));
    await waitTurn();
    expect([stack.supervisor.isIdle, idle]).toEqual([false, []]);
    await stack.verb('stop');
    await waitTurn();
    expect(idle).toContain(0);
    expect(stack.supervisor.isIdle).toBe(true);
    await stack.down();
    await waitTurn();
    expect(stack.supervisor.isIdle).toBe(true);
  });

  test('a one-shot that ends by itself leaves the supervisor idle', async () => {
    const stack = openTestStack();
    const idle = new Cue();
    await stack.up(shopOf(stack, { seed: {} }));
    stack.supervisor.onIdle = () => idle.resolve();
    stack.platform.guest('shop-seed-1').end(0);
    await idle.promise;
    expect(stack.states()).toEqual({ 'shop-seed-1': 'exited' });
  });
});

describe('pause, kill, restart', () => {
  test('a paused replica runs again with the right time and the names of now', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: {} }));
    const guest = stack.platform.guest('shop-web-1');
    await stack.verb('pause', { services: ['web'] });
    expect([stack.row('shop-web-1').state, guest.machine.paused]).toEqual(['paused', true]);
    await stack.verb('stop', { services: ['db'] });
    await waitTurn();
    await stack.verb('unpause');
    await waitTurn();
    expect([stack.row('shop-web-1').state, guest.machine.paused, guest.clocks.length]).toEqual(['running', false, 1]);
    expect(guest.pushed.at(-1)).not.toHaveProperty('db');
    expect(stack.actions('pause', 'unpause')).toEqual(['pause shop-web-1', 'unpause shop-web-1']);
  });

  test('up wakes what is paused; stop and kill reach it', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { web: {} });
    await stack.up(project);
    await stack.verb('pause');
    await stack.up(project);
    expect(stack.row('shop-web-1').state).toBe('running');
    await stack.verb('pause');
    await stack.verb('stop');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 143 });
    await stack.verb('start');
    await stack.verb('pause');
    await expect(stack.verb('kill', { signal: 'HUP' })).rejects.toMatchObject({ code: 'STACK_NOT_RUNNING' });
    await stack.verb('kill');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 137 });
  });

  test('kill ends at once and for good; another signal only arrives', async () => {
    const stack = openTestStack();
    const signals: number[] = [];
    stack.platform.behave('web', { onSignal: (signal) => signals.push(signal) });
    await stack.up(shopOf(stack, { web: { restart: 'always' } }));
    await stack.verb('kill', { signal: 'USR1' });
    expect([stack.row('shop-web-1').state, signals]).toEqual(['running', [10]]);
    await stack.verb('kill');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 137, stoppedByUser: true });
    expect(stack.actions('kill', 'restart')).toEqual(['kill shop-web-1', 'kill shop-web-1']);
  });

  test('kill works on a guest that has gone silent', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    stack.platform.guest('shop-web-1').breakChannel();
    await stack.verb('kill');
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 137 });
  });

  test('restart: the dependents that ask for it follow, in order', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, {
      db: {},
      api: { depends_on: { db: { condition: 'service_started', required: true, restart: true } } },
      web: { depends_on: needs('db') },
    });
    await stack.up(project);
    await stack.verb('restart', { services: ['db'] });
    expect(stack.actions('start').slice(3)).toEqual(['start shop-db-1', 'start shop-api-1']);
    expect(Object.values(stack.states())).toEqual(['running', 'running', 'running']);
  });

  test('start, stop and restart of a stack that is not there', async () => {
    const stack = openTestStack();
    await expect(stack.verb('start')).rejects.toMatchObject({ code: 'STACK_NOT_RUNNING' });
    await stack.verb('stop');
    await stack.down();
  });

  test('rm -s -v removes with anonymous volumes, and up makes it new', async () => {
    const stack = openTestStack();
    stack.platform.addImage('web:1', { Volumes: { '/cache': {} } });
    const project = shopOf(stack, { web: {} });
    await stack.up(project);
    const dir = join(stack.platform.paths.machines, 'shop', 'shop-web-1');
    expect(existsSync(dir)).toBe(true);
    await stack.verb('rm', { stop: true, volumes: true });
    expect([existsSync(dir), stack.states(), stack.store.volumes()]).toEqual([false, {}, []]);
    await stack.up(project);
    expect(stack.row('shop-web-1').state).toBe('running');
  });
});

describe('a machine dies under a running workload', () => {
  test('its last words are the reason', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    stack.platform.vmm.machines.get('shop-web-1')?.crash('kernel panic');
    await stack.reach('shop-web-1', 'exited');
    expect(stack.row('shop-web-1')).toMatchObject({ exitCode: 137, reason: 'the machine died: kernel panic', machine: undefined });
  });

  test('a replica that was killed for want of memory says so', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    stack.platform.guest('shop-web-1').end(137, { oomKilled: true });
    await stack.reach('shop-web-1', 'exited');
    expect(stack.row('shop-web-1').reason).toBe('out of memory');
    const row = stack.row('shop-web-1');
    expect(replicaStatus(row, []).oomKilled).toBe(true);
    expect(replicaStatus({ ...row, reason: 'the machine died: out of memory' }, []).oomKilled).toBeUndefined();
  });

  test('it powers off without a word', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    stack.platform.vmm.machines.get('shop-web-1')?.powerOff();
    await stack.reach('shop-web-1', 'exited');
    expect(stack.row('shop-web-1').reason).toBe('the machine powered off without reporting the end of its workload');
  });
});
