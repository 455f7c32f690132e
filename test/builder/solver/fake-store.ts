import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HyprError } from '../../../base/errors.ts';
import type { Image } from '../../../builder/model/types.ts';
import type { BuildStore, ImageConfigBlob } from '../../../builder/solver/frame/store.ts';
import type { AddImageInput } from '../../../builder/store/store.ts';
import type { Lease } from '../../../builder/store/tmp.ts';

/** A folder of layer tars and configs: as much of an image store as a build asks for. */
export class FakeStore implements BuildStore {
  readonly added: string[] = [];
  readonly images = new Map<string, { image: Image; blob: ImageConfigBlob }>();
  leases = 0;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  async addLayer(tar: AsyncIterable<Uint8Array>): Promise<{ diffId: string; size: number }> {
    const parts: Uint8Array[] = [];
    for await (const chunk of tar) {
      parts.push(chunk);
    }
    const data = Buffer.concat(parts);
    const diffId = `sha256:${createHash('sha256').update(data).digest('hex')}`;
    writeFileSync(join(this.#folder, 'staging'), data);
    renameSync(join(this.#folder, 'staging'), this.#path(diffId));
    this.added.push(diffId);
    return { diffId, size: data.length };
  }

  hasLayer(diffId: string): Promise<{ size: number } | undefined> {
    const path = this.#path(diffId);
    return Promise.resolve(existsSync(path) ? { size: statSync(path).size } : undefined);
  }

  originalLayer(diffId: string): AsyncIterable<Uint8Array> {
    return createReadStream(this.#path(diffId));
  }

  async ensureLayer(diffId: string, open: () => Promise<AsyncIterable<Uint8Array>>): Promise<{ diffId: string; size: number }> {
    const known = await this.hasLayer(diffId);
    if (known !== undefined) {
      return { diffId, ...known };
    }
    const added = await this.addLayer(await open());
    if (added.diffId !== diffId) {
      throw new HyprError('IMAGE_CORRUPT', `${added.diffId} came for ${diffId}`);
    }
    return added;
  }

  layerTar(diffId: string): string {
    return this.#path(diffId);
  }

  lease(): Promise<Lease> {
    this.leases++;
    const release = () => {
      this.leases--;
      return Promise.resolve();
    };
    return Promise.resolve({ release, [Symbol.asyncDispose]: release });
  }

  rootDisk(image: string | readonly string[]) {
    return Promise.resolve({ path: [image].flat().join(','), format: 'raw' as const });
  }

  readConfig(id: string): Promise<Buffer> {
    const found = this.images.get(id);
    return found ? Promise.resolve(Buffer.from(JSON.stringify(found.blob))) : Promise.reject(new Error(`no image ${id}`));
  }

  addImage(input: AddImageInput): Promise<Image> {
    const { references } = input;
    const config = (
      input.config instanceof Uint8Array ? JSON.parse(Buffer.from(input.config).toString()) : input.config
    ) as ImageConfigBlob;
    const id = `sha256:${createHash('sha256').update(JSON.stringify(config)).digest('hex')}`;
    const { Env = [], Entrypoint = null, Cmd = null, WorkingDir = '', User = '' } = config.config;
    const image: Image = {
      id,
      manifestDigest: `sha256:${createHash('sha256').update(`manifest ${id}`).digest('hex')}`,
      references,
      platform: `${config.os}/${config.architecture}`,
      created: Date.parse(config.created ?? ''),
      size: config.rootfs.diff_ids.reduce((sum, diffId) => sum + readFileSync(this.#path(diffId)).length, 0),
      config: { Env, Entrypoint, Cmd, WorkingDir, User, ExposedPorts: {}, Volumes: {}, Labels: {} },
      layers: config.rootfs.diff_ids,
    };
    this.images.set(id, { image, blob: config });
    return Promise.resolve(image);
  }

  #path(diffId: string): string {
    return join(this.#folder, diffId.replace(':', '-'));
  }
}
