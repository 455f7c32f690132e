import { explainDiskFull } from '../../../base/host/files.ts';
import type { BuildContext } from '../frame/build-context.ts';
import type { CacheRecord } from '../frame/cache.ts';
import type { Vertex } from '../frame/progress.ts';
import { runOnce } from '../frame/step-lock.ts';
import type { LayerTree } from '../layer/layer-tree.ts';
import { type LayerItem, writeLayer } from '../layer/tar-write.ts';

export interface FileStep {
  readonly layers: readonly string[];
  readonly noCache: boolean;
  /** Key by how the inputs were made, known without looking at them. */
  readonly definitionKey: string | undefined;
  /** The inputs were made again, in the same way: they have to be looked at. */
  readonly rebuilt?: boolean;
  /** False for `WORKDIR /`, which changes nothing; every other step has a layer, an empty one if need be. */
  readonly isLayer?: boolean;
  /** Looks at the inputs; the key says everything that decides the layer. */
  contentKey(): Promise<string>;
  /** The layer, given what it lies on. Called after contentKey. */
  plan(root: LayerTree): Promise<LayerItem[]>;
  /** Called when the layer is there, or could not be made, if contentKey was called. */
  close?(): Promise<void>;
}

/** COPY, ADD and WORKDIR: a layer out of the cache, or made on the host without a machine. */
export const runFileStep = async (build: BuildContext, vertex: Vertex, step: FileStep): Promise<CacheRecord> => {
  const { cache } = build;
  const mayKnow = !step.noCache && !step.rebuilt && step.definitionKey !== undefined;
  // Earlier versions made no layer where nothing changed.
  const known = async (key: string | undefined): Promise<CacheRecord | undefined> => {
    const record = key === undefined ? undefined : await cache.find(key);
    return record?.diffId === null && step.isLayer !== false ? undefined : record;
  };
  const byDefinition = mayKnow ? await known(step.definitionKey) : undefined;
  if (byDefinition !== undefined) {
    vertex.cached();
    return byDefinition;
  }
  try {
    return await lookOrWrite(build, vertex, step, known);
  } finally {
    await step.close?.();
  }
};

type Known = (key: string | undefined) => Promise<CacheRecord | undefined>;

const lookOrWrite = async (build: BuildContext, vertex: Vertex, step: FileStep, known: Known): Promise<CacheRecord> => {
  const { cache, signal } = build;
  const contentKey = await step.contentKey();
  const keys = [contentKey, ...(step.definitionKey === undefined ? [] : [step.definitionKey])];
  const find = async (): Promise<CacheRecord | undefined> => {
    const byContent = step.noCache ? undefined : await known(contentKey);
    if (byContent !== undefined) {
      await cache.save(keys.slice(1), byContent);
    }
    return byContent;
  };
  const work = async (): Promise<CacheRecord> => {
    signal.throwIfAborted();
    const items = await step.plan(await build.trees.get(step.layers));
    const diffId = step.isLayer === false ? null : await addItems(build, items);
    const record = { key: contentKey, diffId, created: Date.now() };
    await cache.save(keys, record);
    return record;
  };
  return await runOnce(build, vertex, { key: contentKey, find, work });
};

const addItems = async ({ store, signal }: BuildContext, items: readonly LayerItem[]): Promise<string> => {
  try {
    return (await store.addLayer(writeLayer(items), { signal })).diffId;
  } catch (error) {
    const bytes = items.reduce((sum, { attributes }) => sum + attributes.size, 0);
    throw await explainDiskFull(error, { what: 'this step needs at least', bytes });
  }
};
