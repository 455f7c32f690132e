import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
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
