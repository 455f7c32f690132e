import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { orAbort } from '../../base/abort.ts';
import { withDeadline } from '../../base/deadline.ts';
import type { MachineSpec } from '../model/machine.ts';
import { BOOT_MS, forgetMaker, type MakeInput, runBeside, runClone, saveAndEnd, withStaging } from './staging.ts';
import { publishTemplate, sealTemplate, templateAt } from './store.ts';
import type { Template } from './types.ts';

/**
 * Boots a machine without disks and NICs until its agent waits for its configuration, without ever connecting to it,
 * and saves it to a staging folder. It becomes the template only after a clone of it has answered. Only one caller at a time
 * may make a key.
 */
export const makeTemplate = (input: MakeInput): Promise<Template> =>
  withStaging(input, async (staging) => {
    const { root, key, settings } = input;
    const form = input.spec.shares.length > 0 ? 'whole' : 'mapped';
    const template = templateAt(staging, key, form);
    await runBeside(input, { beginning: { kind: 'template', ram: template.ram }, disks: [] }, async (launched, spec, alive) => {
      await launched.qmp.run('cont', undefined, alive);
      await awaitAgent(spec, alive);
      await saveAndEnd(launched, template, alive);
    });
    await sealTemplate(staging, { form, toolchain: settings.toolchain.id });
    await runClone(input, { beginning: { kind: 'clone', ram: template.ram }, disks: [] }, template);
    await forgetMaker(staging);
    return await publishTemplate(root, staging, key, form);
  });

const READY = 'kestrel: waiting for its configuration';

/** Found out from the console: a connection would make the agent remember its first host. */
const awaitAgent = async (spec: MachineSpec, signal: AbortSignal): Promise<void> => {
  const watcher = watch(spec.consoleLog);
  try {
    await withDeadline({ ms: BOOT_MS, what: "the boot of a template's machine", signal }, async (deadline) => {
      const ready = new Promise<void>((resolve, reject) => {
        const look = () =>
          void readFile(spec.consoleLog, 'latin1').then((text) => {
            if (text.includes(READY)) {
              resolve();
            }
          }, reject);
        watcher.on('change', look).on('error', reject);
        look();
      });
      await orAbort(ready, deadline);
    });
  } finally {
    watcher.close();
  }
};
