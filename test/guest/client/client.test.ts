import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorFromJson, type HyprError } from '../../../base/errors.ts';
import { connectGuest } from '../../../guest/client/client.ts';
import { encodeFrame, intField, MAGIC, textField } from '../../../guest/protocol/protocol.ts';
import { refusalReason } from '../../../guest/protocol/refusal.ts';
import { FRAME, HEADER_SIZE, OPCODE, REASON, TAG } from '../../../guest/protocol/tags.ts';
import { processSpec, readAll } from '../host-agent.ts';

// What a hostile or broken agent may say. What a good one does is tested with the real one (agent.test.ts).

interface Received {
  readonly type: number;
  readonly channel: number;
  readonly payload: Buffer;
}
type Script = (frame: Received, socket: Socket) => void;

let folder: string;
let server: Server;
let script: Script;
let version = 1;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-fake-'));
  version = 1;
  server = createServer((socket) => {
    let bytes = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (;;) {
        let start = 0;
        while (bytes[start] === 0) {
          start++;
        }
        bytes = bytes.subarray(start);
        const length = bytes.length < HEADER_SIZE ? 0 : bytes.readUInt32LE(6);
        if (bytes.length < HEADER_SIZE + length + 1) {
          return;
        }
        const frame = { type: bytes[0] ?? 0, channel: bytes.readUInt32LE(2), payload: bytes.subarray(HEADER_SIZE, HEADER_SIZE + length) };
        bytes = bytes.subarray(HEADER_SIZE + length + 1);
        if (frame.type === FRAME.hello) {
          const nonce = frame.payload.subarray(MAGIC.length + 4);
          const payload = Buffer.concat([MAGIC, nonce, Buffer.from([version, 0]), textField(3, 'fake'), intField(5, 1)]);
          socket.write(encodeFrame({ type: FRAME.welcome, payload }));
        } else {
          script(frame, socket);
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
});

afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const connect = () => connectGuest(join(folder, 's'), { timeout: 5000 });
const ok = (channel: number, ...fields: Buffer[]) =>
  encodeFrame({ type: FRAME.answer, channel, payload: Buffer.concat([Buffer.alloc(2), ...fields]) });
const output = (channel: number, offset: number, data: Buffer, flags = 1) => {
  const head = Buffer.alloc(24);
  head.writeBigUInt64LE(BigInt(offset), 0);
  return encodeFrame({ type: FRAME.output, channel, flags, payload: Buffer.concat([head, data]) });
};
const onRequest =
  (act: (channel: number, socket: Socket, opcode: number) => void): Script =>
  (frame, socket) => {
    if (frame.type === FRAME.request) {
      act(frame.channel, socket, frame.payload.readUInt16LE(0));
    }
  };

describe('a client', () => {
  it('says what to do about an agent of another version', async () => {
    version = 9;
    script = () => {};
    await expect(connect()).rejects.toMatchObject({ code: 'GUEST_PROTOCOL', message: expect.stringContaining('protocol 9') });
  });

  it('gives up on a socket where nobody answers', async () => {
    await expect(connectGuest(join(folder, 'missing'), { timeout: 150 })).rejects.toMatchObject({ code: 'HYPR_TIMEOUT' });
  });

  it('stops waiting when its signal aborts', async () => {
    const abort = new AbortController();
    const connecting = connectGuest(join(folder, 'missing'), { timeout: 60_000, signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(connecting).rejects.toThrow('enough');
  });

  it('passes on the reason of a refusal', async () => {
    script = onRequest((channel, socket) => {
      const payload = Buffer.concat([Buffer.from([1, 0]), textField(1, 'the disk is on fire')]);
      socket.write(encodeFrame({ type: FRAME.answer, channel, payload }));
    });
    await using client = await connect();
    await expect(client.sync()).rejects.toMatchObject({ code: 'GUEST_REFUSED', message: 'the disk is on fire', reason: undefined });
  });

  it.each([
    [REASON.mount, 'mount'],
    [999, undefined],
  ])('names the reason of a refusal by its number (%i)', async (number, reason) => {
    script = onRequest((channel, socket) => {
      const fields = [textField(TAG.answer.text, 'no'), intField(TAG.answer.reason, number)];
      socket.write(encodeFrame({ type: FRAME.answer, channel, payload: Buffer.concat([Buffer.from([1, 0]), ...fields]) }));
    });
    await using client = await connect();
    const error = await client.sync().catch((thrown: unknown) => thrown);
    expect([refusalReason(error), refusalReason(errorFromJson((error as HyprError).toJSON()))]).toEqual([reason, reason]);
  });

  it('rejects everything when the channel breaks, and says so', async () => {
    script = onRequest((channel, socket, opcode) => {
      socket.write(opcode === OPCODE.spawn ? ok(channel, intField(2, 7)) : Buffer.alloc(0));
      if (opcode === OPCODE.sync) {
        socket.destroy();
      }
    });
    const client = await connect();
    const program = await client.spawn(processSpec(['x']));
    await expect(client.sync()).rejects.toMatchObject({ code: 'GUEST_LOST' });
    await client.closed;
    await expect(program.exited).rejects.toMatchObject({ code: 'GUEST_LOST' });
    await expect(readAll(program)).rejects.toMatchObject({ code: 'GUEST_LOST' });
    await expect(client.stats()).rejects.toMatchObject({ code: 'GUEST_LOST' });
  });

  it.each<[string, (channel: number) => Buffer[]]>([
    ['more output than its window', (channel) => Array.from({ length: 20 }, (_, n) => output(channel, n * 60_000, Buffer.alloc(60_000)))],
    ['output that goes backwards', (channel) => [output(channel, 5, Buffer.from('a')), output(channel, 0, Buffer.from('b'))]],
    ['output of an unknown stream', (channel) => [output(channel, 0, Buffer.from('a'), 3)]],
    ['output without bytes', (channel) => [output(channel, 0, Buffer.alloc(0))]],
    ['a number out of range', (channel) => [encodeFrame({ type: FRAME.exit, channel, payload: intField(10, -1) })]],
    ['a field longer than its frame', (channel) => [encodeFrame({ type: FRAME.exit, channel, payload: Buffer.from([1, 0, 9, 0, 0, 0]) })]],
    ['a fault', () => [encodeFrame({ type: FRAME.fault, payload: Buffer.from('what?') })]],
  ])('ends the connection at %s', async (_, frames) => {
    script = onRequest((channel, socket) => socket.write(Buffer.concat([ok(channel, intField(2, 7)), ...frames(channel)])));
    const client = await connect();
    const program = await client.spawn(processSpec(['x'])).catch(() => undefined);
    await client.closed;
    await expect(program?.exited ?? Promise.reject(new Error('gone'))).rejects.toThrow();
  });

  it('ignores answers nobody waits for', async () => {
    script = onRequest((channel, socket) =>
      socket.write(Buffer.concat([ok(channel ^ 1), output(12345, 0, Buffer.from('x')), ok(channel)])),
    );
    await using client = await connect();
    await client.sync();
  });
});
