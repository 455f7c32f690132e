import type { Project } from '../../compose/model/model.ts';
import { imageReference } from '../images/images.ts';
import { hasMachine } from '../model/lifecycle.ts';
import type { Platform } from '../model/platform.ts';
import type { DownOptions } from '../model/types.ts';
import { ANONYMOUS_LABEL } from '../model/volume-name.ts';
import type { StopGoal } from '../plan/reconcile-stop.ts';
import type { VmRow, VolumeRow } from '../state/records.ts';
import type { StateStore } from '../state/store.ts';
import { isNamed } from './stack-record.ts';

type Rows = ReadonlyMap<string, { readonly row: VmRow }>;

interface DownInput {
  /** The model of the files or, without files, the one that the stack was brought up with. */
  readonly model: Project | undefined;
  /** The model of the files. Without one nothing is an orphan. */
  readonly given: Project | undefined;
  readonly options: DownOptions;
  readonly replicas: Rows;
  /** From `removableImages`. */
  readonly images: readonly string[];
}

/** What `down` is to end and remove. The stack's volumes are removed also when nothing else of the stack is left, as docker compose does. */
export const downGoal = ({ store, stack }: { store: StateStore; stack: string }, input: DownInput): StopGoal => {
  const { model, given, options, replicas } = input;
  const whole = options.services.length === 0;
  const stays = staying(options.removeOrphans ? undefined : { given });
  return {
    project: model,
    services: options.services,
    timeout: options.timeout,
    remove: true,
    removeAnonymous: options.volumes,
    onlyStopped: false,
    includeOrphans: options.removeOrphans || given === undefined,
    includeOneOffs: options.removeOrphans,
    networks: whole ? removableNetworks({ store, stack }, replicas, stays) : [],
    volumes: whole ? removableVolumes({ store, stack }, options.volumes ? model : NO_VOLUMES, stays) : [],
    images: input.images,
    cause: 'asked to take the stack down',
  };
};

const NO_VOLUMES: Pick<Project, 'volumes'> = { volumes: {} };

/** What a `down` leaves: one-offs and, where the files say what else there is, orphans. `rules` undefined: nothing. */
const staying =
  (rules: { readonly given: Project | undefined } | undefined): Stays =>
  ({ service, oneOff }) =>
    rules !== undefined &&
    (oneOff ||
      (rules.given !== undefined && rules.given.services[service] === undefined && rules.given.disabledServices[service] === undefined));

type Stays = (row: Pick<VmRow, 'service' | 'oneOff'>) => boolean;

/** Volumes of the stack that the model names and does not call external; without a model all of the stack. Anonymous ones go with their replicas. */
const removableVolumes = (
  { store, stack }: { store: StateStore; stack: string },
  model: Pick<Project, 'volumes'> | undefined,
  stays: Stays,
): string[] => {
  const named = new Set(Object.values(model?.volumes ?? {}).flatMap((volume) => (volume.external ? [] : [volume.name])));
  const users = (name: string) =>
    store.vms().filter(({ spec }) => spec.mounts.some((mount) => mount.kind === 'volume' && mount.volume === name));
  const isGone = (row: VolumeRow): boolean => {
    // What stays goes on writing.
    if (users(row.name).some((vm) => vm.stack === stack && stays(vm))) {
      return false;
    }
    return row.stack === stack && row.labels[ANONYMOUS_LABEL] === undefined && (model === undefined || named.has(row.name));
  };
  return store.volumes().flatMap((row) => (isGone(row) ? [row.name] : []));
};

/** All networks of the stack, also those that something that runs stays on: trying says so. A stopped orphan keeps its own; an ended one-off needs none. */
const removableNetworks = ({ store, stack }: { store: StateStore; stack: string }, replicas: Rows, stays: Stays): string[] => {
  const needed = new Set(
    [...replicas.values()].flatMap(({ row }) =>
      stays(row) && !row.oneOff && !hasMachine(row.state) ? row.spec.networks.map((network) => network.key) : [],
    ),
  );
  return store.networks(stack).flatMap((row) => (needed.has(row.key) ? [] : [row.key]));
};

/**
 * References of the images that `--rmi` removes: of the replicas that there are and of the model's services, as far as the store
 * has them. `local` means only those without an `image:` in the file.
 */
export const removableImages = async (
  platform: Pick<Platform, 'findImage'>,
  replicas: Rows,
  model: Project | undefined,
  options: DownOptions,
): Promise<string[]> => {
  if (options.removeImages === 'none') {
    return [];
  }
  const used = [...replicas.values()].map(({ row }) => ({ service: row.service, image: row.spec.image }));
  const named = Object.keys(model?.services ?? {}).map((service) => ({ service, image: imageReference(model as Project, service) }));
  const isLocal = (service: string) => model?.services[service] !== undefined && !model.services[service]?.image;
  const wanted = [...used, ...named].filter(
    ({ service }) => isNamed(options.services, service) && (options.removeImages === 'all' || isLocal(service)),
  );
  const references = [...new Set(wanted.map(({ image }) => image))];
  const found = await Promise.all(references.map((reference) => platform.findImage(reference)));
  return references.filter((_, index) => found[index] !== undefined);
};
