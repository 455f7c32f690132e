import { cpus } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../base/errors.ts';
import { homePaths, runtimeDir } from '../../base/paths.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { BUILD_MEMORY_MIB } from '../../builder/model/machine-scheduler.ts';
import type { MachineSpec, Vmm } from '../../vmm/model/machine.ts';
import type { Templates } from '../../vmm/template/types.ts';
import type { SETUP_STEPS } from '../model/types.ts';
import { DEFAULT_MEMORY_MIB, defaultVcpus } from '../replica/boot/run.ts';

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
    await templates.make(spec, signal);
    onProgress({ id, status: 'done', text: 'Ready' });
  } catch (error) {
    signal?.throwIfAborted();
    onProgress({ id, status: 'warning', text: 'Skipped', details: messageOf(error) });
  }
};
