import { explainDiskFull } from '../../base/host/files.ts';
import type { BuildResult } from '../model/types.ts';
import { annotationsField } from '../options/annotations.ts';
import { type ImageForm, isMultiPlatform, type Output } from '../options/parse-output.ts';
import type { BuildContext } from '../solver/frame/build-context.ts';
import type { Vertex } from '../solver/frame/progress.ts';
import type { StageState } from '../solver/frame/state.ts';
import type { ImageConfigBlob } from '../solver/frame/store.ts';
import { writeLayer } from '../solver/layer/tar-write.ts';
import { ociDigest } from '../store/format/digest.ts';
import { type Descriptor, MEDIA } from '../store/format/manifest.ts';
import { LayerBlobs } from './compress-layer.ts';
import { encode, type ImageBundle, makeImage } from './make-image.ts';
import { buildMetadata } from './metadata.ts';
import { attestProvenance } from './provenance.ts';
import { pushOutput, readBlob } from './push-output.ts';
import { rewriteLayers } from './rewrite-layers.ts';
import { treeItems } from './tree-items.ts';
import type { ImageOutcome } from './types.ts';
import { openWorkFolder } from './work-folder.ts';
import { writeFileWhole, writeToStream } from './write-file.ts';
import { writeFolder } from './write-folder.ts';
import { layoutFolder, layoutOf, layoutTar } from './write-layout.ts';

type ConfigOf = (layers: readonly string[]) => ImageConfigBlob;

interface Run {
  readonly build: BuildContext;
  readonly state: StageState;
  readonly configOf: ConfigOf;
  readonly blobs: LayerBlobs;
}

/**
 * Runs the outputs of a build, one after the other. The ids in the result are those of the image that was added to the
 * store, or else of the first archive.
 */
export const runOutputs = async (build: BuildContext, state: StageState, configOf: ConfigOf): Promise<BuildResult> => {
  try {
    return await carryOut(build, state, configOf);
  } catch (error) {
    // The sum of all layers, an upper bound: upper layers replace files, and compression saves space.
    const sizes = await Promise.all(state.layers.map(async (diffId) => (await build.store.hasLayer(diffId))?.size ?? 0));
    throw await explainDiskFull(error, { what: 'the output needs up to', bytes: sizes.reduce((sum, size) => sum + size, 0) });
  }
};

const carryOut = async (build: BuildContext, state: StageState, configOf: ConfigOf): Promise<BuildResult> => {
  await using work = await openWorkFolder(build.buildFolder);
  const { store, zstd, signal } = build;
  const run: Run = { build, state, configOf, blobs: new LayerBlobs({ store, folder: work.path, zstd, signal }) };
  const outcomes: ImageOutcome[] = [];
  // The store comes first, because pushes read from it.
  for (const output of [...build.outputs].sort((a, b) => Number(b.type === 'image') - Number(a.type === 'image'))) {
    const outcome = await runOutput(run, output);
    outcomes.push(...(outcome === undefined ? [] : [outcome]));
  }
  const [main] = outcomes;
  return { imageId: main?.imageId ?? '', manifestDigest: main?.descriptor.digest ?? '', metadata: buildMetadata(main) };
};

const TITLES = {
  local: 'exporting to client directory',
  tar: 'exporting to client tarball',
  oci: 'exporting to oci image format',
  docker: 'exporting to docker image format',
  image: 'exporting to image',
} as const;

const runOutput = async (run: Run, output: Output): Promise<ImageOutcome | undefined> => {
  if (output.type === 'cacheonly') {
    return undefined;
  }
  const done = await run.build.progress.run(TITLES[output.type], (vertex) => exportOne(run, output, vertex));
  if (output.type === 'image' && output.push && done !== undefined) {
    return await pushOutput(run.build, { output, done, bundle: () => bundleOf(run, output.form) });
  }
  return done;
};

const exportOne = async (run: Run, output: Exclude<Output, { type: 'cacheonly' }>, vertex: Vertex): Promise<ImageOutcome | undefined> => {
  switch (output.type) {
    case 'local':
      return await exportFolder(run, output, vertex);
    case 'tar':
      return await exportTar(run, output, vertex);
    case 'image':
      return await exportToStore(run, output, vertex);
    default:
      return await exportArchive(run, output, vertex);
  }
};

const exportFolder = async ({ build, state }: Run, output: Extract<Output, { type: 'local' }>, vertex: Vertex): Promise<undefined> => {
  const { os, architecture, variant } = state.platform;
  const split =
    output.split || isMultiPlatform(build.request) ? `/${[os, architecture, variant].filter((part) => part !== '').join('_')}` : '';
  const { files, skipped } = await writeFolder(await build.trees.get(state.layers), {
    folder: `${output.path}${split}`,
    clear: output.clear,
    epoch: build.sourceDate,
    signal: build.signal,
  });
  vertex.status(`copying files: ${files}`);
  if (skipped.length > 0) {
    vertex.log('stderr', `left out, because devices need root: ${skipped.slice(0, 10).join(', ')}\n`);
  }
};

const exportTar = async ({ build, state }: Run, { to }: Extract<Output, { type: 'tar' }>, vertex: Vertex): Promise<undefined> => {
  vertex.status('sending tarball');
  await send(writeLayer(treeItems(await build.trees.get(state.layers), build.sourceDate)), to, build.signal);
};

const send = (
  data: AsyncIterable<Uint8Array>,
  to: { readonly path: string } | { readonly stream: NodeJS.WritableStream },
  signal: AbortSignal,
): Promise<void> => ('path' in to ? writeFileWhole(data, to.path, signal) : writeToStream(data, to.stream, signal));

/** The image in an output's form, with its layers as they are or with their times rewritten. */
const prepare = async (
  { build, state, configOf }: Run,
  form: ImageForm,
): Promise<{ layers: readonly string[]; config: ImageConfigBlob }> => {
  const layers = form.rewriteTimestamp ? await rewriteLayers(build, state) : state.layers;
  return { layers, config: configOf(layers) };
};

const bundleOf = async (run: Run, form: ImageForm): Promise<ImageBundle> => {
  const { layers, config } = await prepare(run, form);
  const attest = (manifest: Descriptor) => attestProvenance(run.build, { manifest, names: form.names });
  return await makeImage({
    config: encode(config),
    layers,
    form,
    blobs: run.blobs,
    platform: config,
    attest,
    withIndex: isMultiPlatform(run.build.request),
  });
};

const exportArchive = async (
  run: Run,
  output: Extract<Output, { form: ImageForm; to: unknown }>,
  vertex: Vertex,
): Promise<ImageOutcome> => {
  const { build } = run;
  const { form, to, asFolder, type } = output;
  vertex.status('exporting layers');
  const bundle = await bundleOf(run, form);
  vertex.status('exporting layers done');
  vertex.status(`exporting manifest ${bundle.manifest.descriptor.digest} done`);
  vertex.status(`exporting config ${bundle.config.descriptor.digest} done`);
  const layout = layoutOf(bundle, { names: form.names, docker: type === 'docker' });
  vertex.status('sending tarball');
  await (asFolder && 'path' in to ? layoutFolder(layout, to.path, build) : send(layoutTar(layout), to, build.signal));
  return outcomeOf(bundle, form);
};

const outcomeOf = ({ config, top }: ImageBundle, { names }: ImageForm): ImageOutcome => ({
  imageId: config.descriptor.digest,
  names,
  descriptor: top,
});

/** The store keeps layers uncompressed, so the manifest it gets refers to uncompressed layers; a push compresses them. */
const exportToStore = async (run: Run, { form }: Extract<Output, { type: 'image' }>, vertex: Vertex): Promise<ImageOutcome> => {
  vertex.status('exporting layers');
  const { layers, config } = await prepare(run, form);
  vertex.status('exporting layers done');
  const { blobs } = run;
  const plain: ImageForm = { ...form, ociTypes: true, compression: { type: 'uncompressed', level: undefined } };
  const { manifest } = await makeImage({ config: encode(config), layers, form: plain, blobs, platform: config });
  const image = await run.build.store.addImage({
    config: encode(config),
    manifest: await readBlob(manifest),
    references: form.names,
    dockerfile: ociDigest(run.build.dockerfile.text),
  });
  vertex.status(`writing image ${image.id} done`);
  for (const reference of form.names) {
    vertex.status(`naming to ${reference} done`);
  }
  const descriptor = { ...manifest.descriptor, mediaType: MEDIA.ociManifest, ...annotationsField(form.annotations['manifest-descriptor']) };
  return { imageId: image.id, names: form.names, descriptor };
};
