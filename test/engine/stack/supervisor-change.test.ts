import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ANONYMOUS_LABEL } from '../../../engine/model/volume-name.ts';
import { orphanDisks } from '../../../engine/resources/orphan-volumes.ts';
import { needs } from '../support/project.ts';
import { OWN_SUBSCRIBERS, openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const mark = (stack: TestStack, replica: string, prefix: string): void => {
  const dir = join(stack.platform.paths.machines, 'shop', replica);
  const file = readdirSync(dir).find((name) => name.startsWith(prefix));
  writeFileSync(join(dir, file ?? ''), 'marked');
};
const marked = (stack: TestStack, replica: string, prefix: string): boolean => {
  const dir = join(stack.platform.paths.machines, 'shop', replica);
  const made = stack.platform.journal.filter((line) => line === `disk ${prefix === 'anon' ? 'anonymous' : 'upper'}`).length;
  return existsSync(dir) && made === 1;
};

/** What anonymous volumes without a user have on them. */
const orphans = (stack: TestStack): string[] =>
  stack.store
    .volumes()
    .filter(({ labels, name }) => labels[ANONYMOUS_LABEL] !== undefined && /^[0-9a-f]{64}$/.test(name))
    .map(({ path }) => readFileSync(path, 'utf8'));

describe('scale', () => {
  test('up adds the lowest free numbers, down takes the highest; the others run on', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { web: {} });
    await stack.up(project, { scale: { web: 3 } });
    const second = stack.platform.vmm.machines.get('shop-web-2');
    await stack.up(project, { scale: { web: 2 } });
    expect(Object.keys(stack.states()).sort()).toEqual(['shop-web-1', 'shop-web-2']);
    expect(stack.platform.vmm.machines.get('shop-web-2')).toBe(second);
    await stack.up(project, { scale: { web: 0 } });
    expect(stack.states()).toEqual({});
    expect(stack.store.leases('shop')).toEqual([]);
  });

  test('a container_name takes one replica only', async () => {
    const stack = openTestStack();
    await expect(stack.up(shopOf(stack, { web: { container_name: 'the-web' } }), { scale: { web: 2 } })).rejects.toThrow(
      'service web asks for 2 replicas and for the container_name the-web, which only one can have',
    );
    await stack.up(shopOf(stack, { web: { container_name: 'the-web' } }));
    expect(stack.states()).toEqual({ 'the-web': 'running' });
  });
});

describe('recreate', () => {
  const setUp = async () => {
    const stack = openTestStack();
    stack.platform.addImage('web:1', { Volumes: { '/cache': {} } });
    await stack.up(shopOf(stack, { web: {} }));
    mark(stack, 'shop-web-1', 'anon');
    return stack;
  };

  test('a changed configuration: a new replica, the anonymous volume goes with it, the writable layer does not', async () => {
    const stack = await setUp();
    const { id } = stack.row('shop-web-1');
    await stack.up(shopOf(stack, { web: { environment: { A: '1' } } }));
    expect(stack.row('shop-web-1').id).not.toBe(id);
    expect(stack.row('shop-web-1').spec.process.env).toContain('A=1');
    expect(marked(stack, 'shop-web-1', 'anon')).toBe(true);
    expect(marked(stack, 'shop-web-1', 'upper')).toBe(false);
    expect(stack.actions('destroy', 'create')).toEqual(['create shop-web-1', 'destroy shop-web-1', 'create shop-web-1']);
  });

  test('-V renews the anonymous volume', async () => {
    const stack = await setUp();
    await stack.up(shopOf(stack, { web: { environment: { A: '1' } } }), { renewAnonVolumes: true });
    expect(marked(stack, 'shop-web-1', 'anon')).toBe(false);
    expect(orphans(stack)).toEqual(['marked']);
  });

  test('scaling down, rm and down leave the anonymous volume behind; it is a volume that nobody has, and the next run has a new one', async () => {
    const project = (stack: TestStack) => shopOf(stack, { web: {} });
    const ends: ReadonlyArray<(stack: TestStack) => Promise<void>> = [
      (stack) => stack.up(project(stack), { scale: { web: 0 } }),
      (stack) => stack.verb('rm', { stop: true }),
      (stack) => stack.down(),
      (stack) => stack.up(shopOf(stack, { other: {} }), { removeOrphans: true }),
    ];
    for (const end of ends) {
      const stack = await setUp();
      await end(stack);
      expect(orphans(stack)).toEqual(['marked']);
      await stack.down({ volumes: true });
      await stack.up(project(stack));
      expect(orphans(stack)).toEqual(['marked']);
      expect(stack.platform.journal.filter((line) => line === 'disk anonymous')).toHaveLength(2);
    }
  });

  test('down -v removes it', async () => {
    const stack = await setUp();
    await stack.down({ volumes: true });
    expect(orphans(stack)).toEqual([]);
  });

  test('a removal that is repeated after a crash leaves one volume', async () => {
    const stack = await setUp();
    const row = stack.row('shop-web-1');
    const dir = join(stack.platform.paths.machines, 'shop', 'shop-web-1');
    const of = { folder: dir, of: row.id };
    await orphanDisks({ paths: stack.platform.paths, store: stack.store }, of);
    expect([orphans(stack), existsSync(dir)]).toEqual([['marked'], true]);
    await stack.verb('rm', { stop: true });
    expect([orphans(stack), existsSync(dir)]).toEqual([['marked'], false]);
  });

  test('what was to be handed on to a replica that was never made stays, too', async () => {
    const stack = await setUp();
    stack.platform.vmm.failNext('shop-web-1', new Error('no memory'));
    await stack.verb('stop');
    await stack.replica('shop-web-1').remove('hand-on');
    stack.supervisor.replicas.clear();
    await stack.down();
    expect(orphans(stack)).toEqual(['marked']);
  });

  test('one that is mounted by its name stays, also with -v', async () => {
    const stack = await setUp();
    await stack.down();
    const [{ name = '' } = {}] = stack.store.volumes();
    const mount = { type: 'volume', source: 'old', target: '/old' } as const;
    await stack.up(shopOf(stack, { reader: { volumes: [mount] } }, { volumes: { old: { name, external: true } } }));
    await stack.down({ volumes: true });
    expect(orphans(stack)).toEqual(['marked']);
  });

  test('one with a name goes with the last replica that has it, if it is to go', async () => {
    const stack = openTestStack();
    const name = 'a5'.repeat(32);
    const volumes = { data: { name, labels: { [ANONYMOUS_LABEL]: '' } } };
    const mount = { type: 'volume', source: 'data', target: '/data' } as const;
    const project = shopOf(stack, { one: { volumes: [mount] }, two: { volumes: [mount] } }, { volumes });
    await stack.up(project);
    await stack.verb('rm', { services: ['one'], stop: true, volumes: true });
    await stack.down();
    expect(stack.store.volumes().map((row) => row.name)).toEqual([name]);
    await stack.up(project);
    await stack.down({ volumes: true });
    expect(stack.store.volumes()).toEqual([]);
  });

  test('one that services share is a volume that nobody has after the last of them is gone, and the next run has a new one', async () => {
    const stack = openTestStack();
    const volumes = { 'one.5': { name: 'shop_one.5', labels: { [ANONYMOUS_LABEL]: '' } } };
    const mount = { type: 'volume', source: 'one.5', target: '/data' } as const;
    const project = (two: object = {}) => shopOf(stack, { one: { volumes: [mount] }, two: { volumes: [mount], ...two } }, { volumes });
    const names = () => stack.store.volumes().map(({ name, stack: owner }) => [name, owner]);
    await stack.up(project());
    const [{ path = '' } = {}] = stack.store.volumes();
    writeFileSync(join(path, 'mark'), '');
    await stack.up(project({ environment: { A: '1' } }), { forceRecreate: true });
    await stack.verb('rm', { services: ['one'], stop: true });
    expect(names()).toEqual([['shop_one.5', 'shop']]);
    await stack.down();
    expect(names()).toEqual([[expect.stringMatching(/^[0-9a-f]{64}$/), '']]);
    expect(existsSync(join(stack.store.volumes()[0]?.path ?? '', 'mark'))).toBe(true);
    await stack.up(project());
    const made = stack.store.volumes().find(({ name }) => name === 'shop_one.5');
    expect(names()).toHaveLength(2);
    expect([existsSync(made?.path ?? ''), existsSync(join(made?.path ?? '', 'mark'))]).toEqual([true, false]);
    await stack.down({ volumes: true });
    expect(names()).toEqual([[expect.stringMatching(/^[0-9a-f]{64}$/), '']]);
  });

  test('one that an older hypr made keeps its name, and what it has', async () => {
    const stack = openTestStack();
    const volumes = { data: { name: 'shop_data', labels: { [ANONYMOUS_LABEL]: '' } } };
    const project = shopOf(stack, { one: { volumes: [{ type: 'volume', source: 'data', target: '/data' }] } }, { volumes });
    await stack.up(project);
    const [row] = stack.store.volumes();
    if (row !== undefined) {
      stack.store.putVolume({ ...row, path: join(stack.platform.paths.volumes, 'shop_data', 'data.ext4') });
    }
    await stack.down();
    expect(stack.store.volumes().map(({ name }) => name)).toEqual(['shop_data']);
  });

  test('--force-recreate replaces what has not changed, --no-recreate keeps what has', async () => {
    const stack = await setUp();
    const { id } = stack.row('shop-web-1');
    await stack.up(shopOf(stack, { web: { environment: { A: '1' } } }), { noRecreate: true });
    expect(stack.row('shop-web-1').id).toBe(id);
    await stack.up(shopOf(stack, { web: {} }), { forceRecreate: true });
    expect(stack.row('shop-web-1').id).not.toBe(id);
  });

  test('a new image of the same name replaces the replica', async () => {
    const stack = await setUp();
    const { id } = stack.row('shop-web-1');
    stack.platform.addImage('web:1', {}, 'sha256:newer');
    await stack.up(shopOf(stack, { web: {} }));
    expect(stack.row('shop-web-1')).toMatchObject({ imageId: 'sha256:newer' });
    expect(stack.row('shop-web-1').id).not.toBe(id);
  });

  test('a secret whose content changed is a change', async () => {
    const stack = openTestStack();
    const project = (value: string) =>
      shopOf(
        stack,
        { web: { secrets: [{ source: 'key' }] } },
        { secrets: { key: { name: 'key', environment: 'KEY' } }, environment: { KEY: value } },
      );
    await stack.up(project('one'));
    const { id } = stack.row('shop-web-1');
    await stack.up(project('one'));
    expect(stack.row('shop-web-1').id).toBe(id);
    await stack.up(project('two'));
    expect(stack.row('shop-web-1').id).not.toBe(id);
    expect(Buffer.from(stack.platform.guest('shop-web-1').config?.files[0]?.content ?? []).toString()).toBe('two');
  });

  test('a changed network is made anew with everything on it', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    const subnet = { ipam: { config: [{ subnet: '10.99.0.0/24' }] } };
    await stack.up(shopOf(stack, { web: {} }, { networks: { default: { name: 'shop_default', ...subnet } } }));
    expect(stack.replica('shop-web-1').status().addresses[0]?.address).toBe('10.99.0.3');
    expect(stack.store.networks('shop').map((row) => row.spec.subnet)).toEqual(['10.99.0.0/24']);
    expect(stack.row('shop-web-1').state).toBe('running');
  });

  test('orphans are named; --remove-orphans removes them', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {}, old: {} }));
    await stack.up(shopOf(stack, { web: {} }));
    expect(stack.warnings()).toHaveLength(1);
    expect(stack.warnings()[0]).toMatch(/^Found orphan containers \(\[shop-old-1]\)/);
    await stack.up(shopOf(stack, { web: {} }), { removeOrphans: true });
    expect(stack.states()).toEqual({ 'shop-web-1': 'running' });
  });
});

describe('--wait', () => {
  const check = { test: ['CMD', 'ok'], interval: '5ms', timeout: '1s', retries: 2 };

  test('healthy, running, and a one-shot that is done', async () => {
    const stack = openTestStack();
    stack.platform.behave('seed', { onStart: (guest) => guest.end(0) });
    await stack.up(shopOf(stack, { db: { healthcheck: check }, seed: {}, web: {} }), { wait: true });
    expect(stack.row('shop-db-1').health).toBe('healthy');
    await stack.reach('shop-seed-1', 'exited');
  });

  test('a service that fails ends it, with its last lines', async () => {
    const stack = openTestStack();
    const project = shopOf(stack, { db: { healthcheck: { ...check, interval: '60s' } }, web: {} });
    stack.platform.behave('db', { probe: () => new Promise(() => {}) });
    stack.platform.behave('web', {
      onStart: (guest) => {
        guest.print('cannot bind\n');
        guest.end(2);
      },
    });
    await expect(stack.up(project, { wait: true })).rejects.toMatchObject({
      code: 'DEPENDENCY_FAILED',
      message: 'container shop-web-1 exited (2)',
      details: ['shop-web-1 | cannot bind'],
    });
  });

  test('--wait-timeout says what did not happen; everything runs on', async () => {
    const stack = openTestStack();
    stack.platform.behave('db', { probe: () => new Promise(() => {}) });
    await expect(stack.up(shopOf(stack, { db: { healthcheck: check } }), { wait: true, waitTimeout: 0.01 })).rejects.toMatchObject({
      code: 'HYPR_TIMEOUT',
      message: 'application not healthy after 0.01s',
    });
    expect(stack.row('shop-db-1').state).toBe('running');
    expect(stack.supervisor.bus.subscribers).toBe(OWN_SUBSCRIBERS);
  });

  test('only the named services and what they need are waited for', async () => {
    const stack = openTestStack();
    stack.platform.behave('slow', { probe: () => new Promise(() => {}) });
    const project = shopOf(stack, { slow: { healthcheck: check }, db: {}, web: { depends_on: needs('db') } });
    const all = stack.up(project, { services: ['web'], wait: true });
    await all;
    expect(Object.keys(stack.states()).sort()).toEqual(['shop-db-1', 'shop-web-1']);
  });
});

describe('wait for the end', () => {
  test('the exit code of the first to end', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {}, web: {} }));
    const code = stack.supervisor.waitForEnd(['web'], new AbortController().signal);
    stack.platform.guest('shop-db-1').end(1);
    await stack.reach('shop-db-1', 'exited');
    stack.platform.guest('shop-web-1').end(42);
    expect(await code).toBe(42);
    expect(await stack.supervisor.waitForEnd([], new AbortController().signal)).toBeGreaterThan(0);
  });

  test('ends with its signal, also one that has aborted before', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {} }));
    await expect(stack.supervisor.waitForEnd([], AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    const controller = new AbortController();
    const waiting = stack.supervisor.waitForEnd([], controller.signal);
    controller.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    expect(stack.supervisor.bus.subscribers).toBe(OWN_SUBSCRIBERS);
  });

  test('is refused when there is nothing to wait for', async () => {
    const stack = openTestStack();
    await expect(stack.supervisor.waitForEnd([], new AbortController().signal)).rejects.toMatchObject({ code: 'STACK_NOT_RUNNING' });
  });
});
