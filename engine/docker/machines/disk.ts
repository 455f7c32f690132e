import type { Change } from '../../../builder/changes.ts';
import type { ImageRuntime } from '../../../builder/model/types.ts';
import { authorityPaths } from '../../machine/authority.ts';
import type { ReplicaSpec } from '../../model/spec.ts';
import type { Image, ImageApi, ReplicaDetail, Stack } from '../../model/types.ts';

/** What a commit says about the image. */
export interface CommitWords {
  /** Absent: the image has no name. */
  readonly reference: string | undefined;
  readonly author: string | undefined;
  readonly message: string | undefined;
  /** Instructions of a Dockerfile. */
  readonly changes: readonly string[];
  readonly now: number;
}

/** Of the machine and its image: where its files are had, and from whom. */
export interface MachineDisk {
  readonly stack: Stack;
  readonly detail: ReplicaDetail;
  readonly images: ImageApi;
}

/** An image of what a machine was made of, what it changed on its disk, and what it was started with. Throws as commitImage. */
export const commitMachine = async ({ stack, detail, images }: MachineDisk, words: CommitWords, signal: AbortSignal): Promise<Image> => {
  const { status, spec } = detail;
  const { config } = await images.inspect(status.imageId);
  return images.commit(
    {
      ...words,
      imageId: status.imageId,
      layer: stack.copyFrom(layerOf(detail), signal),
      leaveOut: [...(await ownPaths(spec)), ...spec.mounts.map(({ target }) => target)],
      runtime: runtimeOf(spec, config),
      command: spec.process.args.join(' '),
    },
    signal,
  );
};

/** What a machine changed on its disk, as `docker diff` tells it. */
export const listMachineChanges = async ({ stack, detail, images }: MachineDisk, signal: AbortSignal): Promise<Change[]> => {
  const { status, spec } = detail;
  return images.changes({
    imageId: status.imageId,
    layer: stack.copyFrom(layerOf(detail), signal),
    leaveOut: await ownPaths(spec),
    mounts: spec.mounts.map(({ target }) => target),
  });
};

const layerOf = ({ status }: ReplicaDetail) => ({ service: status.service, index: status.number, path: '/', layer: true });

/** What hypr writes into a machine, on its disk as well. Secrets and configs are the file's, and not the image's. */
const ownPaths = async (spec: ReplicaSpec): Promise<string[]> => [
  ...['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/etc/machine-id'],
  ...(await authorityPaths()),
  ...spec.files.map(({ path }) => path),
];

/** hypr's own variables, which a machine of the image gets anew. */
const OWN_VARIABLE = /^__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS=/;

const runtimeOf = ({ process, labels, exposed }: ReplicaSpec, image: ImageRuntime): Partial<ImageRuntime> => {
  const entrypoint = image.Entrypoint ?? [];
  const isImages = entrypoint.every((word, index) => process.args[index] === word);
  return {
    Env: process.env.filter((variable) => !OWN_VARIABLE.test(variable)),
    Entrypoint: isImages ? image.Entrypoint : null,
    Cmd: isImages ? process.args.slice(entrypoint.length) : process.args,
    WorkingDir: process.cwd === '/' ? image.WorkingDir : process.cwd,
    User: process.user,
    Labels: { ...image.Labels, ...labels },
    ExposedPorts: { ...image.ExposedPorts, ...Object.fromEntries(exposed.map((port) => [port, {}])) },
  };
};
