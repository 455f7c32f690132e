import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { connectHolder } from '../../../engine/edge/info.ts';
import { serveAll } from '../../../engine/edge/serve.ts';
import type { NameDirectory } from '../../../net/names/directory.ts';

describe('serving the edge', () => {
  it('closes the directory when a port setting is wrong', async () => {
    let closed = 0;
    const directory: NameDirectory = { find: () => undefined, list: () => [], onChange: () => () => {}, close: () => void closed++ };
    const env = { HYPR_EDGE_PORT: '0', HYPR_DNS_PORT: 'many' };
    await expect(serveAll({ directory, env })).rejects.toMatchObject({ code: 'HYPR_USAGE' });
    expect(closed).toBe(1);
  });

  it('goes to the next port when 7080 is taken, and does without one that was set and a port for DNS that are taken, and says so', async () => {
    const directory = (): NameDirectory => ({ find: () => undefined, list: () => [], onChange: () => () => {}, close: () => {} });
    const others = [createServer(), createServer(), createServer()];
    // Where another hypr of this host has it, it is taken, too.
    const ports = await Promise.all(others.map((other, at) => listenOn(other, at === 0 ? 7080 : 0)));
    const next = await serveAll({ directory: directory(), env: { HYPR_DNS_PORT: '0' } });
    const without = await serveAll({ directory: directory(), env: { HYPR_EDGE_PORT: String(ports[1]), HYPR_DNS_PORT: String(ports[2]) } });
    try {
      const info = await next.info();
      expect(info.port).toBeGreaterThan(7080);
      expect(info.problems).toEqual([expect.stringMatching(/port 7080: .*next free port/)]);
      const { port, dnsPort, problems } = await without.info();
      expect({ port, dnsPort }).toEqual({ port: undefined, dnsPort: undefined });
      const asked = expect.stringMatching(`port ${ports[1]}: .*set HYPR_EDGE_PORT to another`);
      expect(problems).toEqual([asked, expect.stringMatching(/^there is no DNS for \.hypr: /)]);
    } finally {
      await Promise.all([next.close(), without.close()]);
      others.forEach((other) => void other.close());
    }
  });

  it('a holder that says nothing loses its connection when the asker gives up', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hypr-silent-'));
    const server = createServer((socket) => socket.write('{'));
    const path = join(folder, 'edge.sock');
    server.listen(path);
    await once(server, 'listening');
    const giveUp = new AbortController();
    const asked = connectHolder(path, giveUp.signal).catch((error: unknown) => error);
    const [socket] = (await once(server, 'connection')) as [Socket];
    socket.resume();
    // It is connected, and has read what is no answer yet.
    await sleep(50);
    giveUp.abort();
    await once(socket, 'close');
    expect(await asked).toBeInstanceOf(Error);
    server.close();
    await rm(folder, { recursive: true, force: true });
  });
});

/** Listens there unless somebody does; gives the port. */
const listenOn = (server: Server, port: number): Promise<number> =>
  new Promise((resolve) => {
    server.once('error', () => resolve(port));
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
