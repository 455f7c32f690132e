import { resolve } from 'node:path';
import { HyprError } from '../../../base/errors.ts';
import { findStage } from '../../dockerfile/parse.ts';
import { isRemoteSource } from '../../git/remote-source.ts';
import { type LayoutSource, parseLayoutSource } from '../../model/layout-source.ts';
import type { BaseImage, BuildContext, ServiceContext, SourceRoot } from '../frame/build-context.ts';
import { formatPlatform } from '../frame/platform.ts';
import { StepFault } from '../layer/step-error.ts';

const OWN_CONTEXT = '';

/** The build's own context, or what `--from` names: an earlier stage, a named context, an image. Throws StepFault. */
export const resolveSource = async (build: BuildContext, from: string | undefined, stage: number): Promise<SourceRoot> => {
  if (from === undefined) {
    return await openLocal(build, OWN_CONTEXT);
  }
  if (from.includes('$')) {
    throw new StepFault(
      'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
    );
  }
  const index = findEarlierStage(build, from, stage);
  if (index !== undefined) {
    const state = await build.buildStage(index);
    return { key: state.key, rebuilt: state.rebuilt, layers: state.layers, tree: () => build.trees.get(state.layers) };
  }
  const named = namedContext(build, from);
  if (named?.kind === 'local') {
    return await openLocal(build, named.name);
  }
  const { blob, key } = await findNamedImage(build, named ?? { kind: 'image', reference: from }, formatPlatform(build.platform));
  return { key, layers: blob.rootfs.diff_ids, tree: () => build.trees.get(blob.rootfs.diff_ids) };
};

/** Index of the earlier stage that `--from` means; undefined when it means no stage. Throws StepFault for a later one. */
export const findEarlierStage = (build: BuildContext, from: string, stage: number): number | undefined => {
  const { stages } = build.dockerfile;
  const earlier = findStage(stages.slice(0, stage), from);
  if (earlier !== undefined) {
    return earlier.index;
  }
  const later = findStage(stages, from);
  if (later === undefined || namedContext(build, from) !== undefined) {
    if (later === undefined && /^\d+$/.test(from)) {
      throw new StepFault(`invalid stage index ${from}: the file has ${stages.length} stages, counted from 0`);
    }
    return undefined;
  }
  const current = stages[stage]?.from.name ?? String(stage);
  throw new StepFault(
    `cannot copy from stage ${JSON.stringify(from)}, it needs to be defined before current stage ${JSON.stringify(current)}`,
  );
};

type NamedImage =
  | { readonly kind: 'image'; readonly reference: string }
  | { readonly kind: 'layout'; readonly name: string; readonly source: LayoutSource }
  | ({ readonly kind: 'service' } & ServiceContext);

export type NamedContext = { readonly kind: 'local'; readonly name: string } | NamedImage;

/** An image of the store or a registry, of a layout folder, or of another service. */
export const findNamedImage = (build: BuildContext, named: NamedImage, platform: string): Promise<BaseImage> => {
  switch (named.kind) {
    case 'layout':
      return build.findLayout(named, platform);
    case 'service':
      return build.findServiceImage(named, platform);
    default:
      return build.findImage(named.reference, platform);
  }
};

/** Names that a Dockerfile keeps for itself, whatever contexts there are (BuildKit, `namedContextFunc`). */
const RESERVED = new Set(['scratch', 'context']);

/** An entry of `additional_contexts`; the name's case does not matter. Throws HYPR_UNSUPPORTED for forms that cannot be read. */
export const namedContext = (build: BuildContext, name: string): NamedContext | undefined => {
  if (RESERVED.has(name.toLowerCase())) {
    return undefined;
  }
  const found = Object.keys(build.request.additionalContexts).find((key) => key.toLowerCase() === name.toLowerCase());
  if (found === undefined) {
    return undefined;
  }
  const value = build.request.additionalContexts[found] ?? '';
  const image = /^docker-image:\/\/(.+)$/.exec(value)?.[1];
  if (image !== undefined) {
    return { kind: 'image', reference: image };
  }
  const layout = parseLayoutSource(value);
  if (layout !== undefined) {
    return { kind: 'layout', name: found, source: { ...layout, folder: resolve(build.request.folder ?? '.', layout.folder) } };
  }
  const service = /^service:(.+)$/.exec(value)?.[1];
  const built = service === undefined ? undefined : build.request.serviceImages?.[service];
  if (service !== undefined && built !== undefined) {
    return { kind: 'service', name: found, service, image: built };
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(value) && !isRemoteSource(value)) {
    throw refusedContext(found, value);
  }
  return { kind: 'local', name: found };
};

const refusedContext = (name: string, value: string): HyprError =>
  value.startsWith('target:')
    ? new HyprError('HYPR_UNSUPPORTED', `the additional context ${name} is ${value}: only a bake file has targets that others can use`, {
        hint: 'build it on its own and name the result: docker-image://NAME, or an oci-layout:// folder',
      })
    : new HyprError(
        'HYPR_UNSUPPORTED',
        `the additional context ${name} is ${value}: only folders, git and web addresses, docker-image:// and oci-layout:// are understood`,
      );

const openLocal = async (build: BuildContext, name: string): Promise<SourceRoot> => {
  const tree = await build.openContext(name);
  return {
    key: undefined,
    tree: () => Promise.resolve(tree),
    explainMissing: (path) => (tree.isIgnored?.(path) ? 'it is there, but excluded by .dockerignore' : undefined),
  };
};
