import { HyprError } from '../../base/errors.ts';
import { inspectReplica } from '../../engine/docker/shapes/container.ts';
import { inspectImage } from '../../engine/docker/shapes/image.ts';
import { inspectNetwork } from '../../engine/docker/shapes/network.ts';
import { inspectVolume } from '../../engine/docker/shapes/volume.ts';
import type { ObjectApi } from '../../engine/model/types.ts';
import type { Handler, Invocation } from '../core/command-spec.ts';
import { ambiguous } from '../core/machines.ts';
import { CONTAINER, IMAGE, NETWORK, VOLUME } from '../format/docker-types.ts';
import { goView } from '../format/go-view.ts';
import { printObjects } from './print-objects.ts';

const TYPES = ['container', 'image', 'network', 'volume'] as const;
type ObjectType = (typeof TYPES)[number];

/** `inspect`: a replica, an image, a network or a volume, by name or by the beginning of its id; docker's keys. */
export const runObjectInspect: Handler = async (invocation) => {
  const objects = await (await invocation.context.engine()).openObjects();
  const type = invocation.command.name === 'inspect' ? invocation.flags.choice('type', TYPES) : undefined;
  return printObjects(invocation, async (name) => {
    for (const each of type === undefined ? TYPES : [type]) {
      const found = await look(each, name, objects, invocation);
      if (found !== undefined) {
        return found;
      }
    }
    throw new HyprError('NOT_FOUND', `there is no ${type ?? 'replica, image, network or volume'} ${name}`, {
      hint: 'replicas are named as in: hypr ps -a',
    });
  });
};

/** `container inspect`. */
export const runReplicaInspect: Handler = async (invocation) => {
  const objects = await (await invocation.context.engine()).openObjects();
  return printObjects(invocation, async (name) => {
    const found = await look('container', name, objects, invocation);
    if (found === undefined) {
      throw new HyprError('NOT_FOUND', `there is no replica ${name}`, { hint: 'replicas are named as in: hypr ps -a' });
    }
    return found;
  });
};

const look = async (type: ObjectType, name: string, objects: ObjectApi, { context }: Invocation): Promise<unknown> => {
  switch (type) {
    case 'container': {
      const found = objects.replicas(name);
      if (found.length > 1) {
        throw ambiguous(name, found);
      }
      return found[0] && goView(CONTAINER, inspectReplica(found[0]));
    }
    case 'image': {
      const images = await (await context.engine()).openImages();
      try {
        return goView(IMAGE, inspectImage(await images.inspect(name)));
      } catch (error) {
        if (error instanceof HyprError && (error.code === 'IMAGE_NOT_FOUND' || error.code === 'IMAGE_REFERENCE')) {
          return undefined;
        }
        throw error;
      }
    }
    case 'network': {
      const found = objects.networks().find((network) => network.name === name || (name.length >= 12 && network.id.startsWith(name)));
      return found && goView(NETWORK, inspectNetwork(found));
    }
    case 'volume': {
      const found = objects.volumes().find((volume) => volume.name === name);
      return found && goView(VOLUME, inspectVolume(found));
    }
  }
};
