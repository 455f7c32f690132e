import { createHash } from 'node:crypto';
import { messageOf } from '../../../base/errors.ts';
import { logger } from '../../../base/log.ts';
import type { StepContent } from '../../../guest/types.ts';
import type { BuildMachine } from '../../model/types.ts';
import type { BuildStore } from '../frame/store.ts';
import { planCopy } from '../layer/copy-plan.ts';
import { LayerTree } from '../layer/layer-tree.ts';
import { writeLayer } from '../layer/tar-write.ts';
import type { MountContent } from './run-mounts.ts';

const log = logger('build');

/** Name of what a staged folder holds, whatever the content is called elsewhere. */
const CONTENT = '/c';

/**
 * Mount contents that a machine has already, so that a later step of its stage need not send them again: folders by digest,
 * stages and images as read-only disks.
 */
export class MachineMounts {
  readonly #machine: BuildMachine;
  readonly #store: Pick<BuildStore, 'rootDisk'>;
  readonly #staged = new Set<string>();
  readonly #disks = new Map<string, string>();

  constructor(machine: BuildMachine, store: Pick<BuildStore, 'rootDisk'>) {
    this.#machine = machine;
    this.#store = store;
  }

  /** Makes content available in the machine: a stage or an image as a disk, files of the host as a folder. */
  async bring(content: MountContent, signal: AbortSignal): Promise<StepContent> {
    const disk = content.layers === undefined ? undefined : await this.#plug(content.layers, signal);
    if (disk !== undefined) {
      return { disk, path: content.path };
    }
    const staged = content.digest.slice(0, 40);
    if (!this.#staged.has(staged)) {
      await this.#machine.guest.stageFolder(staged, writeLayer(contentItems(content)), signal);
      this.#staged.add(staged);
    }
    return { staged, path: CONTENT };
  }

  /** Undefined when the machine has no port left: the files are then sent one by one. */
  async #plug(layers: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    if (layers.length === 0) {
      return undefined;
    }
    const id = createHash('sha256').update(layers.join('\n')).digest('hex');
    const known = this.#disks.get(id);
    if (known !== undefined) {
      return known;
    }
    const serial = `i${id.slice(0, 16)}`;
    const disk = await this.#store.rootDisk(layers, signal);
    try {
      await this.#machine.plugDisk({ serial, readOnly: true, path: disk.path, format: disk.format }, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn('a mount is copied, because its disk cannot be plugged in', { reason: messageOf(error) });
      return undefined;
    }
    this.#disks.set(id, serial);
    return serial;
  }
}

const contentItems = ({ tree, selection }: MountContent) => {
  const isFile = selection.entries[0]?.entry.type === 'file';
  return planCopy({
    root: LayerTree.empty,
    owner: undefined,
    chmod: undefined,
    epoch: 0,
    sources: [{ tree, selections: [selection] }],
    documents: [],
    target: isFile ? CONTENT : `${CONTENT}/`,
    parents: false,
  });
};
