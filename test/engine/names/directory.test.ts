import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Service } from '../../../compose/model/model.ts';
import { apiMethods } from '../../../engine/api/server/handlers.ts';
import { type ApiServer, serveApi } from '../../../engine/api/server/server.ts';
import { openNameDirectory } from '../../../engine/names/open-directory.ts';
import type { NameDirectory } from '../../../net/names/directory.ts';
import { untilNames } from '../../support/until.ts';
import { openTestStack, shopOf, type TestStack } from '../support/stack.ts';

const serveStack = async (stack: TestStack, folder: string): Promise<ApiServer> => {
  await mkdir(folder, { recursive: true });
  const methods = apiMethods(stack.supervisor, { version: '1', stack: 'shop', recovered: [] });
  const server = await serveApi(join(folder, 'api.sock'), methods, () => {});
  onTestFinished(() => server.close());
  return server;
};

const openDirectory = (folder: string): NameDirectory => {
  const directory = openNameDirectory(folder);
  onTestFinished(() => directory.close());
  return directory;
};

const hosts = (directory: NameDirectory): string[] => directory.list().map(({ host }) => host);

describe('openNameDirectory', () => {
  it('has the names of a stack that appears, follows its listeners and scale, and loses them with its supervisor', async () => {
    const stack = openTestStack();
    const run = join(stack.dir, 'run');
    await mkdir(run);
    const directory = openDirectory(run);
    expect(hosts(directory)).toEqual([]);

    const server = await serveStack(stack, join(run, 'shop'));
    const project = shopOf(stack, { web: {}, db: {} });
    await stack.up(project);
    await untilNames(directory, () => directory.find('web.shop')?.state === 'running');
    expect(hosts(directory)).toEqual(['db-1.shop', 'db.shop', 'web-1.shop', 'web.shop']);

    stack.platform.guest('shop-web-1').listen(3000);
    await untilNames(directory, () => directory.find('shop') !== undefined);
    expect(directory.find('WEB.shop')).toMatchObject({ webPort: 3000, ports: [{ port: 3000, protocol: 'http' }], stack: 'shop' });

    await stack.up(project, { scale: { web: 2 } });
    await untilNames(directory, () => directory.find('web-2.shop') !== undefined);
    // Only names are listened to: the supervisor may end.
    expect(server.connections).toBe(0);

    await server.close();
    await untilNames(directory, () => hosts(directory).length === 0);
    await serveStack(stack, join(run, 'shop'));
    await untilNames(directory, () => directory.find('web-2.shop') !== undefined);
    await stack.down();
    await untilNames(directory, () => hosts(directory).length === 0);
  });

  it('finds stacks that were there before it, and is not held up by sockets and folders that lead nowhere', async () => {
    const stack = openTestStack();
    const run = join(stack.dir, 'run');
    await serveStack(stack, join(run, 'shop'));
    await mkdir(join(run, 'empty'));
    await mkdir(join(run, 'mute'));
    const mute = createServer((socket) => socket.on('error', () => {}));
    mute.listen(join(run, 'mute', 'api.sock'));
    onTestFinished(() => void mute.close());
    await stack.up(shopOf(stack, { web: { labels: { 'hypr.domains': '*.tenants.hypr, shop.example' } } }));
    const directory = openDirectory(run);
    await untilNames(directory, () => directory.find('web.shop') !== undefined);
    expect(directory.find('one.two.tenants')).toMatchObject({ service: 'web' });
    expect(directory.find('shop.example.')).toMatchObject({ service: 'web' });
    expect(directory.find('shop.example')).toBeUndefined();
    expect(directory.find('tenants')).toBeUndefined();
    await rm(join(run, 'empty'), { recursive: true });
    directory.close();
    expect(hosts(directory)).toEqual([]);
  });

  it('gives each service and replica a loopback address of its own, the same again later', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {}, db: {} }));
    const before = stack.supervisor.names.published().names.map(({ host, address }) => [host, address]);
    const own = new Set(before.map(([, address]) => address));
    expect(own.size).toBe(4);
    expect([...own].every((address) => /^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(address ?? ''))).toBe(true);
    await stack.down();
    await stack.up(shopOf(stack, { web: {}, db: {} }));
    expect(stack.supervisor.names.published().names.map(({ host, address }) => [host, address])).toEqual(before);
  });

  it('reaches a machine without a NIC through its supervisor', async () => {
    const stack = openTestStack();
    const run = join(stack.dir, 'run');
    await serveStack(stack, join(run, 'shop'));
    await stack.up(shopOf(stack, { web: { networks: {}, 'x-hypr': { network: 'isolated' } } as Service }));
    stack.platform.guest('shop-web-1').listen(3000);
    const directory = openDirectory(run);
    await untilNames(directory, () => directory.find('web.shop')?.webPort === 3000);
    const near = await directory.find('web.shop')?.connect(3000, new AbortController().signal);
    const [dialled] = stack.platform.guest('shop-web-1').dialled;
    expect(dialled?.port).toBe(3000);
    dialled?.far.end('from inside');
    near?.end();
    expect(near && (await text(near))).toBe('from inside');
  });

  it('says why a name cannot be reached', async () => {
    const stack = openTestStack();
    const run = join(stack.dir, 'run');
    await serveStack(stack, join(run, 'shop'));
    await stack.up(shopOf(stack, { web: { network_mode: 'none', networks: {} } }));
    const directory = openDirectory(run);
    await untilNames(directory, () => directory.find('web.shop') !== undefined);
    const signal = new AbortController().signal;
    await expect(directory.find('web.shop')?.connect(80, signal)).rejects.toMatchObject({ code: 'NAME_UNREACHABLE' });
  });
});
