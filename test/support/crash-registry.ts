import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { file, rawTar } from '../builder/layers/tar-builder.ts';

const MIB = 1024 * 1024;
const PIECE = 256 * 1024;
const TICK_MS = 5;

const digestOf = (data: Uint8Array): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

/** A registry with one image, whose blobs come at a speed that a kill can hit; it counts what it is asked for. */
export class CrashRegistry {
  /** Digest of the blob → how often it was asked for. */
  readonly asked = new Map<string, number>();
  /** diff id → digest of its blob. */
  readonly blobOf = new Map<string, string>();
  readonly bytes: number;
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifest: Buffer;
  readonly #config: string;
  readonly #server: Server = createServer((request, response) => void this.#answer(request.url ?? '', response));

  readonly #gate: number;
  #arrived = 0;
  #openGate = (): void => {};
  readonly #gateOpen = new Promise<void>((resolve) => {
    this.#openGate = resolve;
  });

  /** `gate`: nothing but blobs is answered before so many have asked, so that they are at work at the same time. Layers of `mib` each, every second one gzipped, the others of bytes that do not compress. */
  constructor({ layers, mib, gate = 0 }: { layers: number; mib: number; gate?: number }) {
    this.#gate = gate;
    const made = Array.from({ length: layers }, (_, index) => {
      const content = index % 2 === 0 ? randomBytes(mib * MIB) : Buffer.from(randomBytes((mib * MIB) / 2).toString('hex'));
      const tar = rawTar([{ name: `data${index}`, data: content }, ...smallFiles(index)]);
      const blob = index % 2 === 0 ? tar : gzipSync(tar, { level: 1 });
      this.blobOf.set(digestOf(tar), digestOf(blob));
      return { diffId: digestOf(tar), blob };
    });
    this.bytes = made.reduce((sum, { blob }) => sum + blob.length, 0);
    const config = Buffer.from(
      JSON.stringify({
        os: 'linux',
        architecture: 'amd64',
        config: {},
        rootfs: { type: 'layers', diff_ids: made.map(({ diffId }) => diffId) },
      }),
    );
    this.#config = digestOf(config);
    this.#manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...this.#add(config) },
        layers: made.map(({ blob }) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...this.#add(blob) })),
      }),
    );
  }

  async start(): Promise<this> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get image(): string {
    return `${this.host}/crash:1`;
  }

  /** How often each layer was asked for, by diff id; forgets it. */
  takeLayerCounts(): Map<string, number> {
    const counts = new Map([...this.blobOf].map(([diffId, blob]) => [diffId, this.asked.get(blob) ?? 0]));
    this.asked.clear();
    return counts;
  }

  #add(data: Buffer): { digest: string; size: number } {
    this.#blobs.set(digestOf(data), data);
    return { digest: digestOf(data), size: data.length };
  }

  async #answer(url: string, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    const digest = url.split('/blobs/')[1];
    const data = digest === undefined ? this.#manifest : this.#blobs.get(digest);
    if (data === undefined) {
      response.writeHead(404).end();
      return;
    }
    if (digest === undefined) {
      this.#arrived += 1;
      if (this.#arrived >= this.#gate) {
        this.#openGate();
      }
      await this.#gateOpen;
    }
    this.asked.set(digest ?? 'manifest', (this.asked.get(digest ?? 'manifest') ?? 0) + 1);
    const type = digest === undefined ? 'application/vnd.oci.image.manifest.v1+json' : 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'content-length': data.length });
    for (let at = 0; at < data.length && !response.destroyed; at += PIECE) {
      response.write(data.subarray(at, at + PIECE));
      if (digest !== this.#config) {
        await new Promise((done) => setTimeout(done, TICK_MS));
      }
    }
    response.end();
  }
}

const smallFiles = (layer: number) => Array.from({ length: 50 }, (_, index) => file(`small${layer}-${index}`, `${layer} ${index}`));
