import pLimit from 'p-limit';
import { linkedController } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { explainDiskFull } from '../../base/host/files.ts';
import type { ProgressSink } from '../../base/progress.ts';
import type { Image } from '../model/types.ts';
import { MAX_CONFIG, type ParsedConfig, parseImageConfig, parseObject } from '../store/format/image-config.ts';
import type { Descriptor } from '../store/format/manifest.ts';
import {
  checkConfig,
  chooseManifest,
  fitsPlatform,
  type ImageManifest,
  isIndex,
  type Platform,
  parseManifest,
  parsePlatform,
} from '../store/format/platform.ts';
import type { ImageStore } from '../store/store.ts';
import type { FetchedManifest, Repository } from './client.ts';
import { familiarReference, formatReference, parseReference, type Reference, repositoryName } from './config/reference.ts';
import type { Resuming } from './fetch-blob.ts';
import type { Registries } from './registries.ts';
import { type Decompressors, decompressLayer } from './transport/decompress.ts';

export interface PullOptions {
  readonly store: ImageStore;
  readonly registries: Registries;
  /** In familiar form. */
  readonly reference: string;
  readonly platform?: string | undefined;
  /** missing: use the image in the store, if there is one for the platform, without asking the registry. */
  readonly policy: 'missing' | 'always';
  readonly decompressors: Decompressors;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

const LAYERS_AT_ONCE = 3;
const MAX_INDEXES = 3;

/**
 * Pulls an image into the store. Progress is in docker compose's words, for `Image <reference>` and each of its layers.
 * Throws IMAGE_REFERENCE, IMAGE_NOT_FOUND, IMAGE_PLATFORM, IMAGE_CORRUPT, REGISTRY_…, HYPR_DISK_FULL.
 */
export const pullImage = async (options: PullOptions): Promise<Image> => {
  const { store, registries, progress, signal } = options;
  const reference = parseReference(options.reference);
  const id = `Image ${options.reference}`;
  const want = parsePlatform(options.platform);
  const present = options.policy === 'missing' ? await store.get(formatReference(reference)) : undefined;
  if (present !== undefined && fitsPlatform(present.platform, want)) {
    progress({ id, status: 'done', text: 'Skipped', details: 'Image is already present locally' });
    return present;
  }
  progress({ id, status: 'working', text: 'Pulling' });
  try {
    const image = await registries.withRepository(reference, signal, (repository) =>
      pullFrom(repository, { ...options, id, parsed: reference, want }),
    );
    progress({ id, status: 'done', text: 'Pulled' });
    return image;
  } catch (error) {
    progress({ id, status: 'error', text: error instanceof HyprError ? error.message : 'Error' });
    throw error;
  }
};

/** The digest that a reference has at its registry now; for a multi-platform image, the digest of the index. */
export const resolveDigest = (registries: Registries, text: string, signal: AbortSignal): Promise<string> => {
  const reference = parseReference(text);
  return registries.withRepository(reference, signal, async (repository) => (await repository.manifest(targetOf(reference))).digest);
};

type Job = PullOptions & { readonly id: string; readonly parsed: Reference; readonly want: Platform };

const targetOf = ({ digest, tag }: Reference): string => digest ?? tag ?? 'latest';

const pullFrom = async (repository: Repository, job: Job): Promise<Image> => {
  const { store, parsed, want } = job;
  const lease = await store.lease();
  try {
    const name = familiarReference(parsed);
    const top = await repository.manifest(targetOf(parsed));
    const chosen = await resolveManifest(repository, top, { want, name });
    const manifest = parseManifest(chosen.bytes, name);
    const bytes = await repository.smallBlob(manifest.config, MAX_CONFIG);
    const config = checkConfig(parseImageConfig(bytes), { manifest, want, name });
    await pullLayers(repository, { job, config, manifest }).catch(async (error: unknown) => {
      throw await explainNeed(error, { store, config, manifest });
    });
    const digests = [...new Set([top.digest, chosen.digest])].map((digest) => `${repositoryName(parsed)}@${digest}`);
    // As in docker, a name with both tag and digest is looked up by its digest.
    const references = parsed.digest === undefined ? [formatReference(parsed), ...digests] : digests;
    return await store.addImage({ config: bytes, manifest: chosen.bytes, references });
  } finally {
    await lease.release();
  }
};

const resolveManifest = async (
  repository: Repository,
  top: FetchedManifest,
  { want, name }: { want: Platform; name: string },
): Promise<FetchedManifest> => {
  let manifest = top;
  for (let depth = 0; depth < MAX_INDEXES; depth += 1) {
    const json = parseObject(manifest.bytes);
    if (!isIndex(manifest.mediaType, json)) {
      return manifest;
    }
    manifest = await repository.manifest(chooseManifest(json, want, name).digest);
  }
  throw new HyprError('REGISTRY_ERROR', `${name} is an index of indexes, ${MAX_INDEXES} deep`);
};

/** The first failure cancels the other downloads, which leave nothing behind. */
const pullLayers = async (
  repository: Repository,
  { job, config, manifest }: { job: Job; config: ParsedConfig; manifest: ImageManifest },
): Promise<void> => {
  const limit = pLimit(LAYERS_AT_ONCE);
  const failing = linkedController(job.signal);
  const { signal } = failing;
  const results = await Promise.allSettled(
    manifest.layers.map((descriptor, index) =>
      limit(async () => {
        signal.throwIfAborted();
        try {
          await pullLayer(repository, { job, descriptor, diffId: config.diffIds[index] ?? '', signal });
        } catch (error) {
          failing.abort(error);
          throw error;
        }
      }),
    ),
  );
  job.signal.throwIfAborted();
  signal.throwIfAborted();
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
};

/** Only compressed sizes are known of layers that were not downloaded. */
const explainNeed = async (
  error: unknown,
  { store, config, manifest }: { store: ImageStore; config: ParsedConfig; manifest: ImageManifest },
): Promise<unknown> => {
  let bytes = 0;
  for (const [index, { size }] of manifest.layers.entries()) {
    bytes += (await store.hasLayer(config.diffIds[index] ?? '')) === undefined ? size : 0;
  }
  return explainDiskFull(error, { what: 'the layers that are missing are unpacked to more than', bytes });
};

const pullLayer = async (
  repository: Repository,
  { job, descriptor, diffId, signal }: { job: Job; descriptor: Descriptor; diffId: string; signal: AbortSignal },
): Promise<void> => {
  const { progress, store, decompressors } = job;
  const common = { id: descriptor.digest.slice(7, 19), parentId: job.id } as const;
  const say = steps(descriptor.size, (text, current) => {
    const bytes = current === undefined ? {} : { current, total: descriptor.size };
    progress({ ...common, status: text === 'Pull complete' || text === 'Already exists' ? 'done' : 'working', text, ...bytes });
  });
  say.text('Pulling fs layer');
  let fetched = false;
  let resumed = false;
  const onResume = () => {
    resumed = true;
  };
  const take = (resuming: Resuming) =>
    store.ensureLayer(
      diffId,
      async () => {
        fetched = true;
        return decompressLayer(repository.blob(descriptor, say.bytes, signal, resuming), decompressors);
      },
      signal,
      descriptor,
    );
  try {
    await take({ onResume });
  } catch (error) {
    // The pieces do not fit together: two different copies behind one name, or a server that counts bytes wrongly.
    if (!resumed || signal.aborted || !(error instanceof HyprError && ['IMAGE_CORRUPT', 'IMAGE_LAYER'].includes(error.code))) {
      throw error;
    }
    say.text('Retrying');
    await take({ ranges: false });
  }
  say.text(fetched ? 'Pull complete' : 'Already exists');
};

/** Reports byte counts at most once for every percent. */
const steps = (total: number, tell: (text: string, current?: number) => void) => {
  let told = 0;
  return {
    text: (text: string) => tell(text),
    bytes: (current: number) => {
      if (current >= total) {
        tell('Download complete', current);
        tell('Extracting', current);
      } else if (current - told > total / 100) {
        told = current;
        tell('Downloading', current);
      }
    },
  };
};
