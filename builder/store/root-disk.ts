import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { diskError, exists, syncFile, syncFolder, writeFileAtomic } from '../../base/host/files.ts';
import { stagingName } from '../../base/host/staging.ts';
import { shortHash } from '../../base/paths.ts';
import type { Tool } from '../../vmm/model/tools.ts';
import type { RootDisk } from '../model/types.ts';
import { Damage } from './damage.ts';
import { type ErofsImage, indexLayer, mergeIndexes, readErofs } from './erofs.ts';
import { digestHex } from './format/digest.ts';
import { inheritedFolders } from './inherited.ts';
import type { Layers } from './layers.ts';
import { checkSeal, sealFolder } from './seal.ts';
import { makeStagingFolder } from './tmp.ts';

/** The diff id of an empty tar, which is the single layer of an image without layers. */
export const EMPTY_LAYER = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';
const EMPTY_TAR = Buffer.alloc(1024);

/**
 * Root disks: `roots/<key>/{meta.erofs,root.vmdk,layers.json}`. The VMDK descriptor joins the merged index and the
 * layers' tars into one disk, so nothing is copied and all images share their layers. Its paths are relative, so that
 * HYPR_HOME can be moved.
 */
export class RootDisks {
  constructor(
    private readonly root: string,
    private readonly mkfs: Tool,
    private readonly layers: Layers,
  ) {}

  async get(diffIds: readonly string[], signal?: AbortSignal): Promise<RootDisk> {
    const visible = await this.#visible(diffIds);
    const folder = join(this.root, 'roots', rootKey(diffIds));
    const path = join(folder, 'root.vmdk');
    if (await exists(path)) {
      const now = new Date();
      await utimes(path, now, now);
      return { path, format: 'vmdk' };
    }
    const staging = await makeStagingFolder(this.root, 'root');
    try {
      const merged = join(staging.path, 'meta.erofs');
      const inherited = await this.#inherit(visible, staging.path, signal);
      const indexes = [
        ...visible.map((diffId) => this.layers.index(diffId)),
        ...(inherited ? [join(staging.path, 'inherited.erofs')] : []),
      ];
      const image = await mergeIndexes(this.mkfs, { indexes, merged, signal });
      const tars = [...visible.map((diffId) => `../../layers/${digestHex(diffId)}/layer.tar`), ...(inherited ? ['inherited.tar'] : [])];
      await writeFileAtomic(join(staging.path, 'layers.json'), JSON.stringify(diffIds));
      await writeFileAtomic(join(staging.path, 'root.vmdk'), describeVmdk(image, tars));
      await sealFolder(staging.path, await readdir(staging.path));
      await this.#publish(staging.path, folder);
      return { path, format: 'vmdk' };
    } catch (error) {
      throw diskError(error, this.root);
    } finally {
      await staging.remove();
    }
  }

  async #publish(staging: string, folder: string): Promise<void> {
    await mkdir(join(this.root, 'roots'), { recursive: true, mode: 0o700 });
    try {
      await rename(staging, folder);
      await syncFolder(join(this.root, 'roots'));
    } catch (error) {
      // Another process made the same disk meanwhile.
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) {
        throw error;
      }
    }
  }

  /** The layers that are visible: from the topmost opaque one upwards. */
  async #visible(diffIds: readonly string[]): Promise<readonly string[]> {
    if (diffIds.length === 0) {
      await this.layers.add(
        () =>
          (async function* () {
            yield EMPTY_TAR;
          })(),
        { expectedDiffId: EMPTY_LAYER },
      );
      return [EMPTY_LAYER];
    }
    const records = await Promise.all(diffIds.map((diffId) => this.layers.need(diffId)));
    return diffIds.slice(
      Math.max(
        0,
        records.findLastIndex((record) => record.opaqueRoot),
      ),
    );
  }

  /** Makes the topmost layer: folders that upper layers imply and lower layers describe, and what `hiddenPaths` finds. False if it would be empty. */
  async #inherit(diffIds: readonly string[], folder: string, signal: AbortSignal | undefined): Promise<boolean> {
    const records = await Promise.all(diffIds.map((diffId) => this.layers.need(diffId)));
    const tar = await inheritedFolders(records.map(({ diffId, implied }) => ({ tar: this.layers.tar(diffId), implied })));
    if (tar === undefined) {
      return false;
    }
    const path = join(folder, 'inherited.tar');
    await writeFileAtomic(path, tar);
    const index = join(folder, 'inherited.erofs');
    await indexLayer(this.mkfs, { tar: path, index, uuid: randomUUID(), signal });
    await syncFile(index);
    return true;
  }

  /** Removes disks that belong to none of these layer lists and were not used since `usedBefore`. */
  async prune(keep: ReadonlyArray<readonly string[]>, usedBefore: number): Promise<void> {
    const kept = new Set(keep.map(rootKey));
    for (const name of await readdir(join(this.root, 'roots'))) {
      const folder = join(this.root, 'roots', name);
      // A folder without a descriptor is not a disk.
      const usedAt = (await stat(join(folder, 'root.vmdk')).catch(() => undefined))?.mtimeMs ?? 0;
      if (!kept.has(name) && usedAt < usedBefore) {
        await this.remove(name);
      }
    }
  }

  async names(): Promise<string[]> {
    return await readdir(join(this.root, 'roots'));
  }

  /** A disk that is needed is made again. */
  async remove(name: string): Promise<void> {
    const gone = join(this.root, 'tmp', stagingName('gone'));
    await rename(join(this.root, 'roots', name), gone);
    await rm(gone, { recursive: true, force: true });
  }

  /** Throws when a disk is not what was made, or refers to a missing layer. */
  async check(name: string): Promise<void> {
    const folder = join(this.root, 'roots', name);
    await checkSeal(folder);
    await readErofs(join(folder, 'meta.erofs'));
    const extents = (await readFile(join(folder, 'root.vmdk'), 'utf8')).matchAll(/^RW (\d+) FLAT "([^"]+)" 0$/gm);
    for (const [, sectors, file = ''] of extents) {
      const { size } = await stat(join(folder, file));
      if (size < Number(sectors) * 512) {
        throw new Damage(`${file} has ${size} bytes instead of ${Number(sectors) * 512}`);
      }
    }
  }
}

/** Disks that were merged by other rules are made again. */
const RULES = 'hidden paths, the layer on top counted';

const rootKey = (diffIds: readonly string[]): string => shortHash([RULES, ...diffIds].join('\n'), 32);

/**
 * A flat VMDK with several extents (VMware Virtual Disk Format 1.1), each a number of sectors and the file to read them
 * from. Its content id differs each time: a disk made of the same layers later may have another index layout.
 */
const describeVmdk = (image: ErofsImage, tars: readonly string[]): string => {
  const extents = image.devices.map(({ sectors }, index) => `RW ${sectors} FLAT "${tars[index]}" 0`);
  return [
    '# Disk DescriptorFile',
    'version=1',
    `CID=${randomBytes(4).toString('hex')}`,
    'parentCID=ffffffff',
    'createType="twoGbMaxExtentFlat"',
    '',
    '# Extent description',
    `RW ${image.sectors} FLAT "meta.erofs" 0`,
    ...extents,
    '',
    '# The Disk Data Base',
    'ddb.adapterType = "ide"',
    '',
  ].join('\n');
};
