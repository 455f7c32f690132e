import type { ImageRuntime } from '../../model/types.ts';
import { asObject, parseImageConfig, parseObject, text } from '../../store/format/image-config.ts';
import type { ImageStore } from '../../store/store.ts';

/** image-spec config.md: one entry per instruction. */
export interface ImageHistory {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** The config blob of an image (image-spec config.md). */
export interface ImageConfigBlob {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly config: Partial<ImageRuntime> & { readonly ArgsEscaped?: boolean };
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly string[] };
  readonly history?: readonly ImageHistory[];
}

/** What a build needs of the image store. */
export type BuildStore = Pick<
  ImageStore,
  'addLayer' | 'ensureLayer' | 'hasLayer' | 'layerTar' | 'originalLayer' | 'rootDisk' | 'readConfig' | 'addImage' | 'lease'
>;

/** The config blob of an image of any origin; malformed fields count as absent. Throws IMAGE_CORRUPT. */
export const readConfigBlob = (data: Uint8Array): ImageConfigBlob => {
  const { diffIds, runtime, platform } = parseImageConfig(data);
  const json = parseObject(data);
  const [os = 'linux', architecture = 'amd64', variant] = platform.split('/');
  const history = Array.isArray(json.history) ? json.history.map((entry: unknown) => asObject(entry) as ImageHistory) : undefined;
  const created = text(json.created);
  const author = text(json.author);
  const { ArgsEscaped } = asObject(json.config);
  return {
    ...(created === undefined ? {} : { created }),
    ...(author === undefined ? {} : { author }),
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    config: { ...withoutEmpty(runtime), ...(ArgsEscaped === true ? { ArgsEscaped } : {}) },
    rootfs: { type: 'layers', diff_ids: diffIds },
    ...(history === undefined ? {} : { history }),
  };
};

/** As docker writes configs: empty fields are left out. */
const withoutEmpty = (runtime: ImageRuntime): Partial<ImageRuntime> =>
  Object.fromEntries(
    Object.entries(runtime).filter(
      ([key, value]) =>
        key === 'Env' || !(value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)),
    ),
  );
