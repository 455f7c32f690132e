import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { decode, streamEncode } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DnsServer, dnsPort, serveDns } from '../../../net/dns/serve.ts';
import { fakeDirectory, named } from '../names/fake-directory.ts';

const directory = fakeDirectory([named('web.shop'), named('db.shop', { address: '127.64.1.2', isBound: true })]);

describe('serveDns', () => {
  let server: DnsServer;
  beforeEach(async () => {
    server = await serveDns(directory, { port: 0, domain: 'hypr' });
  });
  afterEach(() => server.close());

  const resolver = (): Resolver => {
    const own = new Resolver({ timeout: 2000, tries: 1 });
    own.setServers([`127.0.0.1:${server.port}`]);
    return own;
  };

  it('answers a resolver over UDP', async () => {
    expect(await resolver().resolve4('db.shop.hypr')).toEqual(['127.64.1.2']);
    await expect(resolver().resolve4('nobody.shop.hypr')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(resolver().resolve6('web.shop.hypr')).rejects.toMatchObject({ code: 'ENODATA' });
    await expect(resolver().resolve4('example.com')).rejects.toMatchObject({ code: 'EREFUSED' });
    expect(server.queries).toBe(4);
  });

  it('answers many questions of one TCP connection, whose client ends before it reads', async () => {
    const client = connect(server.port, '127.0.0.1');
    const questions = Array.from({ length: 100 }, (_, id) =>
      streamEncode({ type: 'query', id, questions: [{ type: 'A', name: id % 2 === 0 ? 'web.shop.hypr' : 'db.shop.hypr' }] }),
    );
    const all = Buffer.concat(questions);
    // Cut within a length and within a message.
    client.write(all.subarray(0, 1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.write(all.subarray(1, 45));
    client.end(all.subarray(45));
    const chunks: Buffer[] = [];
    for await (const chunk of client) {
      chunks.push(chunk as Buffer);
    }
    const ids: (number | undefined)[] = [];
    for (let rest = Buffer.concat(chunks); rest.length > 0; rest = rest.subarray(2 + rest.readUInt16BE(0))) {
      ids.push(decode(rest.subarray(2, 2 + rest.readUInt16BE(0))).id);
    }
    expect(ids).toEqual(questions.map((_, id) => id));
  });

  it.each([
    ['a length beyond every question', Buffer.from([0xff, 0xff, 0])],
    ['a message of no length', Buffer.from([0, 0])],
    ['an answer', Buffer.from(streamEncode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'hypr' }] }))],
  ])('closes a TCP connection that sends %s', async (_, bytes) => {
    const client = connect(server.port, '127.0.0.1');
    client.write(bytes);
    client.resume();
    await once(client, 'close');
    expect(client.bytesRead).toBe(0);
  });

  it('goes on after scraps over UDP', async () => {
    const socket = createSocket('udp4');
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(3), Buffer.alloc(600, 0xff)]) {
      socket.send(bytes, server.port, '127.0.0.1');
    }
    expect(await resolver().resolve4('web.shop.hypr')).toEqual(['127.0.0.1']);
    socket.close();
  });

  it('says who holds the port, and leaves nothing open', async () => {
    await expect(serveDns(directory, { port: server.port })).rejects.toMatchObject({ code: 'NET_PORT_IN_USE' });
    const { port } = server;
    await server.close();
    const again = await serveDns(directory, { port });
    await again.close();
  });

  it('ends with its signal, open connections included', async () => {
    const controller = new AbortController();
    const own = await serveDns(directory, { port: 0, signal: controller.signal });
    const client = connect(own.port, '127.0.0.1');
    await once(client, 'connect');
    controller.abort();
    client.resume();
    await once(client, 'close');
    await expect(serveDns(directory, { port: 0, signal: controller.signal })).rejects.toThrow();
  });
});

it('dnsPort is the seeds’ port unless HYPR_DNS_PORT says another or none', () => {
  expect([dnsPort({}), dnsPort({ HYPR_DNS_PORT: '5353' }), dnsPort({ HYPR_DNS_PORT: '0' })]).toEqual([41_003, 5353, undefined]);
  expect(() => dnsPort({ HYPR_DNS_PORT: 'x' })).toThrow('HYPR_DNS_PORT');
});
