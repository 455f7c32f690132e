import { constants } from 'node:fs';
import { open, readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import { userName } from '../../base/host/user-name.ts';
import type { Access, Card, CardHost } from './card.ts';

/** Where the kernel tells of its hardware; tests have a tree of their own. */
export interface CardRoots {
  readonly sys: string;
  readonly dev: string;
  readonly proc: string;
  readonly isRoot?: boolean;
  /** What opening a file says: alone, which a disk in use refuses, or as it is. */
  readonly tryOpen?: (path: string, how: 'alone' | 'plain') => Promise<Access>;
}

export const REAL_ROOTS: CardRoots = { sys: '/sys', dev: '/dev', proc: '/proc' };

/** All cards of this host, as sysfs has them, and who may open their groups. A host without PCI has none. */
export const readCards = async (roots: CardRoots = REAL_ROOTS): Promise<CardHost> => {
  const addresses = await list(join(roots.sys, 'bus/pci/devices'));
  const cards = (await Promise.all(addresses.sort().map((address) => readCard(address, roots)))).filter((card) => card !== undefined);
  const named = [...new Set(cards.flatMap(({ group }) => group ?? []))];
  const tryOpen = roots.tryOpen ?? openToLook;
  const groups = new Map(await Promise.all(named.map(async (group) => [group, await tryOpen(groupFile(group, roots), 'plain')] as const)));
  const isRoot = roots.isRoot ?? process.geteuid?.() === 0;
  return {
    cards,
    groups,
    iommu: (await list(join(roots.sys, 'kernel/iommu_groups'))).length > 0,
    isRoot,
    user: userName() ?? String(process.getuid?.()),
  };
};

export const groupFile = (group: string, { dev }: Pick<CardRoots, 'dev'> = REAL_ROOTS): string => join(dev, 'vfio', group);

const BRIDGE = 0x06;

const readCard = async (address: string, roots: CardRoots): Promise<Card | undefined> => {
  const folder = join(roots.sys, 'bus/pci/devices', address);
  const [vendor, device, code, bootVga] = await Promise.all(
    ['vendor', 'device', 'class', 'boot_vga'].map((name) => text(join(folder, name))),
  );
  const card = { address, vendor: Number(vendor), device: Number(device), class: Number(code) >> 8, bootVga: bootVga === '1' };
  if (vendor === undefined || code === undefined || card.class >> 8 === BRIDGE) {
    return undefined;
  }
  const [driver, group] = await Promise.all([linkName(join(folder, 'driver')), linkName(join(folder, 'iommu_group'))]);
  const inUse = await findUse(folder, driver, roots);
  return {
    ...card,
    ...(driver === undefined ? {} : { driver }),
    ...(group === undefined ? {} : { group }),
    ...(inUse === undefined ? {} : { inUse }),
  };
};

/** Whether the host would miss it: a disk that something has, an interface that is up, a display that a program has open. */
const findUse = async (folder: string, driver: string | undefined, roots: CardRoots): Promise<string | undefined> =>
  (await diskUse(folder, roots)) ?? (await interfaceUse(folder)) ?? (await displayUse(folder, driver, roots));

/** A file system, swap, RAID or mapper on a disk or a part of it has it open alone. With several paths the kernel calls it nvme0c1n1 below its controller. */
const diskUse = async (folder: string, { dev, tryOpen = openToLook }: CardRoots): Promise<string | undefined> => {
  for (const controller of await list(join(folder, 'nvme'))) {
    for (const entry of await list(join(folder, 'nvme', controller))) {
      const disk = /^nvme\d+(c\d+)?n\d+$/.test(entry) ? entry.replace(/c\d+/, '') : undefined;
      if (disk !== undefined && (await tryOpen(join(dev, disk), 'alone')) === 'busy') {
        return `its disk ${disk} is mounted or otherwise in use`;
      }
    }
  }
  return undefined;
};

const IS_UP = 1;

/** A virtio card, as a host has that is a virtual machine itself, has its interface one folder deeper. */
const interfaceUse = async (folder: string): Promise<string | undefined> => {
  const deeper = (await list(folder)).filter((name) => /^virtio\d+$/.test(name)).map((name) => join(folder, name));
  for (const parent of [folder, ...deeper]) {
    for (const name of await list(join(parent, 'net'))) {
      if ((Number(await text(join(parent, 'net', name, 'flags'))) & IS_UP) !== 0) {
        return `its network interface ${name} is up`;
      }
    }
  }
  return undefined;
};

/** Other users' programs can be seen by root only, who alone takes a card from its driver. The nodes of nvidia's driver name no card: one of any counts. */
const displayUse = async (folder: string, driver: string | undefined, { proc }: CardRoots): Promise<string | undefined> => {
  const nodes = (await list(join(folder, 'drm'))).map((name) => `/dev/dri/${name}`);
  if (nodes.length === 0 && driver !== 'nvidia') {
    return undefined;
  }
  const isOne = (path: string): boolean => nodes.includes(path) || (driver === 'nvidia' && /^\/dev\/nvidia\d+$/.test(path));
  for (const pid of (await list(proc)).filter((name) => /^\d+$/.test(name))) {
    for (const fd of await list(join(proc, pid, 'fd'))) {
      const path = await readlink(join(proc, pid, 'fd', fd)).catch(() => '');
      if (isOne(path)) {
        return `${(await text(join(proc, pid, 'comm'))) ?? 'a program'} (pid ${pid}) has it open`;
      }
    }
  }
  return undefined;
};

/** Opening a group's file takes nothing: it is closed at once. */
const openToLook = async (path: string, how: 'alone' | 'plain'): Promise<Access> => {
  try {
    await (await open(path, how === 'alone' ? constants.O_RDONLY | constants.O_EXCL : constants.O_RDWR)).close();
    return 'free';
  } catch (error) {
    return isErrno(error, 'EBUSY') ? 'busy' : isErrno(error, 'ENOENT') ? 'absent' : 'denied';
  }
};

/** What is gone meanwhile, or may not be seen, is not there. */
const list = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const text = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').then(
    (content) => content.trim(),
    () => undefined,
  );

const linkName = (path: string): Promise<string | undefined> =>
  readlink(path).then(
    (target) => basename(target),
    () => undefined,
  );
