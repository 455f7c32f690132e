import { describe, expect, it } from 'vitest';
import { Channel } from '../../../guest/client/process-channel.ts';
import { type Frame, intField } from '../../../guest/protocol/protocol.ts';
import { FRAME, TAG } from '../../../guest/protocol/tags.ts';

const WINDOW = 65_536;
const port = { send: async () => {} };
const frame = (type: number, payload: Buffer, flags = 0) => ({ type, channel: 1, flags, payload });
const end = (stream: number) => frame(FRAME.outputEnd, Buffer.alloc(16), stream);
const exit = (code: number) => frame(FRAME.exit, intField(TAG.exit.code, code));
const acceptAll = (channel: Channel, frames: readonly Frame[]): void => {
  for (const each of frames) {
    channel.accept(each);
  }
};
const output = (offset: number, lost: number, data: string) => {
  const head = Buffer.alloc(24);
  head.writeBigUInt64LE(BigInt(offset), 0);
  head.writeBigUInt64LE(BigInt(lost), 16);
  return frame(FRAME.output, Buffer.concat([head, Buffer.from(data)]), 1);
};

describe('channel of a program', () => {
  it.each([
    ['exit first', [exit(3), end(1), end(2)]],
    ['exit last', [end(2), end(1), exit(3)]],
  ])('is over once the program has ended and all output is here, %s, and can be read to its end', async (_, frames) => {
    let over = 0;
    const channel = new Channel(1, port, () => over++);
    channel.openOutput();
    channel.accept(output(0, 0, 'last words'));
    for (const each of frames) {
      expect(over).toBe(0);
      channel.accept(each);
    }
    expect(over).toBe(1);
    const read = [];
    for await (const { data } of channel.output('streams')) {
      read.push(String(data));
    }
    expect([read, (await channel.exit.promise).code]).toEqual([['last words'], 3]);
  });

  it.each([
    ['fails', (channel: Channel) => channel.fail(new Error('lost')), 'lost'],
    ['is over', (channel: Channel) => acceptAll(channel, [exit(0), end(1), end(2)]), 'does not read its input'],
  ])('leaves no writer waiting when it %s, however many there are', async (_, finish, message) => {
    const channel = new Channel(1, port);
    await channel.write(Buffer.alloc(WINDOW));
    const writers = [channel.write(Buffer.from('a')), channel.write(Buffer.from('b'))];
    const outcomes = Promise.allSettled(writers);
    finish(channel);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining(message) } });
    }
  });

  it('lets all writers go on when the program reads', async () => {
    const channel = new Channel(1, port);
    await channel.write(Buffer.alloc(WINDOW));
    const writers = [channel.write(Buffer.from('a')), channel.write(Buffer.from('b'))];
    const limit = Buffer.alloc(8);
    limit.writeBigUInt64LE(BigInt(WINDOW + 100));
    channel.accept(frame(FRAME.inputWindow, limit));
    await Promise.all(writers);
  });

  it('tells a reader that is slow the sum of what was lost, instead of a notice for each byte', async () => {
    const channel = new Channel(1, port);
    channel.openOutput();
    for (let at = 0; at < 20_000; at++) {
      channel.accept(output(at, at + 1, 'x'));
    }
    channel.accept(end(1));
    channel.accept(end(2));
    let [notices, bytes, chunks] = [0, 0, 0];
    for await (const chunk of channel.output('streams')) {
      chunks++;
      notices += chunk.notice ? 1 : 0;
      bytes += chunk.notice ? 0 : chunk.data.length;
    }
    expect(bytes).toBe(20_000);
    expect(notices).toBeLessThan(1100);
    expect(chunks).toBeLessThan(3000);
  });
});
