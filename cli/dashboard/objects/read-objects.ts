import { lstat } from 'node:fs/promises';
import { shortId } from '../../../engine/docker/shapes/names.ts';
import type { EngineApi, ReplicaDetail } from '../../../engine/model/types.ts';
import { ANONYMOUS_LABEL } from '../../../engine/model/volume-name.ts';
import { humanSize } from '../../format/units.ts';

export const KINDS = ['volumes', 'networks', 'images'] as const;
export type Kind = (typeof KINDS)[number];

/** One volume, network or image, as the screen shows it. */
export interface ObjectRow {
  /** What removes it: all its names, or the id of an image without one. */
  readonly ids: readonly string[];
  readonly name: string;
  /** The stack that it belongs to; empty: none. */
  readonly stack: string;
  /** Its size on the disk, or the subnet of a network. */
  readonly detail: string;
  /** Names of replicas, running or not. */
  readonly users: readonly string[];
  /** Why it cannot be removed here; undefined where it can. */
  readonly kept?: string;
  /** Has data that somebody gave a name: never pruned, as docker's `volume prune` leaves it. */
  readonly isNamed?: boolean;
}

export type ObjectRows = Readonly<Record<Kind, readonly ObjectRow[]>>;

/** All volumes, networks and images of this user with their users, each list by name. Starts nothing. */
export const readObjects = async (engine: EngineApi): Promise<ObjectRows> => {
  const objects = await engine.openObjects();
  const machines = objects.replicas();
  const images = await (await engine.openImages()).list();
  return {
    volumes: await Promise.all(
      objects.volumes().map(async ({ name, stack, path, users, labels }) => {
        const isNamed = labels[ANONYMOUS_LABEL] === undefined;
        return { ids: [name], name, stack, users, isNamed, detail: await sizeOf(path) };
      }),
    ),
    networks: objects.networks().map(({ id, name, stack, subnet, members }) => ({
      ...{ ids: [name], name, stack, detail: subnet, users: members.map((member) => member.name) },
      ...(stack === '' ? (/^0+$/.test(id) ? { kept: 'it is the default network' } : {}) : { kept: `hypr -p ${stack} down removes it` }),
    })),
    images: images
      .map((image) => ({
        ids: image.references.length === 0 ? [image.id] : image.references,
        name: image.references.map(shortReference).sort().join(', ') || shortId(image.id),
        stack: '',
        detail: humanSize(image.size),
        users: usersOf(machines, image.id),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
};

const usersOf = (machines: readonly ReplicaDetail[], imageId: string): string[] =>
  machines.filter(({ status }) => status.imageId === imageId).map(({ status }) => status.name);

const shortReference = (reference: string): string => reference.replace(/^docker\.io\/(library\/)?/, '');

/** What a disk takes; holes take nothing. Of a folder that would be a walk over all its files. */
const sizeOf = async (path: string): Promise<string> => {
  try {
    const found = await lstat(path);
    return found.isFile() ? humanSize(found.blocks * 512) : 'folder';
  } catch {
    return 'gone';
  }
};
