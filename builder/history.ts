import { asObject, parseObject, text } from './store/format/image-config.ts';
import type { ImageStore } from './store/store.ts';

/** One step of an image's making, as its config tells it (image-spec config.md, `history`): nobody has checked that. */
export interface HistoryStep {
  /** Milliseconds since the epoch; undefined when it is not said. */
  readonly created: number | undefined;
  readonly createdBy: string;
  readonly comment: string;
  /** Bytes of its layer; 0 for a step that made none. */
  readonly size: number;
}

type HistorySource = Pick<ImageStore, 'need' | 'readConfig' | 'hasLayer'>;

const MAX_STEPS = 10_000;

/** The steps of an image, the last one first. Throws IMAGE_NOT_FOUND. */
export const readHistory = async (store: HistorySource, name: string): Promise<{ id: string; steps: HistoryStep[] }> => {
  const image = await store.need(name);
  const { history } = parseObject(await store.readConfig(image.id));
  const layers = [...image.layers];
  const steps: HistoryStep[] = [];
  for (const entry of (Array.isArray(history) ? history : []).slice(0, MAX_STEPS).map(asObject)) {
    const diffId = entry.empty_layer === true ? undefined : layers.shift();
    const created = Date.parse(text(entry.created) ?? '');
    steps.push({
      created: Number.isNaN(created) ? undefined : created,
      createdBy: text(entry.created_by) ?? '',
      comment: text(entry.comment) ?? '',
      size: diffId === undefined ? 0 : ((await store.hasLayer(diffId))?.size ?? 0),
    });
  }
  // Layers that the history does not speak of.
  for (const diffId of layers) {
    steps.push({ created: undefined, createdBy: '', comment: '', size: (await store.hasLayer(diffId))?.size ?? 0 });
  }
  return { id: image.id, steps: steps.reverse() };
};
