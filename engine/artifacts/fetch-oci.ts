import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HyprError, isErrno } from '../../base/errors.ts';
import { exists, writeFileAtomic } from '../../base/host/files.ts';
import { stagingName, sweepStaging } from '../../base/host/staging.ts';
import type { FetchedManifest, Repository } from '../../builder/registry/client.ts';
import { familiarReference, parseReference } from '../../builder/registry/config/reference.ts';
import { parseObject } from '../../builder/store/format/image-config.ts';
import { type Descriptor, MEDIA } from '../../builder/store/format/manifest.ts';
import { ANNOTATION, ARTIFACT } from './artifact-types.ts';
import { withRegistries } from './registries.ts';

interface FetchOptions {
  readonly home: string;
  readonly cache: string;
  readonly insecure: readonly string[];
  readonly signal: AbortSignal;
}

const MAX_LAYERS = 200;
const MAX_FILE = 4 << 20;

/**
 * The Compose file of an artifact that `publish` made, in a folder named by its digest, with the files that it extends and its env files
 * beside it. Several Compose files are one file of several documents. Throws COMPOSE_INVALID for what is no such artifact, and the
 * registry's errors.
 */
export const fetchOci = async (text: string, { home, cache, insecure, signal }: FetchOptions): Promise<string> => {
  const reference = parseReference(text.slice('oci://'.length));
  return withRegistries({ home, insecure }, (registries) =>
    registries.withRepository(reference, signal, async (repository) => {
      const top = await repository.manifest(reference.digest ?? reference.tag ?? 'latest');
      const folder = join(cache, top.digest.slice('sha256:'.length));
      if (!(await exists(folder))) {
        const files = await readFiles(repository, await projectManifest(repository, top, familiarReference(reference)), text);
        await writeFolder(folder, files, cache);
      }
      return join(folder, 'compose.yaml');
    }),
  );
};

interface Layer extends Descriptor {
  readonly annotations?: Readonly<Record<string, unknown>>;
}

interface Manifest {
  readonly artifactType?: unknown;
  readonly config?: Partial<Descriptor>;
  readonly layers?: unknown;
}

/** The manifest itself, or that of the project in an index of an application (`publish --app`). */
const projectManifest = async (repository: Repository, top: FetchedManifest, name: string): Promise<Manifest> => {
  let json = parseObject(top.bytes) as Record<string, unknown>;
  if (top.mediaType === MEDIA.ociIndex || top.mediaType === MEDIA.dockerList) {
    const entries = Array.isArray(json.manifests) ? (json.manifests as Array<Record<string, unknown>>) : [];
    const found = entries.find((entry) => entry.artifactType === ARTIFACT.type);
    if (typeof found?.digest !== 'string') {
      throw notAProject(name, 'an index without one');
    }
    json = parseObject((await repository.manifest(found.digest)).bytes);
  }
  const { artifactType, config } = json as Manifest;
  const isProject = artifactType === undefined ? config?.mediaType === ARTIFACT.emptyConfig : artifactType === ARTIFACT.type;
  if (!isProject) {
    throw notAProject(name, typeof artifactType === 'string' ? artifactType : 'an image');
  }
  return json;
};

const notAProject = (name: string, what: string): HyprError =>
  new HyprError('COMPOSE_INVALID', `oci://${name} is not a Compose project, but ${what}`, {
    hint: 'projects are made by: hypr compose publish REPOSITORY',
  });

/** Name → content. A registry is not trusted: names stay in the folder, sizes are limited. */
const readFiles = async (repository: Repository, { layers }: Manifest, text: string): Promise<Map<string, string>> => {
  const files = new Map<string, string>();
  const list = Array.isArray(layers) ? (layers as Layer[]) : [];
  if (list.length > MAX_LAYERS) {
    throw new HyprError('COMPOSE_LIMIT', `${text} has more than ${MAX_LAYERS} files`);
  }
  for (const layer of list) {
    const name = nameOf(layer);
    if (name === undefined) {
      continue;
    }
    if (!/^[\w.-]+$/.test(name) || name.startsWith('.')) {
      throw new HyprError('COMPOSE_INVALID', `${text} has a file ${JSON.stringify(name)}, which may not be outside its folder`);
    }
    const content = (await repository.smallBlob(layer, MAX_FILE)).toString('utf8');
    const before = files.get(name);
    files.set(name, before === undefined ? content : `${before}\n---\n${content}`);
  }
  if (!files.has('compose.yaml')) {
    throw new HyprError('COMPOSE_INVALID', `${text} has no Compose file`);
  }
  return files;
};

const nameOf = ({ mediaType, annotations }: Layer): string | undefined => {
  if (mediaType === ARTIFACT.file) {
    return annotations?.[ANNOTATION.isExtended] === undefined ? 'compose.yaml' : String(annotations[ANNOTATION.file] ?? '');
  }
  return mediaType === ARTIFACT.envFile ? String(annotations?.[ANNOTATION.envFile] ?? '') : undefined;
};

/** Whole or not at all. */
const writeFolder = async (folder: string, files: ReadonlyMap<string, string>, cache: string): Promise<void> => {
  const staging = join(cache, 'tmp', stagingName('project'));
  await sweepStaging(join(cache, 'tmp'));
  await mkdir(staging, { recursive: true, mode: 0o700 });
  try {
    for (const [name, content] of files) {
      await writeFileAtomic(join(staging, name), content);
    }
    await rename(staging, folder).catch((error: unknown) => {
      // Another process was faster; by its digest it is the same.
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) {
        throw error;
      }
    });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
};
