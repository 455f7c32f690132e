import { posix } from 'node:path';
import type { ImageRuntime } from '../../model/types.ts';
import type { Platform } from './platform.ts';
import type { ImageConfigBlob, ImageHistory } from './store.ts';

export interface BuildArg {
  readonly name: string;
  /** Undefined: declared, but without a value. */
  readonly value: string | undefined;
}

export type RuntimeConfig = Partial<ImageRuntime> & { readonly ArgsEscaped?: boolean };

/** The state of a stage after an instruction. Immutable. */
export interface StageState {
  readonly layers: readonly string[];
  /** Cache key of the file system so far. */
  readonly key: string;
  /** ENV: what the image's config has. */
  readonly env: ReadonlyMap<string, string>;
  /** What a RUN and an expansion see: ENV and ARGs with a value, the last one of a name, in the order in which they were set. */
  readonly variables: ReadonlyMap<string, string>;
  /** Every declared ARG, for the history. */
  readonly args: readonly BuildArg[];
  readonly config: RuntimeConfig;
  readonly history: readonly ImageHistory[];
  readonly author: string | undefined;
  /** Of the files, which is the base image's. */
  readonly platform: Platform;
  /** Milliseconds: newest layer so far. */
  readonly created: number;
  /** CMD was set in this stage, so ENTRYPOINT leaves it alone. */
  readonly hasOwnCmd: boolean;
  /** How many of the layers and of the history are the base image's. */
  readonly base: { readonly layers: number; readonly history: number };
  /** True when it was built again although its key may be in the cache: the cached content is different. */
  readonly rebuilt: boolean;
  /** Keys of the steps so far, oldest first, those of the stages below it too. */
  readonly steps: readonly string[];
}

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
export const HISTORY_COMMENT = 'buildkit.dockerfile.v0';

export const scratchState = (key: string, platform: Platform): StageState => ({
  layers: [],
  key,
  env: new Map([['PATH', DEFAULT_PATH]]),
  variables: new Map([['PATH', DEFAULT_PATH]]),
  args: [],
  config: { WorkingDir: '/' },
  history: [],
  author: undefined,
  platform,
  created: 0,
  hasOwnCmd: false,
  base: { layers: 0, history: 0 },
  rebuilt: false,
  steps: [],
});

/** A stage that starts from an image. */
export const imageState = (blob: ImageConfigBlob, key: string): StageState => {
  const history = blob.history ?? blob.rootfs.diff_ids.map(() => ({ comment: 'base image without history' }));
  const env = new Map((blob.config.Env ?? []).map(splitEnv));
  return {
    ...scratchState(key, { os: blob.os, architecture: blob.architecture, variant: blob.variant ?? '' }),
    layers: blob.rootfs.diff_ids,
    env,
    variables: env,
    config: blob.config,
    history,
    author: blob.author,
    created: Date.parse(blob.created ?? '') || 0,
    base: { layers: blob.rootfs.diff_ids.length, history: history.length },
  };
};

/** A variable's value. */
export const lookupIn =
  (state: StageState) =>
  (name: string): string | undefined =>
    state.variables.get(name);

/** The variables of a stage after one more is set: it becomes the last, also when the name was there. */
export const withVariable = (variables: ReadonlyMap<string, string>, name: string, value: string): Map<string, string> => {
  const next = new Map(variables);
  next.delete(name);
  return next.set(name, value);
};

/** Adds an instruction to the history; `layer` is its layer, null for `WORKDIR /`, which makes none. */
export const withHistory = (
  state: StageState,
  createdBy: string,
  layer?: { diffId: string | null; created: number; key: string },
): StageState => {
  const hasLayer = layer?.diffId != null;
  const entry: ImageHistory = {
    created_by: createdBy,
    comment: HISTORY_COMMENT,
    ...(hasLayer ? {} : { empty_layer: true }),
  };
  if (layer === undefined) {
    return { ...state, history: [...state.history, entry] };
  }
  return {
    ...state,
    key: layer.key,
    steps: [...state.steps, layer.key],
    layers: layer.diffId === null ? state.layers : [...state.layers, layer.diffId],
    created: Math.max(state.created, layer.created),
    history: [...state.history, hasLayer ? { created: new Date(layer.created).toISOString(), ...entry } : entry],
  };
};

/** Where a step is, without `..` and slashes at the end. */
export const workdirOf = (state: StageState): string => posix.resolve('/', state.config.WorkingDir ?? '');

const splitEnv = (text: string): [string, string] => {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
};
