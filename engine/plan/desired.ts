import { HyprError } from '../../base/errors.ts';
import { shortHash } from '../../base/paths.ts';
import type { Image } from '../../builder/model/types.ts';
import type { Project } from '../../compose/model/model.ts';
import { imageReference } from '../images/images.ts';
import { replicaName } from '../model/names.ts';
import { sharedNetworkName } from '../model/network-key.ts';
import type { ReplicaFile, ReplicaSpec } from '../model/spec.ts';
import { readFileContent } from '../resolve/file-content.ts';
import { imageMountKey } from '../resolve/needed-images.ts';
import { networkHash } from '../resolve/network-needs.ts';
import type { OneOff } from '../resolve/one-off.ts';
import { type PreStartHook, preStartHooks, withPreStart } from '../resolve/pre-start.ts';
import { resolveReplica } from '../resolve/replica-spec.ts';
import { withSharedVolumes } from '../resolve/volumes-from.ts';
import { volumesOf } from '../resources/volumes.ts';
import type { Desired, DesiredService } from './desired-state.ts';

export interface DesiredStack extends Desired {
  /** The full description of one replica. */
  specOf(service: string, number: number): ReplicaSpec;
  /** That of a `pre_start` hook's machine. */
  hookSpecOf(hook: PreStartHook, service: string, number: number): ReplicaSpec;
  hookImageId(hook: PreStartHook): string;
  /** The one-off of this plan, if it has one, counts as an ordinary replica. */
  readonly isOrdinary: boolean;
}

/** The desired state: the model with its images. Reads the files of secrets and configs, because changed content counts as a change. */
export const describeDesired = async (input: {
  project: Project;
  services: readonly string[];
  images: Readonly<Record<string, Image>>;
  scale: Readonly<Record<string, number>>;
  oneOff?: OneOff;
}): Promise<DesiredStack> => {
  const project = withSharedVolumes(input.project, input.images);
  const oneOff =
    input.oneOff === undefined ? undefined : { ...input.oneOff, project: withSharedVolumes(input.oneOff.project, input.images) };
  const whole = withPreStart(project, input.services);
  const withMounted = (spec: ReplicaSpec): ReplicaSpec => mountedImages(spec, input.images);
  const specOf = (service: string, number: number): ReplicaSpec => {
    const image = input.images[service];
    if (image === undefined) {
      throw new HyprError('HYPR_INTERNAL', `no image was found for ${service}`);
    }
    if (oneOff?.options.service === service) {
      return withMounted(resolveOneOff(oneOff, { reference: imageReference(project, service), config: image.config }));
    }
    return withMounted(
      resolveReplica({ project, service, number, image: { reference: imageReference(project, service), config: image.config } }),
    );
  };
  const hookSpecOf = ({ key, replica }: PreStartHook, service: string, number: number): ReplicaSpec => {
    const image = input.images[key];
    if (image === undefined) {
      throw new HyprError('HYPR_INTERNAL', `no image was found for ${key}`);
    }
    const named = { reference: imageReference(whole, key), config: image.config };
    const spec = resolveReplica({ project: whole, service: key, number, image: named, name: replica });
    return { ...withMounted(spec), service };
  };
  refuseSharedNames(project, input.services);
  const services: Record<string, DesiredService> = {};
  for (const service of input.services) {
    const spec = specOf(service, 1);
    if (oneOff?.options.service === service) {
      services[service] = {
        scale: 1,
        configHash: await hashSpec(spec, project.environment),
        imageId: input.images[service]?.id ?? '',
        networks: ownNetworks(spec),
        volumes: volumesOf(oneOff.project, service),
        ...(spec.shares === undefined ? {} : { shares: spec.shares }),
        nameOf: () => oneOff.name,
        oneOff: true,
      };
      continue;
    }
    const scale = scaleOf(project, service, input.scale);
    refuseNamedReplicas(project, service, scale);
    services[service] = {
      scale,
      configHash: await hashSpec(spec, project.environment),
      imageId: input.images[service]?.id ?? '',
      networks: ownNetworks(spec),
      volumes: volumesOf(project, service),
      ...(spec.shares === undefined ? {} : { shares: spec.shares }),
      nameOf: (number) => project.services[service]?.container_name ?? replicaName(project, service, number),
      ...(project.services[service]?.pre_start?.length ? { preStart: preStartHooks(project, service) } : {}),
    };
  }
  return {
    // The stack's own networks: ports published by one replica do not change a network.
    project: oneOff === undefined ? project : { ...project, volumes: oneOff.project.volumes },
    services,
    networks: Object.fromEntries(Object.keys(project.networks).map((key) => [key, networkHash(project, key)])),
    specOf,
    hookSpecOf,
    hookImageId: ({ key }) => input.images[key]?.id ?? '',
    isOrdinary: oneOff?.options.ordinary === true,
  };
};

/** With the images that its mounts had been found to be. */
const mountedImages = (spec: ReplicaSpec, images: Readonly<Record<string, Image>>): ReplicaSpec =>
  spec.mounts.every(({ kind }) => kind !== 'image')
    ? spec
    : {
        ...spec,
        mounts: spec.mounts.map((mount) =>
          mount.kind === 'image' ? { ...mount, imageId: images[imageMountKey(mount.image)]?.id ?? '' } : mount,
        ),
      };

/** Shared networks are made and removed by nobody's plan. */
const ownNetworks = ({ networks }: ReplicaSpec): string[] =>
  networks.flatMap(({ key }) => (sharedNetworkName(key) === undefined ? [key] : []));

/** Without --use-aliases a one-off answers to its own name only. */
const resolveOneOff = (oneOff: OneOff, image: { reference: string; config: Image['config'] }): ReplicaSpec => {
  const { options, name, project } = oneOff;
  const spec = resolveReplica({ project, service: options.service, number: 1, image, name });
  return {
    ...spec,
    process: { ...spec.process, ...(options.size ? { size: options.size } : {}) },
    networks: options.useAliases || options.ordinary ? spec.networks : spec.networks.map((network) => ({ ...network, aliases: [] })),
    ...(options.remove === 'no' ? {} : { autoRemove: options.remove }),
  };
};

const scaleOf = (project: Project, service: string, asked: Readonly<Record<string, number>>): number =>
  asked[service] ?? project.services[service]?.scale ?? project.services[service]?.deploy?.replicas ?? 1;

const refuseNamedReplicas = (project: Project, service: string, scale: number): void => {
  const name = project.services[service]?.container_name;
  if (name !== undefined && scale > 1) {
    throw new HyprError(
      'COMPOSE_INVALID',
      `service ${service} asks for ${scale} replicas and for the container_name ${name}, which only one can have`,
    );
  }
};

/** The loader looks at whole models; of a few services named on the command line two can still have one name. */
const refuseSharedNames = (project: Project, services: readonly string[]): void => {
  const owners = new Map<string, string>();
  for (const service of services) {
    const name = project.services[service]?.container_name;
    const owner = name === undefined ? undefined : owners.get(name);
    if (owner !== undefined) {
      throw new HyprError('COMPOSE_INVALID', `services.${service}: container name "${name}" is already in use by service ${owner}`, {
        path: ['services', service, 'container_name'],
        hint: 'give one of them another name, or leave container_name out',
      });
    }
    if (name !== undefined) {
      owners.set(name, service);
    }
  }
};

/** Everything that decides how a replica runs, except its name, its number and its image (compared by id). */
const hashSpec = async (spec: ReplicaSpec, environment: Readonly<Record<string, string>>): Promise<string> => {
  const { name: _name, number: _number, hostname, image: _image, ...rest } = spec;
  const contents = await Promise.all(spec.files.map((file) => contentOf(file, spec, environment)));
  return shortHash(JSON.stringify([rest, hostname === spec.name ? '' : hostname, contents.map((content) => shortHash(content, 16))]), 32);
};

/** Unreadable content counts as empty here; the error is reported when the replica is created, together with its service. */
const contentOf = async (file: ReplicaFile, { service }: ReplicaSpec, environment: Readonly<Record<string, string>>): Promise<string> => {
  const content = await readFileContent(file, { service, environment }).catch(() => new Uint8Array());
  return Buffer.from(content).toString('latin1');
};
