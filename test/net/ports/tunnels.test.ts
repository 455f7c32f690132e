import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTunnel } from '../../../net/client/streams.ts';
import { Tunnels } from '../../../net/ports/serve-tunnels.ts';

describe('Tunnels', () => {
  let folder: string;
  let tunnels: Tunnels;
  const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hypr-tunnels-'));
    await new Promise<void>((resolve) => echo.listen(join(folder, 'echo.sock'), resolve));
    const dial = async () => connect({ path: join(folder, 'echo.sock'), allowHalfOpen: true });
    tunnels = new Tunnels(join(folder, 'ports.sock'), (address) => (address === '127.64.0.9' ? dial : undefined));
    tunnels.listen();
    tunnels.listen();
  });
  afterEach(async () => {
    await tunnels.close();
    await new Promise<void>((resolve) => echo.close(() => resolve()));
    expect(existsSync(tunnels.path)).toBe(false);
    rmSync(folder, { recursive: true });
  });

  it('lead to the machine that is meant, with half-closed streams', async () => {
    const tunnel = await openTunnel(tunnels.path, '127.64.0.9', 8080);
    tunnel.end('there and back');
    expect(await text(tunnel)).toBe('there and back');
  });

  it('refuse other machines and other requests', async () => {
    await expect(openTunnel(tunnels.path, '127.64.0.8', 8080)).rejects.toMatchObject({ code: 'NET_ADDRESS' });
    for (const line of ['{"op":"udp","to":"127.64.0.9:80"}\n', 'x\n', '{}\n', `${'x'.repeat(2000)}\n`]) {
      const client = connect(tunnels.path);
      client.write(line);
      expect(await text(client)).toMatch(/^\{"ok":false,/);
    }
  });

  it('end with their owner', async () => {
    const tunnel = await openTunnel(tunnels.path, '127.64.0.9', 8080);
    const ended = new Promise((resolve) => tunnel.once('close', resolve));
    tunnel.resume();
    await tunnels.close();
    tunnel.end();
    await ended;
  });
});
