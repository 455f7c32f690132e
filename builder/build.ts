import { type LinkedController, linkedController } from '../base/abort.ts';
import { HyprError } from '../base/errors.ts';
import { findTarget } from './dockerfile/parse.ts';
import type { BuildResult } from './model/types.ts';
import { runChecks } from './solver/check-build.ts';
import { exportResult } from './solver/export.ts';
import type { BuildContext } from './solver/frame/build-context.ts';
import type { BuildOptions } from './solver/frame/build-options.ts';
import { BuildProgress } from './solver/frame/progress.ts';
import { sweepBuildFolder } from './solver/layer/sweep.ts';
import { openBuild } from './solver/open-build.ts';

export { type BuildCheck, checkBuild } from './solver/check-build.ts';
export { type BuildOutline, type BuildTargets, describeTargets, outlineBuild } from './solver/describe-build.ts';
export { listCachedLayers, pruneBuildCache } from './solver/frame/cache.ts';
export type { BuildStore, ImageConfigBlob, ImageHistory } from './solver/frame/store.ts';
export { findBuildLeftovers } from './solver/layer/sweep.ts';

/**
 * Builds an image from a Dockerfile as BuildKit does and puts it into the store under the request's
 * tags. FROM, COPY, ADD and WORKDIR are done on the host; only a RUN that is not in the cache starts a
 * machine. Throws DOCKERFILE_NOT_FOUND, DOCKERFILE_SYNTAX, BUILD_FAILED (with the line of the
 * Dockerfile), IMAGE_*, HYPR_CANCELLED.
 */
export const buildImage = async (options: BuildOptions): Promise<BuildResult> => {
  const controller = linkedController(options.signal);
  // Layers that are found in the cache must not be cleared away before the image names them.
  const lease = await options.store.lease();
  try {
    await sweepBuildFolder(options.paths.build);
    return await runBuild(options, controller);
  } finally {
    await lease[Symbol.asyncDispose]();
  }
};

const runBuild = async (options: BuildOptions, controller: LinkedController): Promise<BuildResult> => {
  const progress = new BuildProgress(options.onEvent);
  const { build, firstFailure, close } = await openBuild({ ...options, buildFolder: options.paths.build, progress, controller });
  try {
    const target = findTarget(build.dockerfile, options.request.target);
    return await exportResult(build, await build.buildStage(target.index));
  } catch (error) {
    // Stages that are still at work stop; the first failure is the one to report.
    controller.abort(new HyprError('HYPR_CANCELLED', 'another step of the build failed', { cause: error }));
    throw firstFailure() ?? error;
  } finally {
    await close();
    await reportChecks(build, progress);
  }
};

/** After everything else, as BuildKit does: what is unwise in the Dockerfile, for the stages that were reached. */
const reportChecks = async (build: BuildContext, progress: BuildProgress): Promise<void> => {
  const { dockerfile, request, baseEnvs } = build;
  const { findings } = await runChecks(dockerfile, request, { baseEnv: (stage) => baseEnvs.get(stage.index) });
  for (const { rule, message, line } of findings) {
    progress.warn(`${rule}: ${message}`, { file: dockerfile.file, line });
  }
};
