import { mkdirSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { LoopbackPorts, type LoopbackPortsOptions } from '../../../../engine/stack/names/loopback-ports.ts';
import { freePort } from '../../../support/free-port.ts';
import { openTestStack, shopOf, type TestStack } from '../../support/stack.ts';

/** A gateway that says where it was asked to connect to. */
const serveGateway = async (stack: TestStack): Promise<void> => {
  const socket = stack.store.networks('shop')[0]?.record?.socket ?? '';
  mkdirSync(dirname(socket), { recursive: true });
  const server: Server = createServer((client) => {
    client.once('data', (line) => {
      client.write('{"ok":true}\n');
      client.end(`to ${JSON.parse(line.toString()).to}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  onTestFinished(() => void server.close());
};

const openPorts = (stack: TestStack, options: Partial<LoopbackPortsOptions> = {}): LoopbackPorts => {
  const ports = new LoopbackPorts({
    names: stack.supervisor.names,
    reachesPrograms: async () => true,
    firstPort: async () => 1024,
    ...options,
  });
  onTestFinished(() => ports.close());
  return ports;
};

const published = (stack: TestStack, host: string) => stack.supervisor.names.published().names.find((name) => name.host === host);

describe('LoopbackPorts', () => {
  it('with HYPR_LOOPBACK=0 nobody gathers the names', () => {
    vi.stubEnv('HYPR_LOOPBACK', '0');
    onTestFinished(() => void vi.unstubAllEnvs());
    const stack = openTestStack();
    const subscribed = vi.spyOn(stack.supervisor.names, 'subscribe');
    openPorts(stack);
    expect(subscribed).not.toHaveBeenCalled();
  });

  it('opens what a service listens on at its own address, and closes it with the listener', async () => {
    const stack = openTestStack();
    const port = await freePort();
    await stack.up(shopOf(stack, { db: {}, other: {} }));
    await serveGateway(stack);
    const ports = openPorts(stack);
    for (const name of ['shop-db-1', 'shop-other-1']) {
      stack.platform.guest(name).listen(5432);
      stack.platform.guest(name).listen(port);
      stack.platform.guest(name).listen(22);
    }
    const address = published(stack, 'db.shop')?.address ?? '';
    await expect.poll(() => ports.open).toEqual(expect.arrayContaining([`${address}:5432`]));
    expect(ports.open).not.toContain(`${address}:22`);
    const answer = await text(connect({ host: address, port: 5432 }));
    expect(answer).toBe(`to ${stack.replica('shop-db-1').status().addresses[0]?.address}:5432`);
    const other = published(stack, 'other.shop')?.address ?? '';
    expect(other).not.toBe(address);
    expect(await text(connect({ host: other, port: 5432 }))).toBe(
      `to ${stack.replica('shop-other-1').status().addresses[0]?.address}:5432`,
    );

    await stack.verb('stop', { services: ['db'] });
    await expect.poll(() => ports.open.some((open) => open.startsWith(`${address}:`))).toBe(false);
    await ports.close();
    expect(ports.open).toEqual([]);
    await expect(text(connect({ host: other, port: 5432 }))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('leaves a web service with the edge where 80 and 443 cannot be opened for it', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { web: {}, db: {} }));
    const ports = openPorts(stack);
    stack.platform.guest('shop-web-1').listen(3000);
    stack.platform.guest('shop-db-1').listen(5432);
    await expect.poll(() => published(stack, 'db.shop')?.isBound).toBe(true);
    expect(published(stack, 'web.shop')?.isBound).toBe(false);
    expect(ports.open.every((open) => open.endsWith(':5432'))).toBe(true);
  });

  it('opens nothing where programs do not find services by name', async () => {
    const stack = openTestStack();
    await stack.up(shopOf(stack, { db: {} }));
    let asked = 0;
    const ports = openPorts(stack, {
      reachesPrograms: async () => {
        asked += 1;
        return false;
      },
    });
    stack.platform.guest('shop-db-1').listen(5432);
    await expect.poll(() => asked).toBe(1);
    expect([ports.open, published(stack, 'db.shop')?.isBound]).toEqual([[], false]);
  });
});
