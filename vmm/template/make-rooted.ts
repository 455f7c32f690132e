import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../base/deadline.ts';
import { shortHash } from '../../base/paths.ts';
import { copySparse, makeExt4Disk } from '../devices/disks.ts';
import type { RootedDisks } from '../qemu/machine-class.ts';
import { forgetMaker, type MakeInput, runClone, saveAndEnd, withStaging } from './staging.ts';
import { publishTemplate, sealTemplate, templateAt } from './store.ts';
import type { Template } from './types.ts';

/**
 * The key of a template whose guest has mounted a root: the key of the template it was made from, and the file that was
 * mounted. A VMDK descriptor contains a new id each time it is made; other files are identified by their time.
 */
export const rootedKey = async (base: string, { root, blank }: RootedDisks): Promise<string> => {
  const { ino, size, mtimeMs } = await stat(root.path);
  const content = root.format === 'vmdk' ? await readFile(root.path, 'utf8') : mtimeMs;
  return shortHash(JSON.stringify([base, root, ino, size, content, blank]), 16);
};

/** By then the deferred work of mounting (freed memory, the NIC's link, timers of the console and the disks) is done, once for all clones. */
const SETTLE_MS = 2_000;

/**
 * Lets a clone of a template mount a root and an empty writable layer, and saves it again together with that layer, so that
 * clones of the result have both mounted. Mounting is a third of a start with software emulation. Only one caller
 * at a time may make a key.
 */
export const makeRootedTemplate = (input: MakeInput & { readonly base: Template; readonly disks: RootedDisks }): Promise<Template> =>
  withStaging(input, async (staging) => {
    const { root, key, base, disks, settings, signal } = input;
    const form = base.ram === undefined ? 'whole-rooted' : 'mapped-rooted';
    const template = templateAt(staging, key, form);
    const { ram } = template;
    const upper = join(staging, 'upper');
    if (base.ram !== undefined && ram !== undefined) {
      await copySparse(base.ram, ram, signal);
    }
    await makeExt4Disk({ path: upper, ...disks.blank, mkfs: settings.toolchain.mkfsExt4, signal });
    const own = [disks.root, { ...disks.upper, path: upper }];
    const further = { beginning: { kind: 'further', ram }, disks: own } as const;
    await runClone(input, further, { ram, state: base.state }, async (guest, launched, alive) => {
      await guest.mountRoot({ disk: disks.root.serial, upper: disks.upper.serial }, alive);
      await sleep(SETTLE_MS, alive);
      await saveAndEnd(launched, template, alive);
    });
    await sealTemplate(staging, { form, toolchain: settings.toolchain.id, root: disks.root.path });
    const tried = join(staging, 'tried');
    await copySparse(upper, tried, signal);
    const beginning = { kind: 'clone', ram } as const;
    await runClone(input, { beginning, disks: [disks.root, { ...disks.upper, path: tried }] }, template);
    await rm(tried);
    await forgetMaker(staging);
    return await publishTemplate(root, staging, key, form);
  });
