import { type DecodedPacket, decode, encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerQuery } from '../../../net/dns/answer.ts';
import { runs } from '../../support/seed.ts';
import { fakeDirectory, named } from '../names/fake-directory.ts';

const directory = fakeDirectory([
  named('web.shop'),
  named('web-2.shop'),
  named('db.shop', { address: '127.64.1.2', isBound: true }),
  named('stopped.shop', { state: 'exited' }),
  named('bank.example.com'),
]);

const ask = (name: string, type: string = 'A', more: Partial<Packet> = {}) => {
  const reply = answerQuery(encode({ type: 'query', id: 7, questions: [{ type, name } as never], ...more }), directory, 'hypr');
  const packet = decode(Buffer.from(reply ?? []));
  const rcode = (packet as { rcode?: string }).rcode;
  return { rcode, answers: (packet.answers ?? []).map((answer) => ('data' in answer ? answer.data : undefined)), packet };
};

describe('answerQuery', () => {
  it.each([
    ['web.shop.hypr', 'A', 'NOERROR', ['127.0.0.1']],
    ['WEB.Shop.HYPR', 'A', 'NOERROR', ['127.0.0.1']],
    ['web-2.shop.hypr', 'A', 'NOERROR', ['127.0.0.1']],
    ['db.shop.hypr', 'A', 'NOERROR', ['127.64.1.2']],
    ['db.shop.hypr', 'ANY', 'NOERROR', ['127.64.1.2']],
    ['hypr', 'A', 'NOERROR', ['127.0.0.1']],
    ['probe.hypr', 'A', 'NOERROR', ['127.0.0.1']],
    ['index.hypr', 'A', 'NOERROR', ['127.0.0.1']],
    ['web.shop.hypr', 'AAAA', 'NOERROR', []],
    ['web.shop.hypr', 'HTTPS', 'NOERROR', []],
    ['web.shop.hypr', 'UNKNOWN_4711', 'NOERROR', []],
    ['probe.hypr', 'AAAA', 'NOERROR', []],
    ['stopped.shop.hypr', 'A', 'NOERROR', []],
    // No service is at the project's root, but there are names below it.
    ['shop.hypr', 'A', 'NOERROR', []],
    ['nobody.shop.hypr', 'A', 'NXDOMAIN', []],
    ['a.web.shop.hypr', 'A', 'NXDOMAIN', []],
    ['nobody.hypr', 'A', 'NXDOMAIN', []],
    ['example.com', 'A', 'REFUSED', []],
    ['bank.example.com', 'A', 'REFUSED', []],
    ['xhypr', 'A', 'REFUSED', []],
    ['.', 'A', 'REFUSED', []],
  ])('answers %s %s with %s %j', (name, type, rcode, answers) => {
    expect(ask(name, type)).toMatchObject({ rcode, answers });
  });

  it('repeats the question as it was asked, so that resolvers which mix the case accept the answer', () => {
    expect(ask('wEb.sHop.hyPR').packet.questions).toEqual([{ type: 'A', class: 'IN', name: 'wEb.sHop.hyPR' }]);
  });

  it.each(['AXFR', 'IXFR', 'ANY', 'NS', 'TXT', 'NSEC', 'SRV', 'PTR'])(
    'tells no names to who knows none: %s of what is above them',
    (type) => {
      for (const name of ['hypr', 'shop.hypr', '*.hypr', '*.shop.hypr', '64.127.in-addr.arpa', '2.1.64.127.in-addr.arpa']) {
        const { packet } = ask(name, type);
        expect(JSON.stringify(packet.answers)).not.toMatch(/web|db|stopped|bank/);
        expect(JSON.stringify(packet.authorities)).not.toMatch(/web|db|stopped|bank/);
      }
    },
  );

  it('says that what is not there may not be kept', () => {
    const [soa] = ask('nobody.shop.hypr').packet.authorities ?? [];
    expect(soa).toMatchObject({ type: 'SOA', name: 'hypr', ttl: 0, data: { minimum: 0 } });
  });

  it('answers with OPT only who has sent one', () => {
    const opt = { type: 'OPT', name: '.', udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] };
    expect(ask('web.shop.hypr', 'A', { additionals: [opt] as never }).packet.additionals).toMatchObject([
      { type: 'OPT', udpPayloadSize: 1232 },
    ]);
    expect(ask('web.shop.hypr').packet.additionals).toEqual([]);
  });

  it('refuses other kinds of questions, several at once, and other classes', () => {
    const notify = Buffer.from(encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'web.shop.hypr' }] }));
    notify.writeUInt16BE(0x2000, 2);
    expect(Buffer.from(answerQuery(notify, directory, 'hypr') ?? []).readUInt16BE(2) & 0x0f).toBe(4);
    const question = { type: 'A', name: 'web.shop.hypr' } as const;
    expect(ask('', 'A', { questions: [question, question] }).rcode).toBe('FORMERR');
    expect(ask('', 'A', { questions: [] }).rcode).toBe('FORMERR');
    expect(ask('', 'A', { questions: [{ ...question, class: 'CH' }] }).rcode).toBe('REFUSED');
  });

  it('leaves answers and scraps unanswered', () => {
    expect(answerQuery(encode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'hypr' }] }), directory, 'hypr')).toBeUndefined();
    expect(answerQuery(new Uint8Array(11), directory, 'hypr')).toBeUndefined();
  });

  it.each([
    ['a dot in a label', [3, 0x77, 0x65, 0x2e, 4, 0x68, 0x79, 0x70, 0x72, 0]],
    ['a label that is a dot', [1, 0x2e, 4, 0x68, 0x79, 0x70, 0x72, 0]],
    ['what grows as text', [40, ...Array(40).fill(0xff), 4, 0x68, 0x79, 0x70, 0x72, 0]],
    ['a pointer', [0xc0, 0]],
  ])('refuses a question with %s, which would be another one in its answer', (_, name) => {
    const query = Buffer.from([0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 1, 0, 1]);
    const reply: DecodedPacket & { rcode?: string } = decode(Buffer.from(answerQuery(query, directory, 'hypr') ?? []));
    expect([reply.id, reply.rcode, reply.questions]).toEqual([9, 'FORMERR', []]);
  });

  it('answers whatever bytes with nothing, or with a message of the same id that can be read', () => {
    const valid = Buffer.from(encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'web.shop.hypr' }] }));
    const mutated = fc
      .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
      .map((changes) => changes.reduce((bytes, [at, value]) => bytes.fill(value, at, at + 1), Buffer.from(valid)));
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 600 })), (query) => {
        const reply = answerQuery(query, directory, 'hypr');
        if (reply !== undefined) {
          expect(decode(Buffer.from(reply)).id).toBe(Buffer.from(query).readUInt16BE(0));
          expect(reply.length).toBeLessThan(1232);
        }
      }),
      runs(500),
    );
  });
});
