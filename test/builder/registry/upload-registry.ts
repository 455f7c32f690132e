import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sha256 } from '../layers/tar-builder.ts';

/** Says what to do instead of answering a request; undefined: answer it. `breakAfter`: bytes of the body that are kept. */
export type Interfere = (method: string, path: string, count: number) => Fault | undefined;
export type Fault =
  | { readonly breakAfter: number }
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string };

/** A registry in this process that takes uploads as distribution-spec has them, resumable, with the faults a test asks for. */
export class UploadRegistry {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, Buffer>();
  readonly log: string[] = [];
  readonly tokenRequests: URLSearchParams[] = [];
  readonly #uploads = new Map<string, Buffer>();
  readonly #counts = new Map<string, number>();
  readonly #server = createServer((request, response) => this.#answer(request, response).catch(() => response.destroy()));
  #port = 0;

  constructor(private readonly options: { interfere?: Interfere; tokens?: boolean; rights?: (user: string | undefined) => boolean } = {}) {}

  async start(): Promise<this> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `http://${this.host}`);
    const method = request.method ?? '';
    const key = `${method} ${url.pathname.replace(/^\/v2\//, '').replace(/uploads\/.+/, 'uploads/ID')}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    if (url.pathname === '/token') {
      await this.#answerToken(request, { response, url });
      return;
    }
    this.log.push(`${key}${request.headers['content-range'] ? ` ${request.headers['content-range']}` : ''}`);
    const right = url.pathname === '/v2/' || method === 'GET' || method === 'HEAD' ? 'pull' : 'push';
    if (this.options.tokens && !String(request.headers.authorization).includes(right)) {
      const challenge = `Bearer realm="http://${this.host}/token",service="fake"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end('{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}');
      return;
    }
    const fault = this.options.interfere?.(method, key, count);
    if (fault !== undefined && 'status' in fault) {
      request.resume();
      response.writeHead(fault.status, fault.headers).end(fault.body ?? '');
      return;
    }
    await this.#store(request, { response, url, breakAfter: fault?.breakAfter });
  }

  async #answerToken(request: IncomingMessage, { response, url }: { response: ServerResponse; url: URL }): Promise<void> {
    const form = method(request) === 'POST' ? new URLSearchParams((await read(request)).toString()) : url.searchParams;
    this.tokenRequests.push(form);
    const [user, password] = Buffer.from(String(request.headers.authorization).slice(6), 'base64').toString().split(':');
    const known = form.get('refresh_token') === 'identity' || (password ?? form.get('password')) === 'secret';
    if ((request.headers.authorization !== undefined || form.has('refresh_token')) && !known) {
      response.writeHead(401).end();
      return;
    }
    const rights = form.getAll('scope').join(' ').includes('push') && this.options.rights?.(user) !== false && known ? 'pull-push' : 'pull';
    const refresh = form.get('offline_token') === 'true' ? { refresh_token: 'identity' } : {};
    response.end(JSON.stringify({ access_token: `${rights}-${this.tokenRequests.length}`, ...refresh }));
  }

  async #store(
    request: IncomingMessage,
    { response, url, breakAfter }: { response: ServerResponse; url: URL; breakAfter: number | undefined },
  ): Promise<void> {
    const path = url.pathname.replace(/^\/v2\//, '');
    const upload = path.split('/uploads/')[1];
    const tag = path.split('/manifests/')[1];
    if (path === '') {
      response.writeHead(200).end('{}');
    } else if (upload === '') {
      const id = `u${this.#uploads.size}`;
      this.#uploads.set(id, Buffer.alloc(0));
      response.writeHead(202, { location: `${url.pathname}${id}?state=0` }).end();
    } else if (upload !== undefined) {
      await this.#continue(request, { response, url, id: upload, breakAfter });
    } else if (tag !== undefined && method(request) === 'PUT') {
      const bytes = await read(request);
      this.manifests.set(tag, bytes);
      response.writeHead(201, { 'docker-content-digest': sha256(bytes) }).end();
    } else if (method(request) === 'GET') {
      this.#give(response, tag === undefined ? this.blobs.get(path.split('/blobs/')[1] ?? '') : this.manifests.get(tag));
    } else {
      response.writeHead(this.blobs.has(path.split('/blobs/')[1] ?? '') ? 200 : 404).end();
    }
  }

  #give(response: ServerResponse, data: Buffer | undefined): void {
    const type = /^\{"schemaVersion":2,"mediaType":"([^"]+)"/.exec(data?.toString('latin1', 0, 200) ?? '')?.[1];
    response.writeHead(data === undefined ? 404 : 200, { 'content-type': type ?? 'application/octet-stream' }).end(data);
  }

  async #continue(
    request: IncomingMessage,
    { response, url, id, breakAfter }: { response: ServerResponse; url: URL; id: string; breakAfter: number | undefined },
  ): Promise<void> {
    const have = this.#uploads.get(id) ?? Buffer.alloc(0);
    const location = `${url.pathname}?state=${have.length}`;
    if (method(request) === 'GET') {
      response.writeHead(204, { location, range: `0-${Math.max(0, have.length - 1)}` }).end();
      return;
    }
    const data = await read(request, breakAfter);
    const whole = Buffer.concat([have, data]);
    this.#uploads.set(id, whole);
    const digest = url.searchParams.get('digest');
    if (breakAfter !== undefined) {
      request.destroy();
    } else if (method(request) === 'DELETE') {
      response.writeHead(204).end();
    } else if (digest === null) {
      response.writeHead(202, { location: `${url.pathname}?state=${whole.length}`, range: `0-${whole.length - 1}` }).end();
    } else if (sha256(whole) === digest) {
      this.blobs.set(digest, whole);
      response.writeHead(201).end();
    } else {
      response.writeHead(400).end('{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}');
    }
  }
}

const method = (request: IncomingMessage): string => request.method ?? '';

const read = async (request: IncomingMessage, limit = Number.POSITIVE_INFINITY): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    chunks.push((chunk as Buffer).subarray(0, limit - size));
    size += (chunk as Buffer).length;
    if (size >= limit) {
      break;
    }
  }
  return Buffer.concat(chunks);
};
