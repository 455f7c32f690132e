import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBestUrl } from '../../../engine/edge/best-url.ts';
import { EdgeHouse } from '../../net/edge/edge-house.ts';

let house: EdgeHouse;
beforeEach(() => {
  house = new EdgeHouse();
});
afterEach(() => house.close());

const signal = new AbortController().signal;
const find = async (request: { stack?: string; service?: string; port?: number }) => {
  const port = house.edge?.addresses[0]?.port ?? 0;
  // A domain that no resolver knows.
  const info = { pid: 1, domain: 'hypr.invalid', port, systemPorts: [], tls: false, problems: [] };
  return { port, found: await findBestUrl({ stack: 'shop', ...request }, info, signal) };
};

describe('findBestUrl', () => {
  it('gives the address of a service that answers, tried at the edge', async () => {
    const upstream = await house.serve(http.createServer((_, response) => response.writeHead(404).end()));
    house.name('db.shop', 1, { ports: [{ port: 5432, protocol: 'tcp' }], webPort: undefined as never });
    house.name('web.shop', upstream, {}, 3000);
    await house.open();
    const { port, found } = await find({});
    expect(found).toEqual({ url: `http://web.shop.localhost:${port}/`, service: 'web', port: 3000, reach: 'localhost' });
    expect((await find({ service: 'web', port: 3000 })).found.url).toBe(`http://3000.web.shop.localhost:${port}/`);
  });

  it('without a service gives the one that has the name of the project, whatever comes first by name', async () => {
    const upstream = await house.serve(http.createServer((_, response) => response.end()));
    house.name('api.shop', upstream);
    // Its container_name, or an alias.
    house.name('aaa.shop', upstream, { service: 'web', replica: 'aaa' });
    house.name('web.shop', upstream);
    house.name('www.shop', upstream, { service: 'web' });
    house.name('shop', upstream, { service: 'web' });
    await house.open();
    const { port, found } = await find({});
    expect(found.url).toBe(`http://web.shop.localhost:${port}/`);
  });

  it('gives that of a machine that is no part of a project, whose only name is its own', async () => {
    const upstream = await house.serve(http.createServer((_, response) => response.end()));
    house.name('solo', upstream, { stack: 'solo' });
    await house.open();
    const { port, found } = await find({ stack: 'solo' });
    expect(found).toMatchObject({ url: `http://solo.localhost:${port}/`, service: 'solo' });
  });

  it('says why there is none', async () => {
    house.name('db.shop', 1, { ports: [{ port: 5432, protocol: 'tcp' }], webPort: undefined as never });
    house.name('down.shop', 1, { state: 'starting' });
    house.name('broken.shop', await house.serve(http.createServer((request) => request.socket.destroy())));
    await house.open();
    await expect(find({ service: 'nothing' })).rejects.toMatchObject({ code: 'NAME_UNKNOWN', hint: 'it runs db, down, broken' });
    await expect(find({ service: 'db' })).rejects.toMatchObject({ code: 'NAME_UNREACHABLE', message: 'db has no web port' });
    await expect(find({ service: 'db', port: 1 })).rejects.toMatchObject({ code: 'NAME_UNREACHABLE' });
    await expect(find({ service: 'down' })).rejects.toMatchObject({ code: 'NAME_NOT_READY' });
    await expect(find({ service: 'broken' })).rejects.toMatchObject({ code: 'EDGE_UPSTREAM' });
    const without = { pid: 1, domain: 'hypr', systemPorts: [], tls: false, problems: ['port 7080 is taken'] };
    await expect(findBestUrl({ stack: 'shop' }, without, signal)).rejects.toMatchObject({
      code: 'NET_PORT_IN_USE',
      details: ['port 7080 is taken'],
    });
  });
});
