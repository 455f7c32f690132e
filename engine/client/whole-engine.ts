import { join } from 'node:path';
import pLimit from 'p-limit';
import { linkedController, neverAborts } from '../../base/abort.ts';
import { HyprError } from '../../base/errors.ts';
import { homePaths, runtimeDir } from '../../base/paths.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { buildImage, checkBuild, describeTargets, listCachedLayers, outlineBuild } from '../../builder/build.ts';
import { openImages as openImageApi } from '../../builder/images.ts';
import type { BuildMachines } from '../../builder/model/types.ts';
import { findCredentials, serverKey } from '../../builder/registry/config/credentials.ts';
import { login, logout, parseServer, verify } from '../../builder/registry/login.ts';
import { resolveDigest as resolveAtRegistry } from '../../builder/registry/pull.ts';
import { openRegistries } from '../../builder/registry/registries.ts';
import type { Project } from '../../compose/model/model.ts';
import { orderBuilds } from '../../compose/project/build-contexts.ts';
import { gatewayFence } from '../../net/client/fence.ts';
import { gatewaySources } from '../../net/client/sources.ts';
import { checkHost } from '../../vmm/host/doctor.ts';
import { chooseVmm } from '../../vmm/host/probe.ts';
import { needToolchain, openToolchain, setupToolchain, writeBundle } from '../../vmm/toolchain/index.ts';
import { openPlatform } from '../host.ts';
import { withBuildBudget } from '../images/build-budget.ts';
import { makeBuildMachines } from '../images/build-machines.ts';
import { buildServices } from '../images/build-services.ts';
import { buildSettings } from '../images/build-settings.ts';
import { ensureImages } from '../images/ensure-images.ts';
import { openImagePlatform } from '../images/image-platform.ts';
import { type ImageAction, imageReference } from '../images/images.ts';
import { findInUse } from '../images/in-use.ts';
import { decidePull } from '../images/plan-pull.ts';
import type { ImagePlatform } from '../model/platform.ts';
import type { EngineApi, ImageApi, PullProjectOptions } from '../model/types.ts';
import { orderServices } from '../resolve/dependencies.ts';
import { checkSupervisors } from './check-supervisors.ts';
import { makeTemplates } from './make-templates.ts';
import { measureSystem, pruneSystem } from './storage.ts';

/** The parts of the engine that run in the calling process: images, builds, the host. Loaded on demand through engine/index.ts. */

export const openImages: EngineApi['openImages'] = async () => {
  const paths = homePaths();
  const toolchain = await needToolchain(paths);
  const images = await openImageApi({
    paths,
    toolchain,
    inUse: findInUse,
    keepLayers: async () => [...(await listCachedLayers(paths.build)).keys()],
  });
  const build: ImageApi['build'] = async (request, onEvent, signal = neverAborts(), options = {}) => {
    const settings = buildSettings(request, process.env);
    return await withBuildBudget((scheduler) =>
      buildImage({
        request: { ...request, ...settings },
        ...buildServices(images, toolchain),
        machines: machinesWhenNeeded(),
        scheduler,
        paths,
        onEvent,
        signal,
        ...options,
      }),
    );
  };
  return {
    ...images,
    build,
    check: (request, signal) => checkBuild(request, { ...lookIn(paths.build, signal), findImage: (name) => images.store.get(name) }),
    outline: (request, signal) => outlineBuild(request, lookIn(paths.build, signal)),
    targets: (request, signal) => describeTargets(request, lookIn(paths.build, signal)),
  };
};

const lookIn = (buildFolder: string, signal = neverAborts()) => ({ buildFolder, signal });

export const resolveDigest: EngineApi['resolveDigest'] = async (reference, signal) => {
  const registries = await openRegistries({ home: homePaths().home });
  try {
    return await resolveAtRegistry(registries, reference, signal);
  } finally {
    await registries[Symbol.asyncDispose]();
  }
};

/** Builds outside a stack keep their sockets in a folder beside the stacks'. */
const openBuildPlatform = () => openPlatform({ runDir: join(runtimeDir(), 'build') });

/** Finding the VMM that works here takes seconds the first time; only a RUN that is not cached needs it. */
const machinesWhenNeeded = (): BuildMachines => {
  let machines: Promise<BuildMachines> | undefined;
  return {
    start: async (options, signal) => {
      machines ??= openBuildPlatform().then(makeBuildMachines);
      return await (await machines).start(options, signal);
    },
  };
};

/** For pulls and builds outside a stack. */
const openImageWork = async (): Promise<ImagePlatform> => {
  const paths = homePaths();
  return openImagePlatform({ paths, toolchain: await needToolchain(paths), machines: () => Promise.resolve(machinesWhenNeeded()) });
};

export const buildProject: EngineApi['buildProject'] = async (project, options, onEvent, signal = neverAborts()) => {
  const platform = await openImageWork();
  const services = orderServices(project, options.services, { withDependencies: options.withDependencies }).filter(
    (name) => project.services[name]?.build !== undefined,
  );
  const actions = orderBuilds(project, services).map(
    (service): ImageAction => ({ service, reference: imageReference(project, service), action: 'build', cause: 'asked to build' }),
  );
  const { onProgress = () => {}, parallel } = options;
  const work = { project, actions, platform, progress: onProgress, onBuild: onEvent, build: options, parallel };
  const made = Object.entries(await ensureImages(work, signal));
  return Object.fromEntries(made.map(([service, { id, manifestDigest }]) => [service, { imageId: id, manifestDigest }]));
};

export const pushProject: EngineApi['pushProject'] = async (project, options, onProgress, signal = neverAborts()) => {
  const services = orderServices(project, options.services, { withDependencies: options.includeDeps || options.services.length === 0 });
  const images = await openImages();
  const tags = services.flatMap((name) => {
    const { image, build } = project.services[name] ?? {};
    return image === undefined || build === undefined ? [] : [image, ...(build.tags ?? [])];
  });
  for (const tag of new Set(tags)) {
    try {
      await images.push([tag], {}, onProgress, signal);
    } catch (error) {
      signal.throwIfAborted();
      // Its failure has already been shown.
      if (!options.ignoreFailures) {
        throw error;
      }
    }
  }
};

export const registryLogins: EngineApi['registryLogins'] = async () => {
  const { home } = homePaths();
  return {
    nameOf: (server) => serverKey(parseServer(server)),
    verify: (server, credentials, signal) => verify(parseServer(server), credentials, { home, signal }),
    login: (server, credentials, signal) => login(parseServer(server), credentials, { home, signal }),
    logout: (server) => logout(parseServer(server)),
    find: (server) => findCredentials(parseServer(server)),
  };
};

export const pullProject: EngineApi['pullProject'] = async (project, options, onProgress, signal = neverAborts()) => {
  const platform = await openImageWork();
  const services = orderServices(project, options.services, { withDependencies: options.includeDeps || options.services.length === 0 });
  const wanted = await choosePulls({ project, services, options, platform, onProgress });
  const { parallel } = options;
  const toBuild: string[] = [];
  const limit = pLimit(parallel !== undefined && parallel > 0 ? parallel : Number.POSITIVE_INFINITY);
  const controller = linkedController(signal);
  let first: { readonly error: unknown } | undefined;
  const pull = async (action: ImageAction): Promise<void> => {
    try {
      const work = { project, actions: [action], platform, progress: onProgress, onBuild: () => {} };
      await ensureImages(work, controller.signal);
    } catch (error) {
      if (controller.signal.aborted) {
        return;
      }
      // What can be built may have a name that no registry has; that failure has been shown.
      if (project.services[action.service]?.build !== undefined) {
        toBuild.push(action.service);
      } else if (!options.ignoreFailures) {
        first ??= { error };
        controller.abort(new HyprError('HYPR_CANCELLED', 'another image failed', { cause: error }));
      }
    }
  };
  await Promise.all(wanted.map((action) => limit(pull, action)));
  signal.throwIfAborted();
  if (toBuild.length > 0) {
    options.onNotice?.(`Some service image(s) must be built from source by running:\n    docker compose build ${toBuild.sort().join(' ')}`);
  }
  if (first !== undefined) {
    throw first.error;
  }
};

/** Each image once; what is left out is said. */
const choosePulls = async (input: {
  project: Project;
  services: readonly string[];
  options: PullProjectOptions;
  platform: ImagePlatform;
  onProgress: ProgressSink;
}): Promise<ImageAction[]> => {
  const { project, services, options, platform } = input;
  const wanted = new Map<string, ImageAction>();
  for (const name of services) {
    const service = project.services[name];
    if (service === undefined) {
      continue;
    }
    const reference = imageReference(project, name);
    const present = service.image !== undefined && (await platform.findImage(reference)) !== undefined;
    const decision = decidePull(service, { present, ignoreBuildable: options.ignoreBuildable, policy: options.policy });
    if (decision.pull) {
      wanted.set(reference, wanted.get(reference) ?? { service: name, reference, action: 'pull', cause: 'asked to pull' });
    } else if (decision.skipped !== undefined) {
      const id = service.image === undefined ? name : `Image ${service.image}`;
      input.onProgress({ id, status: 'done', text: 'Skipped', details: decision.skipped });
    }
  }
  return [...wanted.values()];
};

export const setup: EngineApi['setup'] = async (onProgress, signal, { from } = {}) => {
  const toolchain = await setupToolchain({ progress: onProgress, gatewaySources, from, ...(signal ? { signal } : {}) });
  onProgress({ id: 'Accelerator', status: 'working', text: 'Probing' });
  const { vmm, verdict, templates } = await chooseVmm({ toolchain, ...(signal ? { signal } : {}) });
  onProgress({
    id: 'Accelerator',
    status: 'done',
    text: verdict.accelerator === 'kvm' ? 'KVM' : 'Software emulation',
    details: verdict.reason,
  });
  if (templates !== undefined) {
    await makeTemplates({ templates, vmm, onProgress, ...(signal ? { signal } : {}) });
  }
  return { toolchain: toolchain.id, accelerator: verdict.accelerator };
};

export const bundle: EngineApi['bundle'] = (file, progress, signal) => writeBundle({ paths: homePaths(), file, progress, signal });

export const doctor: EngineApi['doctor'] = async (signal) => {
  const toolchain = await openToolchain();
  const fence = toolchain ? { networkFence: () => gatewayFence(toolchain.gvproxy.file) } : {};
  const [checks, supervisors] = await Promise.all([checkHost({ ...(signal ? { signal } : {}), ...fence }), checkSupervisors(signal)]);
  return [...checks, supervisors];
};

export const systemDf: EngineApi['systemDf'] = () => measureSystem();

export const prune: EngineApi['prune'] = (options) => pruneSystem(options);
