import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BuildStore, ImageConfigBlob } from '../../../builder/build/store.ts';
import type { Image } from '../../../builder/types.ts';

/** A folder of layer tars and configs: as much of an image store as a build asks for. */
export class FakeStore implements BuildStore {
  readonly added: string[] = [];
  readonly images = new Map<string, { image: Image; blob: ImageConfigBlob }>();
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  async addLayer(tar: AsyncIterable<Uint8Array>): Promise<{ diffId: string }> {
    const parts: Uint8Array[] = [];
    for await (const chunk of tar) {
      parts.push(chunk);
    }
    const data = Buffer.concat(parts);
    const diffId = `sha256:${createHash('sha256').update(data).digest('hex')}`;
    writeFileSync(join(this.#folder, 'aside'), data);
    renameSync(join(this.#folder, 'aside'), this.#path(diffId));
    this.added.push(diffId);
    return { diffId };
  }

  hasLayer(diffId: string): Promise<boolean> {
    return Promise.resolve(existsSync(this.#path(diffId)));
  }

  layerTar(diffId: string): Promise<string> {
    return Promise.resolve(this.#path(diffId));
  }

  rootDisk(layers: readonly string[]) {
    return Promise.resolve({ path: layers.join(','), format: 'raw' as const });
  }

  readConfig(image: Image): Promise<ImageConfigBlob> {
    const found = this.images.get(image.id);
    return found ? Promise.resolve(found.blob) : Promise.reject(new Error(`no image ${image.id}`));
  }

  addImage({ config, references }: { config: ImageConfigBlob; references: readonly string[] }): Promise<Image> {
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
