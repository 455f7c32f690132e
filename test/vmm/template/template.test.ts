import { existsSync, writeFileSync } from 'node:fs';
import { chmod, link, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withLock } from '../../../base/host/lock.ts';
import { homePaths } from '../../../base/paths.ts';
import type { MachineSpec } from '../../../vmm/model/machine.ts';
import type { QemuSettings } from '../../../vmm/qemu/command.ts';
import { createTemplates, templateKey } from '../../../vmm/template/index.ts';
import type { makeTemplate } from '../../../vmm/template/make.ts';
import type { makeRootedTemplate } from '../../../vmm/template/make-rooted.ts';
import { pruneTemplates } from '../../../vmm/template/prune.ts';
import type { MakeInput } from '../../../vmm/template/staging.ts';
import { lockPath, publishTemplate, readTemplate, sealTemplate, templatesFolder } from '../../../vmm/template/store.ts';
import { measureTemplates } from '../../../vmm/template/usage.ts';
import { until } from '../../support/until.ts';
import { spec, tempDir, toolchain } from '../support.ts';

const settings: QemuSettings = { toolchain: toolchain(), accelerator: 'tcg', tscKhz: 1 };

/** Files in a template's place. */
const fakeMake: typeof makeTemplate = async ({ root, key }) => {
  const staging = join(root, `${key}.making`);
  await mkdir(staging, { recursive: true });
  await writeFile(join(staging, 'ram'), 'memory');
  await writeFile(join(staging, 'state'), 'state');
  await sealTemplate(staging, { form: 'mapped', toolchain: settings.toolchain.id });
  return publishTemplate(root, staging, key, 'mapped');
};

const fakeMakeRooted: typeof makeRootedTemplate = async ({ root, key, disks }) => {
  const staging = join(root, `${key}.making`);
  await mkdir(staging, { recursive: true });
  for (const name of ['ram', 'state', 'upper']) {
    await writeFile(join(staging, name), name);
  }
  await sealTemplate(staging, { form: 'mapped-rooted', toolchain: settings.toolchain.id, root: disks.root.path });
  return publishTemplate(root, staging, key, 'mapped-rooted');
};

const makeShelf = (make: typeof makeTemplate = fakeMake) => {
  const paths = homePaths(tempDir());
  const images = tempDir();
  const disks = (image: string, sizeMib = 1024) => {
    const path = join(images, image);
    if (!existsSync(path)) {
      writeFileSync(path, 'CID=1');
    }
    return [
      { serial: 'root', path, format: 'vmdk', readOnly: true },
      { serial: 'upper', path: '/none', format: 'raw', readOnly: false, blank: { sizeMib, label: 'upper' } },
    ] as const;
  };
  const made: MachineSpec[] = [];
  const recording: typeof makeTemplate = (input: MakeInput) => {
    made.push(input.spec);
    return make(input);
  };
  const makeRooted: typeof makeRootedTemplate = (input) => {
    made.push(input.spec);
    return fakeMakeRooted(input);
  };
  const templates = createTemplates({ settings, paths, make: recording, makeRooted, quietMs: 1 });
  return { paths, made, disks, root: templatesFolder(paths), templates };
};

describe('the key of a template', () => {
  const key = (changes: Partial<MachineSpec> = {}, more: Partial<QemuSettings> = {}) =>
    templateKey({ ...settings, ...more }, spec(changes));

  it('is the same for all machines of a class', () => {
    const disks = [{ serial: 's', path: '/d', format: 'raw', readOnly: true }] as const;
    expect(key({ name: 'x', runDir: '/y', consoleLog: '/z', memoryMib: 500, disks })).toBe(key());
  });

  it('is another for what a clone must have in common with it', () => {
    const others = [
      key({ vcpus: 1 }),
      key({ memoryMib: 513 }),
      key({ nested: true }),
      key({ shares: [{ tag: 't', path: '/', readOnly: true, ownership: 'keep' }] }),
      key({}, { accelerator: 'kvm' }),
      key({}, { tscKhz: 2 }),
      key({}, { toolchain: toolchain({ id: 'new' }) }),
      key({}, { toolchain: toolchain({ kernel: '/new' }) }),
      key({}, { toolchain: toolchain({ initramfs: '/new' }) }),
    ];
    expect(new Set([key(), ...others]).size).toBe(10);
  });
});

describe('templates', () => {
  it('are made in the background after a cold boot, one for each class', async () => {
    const { templates, made, root } = makeShelf();
    for (const memoryMib of [400, 512, 1024]) {
      templates.wanted(spec({ memoryMib }));
    }
    await until(async () => expect(await templates.find(spec({ memoryMib: 1024 }))).toBeDefined());
    expect(made).toHaveLength(2);
    expect((await readdir(root)).length).toBe(2);
  });

  it('that are being made when their process ends leave no lock, and no more are made', async () => {
    const started = Promise.withResolvers<void>();
    const { templates, made, paths } = makeShelf(async ({ signal }) => {
      started.resolve();
      return await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
    });
    templates.wanted(spec());
    await started.promise;
    expect(await readdir(paths.locks)).toHaveLength(1);
    await templates.close();
    expect(await readdir(paths.locks)).toEqual([]);
    templates.wanted(spec({ memoryMib: 1024 }));
    await templates.close();
    expect(made).toHaveLength(1);
  });

  it('are not wanted for machines that cannot be clones', async () => {
    const { templates } = makeShelf();
    const disk = { serial: 's', path: '/d', format: 'raw', readOnly: true } as const;
    expect(await templates.make(spec({ disks: Array(16).fill(disk) }))).toBeUndefined();
    expect(await templates.make(spec({ disks: Array(15).fill(disk) }))).toBeDefined();
  });

  it('that cannot be made are not tried for ever', async () => {
    const { templates, made, paths } = makeShelf(() => Promise.reject(new Error('no')));
    const lock = lockPath(paths, templateKey(settings, spec()));
    for (let count = 1; count <= 2; count++) {
      templates.wanted(spec());
      await until(() => expect([made.length, existsSync(lock)]).toEqual([count, false]));
      // The lock is let go of in the turn before the failure is counted.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    templates.wanted(spec());
    await templates.make(spec({ memoryMib: 1024 })).catch(() => {});
    expect(made).toHaveLength(3);
  });

  it('are thrown away when they failed twice', async () => {
    const { templates } = makeShelf();
    const template = await templates.make(spec());
    for (const left of [template, undefined]) {
      await templates.failed({ key: template?.key ?? '' });
      expect(await templates.find(spec())).toEqual(left);
    }
    const again = await templates.make(spec());
    await templates.failed({ key: template?.key ?? '' });
    expect(await templates.find(spec())).toEqual(again);
  });

  it.each([
    ['whose state was changed', (folder: string) => overwrite(join(folder, 'state'), 'other')],
    ['whose memory has another size', (folder: string) => overwrite(join(folder, 'ram'), 'x')],
    ['whose memory was written to', (folder: string) => utimes(join(folder, 'ram'), 1, 1)],
    ['without a description', (folder: string) => overwrite(join(folder, 'template.json'), '')],
    ['with half a description', (folder: string) => overwrite(join(folder, 'template.json'), 'null')],
  ])('%s are noticed', async (_, damage) => {
    const { templates, root } = makeShelf();
    const template = await templates.make(spec());
    await damage(join(root, template?.key ?? ''));
    expect(await readTemplate(root, template?.key ?? '')).toBe('broken');
    expect(await templates.find(spec())).toBeUndefined();
    expect(await readdir(root)).toEqual([]);
  });

  it('with a root come after the plain one, for machines whose layer is still to be made', async () => {
    const { templates, made, root, disks } = makeShelf();
    templates.wanted(spec({ disks: disks('image') }));
    await until(async () => expect(await templates.find(spec({ disks: disks('image') }), 'rooted')).toBeDefined());
    expect(made).toHaveLength(2);
    expect((await readdir(root)).length).toBe(2);
    const shares = [{ tag: 't', path: '/', readOnly: true, ownership: 'keep' }] as const;
    const [image, upper] = disks('image');
    const others = [
      spec({ disks: disks('other') }),
      spec({ disks: disks('image', 2048) }),
      spec({ disks: disks('image'), memoryMib: 4096 }),
      spec({ disks: disks('image'), shares }),
      spec({ disks: [image, { ...upper, blank: undefined }] as MachineSpec['disks'] }),
      spec({ disks: [{ ...image, readOnly: false }, upper] as MachineSpec['disks'] }),
    ];
    for (const other of others) {
      expect(await templates.find(other, 'rooted')).toBeUndefined();
    }
  });

  it('with a root belong to the very file that was mounted', async () => {
    const { templates, disks } = makeShelf();
    const machine = spec({ disks: disks('image') });
    await templates.makeRooted(machine);
    await writeFile(machine.disks[0]?.path ?? '', 'CID=2');
    expect(await templates.find(machine, 'rooted')).toBeUndefined();
  });

  it('with a root are not made where the guest just runs', async () => {
    const { disks } = makeShelf();
    const paths = homePaths(tempDir());
    const templates = createTemplates({ settings: { ...settings, accelerator: 'kvm' }, paths, make: fakeMake, makeRooted: fakeMakeRooted });
    expect(await templates.makeRooted(spec({ disks: disks('image') }))).toBeUndefined();
  });

  it('with a root go with it, and when a dozen others were used since', async () => {
    const { templates, root, paths, disks } = makeShelf();
    const keys: string[] = [];
    for (let count = 0; count < 14; count++) {
      const template = await templates.makeRooted(spec({ disks: disks(`image${count}`) }));
      keys.push(template?.key ?? '');
      await utimes(join(root, template?.key ?? '', 'template.json'), count + 1, count + 1);
    }
    const first = spec({ disks: disks('image0') });
    // What the newest could not know when it was made.
    expect((await pruneTemplates(paths, settings.toolchain.id)).sort()).toEqual([keys[1]].sort());
    expect(await templates.find(first, 'rooted')).toBeUndefined();
    await templates.find(spec({ disks: disks('image2') }), 'rooted');
    await rm(disks('image13')[0].path);
    expect(await pruneTemplates(paths, settings.toolchain.id)).toEqual([keys[13]]);
    await templates.makeRooted(first);
    expect(await templates.find(spec({ disks: disks('image2') }), 'rooted')).toBeDefined();
  });

  it('with a root that failed twice are not made again that day', async () => {
    const { templates, root, disks } = makeShelf();
    const machine = spec({ disks: disks('image') });
    const key = (await templates.makeRooted(machine))?.key ?? '';
    await templates.failed({ key });
    expect(await templates.find(machine, 'rooted')).toBeDefined();
    await templates.failed({ key });
    expect(await templates.find(machine, 'rooted')).toBeUndefined();
    expect(await templates.makeRooted(machine)).toBeUndefined();
    await utimes(join(root, `${key}.failures`), 1, 1);
    await templates.make(spec({ memoryMib: 4096 }));
    expect(await templates.makeRooted(machine)).toBeDefined();
  });

  it('of another toolchain are thrown away, and what makers left that are gone', async () => {
    const { templates, root, paths } = makeShelf();
    const template = await templates.make(spec());
    for (const name of ['abc.making', 'def.making', 'abc.0.gone']) {
      await mkdir(join(root, name));
    }
    await withLock(lockPath(paths, 'def'), { what: 'a template' }, async () => {
      expect(await pruneTemplates(paths, settings.toolchain.id)).toEqual([]);
    });
    expect((await readdir(root)).sort()).toEqual([template?.key, 'def.making'].sort());
    expect(await pruneTemplates(paths, 'other')).toEqual([template?.key]);
    expect(await readdir(root)).toEqual([]);
  });

  it('are measured: what a prune would give back of it, but for what they share with others', async () => {
    const { templates, root, paths, disks } = makeShelf();
    const [plain, stays, goes] = await Promise.all([
      templates.make(spec()),
      templates.makeRooted(spec({ disks: disks('stays') })),
      templates.makeRooted(spec({ disks: disks('goes') })),
    ]);
    const keys = [plain, stays, goes].map((template) => template?.key ?? '');
    expect(keys).toEqual([...new Set(keys)]);
    await rm(disks('goes')[0].path);
    await mkdir(join(root, 'ab.0.gone'));
    await writeFile(join(root, 'ab.0.gone', 'ram'), Buffer.alloc(64 << 10, 1));
    await rm(join(root, keys[2] ?? '', 'ram'));
    await link(join(root, keys[1] ?? '', 'ram'), join(root, keys[2] ?? '', 'ram'));
    const before = await measureTemplates(paths, settings.toolchain.id);
    expect(before.templates.map(({ key }) => key).sort()).toEqual([...keys].sort());
    const own = new Map(before.templates.map(({ key, bytes }) => [key, bytes]));
    expect(before.reclaimable).toBe((own.get(keys[2] ?? '') ?? 0) + (64 << 10));
    expect(own.get(keys[2] ?? '')).toBeLessThan(own.get(keys[1] ?? '') ?? 0);
    await pruneTemplates(paths, settings.toolchain.id);
    const after = await measureTemplates(paths, settings.toolchain.id);
    expect([after.templates.length, after.reclaimable, after.bytes]).toEqual([2, 0, before.bytes - before.reclaimable]);
    expect(await measureTemplates(homePaths(tempDir()), settings.toolchain.id)).toEqual({ templates: [], bytes: 0, reclaimable: 0 });
  });

  it('are thrown away by several at a time', async () => {
    const { templates, root, paths, disks } = makeShelf();
    for (let count = 0; count < 6; count++) {
      await templates.makeRooted(spec({ disks: disks(`image${count}`) }));
      await rm(disks(`image${count}`)[0].path);
    }
    await Promise.all(Array.from({ length: 8 }, () => pruneTemplates(paths, 'other')));
    expect(await readdir(root)).toEqual([]);
  });
});

const overwrite = async (path: string, text: string): Promise<void> => {
  await chmod(path, 0o600);
  await writeFile(path, text);
};
