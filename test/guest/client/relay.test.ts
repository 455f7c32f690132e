import type { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { neverAborts } from '../../../base/abort.ts';
import { AsyncQueue } from '../../../base/queue.ts';
import type { Channel } from '../../../guest/client/process-channel.ts';
import { openDialer, openRelay } from '../../../guest/client/relay.ts';

const ACK = 0x8000_0000;

const record = (number: number, data = ''): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(number, 0);
  head.writeUInt32LE(data.length, 4);
  return Buffer.concat([head, Buffer.from(data)]);
};

/** The guest's side of a channel; one that takes nothing never resolves a write. */
const guest = ({ takes }: { takes: boolean }) => {
  const said = new AsyncQueue<{ data: Uint8Array }>();
  const heard: Buffer[] = [];
  let dropped = 0;
  const channel = {
    output: () => said,
    write: (data: Uint8Array) => {
      heard.push(Buffer.from(data));
      return takes ? Promise.resolve() : new Promise<void>(() => {});
    },
  } as unknown as Channel;
  said.push({ data: record(0) });
  const options = {
    channel,
    answer: new Promise<never>(() => {}),
    drop: () => {
      dropped += 1;
      said.end();
    },
    signal: neverAborts(),
  };
  return { options, say: (...records: Buffer[]) => said.push({ data: Buffer.concat(records) }), heard, drops: () => dropped };
};

describe('connections from a guest', () => {
  test('bytes that come one by one are read as they were sent, and are kept in one piece meanwhile', async () => {
    const { options, say } = guest({ takes: true });
    const accepted: Duplex[] = [];
    await openRelay({ ...options, accept: (connection) => accepted.push(connection) });
    const text = 'abcdefghij'.repeat(2000);
    say(record(1), ...[...text].map((letter) => record(1, letter)));
    await turn();
    const [connection] = accepted;
    expect(connection?.readableLength).toBe(0);
    say(record((1 | ACK) >>> 0));
    let read = '';
    let chunks = 0;
    for await (const chunk of connection as Duplex) {
      read += String(chunk);
      chunks += 1;
    }
    expect(read).toBe(text);
    expect(chunks).toBeLessThan(20);
  });

  test('a connection that nobody reads ends when its guest sends more than it may', async () => {
    const { options, say } = guest({ takes: true });
    const accepted: Duplex[] = [];
    await openRelay({ ...options, accept: (connection) => accepted.push(connection) });
    say(record(1));
    for (let count = 0; count < 20; count += 1) {
      say(record(1, 'x'.repeat(16_384)));
    }
    await expect.poll(() => accepted[0]?.destroyed).toBe(true);
  });

  test('a guest that takes nothing and begins and ends connections for ever loses the channel', async () => {
    const { options, say, drops } = guest({ takes: false });
    await openRelay({ ...options, accept: (connection) => connection.resume() });
    for (let number = 1; number < 6000; number += 1) {
      say(record(number), record((number | ACK) >>> 0));
      if (number % 500 === 0) {
        await turn();
      }
    }
    await expect.poll(drops).toBe(1);
  });

  test('a guest may not begin a connection where only the host does', async () => {
    const { options, say, drops } = guest({ takes: true });
    const dialer = await openDialer(options);
    say(record(7));
    await dialer.ended;
    expect(drops()).toBe(1);
  });

  test('both ends at once: what was written is sent, what came is read', async () => {
    const { options, say, heard } = guest({ takes: true });
    const dialer = await openDialer(options);
    const connection = dialer.connect(80);
    connection.end('question');
    say(record(1, 'ans'), record(1, 'wer'), record(1));
    let read = '';
    for await (const chunk of connection) {
      read += String(chunk);
    }
    expect(read).toBe('answer');
    expect(Buffer.concat(heard).toString('latin1')).toContain('question');
  });
});
