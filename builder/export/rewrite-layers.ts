import type { BuildContext } from '../solver/frame/build-context.ts';
import type { StageState } from '../solver/frame/state.ts';
import { clampTimes } from './clamp-times.ts';

/** `rewrite-timestamp=true`: the layers of this build get no time after SOURCE_DATE_EPOCH; those of the base image are unchanged. */
export const rewriteLayers = async (build: BuildContext, state: StageState): Promise<readonly string[]> => {
  const { sourceDate, store, signal } = build;
  if (sourceDate === undefined) {
    return state.layers;
  }
  const layers: string[] = [];
  for (const [index, diffId] of state.layers.entries()) {
    const isBase = index < state.base.layers;
    layers.push(isBase ? diffId : (await store.addLayer(clampTimes(store.layerTar(diffId), sourceDate), { signal })).diffId);
  }
  return layers;
};
