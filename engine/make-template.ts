import { cpus } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { homePaths, runtimeDir } from '../base/paths.ts';
import type { ProgressSink } from '../base/progress.ts';
import type { Vmm } from '../vmm/machine.ts';
import type { Templates } from '../vmm/template/types.ts';
import { DEFAULT_MEMORY_MIB, defaultVcpus } from './replica-run.ts';

/** Makes the template of the machine that a service gets when its file asks for nothing special. Without one, machines boot. */
export const makeTemplate = async (input: {
  templates: Templates;
  vmm: Vmm;
  onProgress: ProgressSink;
  signal?: AbortSignal;
}): Promise<void> => {
  const { templates, vmm, onProgress, signal } = input;
  const spec = {
    name: 'template',
    runDir: join(runtimeDir(), 'template'),
    consoleLog: join(homePaths().logs, 'template.console.log'),
    vcpus: defaultVcpus({ vmm, cores: cpus().length }),
    memoryMib: DEFAULT_MEMORY_MIB,
    disks: [],
    nics: [],
    shares: [],
  };
  onProgress({ id: 'Template machine', status: 'working', text: 'Booting' });
  try {
    await templates.make(spec, signal);
    onProgress({ id: 'Template machine', status: 'done', text: 'Ready' });
  } catch (error) {
    signal?.throwIfAborted();
    onProgress({ id: 'Template machine', status: 'warning', text: 'Skipped', details: messageOf(error) });
  }
};
