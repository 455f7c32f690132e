import type { IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { replyUpgrade } from '../../../engine/docker/http/reply.ts';

describe('an answer to a client that does not read', () => {
  it('listens once for room, however much is written meanwhile, and tells all when there is some', async () => {
    const waiting: Array<() => void> = [];
    const client = new Duplex({
      writableHighWaterMark: 1,
      read: () => {},
      write: (_, __, done) => void waiting.push(done),
    });
    const sink = replyUpgrade({ headers: { upgrade: 'tcp' } } as IncomingMessage, client, {}).stream('text/plain');
    const before = client.listenerCount('close');
    const writes = Array.from({ length: 50 }, (_, line) => sink.write(`line ${line}\n`));
    expect(client.listenerCount('drain')).toBe(1);
    expect(client.listenerCount('close')).toBe(before + 1);
    while (client.writableLength > 0) {
      waiting.shift()?.();
      await new Promise(setImmediate);
    }
    await Promise.all(writes);
    expect([client.listenerCount('drain'), client.listenerCount('close')]).toEqual([0, before]);
    const late = sink.write('the last');
    client.destroy();
    await late;
  });
});
