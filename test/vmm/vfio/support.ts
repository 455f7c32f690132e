import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Access } from '../../../vmm/vfio/card.ts';
import type { CardRoots } from '../../../vmm/vfio/sysfs.ts';

/** A card of a made-up host. */
export interface MadeCard {
  readonly address: string;
  readonly vendor?: string;
  readonly class: string;
  readonly driver?: string;
  readonly group?: string;
  readonly bootVga?: boolean;
  /** Files below its folder, by path. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Writes a tree as sysfs has it: drivers and groups are links. `open`: what opening a file says; else it is absent. */
export const makeHost = async (
  folder: string,
  cards: readonly MadeCard[],
  { open = {}, isRoot = true }: { readonly open?: Readonly<Record<string, Access>>; readonly isRoot?: boolean } = {},
): Promise<CardRoots> => {
  const [sys, proc] = [join(folder, 'sys'), join(folder, 'proc')];
  await mkdir(join(sys, 'bus/pci/devices'), { recursive: true });
  await mkdir(join(sys, 'bus/pci/drivers/vfio-pci'), { recursive: true });
  await mkdir(join(sys, 'kernel/iommu_groups'), { recursive: true });
  for (const card of cards) {
    const device = join(sys, 'bus/pci/devices', card.address);
    const files = {
      vendor: card.vendor ?? '0x8086',
      device: '0x1234',
      class: card.class,
      ...(card.bootVga ? { boot_vga: '1' } : {}),
      ...card.files,
    };
    for (const [name, content] of Object.entries(files)) {
      await mkdir(join(device, name, '..'), { recursive: true });
      await writeFile(join(device, name), `${content}\n`);
      await linkClass(sys, join(device, name));
    }
    if (card.driver !== undefined) {
      await mkdir(join(sys, 'bus/pci/drivers', card.driver), { recursive: true });
      await symlink(join(sys, 'bus/pci/drivers', card.driver), join(device, 'driver'));
    }
    if (card.group !== undefined) {
      await mkdir(join(sys, 'kernel/iommu_groups', card.group), { recursive: true });
      await symlink(join(sys, 'kernel/iommu_groups', card.group), join(device, 'iommu_group'));
    }
  }
  const dev = '/dev';
  return { sys, dev, proc, isRoot, tryOpen: (path) => Promise.resolve(open[path] ?? 'absent') };
};

/** `…/net/eth0/flags` is an interface, `…/block/vda/dev` a disk: the kernel has links to them by their class. */
const linkClass = async (sys: string, file: string): Promise<void> => {
  const [target, kind, name] = /^.*\/(net|block)\/([^/]+)/.exec(file) ?? [];
  if (target !== undefined && kind !== undefined && name !== undefined) {
    await mkdir(join(sys, 'class', kind), { recursive: true });
    await symlink(target, join(sys, 'class', kind, name)).catch(() => {});
  }
};

export const VGA = '0x030000';
export const AUDIO = '0x040300';
export const NVME = '0x010802';
export const USB = '0x0c0330';

/** A desktop: an integrated display, an NVIDIA card with its sound, a disk, a bridge. */
export const DESKTOP: readonly MadeCard[] = [
  { address: '0000:00:01.0', class: '0x060400', driver: 'pcieport', group: '1' },
  { address: '0000:00:02.0', class: VGA, driver: 'i915', group: '0', bootVga: true },
  { address: '0000:01:00.0', vendor: '0x10de', class: VGA, driver: 'nvidia', group: '1', files: { boot_vga: '0' } },
  { address: '0000:01:00.1', vendor: '0x10de', class: AUDIO, driver: 'snd_hda_intel', group: '1' },
  { address: '0000:02:00.0', class: NVME, driver: 'nvme', group: '2', files: { 'nvme/nvme0/nvme0c1n1/uevent': '' } },
];
