import { readFile } from 'node:fs/promises';
import { type CgroupPlace, findCgroup } from '../../base/host/cgroup.ts';
import type { Toolchain } from '../model/tools.ts';
import { type MachineFence, probeMachineFence } from '../qemu/fence-probe.ts';

/** What fences in the gateway of a network here: Landlock's ABI (0: none) and whether system calls are filtered. */
export type NetworkFenceProbe = () => Promise<{ readonly landlock: number; readonly seccomp: boolean }>;

/** One layer of the fence round one kind of process: what it keeps away here, or what this host lacks for it. */
export interface FenceLayer {
  readonly process: 'machine' | 'share' | 'gateway';
  readonly layer: string;
  readonly holds: boolean;
  readonly detail: string;
}

export interface FenceFacts {
  /** The reason where no fence can be put up. */
  readonly machine: MachineFence | string;
  readonly gateway: { readonly landlock: number; readonly seccomp: boolean } | undefined;
  /** The file that switches user namespaces off for this user. */
  readonly namespacesOff: string | undefined;
  /** Where machines get cgroups; the reason where they cannot. */
  readonly cgroup: CgroupPlace | string;
}

/** Asks this host. */
export const findFence = async (
  toolchain: Pick<Toolchain, 'machineJail'>,
  networkFence: NetworkFenceProbe | undefined,
): Promise<FenceFacts> => ({
  machine: await probeMachineFence(toolchain.machineJail),
  gateway: await networkFence?.().catch(() => undefined),
  namespacesOff: await namespacesOff(),
  cgroup: await findCgroup(),
});

const VIEW = 'no Landlock, but mounts of its own';
const WITHOUT_FILES =
  'neither Landlock nor mounts of its own, and HYPR_FENCE=partial: a QEMU that is taken over reads and writes what its user may';

/** Pure: the fence as a table. */
export const fenceLayers = ({ machine, gateway, namespacesOff: off, cgroup }: FenceFacts): FenceLayer[] => {
  const own: MachineFence =
    typeof machine === 'string' ? { landlock: 0, way: 'none', files: false, calls: false, privileges: false } : machine;
  const lacking = typeof machine === 'string' ? machine : WITHOUT_FILES;
  const row = (process: FenceLayer['process'], layer: string, holds: boolean, [yes, no]: readonly [string, string]): FenceLayer => ({
    ...{ process, layer, holds },
    detail: holds ? yes : no,
  });
  const abi = (landlock: number) => `Landlock ABI ${landlock}`;
  const shares = off === undefined ? 'a namespace with that folder only' : `${abi(own.landlock)} instead of namespaces (${off})`;
  return [
    row('machine', 'files', own.files, [`${own.way === 'view' ? VIEW : abi(own.landlock)}: its disks, its folder, the toolchain`, lacking]),
    row('machine', 'system calls', own.calls, ['an allow-list: no sockets, no programs, no processes', lacking]),
    row('machine', 'privileges', own.privileges, ['no capabilities, none to be gained', lacking]),
    row('machine', 'limits', own.calls, ['descriptors, size of files, no core', lacking]),
    row('machine', 'cgroup', typeof cgroup !== 'string', ofCgroup(cgroup, 'one with those of its shares')),
    row('share', 'files', off === undefined || own.landlock > 0, [shares, 'neither user namespaces nor Landlock: folders are not shared']),
    row('share', 'system calls', true, ["virtiofsd's own list", '']),
    row('gateway', 'cgroup', typeof cgroup !== 'string', ofCgroup(cgroup, 'its own')),
    row('gateway', 'files', (gateway?.landlock ?? 0) > 0, [abi(gateway?.landlock ?? 0), 'no Landlock: by system calls alone']),
    row('gateway', 'system calls', gateway?.seccomp === true, [
      'an allow-list: no files, no programs, no listening',
      'none: no network starts',
    ]),
  ];
};

/** Where there is one, and what there is otherwise. */
const ofCgroup = (cgroup: FenceFacts['cgroup'], whose: string): readonly [string, string] => {
  if (typeof cgroup === 'string') {
    return ['', `none: ${cgroup}; memory and processors are shared with what else its user runs`];
  }
  const where = 'bus' in cgroup ? "a scope of this user's systemd" : `below ${cgroup.folder}`;
  return [`${whose}, ${where}: ${cgroup.controllers.join(', ')}`, ''];
};

const OFF_SWITCHES: ReadonlyArray<readonly [file: string, off: string]> = [
  ['/proc/sys/user/max_user_namespaces', '0'],
  ['/proc/sys/kernel/unprivileged_userns_clone', '0'],
  ['/proc/sys/kernel/apparmor_restrict_unprivileged_userns', '1'],
];

/** Undefined where this user may make namespaces, as root may. */
const namespacesOff = async (): Promise<string | undefined> => {
  if (process.getuid?.() === 0) {
    return undefined;
  }
  const found = await Promise.all(
    OFF_SWITCHES.map(async ([file, off]) => ((await readFile(file, 'utf8').catch(() => '')).trim() === off ? file : undefined)),
  );
  return found.find((file) => file !== undefined);
};
