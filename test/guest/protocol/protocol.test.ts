import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HyprError } from '../../../base/errors.ts';
import { encodeMachine, encodeProcess } from '../../../guest/protocol/encode.ts';
import {
  encodeFrame,
  encodeHello,
  type Frame,
  FrameDecoder,
  intField,
  listField,
  MAGIC,
  MAX_FROM_GUEST,
  readFields,
  textField,
} from '../../../guest/protocol/protocol.ts';
import { FRAME, MAX_TO_GUEST } from '../../../guest/protocol/tags.ts';
import { runs } from '../../support/seed.ts';
import { machineConfig, processSpec } from '../host-agent.ts';

const nonce = Buffer.alloc(16, 9);
const welcome = encodeFrame({ type: FRAME.welcome, payload: Buffer.concat([MAGIC, nonce, Buffer.from([1, 0])]) });

const decode = (...pieces: Buffer[]): Frame[] => {
  const decoder = new FrameDecoder(nonce);
  return pieces.flatMap((piece) => [...decoder.feed(piece)]).map((frame) => ({ ...frame, payload: Buffer.from(frame.payload) }));
};

describe('frames', () => {
  it('have a fixed layout', () => {
    const frame = encodeFrame({ type: FRAME.data, channel: 0x01020304, flags: 1, payload: Buffer.from('hi') });
    expect(frame.toString('hex')).toBe('030104030201020000006869a5');
  });

  it('survive any cut of the byte stream', () => {
    const sent = [1, 2, 3].map((n) => encodeFrame({ type: FRAME.output, channel: n, flags: n, payload: Buffer.alloc(n * 100, n) }));
    const bytes = Buffer.concat([Buffer.from('old garbage \u0000'), welcome, ...sent]);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const frames = decode(...at.slice(1).map((end, index) => bytes.subarray(at[index], end)));
        expect(frames.map((frame) => [frame.type, frame.channel, frame.payload.length])).toEqual([
          [FRAME.welcome, 0, 34],
          [FRAME.output, 1, 100],
          [FRAME.output, 2, 200],
          [FRAME.output, 3, 300],
        ]);
      }),
      runs(200),
    );
  });

  it('of an earlier connection are skipped, its welcome included', () => {
    const old = encodeFrame({ type: FRAME.welcome, payload: Buffer.concat([MAGIC, Buffer.alloc(16, 8), Buffer.from([1, 0])]) });
    const torn = encodeFrame({ type: FRAME.output, channel: 5, payload: Buffer.alloc(500) }).subarray(0, 100);
    expect(decode(old, torn, welcome).map((frame) => frame.type)).toEqual([FRAME.welcome]);
  });

  it.each([
    ['longer than allowed', Buffer.from([FRAME.output, 0, 0, 0, 0, 0, 1, 0, 1, 0])],
    ['of a type only hosts send', encodeFrame({ type: FRAME.data })],
    ['without its end', Buffer.concat([encodeFrame({ type: FRAME.exit }).subarray(0, 10), Buffer.from([7])])],
  ])('%s end the connection', (_, bytes) => {
    expect(() => decode(welcome, bytes)).toThrow(HyprError);
  });

  it('of any bytes throw nothing but GUEST_PROTOCOL and keep at most one frame', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }), (pieces) => {
        try {
          for (const frame of decode(welcome, ...pieces.map((piece) => Buffer.from(piece)))) {
            expect(frame.payload.length).toBeLessThanOrEqual(MAX_FROM_GUEST);
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'GUEST_PROTOCOL' });
        }
      }),
      runs(2000),
    );
  });

  it('begin a connection with enough zeros to end the longest frame', () => {
    const hello = encodeHello(nonce);
    expect(hello.subarray(0, MAX_TO_GUEST + 11).every((byte) => byte === 0)).toBe(true);
    expect(hello[MAX_TO_GUEST + 11]).toBe(FRAME.hello);
  });
});

describe('fields', () => {
  it('come back as they were written', () => {
    const fields = readFields(Buffer.concat([textField(1, 'ä'), intField(2, 42), intField(3, true), listField(4, [textField(1, 'x')])]));
    expect([fields.text(1), fields.int(2), fields.int(3), fields.bytes(4)?.toString('hex'), fields.int(9)]).toEqual([
      'ä',
      42,
      1,
      '01000100000078',
      undefined,
    ]);
  });

  it('of any bytes throw nothing but GUEST_PROTOCOL', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readFields(Buffer.from(bytes)).int(1);
        } catch (error) {
          expect(error).toMatchObject({ code: 'GUEST_PROTOCOL' });
        }
      }),
      runs(2000),
    );
  });

  it('refuse what the agent would see differently', () => {
    expect(() => encodeProcess(processSpec(['a\0b']))).toThrow(/NUL/);
    const nic = { mac: 'nonsense', name: 'eth0', address: '10.0.0.1', prefix: 24, mtu: 1500 };
    expect(() => encodeMachine(machineConfig({ nics: [nic] }))).toThrow(/MAC/);
    expect(() => encodeMachine(machineConfig({ nics: [{ ...nic, mac: '02:00:00:00:00:01', address: '::1' }] }))).toThrow(/IPv4/);
  });
});
