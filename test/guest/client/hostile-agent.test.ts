import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { connectGuest } from '../../../guest/client/client.ts';
import { readEvent } from '../../../guest/client/events.ts';
import { encodeFrame, intField, MAGIC, MAX_FROM_GUEST, readFields, textField } from '../../../guest/protocol/protocol.ts';
import { EVENT, FRAME, NONCE_SIZE, SYNCED_NEWS, TAG } from '../../../guest/protocol/tags.ts';
import type { GuestClient } from '../../../guest/types.ts';
import { randomNumbers, SEED, times } from '../../support/seed.ts';
import { processSpec } from '../host-agent.ts';

/* An agent that greets as it should and then says what it likes: what a guest whose root has taken the agent's port can do to the host. */

let folder: string;
let server: Server;
/** What it does with its port once it has greeted; `heard` is called for each piece that the host sends. */
let behave: (socket: Socket) => void;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hypr-liar-'));
  server = createServer((socket) => {
    let heard = Buffer.alloc(0);
    socket.on('error', () => {});
    const greet = (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
      const at = heard.indexOf(MAGIC);
      if (at >= 0 && heard.length >= at + MAGIC.length + 4 + NONCE_SIZE) {
        const nonce = heard.subarray(at + MAGIC.length + 4, at + MAGIC.length + 4 + NONCE_SIZE);
        const payload = Buffer.concat([MAGIC, nonce, Buffer.from([1, 0]), textField(3, 'liar'), intField(5, 1)]);
        socket.off('data', greet).resume();
        socket.write(encodeFrame({ type: FRAME.welcome, payload }));
        behave(socket);
      }
    };
    socket.on('data', greet);
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const connect = () => connectGuest(join(folder, 's'), { timeout: 5000 });
const DEADLINE_MS = 1_500;

/** Whatever waits for the guest: programs, their output, events, requests. Each as the code that it failed with, or `done`. */
const tryEverything = async (client: GuestClient): Promise<string[]> => {
  const limit = AbortSignal.timeout(DEADLINE_MS);
  const readSome = async (source: AsyncIterable<unknown>) => {
    let left = 50;
    for await (const _ of source) {
      if (--left === 0) {
        return;
      }
    }
  };
  const run = async () => {
    const program = await client.spawn(processSpec(['sh']), limit);
    await Promise.all([readSome(program.output), program.exited]);
  };
  const events = async () => await Promise.race([readSome(client.events()), client.closed, sleep(DEADLINE_MS)]);
  const works = [run(), run(), events(), client.stats(limit), client.sync(limit), client.setClock(0, limit)];
  const settled = await Promise.allSettled(works);
  return settled.map((result) =>
    result.status === 'fulfilled' ? 'done' : result.reason instanceof HyprError ? result.reason.code : String(result.reason?.name),
  );
};

/** Errors that say whose fault it was, and the end of our own patience. */
const HONEST = /^(done|GUEST_[A-Z]+|HYPR_TIMEOUT|HYPR_CANCELLED|TimeoutError|AbortError)$/;

const TYPES = [...Object.values(FRAME), 0, 7, 128, 137, 255];

const randomFrame = (random: () => number): Buffer => {
  const pick = (max: number) => Math.floor(random() * max);
  const size = random() < 0.02 ? MAX_FROM_GUEST + pick(9) - 4 : pick(random() < 0.3 ? 3000 : 60);
  const payload = Buffer.from(Array.from({ length: Math.min(size, 4096) }, () => pick(256)));
  if (random() < 0.6) {
    // A status that is fine, or an offset that is near.
    payload.fill(0, 0, Math.min(payload.length, 2 + pick(16)));
  }
  const frame = encodeFrame({
    type: TYPES[pick(TYPES.length)] ?? 0,
    channel: random() < 0.8 ? pick(8) : pick(2 ** 32),
    flags: pick(4),
    payload: size > 4096 ? Buffer.alloc(size) : payload,
  });
  if (random() < 0.03) {
    frame[frame.length - 1] = 1;
  }
  return frame;
};

describe('[attack] an agent that lies', () => {
  it('by any frames breaks nothing but its own connection: everything ends with a reason, in time', { timeout: 120_000 }, async () => {
    const rounds = times(25);
    for (let round = 0; round < rounds; round++) {
      const random = randomNumbers(SEED + round);
      behave = (socket) => {
        const send = () => {
          for (let count = 0; count < 40 && !socket.destroyed; count++) {
            socket.write(randomFrame(random));
          }
          random() < 0.5 ? socket.destroy() : setImmediate(() => socket.destroy());
        };
        setTimeout(send, 5);
      };
      const client = await connect();
      const codes = await tryEverything(client);
      await client.close();
      expect(
        codes.filter((code) => !HONEST.test(code)),
        `HYPR_TEST_SEED=${SEED}, round ${round}`,
      ).toEqual([]);
    }
  });

  it('says of a synced folder no more than fits, and nothing of a kind that there is not', () => {
    const event = (news: number, path: string) =>
      readEvent(
        readFields(
          Buffer.concat([
            intField(TAG.event.kind, EVENT.synced),
            intField(TAG.event.news, news),
            textField(TAG.event.share, 'share0'),
            textField(TAG.event.path, path),
            textField(TAG.event.reason, 'r'.repeat(20_000)),
            intField(TAG.event.full, 77),
            intField(TAG.event.files, 5),
          ]),
        ),
      );
    expect(event(SYNCED_NEWS.left, '../'.repeat(15_000))).toEqual({
      type: 'synced',
      share: 'share0',
      news: 'left',
      path: '../'.repeat(15_000).slice(0, 4096),
      reason: 'r'.repeat(200),
      state: { filled: false, files: 5, waiting: 0, conflicts: 0, left: 0 },
    });
    expect(event(99, 'x')).toBeUndefined();
  });

  it('by never answering makes nobody wait longer than they wanted', async () => {
    behave = () => {};
    const client = await connect();
    const codes = await tryEverything(client);
    expect(codes.filter((code) => !/TimeoutError|HYPR_TIMEOUT|done/.test(code))).toEqual([]);
    await client.close();
  });

  it.each([
    ['output of programs that do not run', () => encodeFrame({ type: FRAME.output, channel: 77, payload: Buffer.alloc(60_000) })],
    ['events without an end', () => encodeFrame({ type: FRAME.event, payload: Buffer.concat([intField(1, 3), intField(2, 80)]) })],
    ['answers to nothing', () => encodeFrame({ type: FRAME.answer, channel: 999, payload: Buffer.alloc(2) })],
    ['windows', () => encodeFrame({ type: FRAME.inputWindow, channel: 1, payload: Buffer.alloc(8, 255) })],
    ['welcomes', () => encodeFrame({ type: FRAME.welcome, payload: Buffer.alloc(60_000) })],
  ])('by twenty megabytes of %s takes no memory', { timeout: 60_000 }, async (_, make) => {
    const frames = Buffer.concat(Array.from({ length: 100 }, make));
    const total = 20 * 2 ** 20;
    let sent = 0;
    const done = Promise.withResolvers<void>();
    behave = (socket) => {
      const more = () => {
        while (sent < total && !socket.destroyed) {
          sent += frames.length;
          if (!socket.write(frames)) {
            socket.once('drain', more);
            return;
          }
        }
        done.resolve();
      };
      socket.once('close', () => done.resolve());
      more();
    };
    const before = process.memoryUsage().rss;
    const client = await connect();
    await done.promise;
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20);
    await client.close();
  });

  it('by more output than it was allowed loses its connection', async () => {
    behave = (socket) => {
      socket.once('data', (request: Buffer) => {
        const channel = request.readUInt32LE(2);
        socket.write(encodeFrame({ type: FRAME.answer, channel, payload: Buffer.alloc(2) }));
        for (let offset = 0; offset < 4 * 2 ** 20; offset += 60_000) {
          const head = Buffer.alloc(24);
          head.writeBigUInt64LE(BigInt(offset), 0);
          socket.write(encodeFrame({ type: FRAME.output, channel, flags: 1, payload: Buffer.concat([head, Buffer.alloc(60_000)]) }));
        }
      });
    };
    const client = await connect();
    const program = await client.spawn(processSpec(['sh']), AbortSignal.timeout(DEADLINE_MS));
    await expect(program.exited).rejects.toMatchObject({ code: 'GUEST_PROTOCOL' });
    await client.close();
  });
});
