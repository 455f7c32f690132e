import { constants } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../base/errors.ts';
import type { Access } from './card.ts';
import { type CardRoots, list, text } from './sysfs.ts';

/** What the kernel has of a class (`block`, `net`): its name, and the folders above it in the tree of devices. */
interface Member {
  readonly name: string;
  readonly path: readonly string[];
}

/** Disks and interfaces of this host. Read once for all cards. */
export interface HostMembers {
  readonly disks: readonly Member[];
  readonly interfaces: readonly Member[];
}

export const readMembers = async ({ sys }: CardRoots): Promise<HostMembers> => {
  const of = async (folder: string): Promise<Member[]> => {
    const read = (await list(folder)).sort().map(async (name) => ({ name, link: await readlink(join(folder, name)).catch(() => '') }));
    return (await Promise.all(read)).map(({ name, link }) => ({ name, path: link.split('/') }));
  };
  const [disks, interfaces] = await Promise.all([of(join(sys, 'class/block')), of(join(sys, 'class/net'))]);
  return { disks, interfaces };
};

interface Asked {
  readonly address: string;
  readonly driver: string | undefined;
  readonly members: HostMembers;
}

/**
 * Whether the host would miss a card: a disk that something has, an interface that is up, a display that a program has open. Disks and
 * interfaces are looked for at any depth below it: behind virtio, SATA, SAS, USB, or a bridge of its own.
 */
export const findUse = async (asked: Asked, roots: CardRoots): Promise<string | undefined> =>
  (await diskUse(asked, roots)) ??
  (await interfaceUse(asked, roots)) ??
  (await functionUse(asked, roots)) ??
  (await displayUse(asked, roots));

const folderOf = ({ address }: Asked, { sys }: CardRoots): string => join(sys, 'bus/pci/devices', address);

const diskUse = async (asked: Asked, roots: CardRoots): Promise<string | undefined> => {
  const { disks } = asked.members;
  const below = disks.filter(({ path }) => path.includes(asked.address)).map(({ name }) => name);
  for (const disk of new Set([...below, ...(await disksOfPaths(folderOf(asked, roots)))])) {
    if (await isUsed(disk, roots)) {
      return `its disk ${disk} is mounted or otherwise in use`;
    }
  }
  return undefined;
};

/** With several paths the kernel calls a disk nvme0c1n1 below its controller, and nvme0n1 elsewhere. */
const disksOfPaths = async (folder: string): Promise<string[]> => {
  const controllers = await list(join(folder, 'nvme'));
  const entries = await Promise.all(controllers.map((controller) => list(join(folder, 'nvme', controller))));
  return entries.flat().flatMap((entry) => (/^nvme\d+(c\d+)?n\d+$/.test(entry) ? entry.replace(/c\d+/, '') : []));
};

/** A file system, swap, RAID or mapper on a disk or a part of it has it open alone. Who may not open it looks at what anybody can read. */
const isUsed = async (disk: string, roots: CardRoots): Promise<boolean> => {
  const access = await (roots.tryOpen ?? openToLook)(join(roots.dev, disk), 'alone');
  return access === 'busy' || (access === 'denied' && (await isSeenUsed(disk, roots)));
};

const isSeenUsed = async (disk: string, { sys, dev, proc }: CardRoots): Promise<boolean> => {
  const folder = join(sys, 'class/block', disk);
  const parts = (await list(folder)).filter((name) => name.startsWith(disk));
  const [mounts = '', swaps = ''] = await Promise.all([text(join(proc, 'self/mountinfo')), text(join(proc, 'swaps'))]);
  for (const [name, at] of [[disk, folder], ...parts.map((part) => [part, join(folder, part)])] as Array<[string, string]>) {
    const number = await text(join(at, 'dev'));
    const isTold = (line: string): boolean => {
      const words = line.split(/\s+/);
      return (number !== undefined && words[2] === number) || words.includes(join(dev, name));
    };
    if ((await list(join(at, 'holders'))).length > 0 || `${mounts}\n${swaps}`.split('\n').some(isTold)) {
      return true;
    }
  }
  return false;
};

const IS_UP = 1;

const interfaceUse = async ({ address, members }: Asked, { sys }: CardRoots): Promise<string | undefined> => {
  for (const { name } of members.interfaces.filter(({ path }) => path.includes(address))) {
    if ((Number(await text(join(sys, 'class/net', name, 'flags'))) & IS_UP) !== 0) {
      return `its network interface ${name} is up`;
    }
  }
  return undefined;
};

/** Virtual functions of SR-IOV are cards of their own, which are gone with the driver of the one they were made of. */
const functionUse = async (asked: Asked, roots: CardRoots): Promise<string | undefined> => {
  const count = Number((await text(join(folderOf(asked, roots), 'sriov_numvfs'))) ?? 0);
  return count > 0 ? `it has ${count} virtual functions (SR-IOV), which would be gone` : undefined;
};

/** Other users' programs can be seen by root only, who alone takes a card from its driver. The nodes of nvidia's driver name no card: one of any counts. */
const displayUse = async (asked: Asked, roots: CardRoots): Promise<string | undefined> => {
  const { proc } = roots;
  const isNvidia = asked.driver === 'nvidia';
  const nodes = (await list(join(folderOf(asked, roots), 'drm'))).map((name) => `/dev/dri/${name}`);
  if (nodes.length === 0 && !isNvidia) {
    return undefined;
  }
  const isOne = (path: string): boolean => nodes.includes(path) || (isNvidia && /^\/dev\/nvidia\d+$/.test(path));
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
export const openToLook = async (path: string, how: 'alone' | 'plain'): Promise<Access> => {
  try {
    await (await open(path, how === 'alone' ? constants.O_RDONLY | constants.O_EXCL : constants.O_RDWR)).close();
    return 'free';
  } catch (error) {
    return isErrno(error, 'EBUSY') ? 'busy' : isErrno(error, 'ENOENT') ? 'absent' : 'denied';
  }
};
