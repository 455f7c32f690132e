import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { takePart } from '../../../engine/edge/election.ts';
import { askEdge } from '../../../engine/edge/info.ts';
import { whyNotOurPort } from '../../../engine/trust/edge-port.ts';

it('the desktop is sent to the port of the edge only if nobody else has it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hypr-port-'));
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const env = { HYPR_EDGE_PORT: String(port) };
  const over = new AbortController();
  const why = () => whyNotOurPort(env, AbortSignal.timeout(10_000), folder);
  try {
    expect(await why()).toContain(`127.0.0.1:${port}/tcp is already in use`);
    let began = () => {};
    const serving = new Promise<void>((resolve) => {
      began = resolve;
    });
    const info = async () => ({ pid: 1, domain: 'hypr', port, systemPorts: [], tls: true, problems: [] });
    const part = takePart({
      ...{ folder, signal: over.signal },
      serve: async () => {
        began();
        return { info, close: async () => {} };
      },
    });
    await serving;
    // The socket follows in a moment; nothing tells.
    await expect.poll(() => askEdge(AbortSignal.timeout(5_000), folder)).toMatchObject({ port });
    expect(await why()).toBeUndefined();
    over.abort();
    await part;
    other.close();
    await once(other, 'close');
    expect(await why()).toBeUndefined();
  } finally {
    over.abort();
    other.close();
    await rm(folder, { recursive: true, force: true });
  }
});
