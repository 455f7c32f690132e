import { describe, expect, test } from 'vitest';
import { type OutputTap, openTap } from '../../../engine/logs/output-tap.ts';
import { RUN_DEFAULTS } from '../../../engine/model/option-defaults.ts';
import type { RunOptions } from '../../../engine/model/types.ts';
import { describeOneOff } from '../../../engine/resolve/one-off.ts';
import { needs, projectOf } from '../support/project.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const NONE = new AbortController().signal;

const RUN: RunOptions = { ...RUN_DEFAULTS, service: 'web' };

const textOf = async (tap: OutputTap): Promise<string> => {
  let text = '';
  for await (const chunk of tap) {
    text += Buffer.from(chunk.data).toString();
  }
  return text;
};

const runIn = async (stack: TestStack, project: ReturnType<typeof shopOf>, options: Partial<RunOptions> = {}) => {
  const replica = await stack.supervisor.oneOffs.create(project, { ...RUN, ...options }, NONE);
  const output = textOf(replica.attach());
  await stack.supervisor.oneOffs.start(replica, NONE);
  return { replica, output, guest: stack.platform.guest(replica.row.name) };
};

describe('what a one-off is', () => {
  const service = {
    command: ['serve'],
    container_name: 'fixed',
    restart: 'always',
    environment: { A: '1', B: '2' },
    ports: [{ target: 80, published: '8080' }],
    volumes: [{ type: 'volume' as const, source: 'data', target: '/data' }],
    cap_drop: ['NET_RAW'],
  };
  const describeRun = (options: Partial<RunOptions>) => {
    const { project, name } = describeOneOff(projectOf({ web: service }), { ...RUN, ...options });
    return { name, service: project.services.web, volumes: project.volumes };
  };

  test('no ports, no restarts, a name of its own, the rest as the service has it', () => {
    const plain = describeRun({});
    expect(plain.name).toMatch(/^shop-web-run-[0-9a-f]{12}$/);
    expect(plain.service).toMatchObject({ command: ['serve'], environment: { A: '1', B: '2' }, ports: [], volumes: service.volumes });
    expect(plain.service).not.toHaveProperty('container_name');
    expect(plain.service).not.toHaveProperty('restart');
  });

  test('takes program, environment and ports from the command line when both say something', () => {
    const run = describeRun({
      args: ['sh', '-c', 'x'],
      env: { B: '3', C: '4' },
      servicePorts: true,
      user: 'app',
      workdir: '/srv',
      name: 'job',
      capAdd: ['NET_RAW'],
      volumes: [
        { type: 'bind', source: '/src', target: '/data' },
        { type: 'volume', source: 'cache', target: '/cache' },
      ],
    });
    expect(run.name).toBe('job');
    expect(run.service).toMatchObject({
      command: ['sh', '-c', 'x'],
      environment: { A: '1', B: '3', C: '4' },
      ports: service.ports,
      user: 'app',
      working_dir: '/srv',
      cap_add: ['NET_RAW'],
      cap_drop: [],
    });
    expect(run.service?.volumes?.map((mount) => mount.source)).toEqual(['/src', 'cache']);
    expect(run.volumes).toMatchObject({ cache: { name: 'cache' } });
  });

  test('an entrypoint drops the command', () => {
    expect(describeRun({ entrypoint: ['sh'] }).service).toMatchObject({ entrypoint: ['sh'], command: [] });
    expect(describeRun({ entrypoint: ['sh'], args: ['-x'] }).service).toMatchObject({ entrypoint: ['sh'], command: ['-x'] });
  });

  test('is refused when there is no such service', () => {
    expect(() => describeRun({ service: 'wbe' })).toThrow('no such service: wbe');
  });
});

describe('a one-off runs', () => {
  test('dependencies first, its output whole, its exit code; beside what up makes and unseen by it', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: {}, web: { depends_on: needs('db') } });
    const { replica, output, guest } = await runIn(stack, project, { args: ['job'], env: { A: '1' } });
    expect(stack.actions('start')).toEqual(['start shop-db-1', `start ${replica.row.name}`]);
    expect(guest.workload?.args).toEqual(['job']);
    expect(guest.workload?.env).toContain('A=1');
    guest.process?.print('no newline');
    guest.end(7);
    expect(await output).toBe('no newline');
    expect(await replica.ended()).toBe(7);
    await stack.up(project);
    expect(stack.states()).toEqual({ 'shop-db-1': 'running', 'shop-web-1': 'running', [replica.row.name]: 'exited' });
    await stack.down({ removeOrphans: true });
    expect(stack.states()).toEqual({});
  });

  test('--rm leaves nothing, whoever removes it first', async () => {
    const stack = openTestStack();
    const { replica, guest } = await runIn(stack, shopOf(stack, { web: {} }), { remove: 'replica' });
    guest.end(0);
    expect(await replica.ended()).toBe(0);
    await Promise.all([stack.supervisor.oneOffs.remove(replica.row.name), stack.down({ removeOrphans: true })]);
    expect(stack.states()).toEqual({});
    expect(stack.store.vms('shop')).toEqual([]);
    expect(stack.store.stack('shop')).toBeUndefined();
  });

  test('a stack that was made for it goes with it', async () => {
    const stack = openTestStack();
    const { replica, guest } = await runIn(stack, shopOf(stack, { web: {} }), { remove: 'stack', ordinary: true, name: 'web' });
    expect(replica.row.oneOff).toBe(false);
    guest.end(0);
    await replica.ended();
    await stack.supervisor.oneOffs.remove('web');
    expect(stack.store.stack('shop')).toBeUndefined();
    expect(stack.store.networks('shop')).toEqual([]);
  });

  test('a dependency that fails takes it back; an unstartable program says why', async () => {
    const stack = openTestStack();
    stack.platform.behave('db', { startError: new Error('no such program') });
    const project = shopOf(stack, { db: {}, web: { depends_on: needs('db') } });
    await expect(stack.supervisor.oneOffs.create(project, RUN, NONE)).rejects.toThrow('shop-db-1 cannot start');
    expect(Object.keys(stack.states())).toEqual(['shop-db-1']);
    stack.platform.behave('web', { startError: new Error('nope') });
    const alone = await stack.supervisor.oneOffs.create(project, { ...RUN, name: 'shop-web-9', noDeps: true, remove: 'replica' }, NONE);
    await expect(stack.supervisor.oneOffs.start(alone, NONE)).rejects.toThrow('cannot start');
    await stack.supervisor.oneOffs.remove(alone.row.name);
    expect(Object.keys(stack.states())).toEqual(['shop-db-1']);
  });

  test('is refused when its name is taken', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { web: {} });
    await runIn(stack, project, { name: 'job' });
    await expect(stack.supervisor.oneOffs.create(project, { ...RUN, name: 'job' }, NONE)).rejects.toThrow('the name job is taken');
  });
});

describe('a slow reader', () => {
  const chunk = (size: number) => ({ stream: 'stdout' as const, data: new Uint8Array(size), time: 0, offset: 0 });

  test('holds the writer up, and gets everything', async () => {
    const tap = openTap(() => {});
    let written = false;
    const writing = tap.push(chunk(2 << 20)).then(() => {
      written = true;
    });
    await Promise.resolve();
    expect(written).toBe(false);
    tap.end();
    let bytes = 0;
    for await (const each of tap) {
      bytes += each.data.length;
    }
    await writing;
    expect(bytes).toBe(2 << 20);
  });

  test('that goes away holds nobody up', async () => {
    let closed = 0;
    const tap = openTap(() => {
      closed += 1;
    });
    const writing = tap.push(chunk(2 << 20));
    tap.close();
    await writing;
    await tap.push(chunk(2 << 20));
    expect(closed).toBe(1);
  });
});

describe('host-gateway', () => {
  const hosts = (stack: TestStack) => stack.platform.guest('shop-web-1').config?.hosts.find(({ names }) => names.includes('me'));

  test('is this host, on a network that is made for it; without being asked for there is no way', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    expect(stack.store.networks('shop')[0]?.spec.hostAccess).toBe(false);
    await stack.up(shopOf(stack, { web: { extra_hosts: ['me=host-gateway'] } }));
    const network = stack.store.networks('shop')[0];
    expect(network?.spec.hostAccess).toBe(true);
    expect(hosts(stack)?.address).toBe(network?.spec.subnet.replace(/0\/24$/, '254'));
  });

  test('is refused where there is no way out', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { web: { extra_hosts: ['me=host-gateway'] } }, { networks: { default: { name: 'in', internal: true } } });
    await expect(stack.up(project)).rejects.toThrow('host-gateway is not available: network in has no way out');
  });
});
