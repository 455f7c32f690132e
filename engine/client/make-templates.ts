import { cpus } from 'node:os';
import { join } from 'node:path';
import { HyprError, messageOf } from '../../base/errors.ts';
import { logger } from '../../base/log.ts';
import { homePaths, runtimeDir } from '../../base/paths.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { BUILD_MEMORY_MIB } from '../../builder/model/machine-scheduler.ts';
import type { MachineSpec, Vmm } from '../../vmm/model/machine.ts';
import type { Templates } from '../../vmm/template/types.ts';
import type { SETUP_STEPS } from '../model/types.ts';
import { DEFAULT_MEMORY_MIB, defaultVcpus } from '../replica/boot/run.ts';

const log = logger('setup');

/**
 * Makes templates for the default service machine and for the build machine. Without a template, machines boot cold. A
 * build would never make its own, because it ends before there is time for that.
 */
export const makeTemplates = async (input: {
  templates: Templates;
  vmm: Vmm;
  onProgress: ProgressSink;
  signal?: AbortSignal;
}): Promise<void> => {
  const cores = cpus().length;
  const service = { vcpus: defaultVcpus({ vmm: input.vmm, cores }), memoryMib: DEFAULT_MEMORY_MIB };
  const build = { vcpus: cores, memoryMib: BUILD_MEMORY_MIB };
  await makeTemplate({ ...input, id: 'Template machine', size: service });
  await makeTemplate({ ...input, id: 'Template machine for builds', size: build });
};

const makeTemplate = async (input: {
  templates: Templates;
  id: (typeof SETUP_STEPS)[number];
  size: Pick<MachineSpec, 'vcpus' | 'memoryMib'>;
  onProgress: ProgressSink;
  signal?: AbortSignal;
}): Promise<void> => {
  const { templates, id, size, onProgress, signal } = input;
  const spec = {
    name: 'template',
    runDir: join(runtimeDir(), 'template'),
    consoleLog: join(homePaths().logs, 'template.console.log'),
    ...size,
    disks: [],
    nics: [],
    shares: [],
  };
  onProgress({ id, status: 'working', text: 'Booting' });
  try {
    await makeOrAgain(templates, spec, signal);
    onProgress({ id, status: 'done', text: 'Ready' });
  } catch (error) {
    signal?.throwIfAborted();
    onProgress({ id, status: 'warning', text: 'Skipped', details: messageOf(error) });
  }
};

/** A build never makes the template that it lacks, so one boot that fails must not leave all builds without. */
const makeOrAgain = async (templates: Templates, spec: MachineSpec, signal?: AbortSignal): Promise<void> => {
  try {
    await templates.make(spec, signal);
  } catch (error) {
    if (!(error instanceof HyprError && error.code === 'GUEST_BOOT')) {
      throw error;
    }
    log.warn('the machine of a template ended; it is made again', { reason: error.message, details: error.details, vcpus: spec.vcpus });
    await templates.make(spec, signal);
  }
};
