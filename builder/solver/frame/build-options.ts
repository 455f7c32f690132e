import type { HomePaths } from '../../../base/paths.ts';
import type { HostCertificates } from '../../model/host-certificates.ts';
import type { MachineScheduler } from '../../model/machine-scheduler.ts';
import type { BuildEvent, BuildMachines, BuildRequest, FailedStep, Image } from '../../model/types.ts';
import type { ZstdCommand } from '../../registry/transport/decompress.ts';
import type { BuildRegistry } from './build-context.ts';
import type { BuildStore } from './store.ts';

export interface BuildOptions {
  readonly request: BuildRequest;
  readonly store: BuildStore;
  readonly machines: BuildMachines;
  /** Gives an image that the store has, pulling it first when it has to. Throws IMAGE_*, REGISTRY_*. */
  readonly resolveImage: (
    reference: string,
    options: { readonly pull: boolean; readonly platform: string; readonly signal: AbortSignal },
  ) => Promise<Image>;
  readonly paths: Pick<HomePaths, 'build'>;
  readonly onEvent: (event: BuildEvent) => void;
  readonly signal: AbortSignal;
  /** What its machines may take of the host, together with those of other builds. */
  readonly scheduler: MachineScheduler;
  /** For `compression=zstd`, where Node has none. */
  readonly zstd?: ZstdCommand;
  /** For `push=true` and caches in registries; without it they are refused. */
  readonly registry?: BuildRegistry;
  /** What the host trusts, when RUN needs it; default `hostCertificates(process.env)`. */
  readonly readCertificates?: () => Promise<HostCertificates | undefined>;
  /** Called with the first RUN that fails while its machine is still there; the build ends when it returns. */
  readonly onFailedStep?: (step: FailedStep) => Promise<void>;
}
