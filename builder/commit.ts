import { HyprError } from '../base/errors.ts';
import { parseTrigger } from './dockerfile/parse.ts';
import type { Image, ImageRuntime } from './model/types.ts';
import { applyMetadata, joinWorkdir, type MetadataInstruction } from './solver/frame/metadata.ts';
import { imageState, type StageState } from './solver/frame/state.ts';
import { readConfigBlob } from './solver/frame/store.ts';
import { filterLayer } from './solver/layer/layer-filter.ts';
import type { ImageStore } from './store/store.ts';

export interface CommitRequest {
  /** The image that the machine was made of. */
  readonly imageId: string;
  /** What differs from it, as a layer. */
  readonly layer: AsyncIterable<Uint8Array>;
  /** Absolute paths that are hypr's and not the program's: they do not come into the image. */
  readonly leaveOut: readonly string[];
  /** Absent: the image has no name. */
  readonly reference: string | undefined;
  readonly author: string | undefined;
  readonly message: string | undefined;
  /** What the machine has otherwise than its image: command, environment, user. */
  readonly runtime?: Partial<ImageRuntime>;
  /** Instructions of a Dockerfile, such as `ENV A=1`. */
  readonly changes: readonly string[];
  /** Of the history: what the machine ran. */
  readonly command: string;
  readonly now: number;
}

export const WHOLE_FOLDERS = ['/run/hypr', '/dev', '/proc', '/sys'];

/**
 * An image of what a machine was made of and what it changed on its disk, in one more layer; volumes are not among that. The config is the
 * image's with what the machine was started with, and `changes`. Throws HYPR_USAGE for other instructions, DOCKERFILE_SYNTAX, IMAGE_REFERENCE.
 */
export const commitImage = async (store: ImageStore, request: CommitRequest, signal: AbortSignal): Promise<Image> => {
  const lease = await store.lease();
  try {
    const base = readConfigBlob(await store.readConfig(request.imageId));
    // Before anything is read from the machine: what is wrong in them is said at once.
    const config = changeConfig(imageState({ ...base, config: { ...base.config, ...request.runtime } }, ''), request.changes);
    const drop = [...WHOLE_FOLDERS, ...request.leaveOut];
    const { diffId } = await store.addLayer(filterLayer(request.layer, { drop, dropIfEmpty: ['/run', '/etc'] }), { signal });
    const created = new Date(request.now).toISOString();
    const { author = base.author } = request;
    const step = { created, created_by: request.command, ...(request.message === undefined ? {} : { comment: request.message }) };
    const blob = {
      ...base,
      parent: request.imageId,
      created,
      ...(author === undefined ? {} : { author }),
      config,
      rootfs: { type: 'layers', diff_ids: [...base.rootfs.diff_ids, diffId] },
      history: [...(base.history ?? []), { ...step, ...(author === undefined ? {} : { author }) }],
    };
    return await store.addImage({
      config: Buffer.from(JSON.stringify(blob)),
      references: request.reference === undefined ? [] : [request.reference],
    });
  } finally {
    await lease.release();
  }
};

/** Docker's list for `commit --change`. */
const ALLOWED: ReadonlySet<string> = new Set(
  ['cmd', 'entrypoint', 'env', 'expose', 'label', 'onbuild', 'user', 'volume', 'workdir'].concat(['healthcheck', 'stopsignal']),
);

/** A config with instructions of a Dockerfile, as `commit --change` and `import --change` take them. Throws HYPR_USAGE, DOCKERFILE_SYNTAX. */
export const changeConfig = (start: StageState, changes: readonly string[]): StageState['config'] => {
  let state = start;
  for (const instruction of changes.flatMap((text) => parseTrigger(text, '--change'))) {
    if (!ALLOWED.has(instruction.kind)) {
      throw new HyprError('HYPR_USAGE', `--change: ${instruction.text} is not possible`, {
        hint: `instructions are ${[...ALLOWED].map((name) => name.toUpperCase()).join(', ')}`,
      });
    }
    state =
      instruction.kind === 'workdir'
        ? { ...state, config: { ...state.config, WorkingDir: joinWorkdir(state.config.WorkingDir ?? '/', instruction.value) } }
        : applyMetadata(state, instruction as MetadataInstruction, { escape: '\\', buildArgs: {}, globals: new Map() });
  }
  return { ...state.config, Env: [...state.env].map(([name, value]) => `${name}=${value}`) };
};
