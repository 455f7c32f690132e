import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { show, thrown, Workshop } from './workshop.ts';

describe('private web servers', () => {
  let shop: Workshop;
  let seen: Array<[string, string | undefined]>;
  let wanted: string;
  let port: number;
  const answer = (request: IncomingMessage): { status: number; headers?: Record<string, string>; body?: string } => {
    const { authorization, host } = request.headers;
    seen.push([`${host?.replace(/:.*/, '')}${request.url}`, authorization]);
    if (request.url === '/elsewhere') {
      return { status: 302, headers: { location: `http://localhost:${port}/file` } };
    }
    if (request.url === '/here') {
      return { status: 302, headers: { location: '/file' } };
    }
    if (authorization !== wanted) {
      return { status: 401 };
    }
    const isKnown = request.headers['if-none-match'] === '"v1"';
    return { status: isKnown ? 304 : 200, headers: { etag: '"v1"' }, body: isKnown ? '' : 'FROM scratch\nCOPY <<E /a\nprivate\nE\n' };
  };
  const server = createServer((request, response) => {
    const { status, headers, body } = answer(request);
    response.writeHead(status, headers).end(body);
  });
  beforeEach(async () => {
    shop = new Workshop();
    seen = [];
    wanted = 'Bearer t0p-s3cret';
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    port = (server.address() as AddressInfo).port;
  });
  afterEach(async () => {
    shop.close();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });

  const token = { 'HTTP_AUTH_TOKEN_127.0.0.1': { value: 't0p-s3cret\n' } };
  const add = (path: string, secrets = {}) => shop.build(`FROM scratch\nADD http://127.0.0.1:${port}${path} /f\n`, { secrets });

  it('a token, a header and a file, by the name of the host; the copy that is here is asked for with it, too', async () => {
    expect((await show((await add('/file', token)).tree)).f).toContain('private');
    await add('/file', token);
    expect(shop.cached()).toHaveLength(1);
    wanted = 'Basic abc';
    const file = join(shop.folder, 'header');
    writeFileSync(file, 'Basic abc\n');
    await add('/file', { 'HTTP_AUTH_HEADER_127.0.0.1': { file } });
    wanted = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
    const own = await shop.build(`FROM scratch\nADD http://me:p%40ss@127.0.0.1:${port}/file /f\n`);
    expect((await show(own.tree)).f).toContain('private');
  });

  it('without it, with that of another host or with that of git: the status, and what to give', async () => {
    await add('/file', token);
    for (const secrets of [{}, { HTTP_AUTH_TOKEN_localhost: { value: 't0p-s3cret' } }, { GIT_AUTH_TOKEN: { value: 't0p-s3cret' } }]) {
      const error = await thrown(add('/file', secrets));
      expect(error.message).toContain('answered with status 401');
      expect(error.hint).toBe('for a private server: --secret id=HTTP_AUTH_TOKEN_127.0.0.1,env=…');
    }
    expect(seen.slice(1).map(([, authorization]) => authorization)).toEqual([undefined, undefined, undefined]);
    const gone = await thrown(add('/file', { 'HTTP_AUTH_TOKEN_127.0.0.1': { file: '/nonexistent' } }));
    expect(gone.message).toBe('secret HTTP_AUTH_TOKEN_127.0.0.1: there is no file /nonexistent');
  });

  it('follows a redirect on the same server, and to no other', async () => {
    await add('/here', token);
    expect((await thrown(add('/elsewhere', token))).message).toContain('status 401');
    expect(seen.map(([place, authorization]) => [place, authorization !== undefined])).toEqual([
      ['127.0.0.1/here', true],
      ['127.0.0.1/file', true],
      ['127.0.0.1/elsewhere', true],
      ['localhost/file', false],
    ]);
  });

  it('a context, too; and nothing of it is in events or beside what was fetched', async () => {
    const request = { context: `http://127.0.0.1:${port}/file`, dockerfile: { path: 'Dockerfile' } };
    expect(await show((await shop.build('', { ...request, secrets: token })).tree)).toEqual({ a: 'private\n' });
    expect((await thrown(shop.run('', request))).message).toContain('status 401');
    expect(JSON.stringify(shop.events)).not.toContain('s3cret');
    const folder = join(shop.folder, 'build', 'downloads');
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThan(1);
    for (const { parentPath, name } of files) {
      expect(readFileSync(join(parentPath, name), 'utf8')).not.toContain('s3cret');
    }
  });
});
