import { randomUUID } from 'node:crypto';
import { parseReference, repositoryName } from '../registry/config/reference.ts';
import type { BuildContext } from '../solver/frame/build-context.ts';
import { formatPlatform } from '../solver/frame/platform.ts';
import { ociDigest } from '../store/format/digest.ts';
import { type Descriptor, MEDIA } from '../store/format/manifest.ts';
import type { Blob } from './compress-layer.ts';
import { encode, jsonBlob } from './make-image.ts';

const PREDICATE = 'https://slsa.dev/provenance/v0.2';
const STATEMENT = 'application/vnd.in-toto+json';

/**
 * The provenance attestation of an image (in-toto statement v0.1, SLSA provenance v0.2) as the blobs of an attestation
 * manifest, which comes last; empty if none was requested. With SOURCE_DATE_EPOCH it contains no times and is
 * reproducible.
 */
export const attestProvenance = (
  build: BuildContext,
  image: { readonly manifest: Descriptor; readonly names: readonly string[] },
): Blob[] => {
  if (build.provenance === undefined) {
    return [];
  }
  const statement = jsonBlob(STATEMENT, encode(statementOf(build, image)));
  const config = jsonBlob(
    MEDIA.ociConfig,
    encode({
      architecture: 'unknown',
      os: 'unknown',
      config: {},
      rootfs: { type: 'layers', diff_ids: [statement.descriptor.digest] },
    }),
  );
  const layer = { ...statement.descriptor, annotations: { 'in-toto.io/predicate-type': PREDICATE } };
  const manifest = encode({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config: config.descriptor, layers: [layer] });
  return [statement, config, jsonBlob(MEDIA.ociManifest, manifest)];
};

const statementOf = (build: BuildContext, { manifest, names }: { manifest: Descriptor; names: readonly string[] }): object => {
  const platform = formatPlatform(build.platform);
  const digest = { sha256: manifest.digest.slice(7) };
  const subjects = names.length === 0 ? ['_'] : names.map((name) => packageUrl(name, platform));
  return {
    _type: 'https://in-toto.io/Statement/v0.1',
    predicateType: PREDICATE,
    subject: subjects.map((name) => ({ name, digest })),
    predicate: predicateOf(build, platform),
  };
};

const predicateOf = (build: BuildContext, platform: string): object => {
  const { request, sourceDate, materials, startedAt } = build;
  const entryPoint = 'path' in request.dockerfile ? request.dockerfile.path.replace(/^.*\//, '') : 'Dockerfile';
  const uris = [...materials].map(([name, digest]) => ({ uri: packageUrl(name, platform), digest: { sha256: digest.slice(7) } }));
  const times =
    sourceDate === undefined
      ? {
          buildInvocationID: randomUUID(),
          buildStartedOn: new Date(startedAt).toISOString(),
          buildFinishedOn: new Date().toISOString(),
        }
      : { buildInvocationID: ociDigest(JSON.stringify([entryPoint, uris, sourceDate])).slice(7, 39) };
  return {
    builder: { id: '' },
    buildType: 'urn:hypr:dockerfile-build:v1',
    materials: uris,
    invocation: {
      configSource: { entryPoint },
      parameters: { frontend: 'dockerfile.v0', locals: [{ name: 'context' }, { name: 'dockerfile' }] },
      environment: { platform },
    },
    metadata: { ...times, completeness: { parameters: false, environment: true, materials: false }, reproducible: false },
  };
};

/** `pkg:docker/alpine@3.20?platform=linux%2Famd64` (purl spec, type docker). */
const packageUrl = (reference: string, platform: string): string => {
  if (reference.startsWith('pkg:')) {
    return reference;
  }
  const parsed = parseReference(reference);
  const name = repositoryName(parsed).replace(/^docker\.io\/(library\/)?/, '');
  const version = encodeURIComponent(parsed.tag ?? parsed.digest ?? 'latest');
  return `pkg:docker/${name}@${version}?platform=${encodeURIComponent(platform)}`;
};
