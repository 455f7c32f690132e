import type { LinkedController } from '../../base/abort.ts';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { importCaches } from '../cache-export/import-cache.ts';
import type { ContextTree } from '../context/context-tree.ts';
import type { HashCache } from '../context/hash-cache.ts';
import { cleanPath } from '../context/tree.ts';
import { checkSyntax } from '../dockerfile/directives.ts';
import type { Dockerfile } from '../dockerfile/instruction.ts';
import { findTarget, parseDockerfile } from '../dockerfile/parse.ts';
import { isRemoteSource, shownSource } from '../git/remote-source.ts';
import type { BuildMachineOptions } from '../model/types.ts';
import { findForeignCaches, parseCacheOrigins, parseCacheTargets } from '../options/parse-cache.ts';
import { parseOutputs } from '../options/parse-output.ts';
import { parseProvenance } from '../options/parse-provenance.ts';
import { failOnFindings, runChecks } from './check-build.ts';
import { type BaseImage, type BuildContext, LayerTrees, type OpenedTree } from './frame/build-context.ts';
import type { BuildOptions } from './frame/build-options.ts';
import { BuildCache, makeKey } from './frame/cache.ts';
import { resolveGlobals } from './frame/globals.ts';
import { hostPlatform, parsePlatform } from './frame/platform.ts';
import type { BuildProgress } from './frame/progress.ts';
import { readConfigBlob } from './frame/store.ts';
import { NEUTRAL_TIME } from './layer/layer-tree.ts';
import { hostCertificates } from './machine/ca-bundle.ts';
import { MachinePool } from './machine/machine-pool.ts';
import { classicTree } from './sources/classic-tree.ts';
import { openContext, readDockerfile, readIgnoreRules } from './sources/inputs.ts';
import { rememberLayouts } from './sources/layout-context.ts';
import { openRemoteContext, type RemoteContext, readRemoteDockerfile } from './sources/remote-context.ts';
import { rememberServiceImages } from './sources/service-context.ts';
import { shownReference } from './sources/shown-reference.ts';
import { Stages } from './stages.ts';
import { runStage } from './steps/build-stage.ts';

export interface OpenBuild {
  readonly build: BuildContext;
  /** The failure that cancelled the rest, if a stage failed. */
  firstFailure(): unknown;
  /** Waits for stages that were cancelled and saves the hashes. */
  close(): Promise<void>;
}

const log = logger('build');

type Options = Omit<BuildOptions, 'signal'> & {
  readonly buildFolder: string;
  readonly progress: BuildProgress;
  readonly controller: LinkedController;
};

/** Reads the Dockerfile and prepares everything that the stages share. Throws DOCKERFILE_*. */
export const openBuild = async (options: Options): Promise<OpenBuild> => {
  const contexts = new Contexts(options);
  try {
    return await openWith(options, contexts);
  } catch (error) {
    await contexts.close();
    throw error;
  }
};

const openWith = async (options: Options, contexts: Contexts): Promise<OpenBuild> => {
  const { request, store, machines, scheduler, progress, buildFolder, controller } = options;
  // Errors in the request are reported before anything else happens.
  const outputs = parseOutputs(request);
  const provenance = parseProvenance(request.provenance);
  const cacheTargets = parseCacheTargets(request);
  parseCacheOrigins(request);
  checkFrontend(request.buildArgs.BUILDKIT_SYNTAX || 'dockerfile.v0');
  const dockerfile = await loadDockerfile(options, contexts);
  const platform = request.platform === undefined ? hostPlatform() : parsePlatform(request.platform);
  const stages = new Stages(controller);
  const materials = new Map<string, string>();
  const sourceDate = parseSourceDate(request.buildArgs.SOURCE_DATE_EPOCH);
  const hosts = parseHosts(request.extraHosts);
  const certificates = once(options.readCertificates ?? (() => hostCertificates(process.env)));
  const pool = new MachinePool({ machines, store, scheduler, hosts, certificates });
  const build: BuildContext = {
    request,
    dockerfile,
    platform,
    store,
    progress,
    signal: controller.signal,
    buildFolder,
    cache: new BuildCache(buildFolder, async (diffId) => (await store.hasLayer(diffId)) !== undefined),
    trees: new LayerTrees(store),
    renewedCaches: new Set(),
    onFailedStep: options.onFailedStep,
    hosts,
    certificates,
    globals: resolveGlobals(dockerfile, request, platform),
    epoch: sourceDate ?? NEUTRAL_TIME,
    sourceDate,
    outputs,
    cacheTargets,
    provenance,
    zstd: options.zstd,
    registry: options.registry,
    openContext: (name) => contexts.open(name),
    renewContexts: (all) => contexts.renew(all),
    findImage: rememberImages(options, materials),
    findLayout: rememberLayouts({ store, zstd: options.zstd, progress, signal: controller.signal, materials }),
    findServiceImage: rememberServiceImages({ store, progress, materials }),
    materials,
    startedAt: Date.now(),
    baseEnvs: new Map(),
    isStageBuilt: (index) => stages.isDone(index),
    buildStage: (index) => stages.run(index, async () => await runStage({ build, pool, scheduler }, stageAt(dockerfile, index))),
  };
  for (const spec of findForeignCaches(request)) {
    progress.warn(`the cache ${spec} is left out: hypr has local, registry and inline caches`);
  }
  build.cache.sources = await importCaches(build);
  const close = async () => {
    await stages.settle();
    try {
      await pool.close();
    } finally {
      await contexts.close();
    }
  };
  return { build, firstFailure: () => stages.firstFailure, close };
};

/** SOURCE_DATE_EPOCH (reproducible-builds.org): seconds; empty counts as not given. Throws HYPR_USAGE. */
const parseSourceDate = (text: string | undefined): number | undefined => {
  if (text === undefined || text === '') {
    return undefined;
  }
  if (!/^\d{1,12}$/.test(text)) {
    throw new HyprError('HYPR_USAGE', `invalid SOURCE_DATE_EPOCH: ${JSON.stringify(text)} is not a number of seconds`);
  }
  return Number(text);
};

const once = <T>(work: () => Promise<T>): (() => Promise<T>) => {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work();
    return result;
  };
};

/** BUILDKIT_SYNTAX overrides the front end that `# syntax=` names. Throws HYPR_UNSUPPORTED. */
const checkFrontend = (value: string): void => {
  try {
    checkSyntax(value);
  } catch (error) {
    throw new HyprError('HYPR_UNSUPPORTED', `BUILDKIT_SYNTAX: ${messageOf(error)}`, { hint: 'leave BUILDKIT_SYNTAX out', cause: error });
  }
};

const loadDockerfile = async ({ request, progress }: Options, contexts: Contexts): Promise<Dockerfile> => {
  const remote = 'text' in request.dockerfile ? undefined : await contexts.remote('');
  const given = remote === undefined ? undefined : await readRemoteDockerfile(remote, request.dockerfile);
  const { text, file, name } = given === undefined ? await readDockerfile(request) : { ...given, file: given.name };
  return await progress.run(`[internal] load build definition from ${name}`, async (vertex) => {
    vertex.status(`transferring dockerfile: ${text.length}B`, text.length, text.length);
    const dockerfile = parseDockerfile(text, file);
    findTarget(dockerfile, request.target);
    failOnFindings(await runChecks(dockerfile, request, {}), file);
    return dockerfile;
  });
};

const stageAt = (dockerfile: Dockerfile, index: number) => {
  const stage = dockerfile.stages[index];
  if (stage === undefined) {
    throw new HyprError('HYPR_INTERNAL', `stage ${index} is not in the Dockerfile`);
  }
  return stage;
};

/** `name:address` or `name=address`; an IPv6 address may stand in brackets. */
const parseHosts = (extraHosts: readonly string[]): BuildMachineOptions['hosts'] =>
  extraHosts.map((text) => {
    const match = /^([^:=]+)[:=]\[?([^\]]+)\]?$/.exec(text);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new HyprError('HYPR_USAGE', `"${text}" is not an extra host; one looks like name=192.0.2.1`);
    }
    return { address: match[2], names: [match[1]] };
  });

const rememberImages = (
  { request, store, progress, resolveImage, controller }: Options,
  materials: Map<string, string>,
): BuildContext['findImage'] => {
  const images = new Map<string, Promise<BaseImage>>();
  return (reference, platform) => {
    const id = `${platform} ${reference}`;
    const known = images.get(id);
    if (known !== undefined) {
      return known;
    }
    const { signal } = controller;
    const found = progress.run(`[internal] load metadata for ${shownReference(reference)}`, async () => {
      const image = await resolveImage(reference, { pull: request.pull, platform, signal });
      materials.set(reference, image.manifestDigest);
      const blob = readConfigBlob(await store.readConfig(image.id));
      // The key is made of its layers, so that another tag or label of the same files is a cache hit.
      return { image, blob, key: makeKey('image', { layers: blob.rootfs.diff_ids }) };
    });
    images.set(id, found);
    return found;
  };
};

/** Contexts, opened when the first instruction needs them. */
class Contexts {
  readonly #options: Options;
  readonly #opened = new Map<string, Promise<OpenedTree>>();
  readonly #local: Array<{ readonly tree: ContextTree; readonly hashes: HashCache }> = [];
  readonly #remotes = new Map<string, Promise<RemoteContext>>();

  constructor(options: Options) {
    this.#options = options;
  }

  open(name: string): Promise<OpenedTree> {
    const known = this.#opened.get(name);
    if (known !== undefined) {
      return known;
    }
    const opened = this.#open(name);
    this.#opened.set(name, opened);
    return opened;
  }

  renew(all: boolean): void {
    for (const { tree } of this.#local) {
      tree.renew(all);
    }
  }

  /** Saves the hashes of folders and removes what was fetched only for this build. */
  async close(): Promise<void> {
    const remotes = await Promise.allSettled(this.#remotes.values());
    await Promise.all(remotes.map((result) => (result.status === 'fulfilled' ? result.value.close() : undefined)));
    await Promise.all(this.#local.map(({ tree }) => tree.close()));
    // They only save time: a build is not worse for it if they cannot be kept.
    const saved = await Promise.allSettled(this.#local.map(({ hashes }) => hashes.save()));
    for (const result of saved.filter(({ status }) => status === 'rejected')) {
      log.warn('hashes of a build context were not kept', { reason: messageOf((result as PromiseRejectedResult).reason) });
    }
  }

  /** Opens a context that is no folder, once; undefined when it is a folder. */
  remote(name: string): Promise<RemoteContext> | undefined {
    const { request, progress, buildFolder, controller } = this.#options;
    const source = name === '' ? request.context : (request.additionalContexts[name] ?? '');
    const known = this.#remotes.get(name);
    if (known !== undefined || !isRemoteSource(source)) {
      return known;
    }
    const title = name === '' ? '[internal] load remote build context' : `[context ${name}] load from ${shownSource(source)}`;
    const opened = progress.run(title, () => openRemoteContext(source, { request, buildFolder, signal: controller.signal }));
    this.#remotes.set(name, opened);
    return opened;
  }

  async #open(name: string): Promise<OpenedTree> {
    const { request, progress, buildFolder } = this.#options;
    const folder = name === '' ? request.context : (request.additionalContexts[name] ?? '');
    const remote = await this.remote(name);
    if (remote !== undefined) {
      const isClassic = name === '' && request.classic === true && 'path' in request.dockerfile;
      return isClassic ? await classicTree(remote.tree, cleanPath(request.dockerfile.path)) : remote.tree;
    }
    const own = name === '' ? '' : `${name} `;
    const ignore = await progress.run(
      `[internal] load ${own}.dockerignore`.replace(/load (.+) \.docker/, '[context $1] load .docker'),
      () => readIgnoreRules(folder, name === '' ? request.dockerfile : undefined),
    );
    const title = name === '' ? '[internal] load build context' : `[context ${name}] load from client`;
    return await progress.run(title, async () => {
      const opened = await openContext({ folder, ignore, buildFolder });
      this.#local.push(opened);
      return opened.tree;
    });
  }
}
