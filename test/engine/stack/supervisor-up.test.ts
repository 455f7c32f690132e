import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { refused } from '../../../guest/protocol/refusal.ts';
import { until } from '../../support/until.ts';
import { Cue } from '../support/cue.ts';
import { needs } from '../support/project.ts';
import { openTestStack, shopOf, type TestStack, waitTurn } from '../support/stack.ts';

const healthy = { test: ['CMD', 'ready'], interval: '1s', timeout: '1s', retries: 1 };

describe('a stack comes up', () => {
  test('three services: the healthy one, then the one that completes, then the last', async () => {
    const stack = openTestStack();
    const ready = new Cue<number>();
    stack.platform.behave('db', { probe: () => ready.promise });
    const project = shopOf(stack, {
      db: { healthcheck: healthy },
      seed: { depends_on: needs(['db', 'service_healthy']) },
      web: { depends_on: needs('db', ['seed', 'service_completed_successfully']) },
    });
    const up = stack.up(project);
    await stack.reach('shop-db-1', 'running');
    await stack.until(() => ['shop-seed-1', 'shop-web-1'].every((name) => stack.supervisor.replicas.get(name)?.isHeld));
    // All machines boot side by side; only the first workload runs.
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-seed-1': 'starting', 'shop-web-1': 'starting' });
    expect(stack.platform.journal.filter((line) => line.startsWith('network'))).toEqual(['network shop_default']);
    ready.resolve(0);
    await stack.reach('shop-seed-1', 'running');
    expect(stack.row('shop-web-1').state).toBe('starting');
    stack.platform.guest('shop-seed-1').end(0);
    await up;
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-seed-1': 'exited', 'shop-web-1': 'running' });
    expect(stack.actions('start', 'die')).toEqual(['start shop-db-1', 'start shop-seed-1', 'die shop-seed-1', 'start shop-web-1']);
    expect(stack.row('shop-db-1').health).toBe('healthy');
    expect(
      stack
        .replica('shop-db-1')
        .status()
        .startSpans?.map(({ name }) => name.split(':')[0]),
    ).toEqual([
      ...['disks and mounts', 'network', 'connect NICs', 'machine', 'machine goes on', 'agent answers', 'prepare'],
      ...['start the workload', 'healthy'],
    ]);
    expect([...stack.platform.vmm.machines.keys()].sort()).toEqual(['shop-db-1', 'shop-web-1']);
  });

  test('names: every replica is told all of them before its workload starts, and again when one stops', async () => {
    const stack = openTestStack();
    const seen: Array<readonly string[] | undefined> = [];
    stack.platform.behave('web', { onStart: (guest) => seen.push(guest.pushed.at(-1)?.db ?? guest.config?.resolver.names.db) });
    await stack.up(shopOf(stack, { db: { scale: 2 }, web: { depends_on: needs('db') } }));
    const addresses = ['shop-db-1', 'shop-db-2'].map((name) => stack.replica(name).status().addresses[0]?.address);
    expect(new Set(seen[0])).toEqual(new Set(addresses));
    const guest = stack.platform.guest('shop-web-1');
    await stack.verb('stop', { services: ['db'] });
    await waitTurn();
    expect(guest.pushed.at(-1)).toMatchObject({ web: [stack.replica('shop-web-1').status().addresses[0]?.address] });
    expect(guest.pushed.at(-1)).not.toHaveProperty('db');
    await stack.verb('start', { services: ['db'] });
    await waitTurn();
    expect(guest.pushed.at(-1)?.db).toHaveLength(2);
  });

  test('what a guest is told: its configuration holds names, mounts, files and the machine its disks', async () => {
    const stack = openTestStack();
    stack.platform.addImage('db:1', { Volumes: { '/anon': {} } });
    const project = shopOf(
      stack,
      {
        db: {
          hostname: 'base',
          volumes: [{ type: 'volume', source: 'data', target: '/data' }],
          secrets: [{ source: 'key' }],
          ports: [{ target: 5432, published: '15432' }],
        },
      },
      { volumes: { data: { name: 'shop_data' } }, secrets: { key: { name: 'shop_key', environment: 'KEY' } }, environment: { KEY: 's3' } },
    );
    await stack.up(project);
    const guest = stack.platform.guest('shop-db-1');
    expect(guest.config?.hostname).toBe('base');
    expect(guest.config?.mounts.map((mount) => `${mount.kind} ${mount.target}`)).toEqual(['disk /anon', 'disk /data']);
    expect(guest.config?.files.map((file) => [file.path, Buffer.from(file.content).toString(), file.mode])).toEqual([
      ['/run/secrets/key', 's3', 0o444],
    ]);
    expect(guest.machine.record.spec.disks.map((disk) => [disk.serial, disk.readOnly])).toEqual([
      ['root', true],
      ['upper', false],
      ['vol0', false],
      ['vol1', false],
    ]);
    expect([...stack.platform.published]).toEqual(['127.0.0.1:15432/tcp']);
    expect(stack.replica('shop-db-1').status().ports).toEqual([
      { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 15_432, port: 5432 },
    ]);
  });

  test('images: what is missing is pulled once, what is built is built', async () => {
    const stack = openTestStack();
    const project = { ...shopOf(stack, { a: { image: 'same' }, b: { image: 'same' } }) };
    stack.platform.images.clear();
    project.services.c = { build: { context: '/srv' }, networks: { default: null } };
    await stack.up(project);
    const lines = stack.platform.journal.filter((line) => /^(pull|build)/.test(line)).sort();
    expect(lines).toEqual(['build shop-c', 'pull same always']);
    expect(stack.states()).toEqual({ 'shop-a-1': 'running', 'shop-b-1': 'running', 'shop-c-1': 'running' });
  });

  test('up again changes nothing', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: {}, web: { depends_on: needs('db') } });
    await stack.up(project);
    const before = [...stack.platform.journal];
    await stack.up(project);
    expect(stack.platform.journal).toEqual(before);
  });

  test('up --no-deps changes nothing where the donor of volumes is named by its container', async () => {
    const stack = openTestStack();
    stack.platform.addImage('db:1', { Volumes: { '/var/lib/db': {} } });
    const project = shopOf(stack, { db: {}, web: { volumes_from: ['container:shop-db-1'], depends_on: needs('db') } });
    await stack.up(project);
    expect(stack.row('shop-web-1').spec.mounts.map(({ target }) => target)).toEqual(['/var/lib/db']);
    const before = [...stack.platform.journal];
    await stack.up(project, { services: ['web'], noDeps: true });
    expect(stack.platform.journal).toEqual(before);
  });

  test('create makes everything and starts nothing; start brings it up in order', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: { depends_on: needs('db') } }), { noStart: true, wait: true });
    expect(stack.states()).toEqual({ 'shop-db-1': 'created', 'shop-web-1': 'created' });
    expect(stack.platform.vmm.machines.size).toBe(0);
    await stack.verb('start');
    expect(stack.actions('start')).toEqual(['start shop-db-1', 'start shop-web-1']);
  });

  test('progress tells each thing from its beginning to its end', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {} }));
    const told = stack.events.flatMap((event) => (event.type === 'progress' ? [`${event.progress.id} ${event.progress.text}`] : []));
    expect(told).toEqual([
      'Network shop_default Creating',
      'Network shop_default Created',
      'Container shop-db-1 Creating',
      'Container shop-db-1 Created',
      'Container shop-db-1 Starting',
      'Container shop-db-1 Started',
    ]);
    expect(stack.events.filter((event) => event.type === 'finished')).toMatchObject([{ operation: 'up' }]);
  });
});

describe('a dependency fails', () => {
  test('unhealthy: says the last probe and the last lines; the dependent is created, no machine is left half made', async () => {
    const stack = openTestStack();
    stack.platform.behave('db', {
      probe: () => ({ code: 2, output: 'connection refused\n' }),
      onStart: (guest) => guest.print('starting up\nno such file: data\n'),
    });
    const project = shopOf(stack, {
      db: { healthcheck: { ...healthy, interval: '5ms' } },
      web: { depends_on: needs(['db', 'service_healthy']), ports: [{ target: 80, published: '8080' }] },
    });
    const error = await stack.up(project).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HyprError);
    const { code, message, details } = error as HyprError;
    expect(code).toBe('SERVICE_UNHEALTHY');
    expect(message).toBe('dependency failed to start: container shop-db-1 is unhealthy');
    expect(details[0]).toMatch(/^last probe: ready ended with 2 after \d+ ms$/);
    expect(details.slice(1)).toEqual(['  connection refused', 'shop-db-1 | starting up', 'shop-db-1 | no such file: data']);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'created' });
    expect([...stack.platform.vmm.machines.keys()]).toEqual(['shop-db-1']);
    expect([...stack.platform.published]).toEqual([]);
    expect(stack.row('shop-web-1')).toMatchObject({ machine: undefined, finishedAt: undefined });
    expect(stack.row('shop-db-1').reason).toBe('health check: connection refused');
  });

  test('exited: the dependent that is just booting is created again, too', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { boot: new Promise(() => {}) });
    stack.platform.behave('seed', { onStart: (guest) => guest.end(3) });
    const project = shopOf(stack, { seed: {}, web: { depends_on: needs(['seed', 'service_completed_successfully']) } });
    await expect(stack.up(project)).rejects.toMatchObject({
      code: 'DEPENDENCY_FAILED',
      message: 'service "seed" didn\'t complete successfully: exit 3',
    });
    expect(stack.states()).toEqual({ 'shop-seed-1': 'exited', 'shop-web-1': 'created' });
    expect(stack.platform.vmm.machines.size).toBe(0);
    expect(stack.row('shop-web-1').finishedAt).toBeUndefined();
  });

  test('exited while it should become healthy', async () => {
    const stack = openTestStack();
    stack.platform.behave('db', { probe: () => 1, onStart: (guest) => guest.end(1) });
    const project = shopOf(stack, { db: { healthcheck: healthy }, web: { depends_on: needs(['db', 'service_healthy']) } });
    await expect(stack.up(project)).rejects.toThrow('dependency failed to start: container shop-db-1 exited (1)');
  });

  test('without a health check there is nothing to wait for', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: {}, web: { depends_on: needs(['db', 'service_healthy']) } });
    await expect(stack.up(project)).rejects.toThrow('container shop-db-1 has no healthcheck configured');
  });

  test('required: false only warns', async () => {
    const stack = openTestStack();
    stack.platform.behave('seed', { onStart: (guest) => guest.end(1) });
    const project = shopOf(stack, { seed: {}, web: { depends_on: needs(['seed', 'service_completed_successfully', false]) } });
    await stack.up(project);
    expect(stack.row('shop-web-1').state).toBe('running');
    expect(stack.warnings()).toEqual(['optional dependency "seed" failed to start: service "seed" didn\'t complete successfully: exit 1']);
  });

  test('a workload that cannot start leaves neither machine nor port nor NIC', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { startError: new HyprError('GUEST_EXEC', 'exec: "nope": not found') });
    const project = shopOf(stack, { web: { ports: [{ target: 80, published: '8080' }] } });
    await expect(stack.up(project)).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: 'shop-web-1 cannot start: exec: "nope": not found',
      path: ['services', 'web', 'command'],
    });
    expect(stack.row('shop-web-1')).toMatchObject({ state: 'exited', exitCode: 127, machine: undefined });
    expect(stack.replica('shop-web-1').run).toBeUndefined();
    expect(stack.platform.vmm.machines.size).toBe(0);
    expect([...stack.platform.published]).toEqual([]);
    // And it can be tried again.
    stack.platform.behave('web', {});
    await stack.up(project);
    expect(stack.row('shop-web-1').state).toBe('running');
  });
});

describe('a boot fails', () => {
  test('a port that is taken: nothing boots, nothing is made', async () => {
    const stack = openTestStack();
    stack.platform.taken.add(8080);
    const project = shopOf(stack, { db: {}, web: { ports: [{ target: 80, published: '8080' }] } });
    await expect(stack.up(project)).rejects.toMatchObject({
      code: 'NET_PORT_IN_USE',
      message: 'port 8080/tcp is already in use by nginx (pid 7)',
    });
    expect(stack.platform.journal).toEqual([]);
    expect(stack.states()).toEqual({});
    expect(stack.store.networks('shop')).toEqual([]);
  });

  test('ports of its own replicas do not count, not even of one that is replaced', async () => {
    const stack = openTestStack();
    const web = { ports: [{ target: 80, published: '8080' }] };
    await stack.up(shopOf(stack, { web }));
    await stack.up(shopOf(stack, { web: { ...web, environment: { A: '1' } } }));
    expect([...stack.platform.published]).toEqual(['127.0.0.1:8080/tcp']);
    expect(stack.row('shop-web-1').state).toBe('running');
  });

  test('a range of ports gives each replica one; a restart takes the same again', async () => {
    const stack = openTestStack();
    stack.platform.taken.add(8081);
    await stack.up(shopOf(stack, { web: { scale: 2, ports: [{ target: 80, published: '8080-8083' }] } }));
    const ports = () => ['shop-web-1', 'shop-web-2'].map((name) => stack.row(name).published[0]?.hostPort);
    expect([...ports()].sort()).toEqual([8080, 8082]);
    const before = ports();
    await stack.verb('restart');
    expect(ports()).toEqual(before);
  });

  test('the VMM fails: the replica is dead and says why, its ports are free, the others come down', async () => {
    const stack = openTestStack();
    stack.platform.vmm.failNext('shop-web-1', new HyprError('VMM_START', 'qemu said no'));
    stack.platform.behave('db', { boot: new Promise(() => {}) });
    const project = shopOf(stack, { db: {}, web: { ports: [{ target: 80, published: '8080' }] } });
    await expect(stack.up(project)).rejects.toThrow('qemu said no');
    expect(stack.states()).toEqual({ 'shop-db-1': 'created', 'shop-web-1': 'dead' });
    expect(stack.row('shop-web-1').reason).toBe('qemu said no');
    expect([...stack.platform.published]).toEqual([]);
    expect(stack.platform.vmm.machines.size).toBe(0);
    stack.platform.behave('db', {});
    await stack.up(project);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
  });

  test('the machine dies while it boots: its last lines are told, its folder is gone', async () => {
    const stack = openTestStack();
    stack.platform.behave('web', { boot: new Promise(() => {}) });
    const up = stack.up(shopOf(stack, { web: {} }));
    await stack.until(() => stack.platform.vmm.machines.has('shop-web-1'));
    const machine = stack.platform.vmm.machines.get('shop-web-1');
    machine?.crash('killed by the kernel');
    await expect(up).rejects.toMatchObject({ code: 'GUEST_BOOT', details: ['last words'] });
    expect(existsSync(machine?.record.spec.runDir ?? '')).toBe(false);
    expect([...stack.platform.connecting]).toEqual([]);
  });

  test('a clone that does not wake is given up, and the machine boots', async () => {
    const stack = openTestStack();
    stack.platform.vmm.cloneNext('shop-web-1');
    stack.platform.behave('web', { boot: new Promise(() => {}) });
    const rising = stack.up(shopOf(stack, { web: {} }));
    await until(() => expect(stack.platform.connecting.size).toBe(1));
    stack.platform.behave('web', {});
    stack.platform.vmm.machines.get('shop-web-1')?.crash('the guest kernel panicked');
    await rising;
    expect(stack.row('shop-web-1').state).toBe('running');
    expect(stack.row('shop-web-1').machine).toMatchObject({ layout: 'cold', spec: { fallback: { start: 'boot', freshLayer: false } } });
    expect(stack.platform.journal.filter((line) => line.startsWith('boot'))).toEqual(['boot shop-web-1', 'boot shop-web-1']);
  });

  /** The first machine of a stack is a clone with its root mounted, and this comes of its configuration; the next one behaves. */
  const upRooted = async (prepare: (stack: TestStack) => Promise<unknown>) => {
    const stack = openTestStack();
    stack.platform.vmm.cloneNext('shop-web-1', 'rooted');
    const asked = new Cue();
    const preparing = asked.promise.then(() => prepare(stack));
    preparing.catch(() => {});
    stack.platform.behave('web', { prepare: preparing });
    const rising = stack.up(shopOf(stack, { web: {} }));
    rising.catch(() => {});
    // Its guest has its behaviour from when it is first looked at.
    await until(() => expect(stack.platform.guest('shop-web-1').machine.started).toBe(true));
    stack.platform.behave('web', {});
    asked.resolve();
    const boots = () => stack.platform.journal.filter((line) => line.startsWith('boot')).length;
    return { stack, rising, boots };
  };

  test.each([
    ['refuses its configuration', async () => Promise.reject(refused('machine', 'there is no NIC for 02:00:00:00:00:01')), ['a template']],
    ['loses its disk', async () => Promise.reject(refused('machine', 'writing /etc/hosts: Input/output error')), ['a template']],
    ['is silent', async () => Promise.reject(new HyprError('HYPR_TIMEOUT', 'preparing the guest took too long')), ['a template']],
    [
      'refuses for a reason that this hypr does not know',
      async () => Promise.reject(refused(undefined, 'sysctl net.ipv4.nothing: No such file or directory')),
      ['a template'],
    ],
    // The VMM counts that by itself.
    ['dies', async (stack: TestStack) => stack.platform.vmm.machines.get('shop-web-1')?.crash('panic'), []],
  ])('a clone with its root mounted that %s when it is prepared starts once more without that', async (_, prepare, blamed) => {
    const { stack, rising, boots } = await upRooted(prepare);
    await rising;
    expect(stack.row('shop-web-1')).toMatchObject({
      state: 'running',
      machine: { spec: { fallback: { start: 'clone', freshLayer: true } } },
    });
    expect(stack.row('shop-web-1').machine?.rooted).toBeUndefined();
    expect([boots(), stack.platform.vmm.failedTemplates]).toEqual([2, blamed]);
  });

  test.each([
    ['setting', 'sysctl net.ipv4.nothing: No such file or directory'],
    ['mount', 'filling the volume at /data from the image: No space left on device'],
    ['file', 'writing /etc/ssl/key.pem: Is a directory'],
    ['malformed', '"256.1.1.1" is not an IPv4 address'],
  ] as const)('one that is asked for what cannot be (%s) is not', async (reason, words) => {
    const { stack, rising, boots } = await upRooted(() => Promise.reject(refused(reason, words)));
    await expect(rising).rejects.toThrow(words);
    expect([boots(), stack.platform.vmm.failedTemplates, stack.row('shop-web-1').state]).toEqual([1, [], 'dead']);
  });

  test('one whose start is given up is not', async () => {
    const { stack, rising, boots } = await upRooted((one) => one.verb('stop'));
    await expect(rising).rejects.toMatchObject({ code: 'HYPR_CANCELLED' });
    expect([boots(), stack.platform.vmm.failedTemplates]).toEqual([1, []]);
  });

  test('when it fails the second time as well, that is the error, and the template is not to blame', async () => {
    const stack = openTestStack();
    stack.platform.vmm.cloneNext('shop-web-1', 'rooted');
    const prepare = Promise.reject(refused('machine', 'bringing up lo: Input/output error'));
    prepare.catch(() => {});
    stack.platform.behave('web', { prepare });
    await expect(stack.up(shopOf(stack, { web: {} }))).rejects.toThrow('bringing up lo');
    expect(stack.platform.journal.filter((line) => line.startsWith('boot'))).toHaveLength(2);
    expect(stack.platform.vmm.failedTemplates).toEqual([]);
  });

  test('the machine dies while it waits for its dependency: its start says so', async () => {
    const stack = openTestStack();
    const ready = new Cue<number>();
    stack.platform.behave('db', { probe: () => ready.promise });
    const project = shopOf(stack, { db: { healthcheck: healthy }, web: { depends_on: needs(['db', 'service_healthy']) } });
    const up = stack.up(project);
    await stack.until(() => stack.supervisor.replicas.get('shop-web-1')?.isHeld === true);
    stack.platform.vmm.machines.get('shop-web-1')?.crash('kernel panic');
    ready.resolve(0);
    await expect(up).rejects.toMatchObject({
      code: 'SERVICE_FAILED',
      message: 'shop-web-1 cannot start: the machine died: kernel panic',
      details: ['last words'],
    });
    expect(stack.row('shop-web-1').state).toBe('exited');
  });

  test('a network that does not start fails all that need it, and is tried anew', async () => {
    const stack = openTestStack();
    stack.platform.failNetworks(new HyprError('NET_START', 'no gvproxy'));
    const project = shopOf(stack, { db: {}, web: {} });
    await expect(stack.up(project)).rejects.toThrow('no gvproxy');
    stack.platform.failNetworks(undefined);
    await stack.up(project);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running' });
  });

  test('names that are paths are refused before they are one', async () => {
    const stack = openTestStack();
    const mount = { type: 'volume' as const, source: 'data', target: '/data' };
    const evil = shopOf(stack, { web: { volumes: [mount] } }, { volumes: { data: { name: '../../evil' } } });
    await expect(stack.up(evil)).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
    await expect(stack.up(shopOf(stack, { web: { container_name: '../../evil' } }))).rejects.toMatchObject({ code: 'COMPOSE_INVALID' });
    expect(existsSync(join(stack.dir, 'evil'))).toBe(false);
  });
});
