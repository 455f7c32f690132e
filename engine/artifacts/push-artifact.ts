import { Readable } from 'node:stream';
import { HyprError } from '../../base/errors.ts';
import { homePaths } from '../../base/paths.ts';
import { familiarReference, parseReference } from '../../builder/registry/config/reference.ts';
import type { PushTarget } from '../../builder/registry/push-target.ts';
import { ociDigest } from '../../builder/store/format/digest.ts';
import { MEDIA } from '../../builder/store/format/manifest.ts';
import type { PublishedFile } from '../../compose/publish/publish-files.ts';
import type { PublishRequest } from '../model/artifact.ts';
import { VERSION } from '../model/version.ts';
import { ANNOTATION, ARTIFACT, EMPTY_JSON } from './artifact-types.ts';
import { withRegistries } from './registries.ts';

/** Pushes a project's files as one artifact (see fetch-oci.ts). Returns its digest. Throws IMAGE_REFERENCE, REGISTRY_…. */
export const pushArtifact = async (request: PublishRequest, signal: AbortSignal): Promise<string> => {
  const reference = parseReference(request.reference);
  if (reference.digest !== undefined) {
    throw new HyprError('IMAGE_REFERENCE', `cannot publish ${familiarReference(reference)}: a digest cannot be chosen`);
  }
  const { home } = homePaths();
  return withRegistries({ home, insecure: request.insecure }, (registries) =>
    registries.withPushTarget(reference, { signal }, async (target) => {
      const layers: unknown[] = [];
      for (const file of request.files) {
        layers.push(await pushFile(target, file, signal));
      }
      const push = (version: '1.0' | '1.1') => pushManifest(target, { tag: reference.tag ?? 'latest', layers, version, signal });
      if (request.ociVersion !== undefined) {
        return push(request.ociVersion);
      }
      try {
        return await push('1.1');
      } catch (error) {
        // An old registry refuses a manifest with an artifact type.
        if (error instanceof HyprError && error.code === 'REGISTRY_ERROR') {
          return push('1.0');
        }
        throw error;
      }
    }),
  );
};

const pushFile = async (target: PushTarget, { kind, name, content }: PublishedFile, signal: AbortSignal) => {
  const annotations = {
    [ANNOTATION.version]: VERSION,
    [kind === 'env' ? ANNOTATION.envFile : ANNOTATION.file]: name,
    ...(kind === 'extended' ? { [ANNOTATION.isExtended]: 'true' } : {}),
  };
  return { mediaType: kind === 'env' ? ARTIFACT.envFile : ARTIFACT.file, ...(await pushBytes(target, content, signal)), annotations };
};

const pushBytes = async (target: PushTarget, text: string, signal: AbortSignal): Promise<{ digest: string; size: number }> => {
  const bytes = Buffer.from(text);
  const blob = { digest: ociDigest(bytes), size: bytes.length, open: (from: number) => Readable.from([bytes.subarray(from)]) };
  await target.pushBlob({ blob, signal });
  return { digest: blob.digest, size: blob.size };
};

const pushManifest = async (
  target: PushTarget,
  { tag, layers, version, signal }: { tag: string; layers: readonly unknown[]; version: '1.0' | '1.1'; signal: AbortSignal },
): Promise<string> => {
  const config = await pushBytes(target, '{}', signal);
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    ...(version === '1.1' ? { artifactType: ARTIFACT.type } : {}),
    config: { mediaType: version === '1.1' ? EMPTY_JSON : ARTIFACT.emptyConfig, ...config },
    layers,
    annotations: { 'org.opencontainers.image.created': new Date().toISOString().replace(/\.\d+Z$/, 'Z') },
  };
  return target.pushManifest(tag, { mediaType: MEDIA.ociManifest, bytes: Buffer.from(JSON.stringify(manifest)) });
};
