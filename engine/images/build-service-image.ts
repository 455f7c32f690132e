import type { HomePaths } from '../../base/paths.ts';
import { buildImage } from '../../builder/build.ts';
import type { Images } from '../../builder/images.ts';
import type { BuildEvent, BuildMachines, BuildRequest } from '../../builder/model/types.ts';
import type { Toolchain } from '../../vmm/model/tools.ts';
import type { BuildInput } from '../model/platform.ts';
import { withBuildBudget } from './build-budget.ts';
import { buildRequest } from './build-request.ts';
import { buildServices } from './build-services.ts';
import { buildSettings } from './build-settings.ts';

export interface BuildServiceImage {
  readonly input: BuildInput;
  readonly images: Images;
  readonly toolchain: Toolchain;
  readonly machines: BuildMachines;
  readonly paths: Pick<HomePaths, 'build'>;
  readonly onEvent: (event: BuildEvent) => void;
  readonly signal: AbortSignal;
}

/** Builds a service's image with this host's store, registries and machines; returns its id. */
export const buildServiceImage = async ({
  input,
  images,
  toolchain,
  machines,
  paths,
  onEvent,
  signal,
}: BuildServiceImage): Promise<string> => {
  const request = await buildRequestWithSettings(input);
  const { imageId } = await withBuildBudget((scheduler) =>
    buildImage({ request, ...buildServices(images, toolchain), machines, scheduler, paths, onEvent, signal }),
  );
  return imageId;
};

const buildRequestWithSettings = async (input: BuildInput): Promise<BuildRequest> => {
  const request = await buildRequest(input);
  // The caller's environment: the supervisor may have been started by somebody else.
  return { ...request, ...buildSettings(request, input.environment) };
};
