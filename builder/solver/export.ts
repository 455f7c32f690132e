import { exportCaches, inlineField } from '../cache-export/export-cache.ts';
import { runOutputs } from '../export/run-outputs.ts';
import type { BuildResult } from '../model/types.ts';
import type { BuildContext } from './frame/build-context.ts';
import type { StageState } from './frame/state.ts';
import type { ImageConfigBlob } from './frame/store.ts';

/** Exports the result of a stage to the outputs of the request. */
export const exportResult = async (build: BuildContext, state: StageState): Promise<BuildResult> => {
  const result = await runOutputs(build, state, (layers) => ({ ...configOf(build, state, layers), ...inlineField(build, state) }));
  await exportCaches(build, state);
  return result;
};

/**
 * The image's config. Times are those of the layers, which come from the cache: building the same
 * inputs again gives the same digest. With SOURCE_DATE_EPOCH no time that this build sets is later than that.
 */
const configOf = (build: BuildContext, state: StageState, layers: readonly string[]): ImageConfigBlob => {
  const { request, sourceDate } = build;
  const { platform } = state;
  const created = new Date(sourceDate === undefined ? state.created : sourceDate * 1000).toISOString();
  const labels = { ...state.config.Labels, ...request.labels };
  const history = state.history.map((entry, index) => {
    if (index < state.base.history || entry.comment === undefined || !entry.created_by) {
      return entry;
    }
    const isLate = entry.created === undefined || (sourceDate !== undefined && Date.parse(entry.created) > sourceDate * 1000);
    return isLate ? { ...entry, created } : entry;
  });
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
    rootfs: { type: 'layers', diff_ids: layers },
    history,
  };
};
