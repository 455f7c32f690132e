import type { BuildResult } from '../types.ts';
import type { BuildContext } from './build-context.ts';
import type { StageState } from './state.ts';
import type { ImageConfigBlob } from './store.ts';

/** Writes the image that a stage has become into the store and names it. */
export const exportImage = (build: BuildContext, state: StageState): Promise<BuildResult> =>
  build.progress.run('exporting to image', async (vertex) => {
    const references = build.request.tags;
    vertex.status('exporting layers');
    const image = await build.store.addImage({ config: configOf(build, state), references });
    vertex.status(`writing image ${image.id}`);
    for (const reference of references) {
      vertex.status(`naming to ${reference}`);
    }
    return { imageId: image.id, manifestDigest: image.manifestDigest };
  });

/**
 * The image's config. Times are those of the layers, which come from the cache: building the same
 * inputs again gives the same digest.
 */
const configOf = (build: BuildContext, state: StageState): ImageConfigBlob => {
  const { request } = build;
  const { platform } = state;
  const sourceDate = Number(request.buildArgs.SOURCE_DATE_EPOCH ?? Number.NaN);
  const created = new Date(Number.isFinite(sourceDate) ? sourceDate * 1000 : state.created).toISOString();
  const labels = { ...state.config.Labels, ...request.labels };
  const history = state.history.map((entry) =>
    entry.comment === undefined || !entry.created_by || entry.created !== undefined ? entry : { created, ...entry },
  );
  return {
    created,
    ...(state.author === undefined ? {} : { author: state.author }),
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant === '' ? {} : { variant: platform.variant }),
    config: {
      ...state.config,
      Env: Array.from(state.env, ([name, value]) => `${name}=${value}`),
      ...(Object.keys(labels).length > 0 ? { Labels: labels } : {}),
    },
    rootfs: { type: 'layers', diff_ids: state.layers },
    history,
  };
};
