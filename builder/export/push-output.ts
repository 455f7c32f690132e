import { Readable } from 'node:stream';
import { HyprError } from '../../base/errors.ts';
import type { Progress } from '../../base/progress.ts';
import { type ImageForm, isMultiPlatform, type Output } from '../options/parse-output.ts';
import { parseReference } from '../registry/config/reference.ts';
import type { PushTarget } from '../registry/push-target.ts';
import type { BlobSource } from '../registry/upload.ts';
import type { BuildContext, BuildRegistry } from '../solver/frame/build-context.ts';
import type { Vertex } from '../solver/frame/progress.ts';
import type { Descriptor } from '../store/format/manifest.ts';
import type { Blob } from './compress-layer.ts';
import type { ImageBundle } from './make-image.ts';
import type { ImageOutcome } from './types.ts';

type ImageOutput = Extract<Output, { type: 'image' }>;

/**
 * Pushes an image that was just added to the store. An image in its plain form is pushed as by `hypr push`, without the
 * layers that the registry has; one with a form of its own (compression, docker's media types, an index) is pushed as
 * `bundle`.
 */
export const pushOutput = async (
  build: BuildContext,
  input: { readonly output: ImageOutput; readonly done: ImageOutcome; readonly bundle: () => Promise<ImageBundle> },
): Promise<ImageOutcome> => {
  const { output, done } = input;
  const registry = needRegistry(build);
  let { descriptor } = done;
  for (const reference of output.form.names) {
    descriptor = await build.progress.run(`pushing ${reference}`, async (vertex) => {
      if (isPlain(output, build)) {
        const { digest, size, mediaType } = await registry.push(reference, (progress) => report(vertex, progress), build.signal);
        return { mediaType, digest, size };
      }
      const bundle = await input.bundle();
      const work = (target: PushTarget) => pushBundle(target, { bundle, reference, byDigest: output.byDigest, signal: build.signal });
      return await registry.withPushTarget(reference, work, build.signal);
    });
  }
  return { ...done, descriptor };
};

export const needRegistry = ({ registry }: Pick<BuildContext, 'registry'>): BuildRegistry => {
  if (registry === undefined) {
    throw new HyprError('HYPR_UNSUPPORTED', 'this build has no way to a registry');
  }
  return registry;
};

const isPlain = ({ form, byDigest }: ImageOutput, build: BuildContext): boolean =>
  !byDigest &&
  !isMultiPlatform(build.request) &&
  build.provenance === undefined &&
  !needsIndex(form) &&
  form.ociTypes &&
  form.compression.type === 'gzip' &&
  form.compression.level === undefined;

const needsIndex = ({ annotations }: ImageForm): boolean => Object.keys(annotations.index).length > 0;

const report = (vertex: Vertex, { id, parentId, text, current, total }: Progress): void => {
  vertex.status(parentId === undefined ? text : `${text} ${id}`, current, total);
};

const pushBundle = async (
  target: PushTarget,
  { bundle, reference, byDigest, signal }: { bundle: ImageBundle; reference: string; byDigest: boolean; signal: AbortSignal },
): Promise<Descriptor> => {
  const documents = [bundle.manifest, ...bundle.extras.slice(-1)];
  const blobs = [...bundle.layers, bundle.config, ...bundle.extras.slice(0, -1)];
  for (const blob of blobs) {
    await target.pushBlob({ blob: toSource(blob), signal });
  }
  const top = bundle.index ?? bundle.manifest;
  for (const document of bundle.index === undefined ? [] : documents) {
    await pushDocument(target, document.descriptor.digest, document);
  }
  await pushDocument(target, byDigest ? top.descriptor.digest : (parseReference(reference).tag ?? 'latest'), top);
  return bundle.top;
};

/** A manifest or index, under a tag or its digest. */
export const pushDocument = async (target: PushTarget, name: string, document: Blob): Promise<void> => {
  await target.pushManifest(name, { mediaType: document.descriptor.mediaType, bytes: await readBlob(document) });
};

export const readBlob = async (blob: Blob): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const part of blob.open()) {
    parts.push(part);
  }
  return Buffer.concat(parts);
};

/** When an upload is resumed, what the registry has already is read and skipped. */
export const toSource = (blob: Blob): BlobSource => ({
  digest: blob.descriptor.digest,
  size: blob.descriptor.size,
  open: (from) => Readable.from(skip(blob.open(), from), { objectMode: false }),
});

async function* skip(data: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const part of data) {
    const rest = part.subarray(Math.min(left, part.length));
    left -= part.length - rest.length;
    if (rest.length > 0) {
      yield rest;
    }
  }
}
