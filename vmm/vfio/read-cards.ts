import { join } from 'node:path';
import { userName } from '../../base/host/user-name.ts';
import type { Card, CardHost } from './card.ts';
import { findUse, type HostMembers, openToLook, readMembers } from './find-use.ts';
import { type CardRoots, linkName, list, text } from './sysfs.ts';

export const REAL_ROOTS: CardRoots = { sys: '/sys', dev: '/dev', proc: '/proc' };

/** All cards of this host, as sysfs has them, and who may open their groups. A host without PCI has none. */
export const readCards = async (roots: CardRoots = REAL_ROOTS): Promise<CardHost> => {
  const addresses = await list(join(roots.sys, 'bus/pci/devices'));
  const members = await readMembers(roots);
  const read = addresses.sort().map((address) => readCard(address, members, roots));
  const cards = (await Promise.all(read)).filter((card) => card !== undefined);
  const named = [...new Set(cards.flatMap(({ group }) => group ?? []))];
  const tryOpen = roots.tryOpen ?? openToLook;
  const groups = new Map(await Promise.all(named.map(async (group) => [group, await tryOpen(groupFile(group, roots), 'plain')] as const)));
  return {
    cards,
    groups,
    iommu: (await list(join(roots.sys, 'kernel/iommu_groups'))).length > 0,
    isRoot: isRoot(roots),
    user: userName() ?? String(process.getuid?.()),
  };
};

export const isRoot = (roots: CardRoots): boolean => roots.isRoot ?? process.geteuid?.() === 0;

export const groupFile = (group: string, { dev }: Pick<CardRoots, 'dev'> = REAL_ROOTS): string => join(dev, 'vfio', group);

const BRIDGE = 0x06;

const readCard = async (address: string, members: HostMembers, roots: CardRoots): Promise<Card | undefined> => {
  const folder = join(roots.sys, 'bus/pci/devices', address);
  const [vendor, device, code, bootVga] = await Promise.all(
    ['vendor', 'device', 'class', 'boot_vga'].map((name) => text(join(folder, name))),
  );
  const card = { address, vendor: Number(vendor), device: Number(device), class: Number(code) >> 8, bootVga: bootVga === '1' };
  if (vendor === undefined || code === undefined || card.class >> 8 === BRIDGE) {
    return undefined;
  }
  const [driver, group] = await Promise.all([linkName(join(folder, 'driver')), linkName(join(folder, 'iommu_group'))]);
  const inUse = await findUse({ address, driver, members }, roots);
  return {
    ...card,
    ...(driver === undefined ? {} : { driver }),
    ...(group === undefined ? {} : { group }),
    ...(inUse === undefined ? {} : { inUse }),
  };
};
