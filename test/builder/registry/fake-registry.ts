import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { sha256 } from '../layers/tar-builder.ts';

export interface FakeLayer {
  readonly tar: Buffer;
  readonly blob: Buffer;
}

export const gzipLayer = (tar: Buffer): FakeLayer => ({ tar, blob: gzipSync(tar) });

export interface FakeOptions {
  /** Demands a token; `password` also credentials for it. */
  readonly auth?: 'token' | 'basic' | 'password';
  /** Says what to do instead of answering a request; undefined: answer it. */
  readonly interfere?: (request: IncomingMessage, count: number) => Interference | undefined;
  readonly ranges?: boolean;
}

export type Interference =
  | { readonly breakAfter: number }
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly replace: Buffer };

/** A registry in this process, with the faults a test asks for. Content is added by `addImage`. */
export class FakeRegistry {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, { type: string; bytes: Buffer }>();
  readonly requests: Array<{ url: string; headers: IncomingMessage['headers'] }> = [];
  readonly #counts = new Map<string, number>();
  readonly #server = createServer((request, response) => this.#answer(request, response));
  #port = 0;

  constructor(private readonly options: FakeOptions = {}) {}

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

  get url(): string {
    return `http://${this.host}`;
  }

  addBlob(data: Buffer): { digest: string; size: number } {
    this.blobs.set(sha256(data), data);
    return { digest: sha256(data), size: data.length };
  }

  /** Gives the digest of the manifest. */
  addImage(path: string, tag: string | undefined, layers: readonly FakeLayer[], config: object = {}): string {
    const configBlob = Buffer.from(
      JSON.stringify({
        os: 'linux',
        architecture: 'amd64',
        created: '2024-01-02T03:04:05Z',
        config: { Env: ['A=b'], Cmd: ['/x'] },
        rootfs: { type: 'layers', diff_ids: layers.map(({ tar }) => sha256(tar)) },
        ...config,
      }),
    );
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...this.addBlob(configBlob) },
      layers: layers.map(({ blob }) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...this.addBlob(blob) })),
    };
    return this.addManifest(path, tag, manifest.mediaType, manifest);
  }

  addManifest(path: string, tag: string | undefined, type: string, manifest: object): string {
    const bytes = Buffer.from(JSON.stringify(manifest));
    for (const name of [sha256(bytes), ...(tag === undefined ? [] : [tag])]) {
      this.manifests.set(`${path}/manifests/${name}`, { type, bytes });
    }
    return sha256(bytes);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    this.requests.push({ url: url.pathname + url.search, headers: request.headers });
    const count = (this.#counts.get(url.pathname) ?? 0) + 1;
    this.#counts.set(url.pathname, count);
    if (url.pathname === '/token') {
      this.#answerToken(request, response);
    } else if (!this.#isAllowed(request)) {
      const challenge = this.options.auth === 'basic' ? 'Basic realm="fake"' : `Bearer realm="${this.url}/token",service="fake",scope="x"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end('{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}');
    } else {
      this.#answerContent(url, { request, response, interference: this.options.interfere?.(request, count) });
    }
  }

  #isAllowed({ headers }: IncomingMessage): boolean {
    switch (this.options.auth) {
      case undefined:
        return true;
      case 'basic':
        return headers.authorization === `Basic ${Buffer.from('me:secret').toString('base64')}`;
      default:
        return headers.authorization === 'Bearer good';
    }
  }

  #answerToken(request: IncomingMessage, response: ServerResponse): void {
    const wanted = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    if (this.options.auth === 'password' && request.headers.authorization !== wanted) {
      response.writeHead(401).end();
    } else {
      response.end('{"token":"good"}');
    }
  }

  #answerContent(
    url: URL,
    { request, response, interference }: { request: IncomingMessage; response: ServerResponse; interference: Interference | undefined },
  ): void {
    const path = decodeURIComponent(url.pathname.replace(/^\/v2\//, ''));
    if (interference !== undefined && 'status' in interference) {
      response.writeHead(interference.status, interference.headers).end(interference.body ?? '');
      return;
    }
    if (path.endsWith('/tags/list')) {
      const prefix = path.replace('tags/list', 'manifests/');
      const tags = [...this.manifests.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
      response.end(JSON.stringify({ tags }));
      return;
    }
    const manifest = this.manifests.get(path);
    const blob = manifest?.bytes ?? this.blobs.get(path.split('/blobs/')[1] ?? '');
    if (blob === undefined) {
      response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
      return;
    }
    const data = interference !== undefined && 'replace' in interference ? interference.replace : blob;
    const start = this.options.ranges === false ? 0 : Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const headers = { 'content-type': manifest?.type ?? 'application/octet-stream', 'content-length': data.length - start };
    response.writeHead(
      start > 0 ? 206 : 200,
      start > 0 ? { ...headers, 'content-range': `bytes ${start}-${data.length - 1}/${data.length}` } : headers,
    );
    if (interference !== undefined && 'breakAfter' in interference) {
      response.write(data.subarray(start, start + interference.breakAfter), () => response.destroy());
    } else {
      response.end(data.subarray(start));
    }
  }
}
